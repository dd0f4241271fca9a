-- SPDX-License-Identifier: MIT
--- mixture - the program under everything that a command (mixture.py), its callers and its master
-- can do, a round at a time; and what it holds when nothing goes on.
local lab = require("spec.support.lab")

local mixture = {}
mixture.__index = mixture

local ENV = { XDG_RUNTIME_DIR = "/run/lab/home" }
local RULES = [[
nsnet.on_connect(function(c)
  if c.dst_port == 7098 then return nsnet.deny "closed" end
  if c.dst_port == 7097 then
    return nsnet.redirect(c.dst_ip:find(":") and "[2001:db8:2::1]:7001" or "203.0.113.1:7001")
  end
end)
nsnet.on_flow(function() return nil end)
nsnet.on_dns(function() return nil end)
]]

--- Starts it in the lab, with a name server; bound: seconds that it may take at all.
function mixture.start(L, bound_s)
  local self = setmetatable({ lab = L, rounds = 0, reloads = 0 }, mixture)
  self:serve_dns()
  L:write("orders", "", "666")
  self.job = L:spawn({ "python3", "-BS", "/run/repo/spec/support/mixture.py", "/run/lab/orders",
    "10.0.0.53", "fd6e:736e:6574::53" }, { bound = bound_s, env = ENV,
    args = { "-s", L:script(RULES, "mixture.rules"), "--udp-idle", "1", "--keepalive", "5",
      "-p", "8080:9000", "-p", "8081:9001/udp", "-p", "[::1]:8080:9000",
      "-p", "[::1]:8081:9001/udp" } })
  self.job:expect("ready")
  return self
end

function mixture:serve_dns()
  self.dns = self.lab:serve_dns({ "203.0.113.53", "2001:db8:2::53" }, "203.0.113.1",
    { bound = 3600 })
end

function mixture:order(line)
  local file = assert(io.open(self.lab:path("orders"), "a"))
  file:write(line, "\n")
  file:close()
end

function mixture:ctl(...)
  return self.lab:run({}, { env = ENV,
    args = { "ctl", "--pid", tostring(self.job:pid()), "--json", ... } }):exits(0).out
end

function mixture:end_pings()
  for id in self:ctl("connections", "icmp"):gmatch('"id":(%d+)') do self:ctl("close", id) end
end

--- One round: traffic of the command, with callers, a reload and orders meanwhile. Also calls
-- fault, if any, in the middle.
function mixture:round(fault)
  local L = self.lab
  assert(not self.job:done(), self.job:out())
  self:order("1")
  for _, host in ipairs({ "127.0.0.1", "::1" }) do
    local client = { "python3", "-BS", "/run/repo/spec/support/client.py" }
    local function call(...) return L:host({ client[1], client[2], client[3], ... }) end
    call("exchange", host, "8080", "100000"):says(L:sum(100000))
    call("udp", host, "8081", "1000"):says("echo")
  end
  if fault then fault() end
  self.reloads = self.reloads + 1
  self.job:kill("HUP")
  assert(lab.eventually(function()
    return select(2, self.job:err():gsub("loaded again", "")) == self.reloads
  end), "no reload: " .. self.job:err():sub(-500))
  self:end_pings()
  self.rounds = self.rounds + 1
  self.job:expect("rounds=" .. self.rounds .. " ", 120)
end

local function number(text, group, key)
  return tonumber(text:match('"' .. group .. '":{[^}]*"' .. key .. '":(%d+)'))
end

function mixture:rss_kb()
  return tonumber(self.lab:world({ "cat", "/proc/" .. self.job:pid() .. "/status" }):exits(0).out
    :match("VmRSS:%s+(%d+)"))
end

--- What is held when nothing goes on but the two connections of all the time. Idle UDP flows have
-- gone after a second, pings are ended here.
function mixture:held()
  local L, now = self.lab, {}
  self:end_pings()
  lab.eventually(function()
    now.text = self:ctl("stats")
    now.flows = number(now.text, "flows", "now")
    return now.flows == 2
  end, 20)
  -- A buffer more or less is on its way, and the socket of the ctl that just asked closes by and
  -- by: the least of some looks.
  for _ = 1, 5 do
    local fds = L:world({ "sh", "-c", "ls /proc/" .. self.job:pid() .. "/fd | wc -l" })
    now.fds = math.min(now.fds or 1e9, tonumber(fds:exits(0).out))
    now.in_flight = math.min(now.in_flight or 1e9,
      number(self:ctl("stats"), "memory", "in_flight"))
  end
  now.rss_kb = self:rss_kb()
  now.mounts = L:host({ "cat", "/proc/self/mountinfo" }):exits(0).out
  now.spaces = L:world({ "sh", "-c", "readlink /proc/[0-9]*/ns/* | sort -u | wc -l" }).out
  return now
end

--- Ends it: it must have found nothing wrong.
function mixture:finish()
  self:order("end")
  return self.job:wait():exits(0)
end

return mixture
