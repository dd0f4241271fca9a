-- SPDX-License-Identifier: MIT
-- A file of JSON lines, one for each connection that ended, for jq and its like. The file is opened
-- when the command starts, and its lines are written without holding anybody up.
local file = nsnet.append "connections.jsonl"

nsnet.on_close(function(conn)
  file:write(nsnet.json.encode {
    to = conn.address,
    name = conn.host,
    verdict = conn.verdict,
    up = conn.bytes_up,
    down = conn.bytes_down,
    seconds = conn.duration,
    ended = conn.close_reason,
  })
end)
