-- SPDX-License-Identifier: MIT
-- test_flow.lua - connections, flows and packets that a test lets appear before the rules.

local native = rawget(_G, "nsnet.test.native")
local check = require "nsnet.test_check"

local flow = {}

local FIELDS = {
  "action", "address", "asked", "bytes_down", "bytes_up", "close_reason", "decided_by",
  "dial_error", "elapsed", "error", "explain", "limits", "network", "open", "reason", "rule",
  "style", "tags", "target", "waits", "where",
}
local known = {}
for _, name in ipairs(FIELDS) do
  known[name] = true
end

local function u16(n)
  return string.char(math.floor(n / 256) % 256, n % 256)
end

-- --- what is said first -----------------------------------------------------------------------

-- A ClientHello (RFC 8446 4.1.2) that names @name (RFC 6066 3).
function flow.client_hello(name)
  local sni = "\0" .. u16(#name) .. name
  sni = u16(#sni) .. sni
  local extensions = "\0\0" .. u16(#sni) .. sni -- server_name
    .. "\0\43\0\3\2\3\4" -- supported_versions: 1.3
  local body = "\3\3" .. ("r"):rep(32) .. "\0" .. "\0\2\19\1" .. "\1\0"
    .. u16(#extensions) .. extensions
  local message = "\1\0" .. u16(#body) .. body
  return "\22\3\1" .. u16(#message) .. message
end

local function first_of(options)
  if options.first then
    return options.first
  elseif options.sni then
    return flow.client_hello(options.sni)
  elseif options.http_host then
    return ("GET / HTTP/1.1\r\nHost: %s\r\n\r\n"):format(options.http_host)
  end
end

-- --- connections ------------------------------------------------------------------------------

-- One line for each who was asked, and the verdict.
local function explain(data)
  local lines = {}
  for i, one in ipairs(data.asked) do
    lines[i] = ("  %-14s %-30s %s%s"):format(one.kind, one.where, one.said,
      one.reason and ": " .. one.reason or "")
  end
  lines[#lines + 1] = ("  %s%s by %s%s"):format(data.action,
    data.style and " (" .. data.style .. ")" or "", data.decided_by or "default",
    data.reason and ": " .. data.reason or "")
  return table.concat(lines, "\n")
end

local function refresh(self)
  local data = native.info(rawget(self, "flow_id"))
  local name, where = (data.decided_by or ""):match "^(.*) (%b())$"
  data.rule = name or data.decided_by or "default"
  data.where = where and where:sub(2, -2) or (data.decided_by or ""):match "^.*:%d+$"
  data.explain = explain(data)
  data.elapsed = rawget(self, "elapsed_s")
  rawset(self, "data", data)
end

local methods = {}
local Connection = { fields = known, methods = methods }

function Connection.__index(self, key)
  if methods[key] then
    return methods[key]
  elseif not known[key] then
    check.misuse("a connection has no field or method %s", check.show(key))
  end
  return rawget(self, "data")[key]
end

function Connection.__newindex(_, key)
  check.misuse("a connection's %s cannot be set", check.show(key))
end

function Connection.__tostring(self)
  return ("%s %s %s"):format(self.network, self.address, self.action)
end

local function open(self, what)
  check.method(self, Connection, "connection:" .. what)
  if not self.open then
    check.fail("the connection is not open:\n%s", self.explain)
  end
end

-- The bytes that came through, or nil and how the connection ended.
local function outcome(self, bytes)
  refresh(self)
  if not self.open then
    return nil, self.close_reason
  end
  return bytes
end

-- The command says @bytes; what goes on to the destination is returned.
function methods.say(self, bytes)
  open(self, "say")
  return outcome(self, native.say(rawget(self, "flow_id"), bytes, true))
end

-- The command says no more: first bytes that wait for more are judged as they are.
function methods.finish(self)
  open(self, "finish")
  return outcome(self, native.say(rawget(self, "flow_id"), "", false))
end

-- The destination says @bytes, or whoever plays it does; what the command gets is returned.
function methods.hear(self, bytes)
  open(self, "hear")
  if bytes then
    return outcome(self, native.hear(rawget(self, "flow_id"), bytes))
  end
  return outcome(self, native.read(rawget(self, "flow_id")))
end

-- It ends: "closed", "reset by child", "reset by world" or "idle".
function methods.close(self, cause)
  open(self, "close")
  native.stop(rawget(self, "flow_id"), cause or "closed")
  refresh(self)
end

-- Looks again at what may have changed meanwhile.
function methods.look(self)
  check.method(self, Connection, "connection:look")
  refresh(self)
  return self
end

local OPTIONS = {
  dst = "string", src = "string", name = "string", dns = "string", sni = "string",
  http_host = "string", first = "string", network = "string", inbound = "boolean",
  auto = "boolean", process = "string",
}

local function is_process(text)
  return text:find "^/.*[^/]$" or (text:find "^[^/]+$" and #text <= 15)
end

-- Returns the network.
local function check_options(network, options, what)
  check.keys(options, OPTIONS, what)
  if network and options.network then
    check.misuse("%s is for tcp; rules:flow has network=", what)
  elseif not options.dst then
    check.misuse("%s needs dst=", what)
  elseif not network and options.network ~= "udp" and options.network ~= "icmp" then
    check.misuse('%s needs network="udp" or "icmp"; tcp is rules:connect', what)
  elseif options.auto and not options.inbound then
    check.misuse("%s: auto= belongs to inbound=true", what)
  elseif options.process and not is_process(options.process) then
    check.misuse("%s: process= is a short name of at most 15 bytes, or an executable's path", what)
  end
  return network or options.network
end

function flow.new(play, network, options, what)
  network = check_options(network, options, what)
  local started = native.now()
  local inbound = options.inbound and (options.auto and "found" or "named") or nil
  local id = native.ask(play, network, options.dst, options.src, options.name or options.dns,
    inbound, options.process)
  local self = setmetatable({ flow_id = id, elapsed_s = native.now() - started }, Connection)
  refresh(self)
  local first = first_of(options)
  if first and self.open and self.waits then
    self:say(first)
  end
  return self
end

-- --- packets ----------------------------------------------------------------------------------

local FLAGS = { F = 1, S = 2, R = 4, P = 8, A = 16, U = 32, E = 64, C = 128 }
local PROTOS = { icmp = 1, tcp = 6, udp = 17, icmpv6 = 58 }

local function transport(options, proto, src_port, dst_port)
  local payload = options.payload or ""
  if proto == PROTOS.tcp then
    local flags = 0
    for letter in (options.flags or "A"):gmatch "." do
      flags = flags + (FLAGS[letter] or check.misuse("flags= are letters of FSRPAUEC"))
    end
    return u16(src_port) .. u16(dst_port) .. ("\0"):rep(8) .. "\80" .. string.char(flags)
      .. "\255\255\0\0\0\0" .. payload
  elseif proto == PROTOS.udp then
    return u16(src_port) .. u16(dst_port) .. u16(8 + #payload) .. "\0\0" .. payload
  end
  return (proto == PROTOS.icmpv6 and "\128" or "\8") .. "\0\0\0\0\1\0\1" .. payload
end

-- The bytes of an address, and its port.
local function address(text)
  local bytes = nsnet.ip_bytes(text)
  if bytes then
    return bytes, 0
  end
  local ok, host, port = pcall(nsnet.split_address, text)
  bytes = ok and nsnet.ip_bytes(host)
  if not bytes then
    check.misuse("rules:packet: %s is no IP address, with or without a port", check.show(text))
  end
  return bytes, port
end

local function default_src(to)
  return #to == 4 and "10.0.0.1:40000" or "[fd6e:736e:6574::1]:40000"
end

local function build(options)
  local proto = type(options.proto) == "number" and options.proto or PROTOS[options.proto]
  if not proto or not options.dst then
    check.misuse "rules:packet needs proto= and dst=, or bytes="
  end
  local to, dst_port = address(options.dst)
  local from, src_port = address(options.src or default_src(to))
  if #to ~= #from then
    check.misuse "rules:packet: src= and dst= are of different families"
  end
  local body = transport(options, proto, src_port, dst_port)
  local ttl = string.char(options.ttl or 64, proto)
  if #to == 4 then
    return "\69\0" .. u16(20 + #body) .. "\0\1\0\0" .. ttl .. "\0\0" .. from .. to .. body
  end
  return "\96\0\0\0" .. u16(#body) .. string.char(proto, options.ttl or 64) .. from .. to .. body
end

-- A packet: "pass" or "drop".
function flow.packet(play, options)
  if type(options) == "table" and type(options.proto) == "number" then
    local copy = {}
    for key, value in pairs(options) do
      copy[key] = key ~= "proto" and value or nil
    end
    check.keys(copy, {
      dir = "string", src = "string", dst = "string", payload = "string", ttl = "number",
    }, "rules:packet")
  else
    check.keys(options, {
      dir = "string", proto = "string", src = "string", dst = "string", flags = "string",
      payload = "string", ttl = "number", bytes = "string",
    }, "rules:packet")
  end
  local pass = native.packet(play, options.dir or "out", options.bytes or build(options))
  if pass == nil then
    check.misuse "these bytes are no IP packet"
  end
  return pass and "pass" or "drop"
end

return flow
