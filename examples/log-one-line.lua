-- SPDX-License-Identifier: MIT
-- Log each connection as it begins. As a one-liner:
--   nsnet-host -e 'nsnet.on_connect({ observe = true }, nsnet.log.conn)' -- COMMAND
-- An observer cannot decide, and an error in it never blocks anything.
nsnet.on_connect({ observe = true }, nsnet.log.conn)
