-- SPDX-License-Identifier: MIT
-- http_connect.lua - a dialer through an HTTP proxy by CONNECT (RFC 9110 section 9.3.6). TCP only.
--
--   local http_connect = require "nsnet.http_connect"
--   nsnet.dialer({ network = "tcp" }, http_connect.dialer { proxy = "proxy.example:3128" })

local proxy = require "nsnet.proxy"

local http_connect = {}

local HEAD_MAX = 16384

-- 407 asks for credentials; tinyproxy says 401 to wrong ones.
local DENIED = { ["401"] = true, ["403"] = true, ["407"] = true }

-- RFC 4648 section 4.
local function base64(text)
  local alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
  local out = {}
  for i = 1, #text, 3 do
    local a, b, c = text:byte(i, i + 2)
    local n = a * 65536 + (b or 0) * 256 + (c or 0)
    for k = 0, 3 do
      local index = math.floor(n / 64 ^ (3 - k)) % 64 + 1
      out[#out + 1] = (k == 2 and not b or k == 3 and not c) and "=" or alphabet:sub(index, index)
    end
  end
  return table.concat(out)
end

-- Asks for a tunnel to "host:port" over a stream to the proxy. True, or nil, message, code.
function http_connect.handshake(stream, target, options)
  local request = { ("CONNECT %s HTTP/1.1\r\nHost: %s\r\n"):format(target, target) }
  if options.user then
    request[2] = ("Proxy-Authorization: Basic %s\r\n"):format(
      base64(options.user .. ":" .. (options.password or ""))
    )
  end
  request[#request + 1] = "\r\n"
  local ok, err, code = stream:write(request)
  if not ok then
    return nil, err, code
  end
  -- What follows the empty line belongs to the destination: it stays in the stream for the relay.
  local head
  head, err, code = stream:read_until("\r\n\r\n", HEAD_MAX)
  if not head then
    return nil, err, code
  end
  local status, reason = head:match("^HTTP/1%.[01] (%d%d%d) ?([^\r\n]*)")
  if not status then
    return nil, "the proxy does not speak HTTP/1", "proto"
  end
  if status:sub(1, 1) ~= "2" then
    return nil,
      ("the proxy answered %s %s"):format(status, reason),
      DENIED[status] and "denied" or "refused"
  end
  return true
end

-- options: those of nsnet.proxy.
function http_connect.dialer(options)
  proxy.check("http_connect.dialer", options)
  if options.user and options.user:find(":", 1, true) then
    -- RFC 7617 section 2: the first colon is where the password begins.
    error("http_connect.dialer: user has a colon, which HTTP cannot carry", 2)
  end
  return function(network, address, conn)
    if network ~= "tcp" then
      return nil, "HTTP CONNECT: only TCP goes through this proxy", "denied"
    end
    local host, port = nsnet.split_address(address)
    if conn and conn.host and conn.dst_ip == host then
      address = ("%s:%d"):format(conn.host, port)
    end
    local stream, err, code = proxy.reach(options, conn)
    if not stream then
      return nil, err, code
    end
    local ok
    ok, err, code = http_connect.handshake(stream, address, options)
    if not ok then
      stream:close()
      return nil, err, code
    end
    return stream
  end
end

return http_connect
