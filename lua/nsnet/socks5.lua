-- SPDX-License-Identifier: MIT
-- socks5.lua - a dialer through a SOCKS5 proxy (RFC 1928, user and password RFC 1929).
--
--   local socks5 = require "nsnet.socks5"
--   nsnet.dialer(socks5.dialer { proxy = "127.0.0.1:1080" })
--
-- The proxy is given the name where one is known, so that it resolves; else the address. TCP goes
-- by CONNECT, each UDP flow by an association of its own; a proxy that has none refuses the flow.

local proxy = require "nsnet.proxy"

local socks5 = {}

local REPLY = {
  [1] = { "general failure", "proto" },
  [2] = { "not allowed by ruleset", "denied" },
  [3] = { "network unreachable", "unreachable" },
  [4] = { "host unreachable", "unreachable" },
  [5] = { "connection refused", "refused" },
  [6] = { "TTL expired", "unreachable" },
  [7] = { "command not supported", "proto" },
  [8] = { "address type not supported", "proto" },
}

local ADDRESS_LEN = { [1] = 4, [4] = 16 }

local function byte_string(text, what)
  if #text < 1 or #text > 255 then
    error(("%s must have 1 to 255 bytes"):format(what), 0)
  end
  return string.char(#text) .. text
end

-- Every step returns true, or nil and why not.
local function authenticate(stream, user, password)
  local ok, err, code = stream:write("\1" .. user .. password)
  if not ok then
    return nil, err, code
  end
  local answer
  answer, err, code = stream:read_exact(2)
  if not answer then
    return nil, err, code
  end
  if answer:byte(2) ~= 0 then
    return nil, "SOCKS5: the proxy refused user and password", "denied"
  end
  return true
end

local function choose_method(stream, user, password)
  local ok, err, code = stream:write(user and "\5\2\0\2" or "\5\1\0")
  if not ok then
    return nil, err, code
  end
  local answer
  answer, err, code = stream:read_exact(2)
  if not answer then
    return nil, err, code
  end
  local version, method = answer:byte(1, 2)
  if version ~= 5 then
    return nil, "SOCKS5: the proxy speaks another protocol", "proto"
  end
  if method == 2 and user then
    return authenticate(stream, user, password)
  elseif method ~= 0 then
    return nil, "SOCKS5: the proxy wants an authentication that is not configured", "denied"
  end
  return true
end

-- The destination as the protocol writes it: a name, or the four or sixteen bytes.
local function destination(host, port)
  local tail = string.char(math.floor(port / 256), port % 256)
  local bytes = nsnet.ip_bytes(host)
  if bytes then
    return (#bytes == 4 and "\1" or "\4") .. bytes .. tail
  end
  return "\3" .. byte_string(host, "the name") .. tail
end

-- The address and port in a reply whose first bytes say of which kind, or nil, message, code.
local function read_address(stream, kind)
  local len = ADDRESS_LEN[kind]
  if kind == 3 then
    local size, err, code = stream:read_exact(1)
    if not size then
      return nil, err, code
    end
    len = size:byte()
  elseif not len then
    return nil, "SOCKS5: bad address type in the reply", "proto"
  end
  local rest, err, code = stream:read_exact(len + 2)
  if not rest then
    return nil, err, code
  end
  local high, low = rest:byte(-2, -1)
  local host = rest:sub(1, len)
  return kind == 3 and host or nsnet.ip_text(host), high * 256 + low
end

-- The proxy's own address and port for what was asked, or nil, message, code.
local function read_reply(stream)
  local head, err, code = stream:read_exact(4)
  if not head then
    return nil, err, code
  end
  local version, reply, _, kind = head:byte(1, 4)
  if version ~= 5 then
    return nil, "SOCKS5: the proxy speaks another protocol", "proto"
  end
  if reply ~= 0 then
    local known = REPLY[reply] or { ("reply %d"):format(reply), "proto" }
    return nil, "SOCKS5: " .. known[1], known[2]
  end
  return read_address(stream, kind)
end

local CONNECT, UDP_ASSOCIATE = 1, 3

local function request(stream, command, host, port, options)
  local user = options.user and byte_string(options.user, "user")
  local password = user and byte_string(options.password or "", "password")
  local ok, err, code = choose_method(stream, user, password)
  if not ok then
    return nil, err, code
  end
  ok, err, code = stream:write("\5" .. string.char(command) .. "\0" .. destination(host, port))
  if not ok then
    return nil, err, code
  end
  return read_reply(stream)
end

-- Asks for a connection to a host (a name or an address) over a stream to the proxy. True, or nil,
-- message, code.
function socks5.handshake(stream, host, port, options)
  local bound, err, code = request(stream, CONNECT, host, port, options)
  if not bound then
    return nil, err, code
  end
  return true
end

local function connect(stream, host, port, options)
  local ok, err, code = socks5.handshake(stream, host, port, options)
  if not ok then
    return nil, err, code
  end
  return stream
end

-- The association lasts as long as the stream that asked for it. We do not know yet from where we
-- will send: all zeros say so. In the answer they say "the address that you know".
local function associate(stream, host, port, options)
  local relay, relay_port, code = request(stream, UDP_ASSOCIATE, "0.0.0.0", 0, options)
  if not relay then
    return nil, relay_port, code
  end
  if relay == "0.0.0.0" or relay == "::" then
    relay = nsnet.split_address(stream.peer)
  end
  local address = (relay:find(":", 1, true) and "[%s]:%d" or "%s:%d"):format(relay, relay_port)
  if not pcall(nsnet.split_address, address) then
    return nil, "SOCKS5: the proxy's UDP relay is no address", "proto"
  end
  local udp, err
  udp, err, code = nsnet.dial("udp", address, { bind = options.bind })
  if not udp then
    return nil, "SOCKS5: the proxy's UDP relay: " .. err, code
  end
  udp:enclose("\0\0\0" .. destination(host, port), stream)
  return udp
end

-- options: those of nsnet.proxy.
function socks5.dialer(options)
  proxy.check("socks5.dialer", options)
  if options.user then
    byte_string(options.user, "user")
    byte_string(options.password or "", "password")
  end
  return function(network, address, conn)
    if network ~= "tcp" and network ~= "udp" then
      return nil, ("SOCKS5 carries no %s"):format(network), "denied"
    elseif network == "udp" and options.dial then
      return nil, "SOCKS5: UDP cannot go through a chain of proxies", "denied"
    end
    local host, port = nsnet.split_address(address)
    if conn and conn.host and conn.dst_ip == host then
      host = conn.host
    end
    local stream, err, code = proxy.reach(options, conn)
    if not stream then
      return nil, err, code
    end
    local made
    made, err, code = (network == "tcp" and connect or associate)(stream, host, port, options)
    if not made then
      stream:close()
      return nil, err, code
    end
    return made
  end
end

return socks5
