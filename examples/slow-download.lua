-- SPDX-License-Identifier: MIT
-- All connections to port 80 share 250 kB a second, and each round trip takes 80 ms longer.
local shared = nsnet.bucket { rate = 250 * 1000, burst = 32 * 1024 }

nsnet.on_connect({ port = 80 }, function(conn)
  conn:limit { down = shared, latency = 0.080 }
end)
