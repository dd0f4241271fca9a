-- SPDX-License-Identifier: MIT
-- Look at every byte of some connections, and change them. Bytes come in pieces of any size: a
-- replacement that may span two of them needs more care than this. Only for debugging: all other
-- connections never pass through Lua.
nsnet.on_data({ port = 8080, dir = "up" }, function(_, _, bytes)
  return (bytes:gsub("Accept%-Encoding: [^\r\n]*\r\n", ""))
end)
