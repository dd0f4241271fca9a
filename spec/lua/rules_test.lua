-- SPDX-License-Identifier: MIT
-- Random rules, compiled by the program and read by a plain evaluator that was written from
-- lua/README.md alone: 100 000 connections and flows, each of which must fare alike. Who speaks
-- here is honest: it says the name that it was told. verdicts_spec.c has liars.
local t = require "nsnet.test"

local SETS, FLOWS = 100, 1000
local NETWORKS = { "tcp", "udp", "icmp" }
local NAMES = { "a.test", "x.a.test", "y.x.a.test", "b.test", "xa.test", "test" }

local seed = 20261128
local function dice(sides)
  seed = (seed * 1103515245 + 12345) % 2147483648
  return math.floor(seed / 65536) % sides + 1
end

local function some(most, make)
  local list = {}
  for i = 1, dice(most) do list[i] = make() end
  return list
end

-- Addresses are texts of 0 and 1: what a network is about is then one comparison of texts.
local function bits(numbers, size)
  local text = ""
  for _, number in ipairs(numbers) do
    for i = size - 1, 0, -1 do text = text .. math.floor(number / 2 ^ i) % 2 end
  end
  return text
end

local function written(address)
  local words, size, format = {}, 8, "%d"
  if #address == 128 then size, format = 16, "%x" end
  for i = 1, #address, size do
    words[#words + 1] = format:format(tonumber(address:sub(i, i + size - 1), 2))
  end
  return table.concat(words, size == 8 and "." or ":")
end

local function address()
  local at, last = dice(3), dice(4) - 1
  if at == 1 then return bits({ 0x2001, 0xdb8, 0, 0, 0, 0, 0, last }, 16) end
  return bits(at == 2 and { 198, 51, 100, last } or { 203, 0, 113, last }, 8)
end

local function cidr()
  local whole = address()
  local lengths = #whole == 32 and { 0, 3, 8, 24, 31, 32 } or { 0, 9, 32, 64, 126, 128 }
  local length = lengths[dice(6)]
  return { size = #whole, prefix = whole:sub(1, length),
    text = ("%s/%d"):format(written(whole:sub(1, length) .. ("0"):rep(#whole - length)), length) }
end

local function ports()
  local low = dice(6)
  return { low = low, high = math.min(low + dice(3) - 1, 8) }
end

local function pattern()
  return ({ "", "*.", "." })[dice(3)] .. NAMES[dice(#NAMES)]
end

local function rule()
  local r = { allow = dice(2) == 1 }
  if dice(2) == 1 then r.networks = some(2, function() return NETWORKS[dice(3)] end) end
  if dice(3) == 1 then r.ports = some(2, ports) end
  if dice(3) == 1 then r.cidrs = some(3, cidr) end
  if dice(3) == 1 then r.domains = some(3, pattern) end
  if dice(5) == 1 then r.inbound = dice(2) == 1 end
  return r
end

-- --- as the program reads it ---

local function quoted(list, text)
  local words = {}
  for i, item in ipairs(list) do words[i] = ("%q"):format(text and text(item) or item) end
  return "{ " .. table.concat(words, ", ") .. " }"
end

local function code_of(rules)
  local lines = { "nsnet.rules {" }
  for i, r in ipairs(rules) do
    local words = { ("name = %q"):format("r" .. i) }
    if r.networks then words[#words + 1] = "network = " .. quoted(r.networks) end
    if r.ports then
      local function range(p) return p.low .. "-" .. p.high end
      words[#words + 1] = "port = " .. quoted(r.ports, range)
    end
    if r.cidrs then
      words[#words + 1] = "cidr = " .. quoted(r.cidrs, function(c) return c.text end)
    end
    if r.domains then words[#words + 1] = "domain = " .. quoted(r.domains) end
    if r.inbound ~= nil then words[#words + 1] = "inbound = " .. tostring(r.inbound) end
    words[#words + 1] = r.allow and "nsnet.allow" or "nsnet.deny"
    lines[#lines + 1] = "  { " .. table.concat(words, ", ") .. " },"
  end
  lines[#lines + 1] = "}"
  return table.concat(lines, "\n")
end

-- --- as a reader of the reference reads it ---

local function any(list, holds)
  for _, item in ipairs(list) do
    if holds(item) then return true end
  end
  return false
end

local function name_fits(name, wanted)
  local how, base = wanted:match("^(%*?%.?)(.*)$")
  if how ~= "*." and name == base then return true end
  return how ~= "" and name:sub(-#base - 1) == "." .. base
end

local conditions = {
  networks = function(r, f)
    return any(r.networks, function(n) return n == f.network end)
  end,
  inbound = function(r, f)
    return r.inbound == f.inbound
  end,
  ports = function(r, f) -- an echo has none
    return f.network ~= "icmp"
      and any(r.ports, function(p) return p.low <= f.port and f.port <= p.high end)
  end,
  cidrs = function(r, f)
    return any(r.cidrs, function(c)
      return c.size == #f.far and f.far:sub(1, #c.prefix) == c.prefix
    end)
  end,
  domains = function(r, f)
    -- A name opens only TCP, unless the rule says what else.
    if r.allow and f.network ~= "tcp" and not r.networks then return false end
    return f.name and any(r.domains, function(d) return name_fits(f.name, d) end)
  end,
}

local function matches(r, f)
  for key, holds in pairs(conditions) do
    if r[key] ~= nil and not holds(r, f) then return false end
  end
  return true
end

-- What becomes of the flow, and by which rule.
local function read(rules, f, default)
  for i, r in ipairs(rules) do
    if matches(r, f) then return r.allow and "allow" or "deny", "r" .. i end
  end
  if default == "deny" and f.network == "icmp" then return "drop", "default" end
  return f.inbound and "allow" or default, "default"
end

-- --- both ---

-- hosts: the name of each address. It is remembered for an address that it was told once.
local function flow(hosts)
  local f = { network = NETWORKS[dice(3)], far = address(), port = dice(8) }
  if dice(2) == 1 then f.network = "tcp" end
  f.inbound = f.network ~= "icmp" and dice(6) == 1
  if not f.inbound then f.name = hosts[f.far] end
  return f
end

local function endpoint(far, port)
  return (#far == 128 and "[%s]:%d" or "%s:%d"):format(written(far), port)
end

local function run(loaded, f)
  local options = { dst = f.network == "icmp" and written(f.far) or endpoint(f.far, f.port),
    dns = f.name or nil }
  if f.inbound then
    options = { inbound = true, src = endpoint(f.far, 40000),
      dst = (#f.far == 128 and "[fd6e:736e:6574::1]:%d" or "10.0.0.1:%d"):format(f.port) }
  end
  if f.network == "tcp" then
    options.sni = f.name or nil
    return loaded:connect(options)
  end
  options.network = f.network
  return loaded:flow(options)
end

for i = 1, SETS do
  local rules, default = some(10, rule), dice(2) == 1 and "allow" or "deny"
  local hosts = setmetatable({}, { __index = function(list, far)
    list[far] = dice(4) > 1 and NAMES[dice(#NAMES)] or false
    return list[far]
  end })
  t.describe("set " .. i, function()
    local loaded = t.load({ code = code_of(rules) }, { default = default })
    t.it("is read alike", function()
      for _ = 1, FLOWS do
        local f = flow(hosts)
        local c = run(loaded, f)
        local action, by = read(rules, f, default)
        if c.action ~= action or c.rule ~= by then
          t.fail(("%s by %s, but read as %s by %s: %s %s name %s inbound %s\n%s"):format(c.action,
            c.rule, action, by, f.network, endpoint(f.far, f.port), tostring(f.name),
            tostring(f.inbound), code_of(rules)))
        end
        if c.open then c:close() end
      end
      t.ok(true)
    end)
  end)
end
