-- SPDX-License-Identifier: MIT
-- test_peer.lua - who is at the other end of the scripts' nsnet.dial, and of connections that are
-- let through: a list of steps, or a function with a stream.

local native = rawget(_G, "nsnet.test.native")
local check = require "nsnet.test_check"

local peer = {}
local Peer = {}
Peer.__index = Peer

local FOREVER = 1e5 -- a peer waits longer than any script

local function add(self, kind, value)
  if self.fn then
    check.misuse "a peer is a function or has steps, not both"
  end
  self.steps[#self.steps + 1] = { kind = kind, value = value, place = check.place() }
  return self
end

-- The bytes that must come next.
function Peer:expect(bytes)
  check.method(self, Peer, "peer:expect")
  return add(self, "expect", bytes)
end

-- Whatever comes, up to and with @mark.
function Peer:expect_until(mark)
  check.method(self, Peer, "peer:expect_until")
  return add(self, "until", mark)
end

function Peer:send(bytes)
  check.method(self, Peer, "peer:send")
  return add(self, "send", bytes)
end

function Peer:wait(seconds)
  check.method(self, Peer, "peer:wait")
  return add(self, "wait", seconds)
end

function Peer:close()
  check.method(self, Peer, "peer:close")
  return add(self, "close")
end

local function set_mode(mode, silent)
  return function(self)
    check.method(self, Peer, "peer:" .. mode)
    self.mode, self.quiet = mode, silent
    native.peer(self.network, self.address, mode, self.serve)
    return self
  end
end
Peer.refuse = set_mode "refuse"
Peer.unreachable = set_mode "unreachable"
Peer.blackhole = set_mode "blackhole" -- does not even refuse
Peer.silent = set_mode("accept", true) -- accepts, and says nothing

-- It is no failure if nobody comes.
function Peer:optional()
  check.method(self, Peer, "peer:optional")
  self.may_miss = true
  return self
end

-- --- playing ----------------------------------------------------------------------------------

-- Reads @want piece by piece, so that a wrong byte shows at once.
local function expect(stream, step, conn)
  local want, got = step.value, ""
  conn.waits = ("%s: waits for %s"):format(step.place, check.show(want))
  while #got < #want do
    local piece, err = stream:read(#want - #got)
    if not piece then
      return ("%s: expected %s, got %s and then: %s"):format(step.place, check.show(want),
        check.show(got), err)
    end
    got = got .. piece
    if got ~= want:sub(1, #got) then
      return ("%s: expected %s, got %s"):format(step.place, check.show(want), check.show(got))
    end
  end
  conn.waits = nil
end

local steps = {
  expect = expect,
  ["until"] = function(stream, step, conn)
    conn.waits = ("%s: waits for %s"):format(step.place, check.show(step.value))
    local got, err = stream:read_until(step.value)
    if not got then
      return ("%s: expected something with %s at its end: %s"):format(step.place,
        check.show(step.value), err)
    end
    conn.waits = nil
  end,
  send = function(stream, step)
    local ok, err = stream:write(step.value)
    return not ok and ("%s: could not send: %s"):format(step.place, err) or nil
  end,
  wait = function(_, step)
    nsnet.sleep(step.value)
  end,
  close = function(stream)
    stream:close()
  end,
}

local function play(self, stream)
  local conn = { stream = stream } -- kept, or the collector would close it
  self.connections[#self.connections + 1] = conn
  stream:set_timeout(FOREVER)
  if self.fn then
    local ok, message = xpcall(function()
      self.fn(stream)
    end, check.handler)
    if not ok then
      check.note(message)
    end
    return stream:close()
  end
  for _, step in ipairs(self.steps) do
    local wrong = steps[step.kind](stream, step, conn)
    if wrong then
      check.note(("peer %s: %s"):format(self.address, wrong))
      conn.waits = nil
      return stream:close()
    end
  end
end

-- new(run, [network,] address[, fn])
function peer.new(run, ...)
  local network, address, fn = ...
  if type(address) ~= "string" then
    network, address, fn = "tcp", network, address
  end
  if type(address) ~= "string" or (fn ~= nil and type(fn) ~= "function") then
    check.misuse "t.peer takes ([network,] address[, function(stream)])"
  end
  local self = setmetatable({
    network = network, address = address, fn = fn, mode = "accept", steps = {}, connections = {},
    place = check.place(),
  }, Peer)
  self.serve = function(stream)
    return play(self, stream)
  end
  native.peer(network, address, "accept", self.serve)
  run.peers[#run.peers + 1] = self
  return self
end

-- --- judging ----------------------------------------------------------------------------------

-- Sorts what happened in the network since the last time.
function peer.read_events(run)
  for line in native.events():gmatch "[^\n]+" do
    local kind, what = line:match "^(%S+) (.*)$"
    if kind == "dialed" then
      run.dialed[#run.dialed + 1] = what
    else
      local name = what:match "^name (.*)"
      check.add(run, name and "the scripts resolve " .. name .. ", for which there is no t.resolves"
        or "the scripts dial " .. what .. ", where no t.peer is")
    end
  end
end

-- At the end of a test: peers that were not done, or not even met.
function peer.judge(run)
  peer.read_events(run)
  for _, one in ipairs(run.peers) do
    local met = #one.connections > 0 or one.mode ~= "accept" or one.quiet or one.may_miss
    if not met then
      check.add(run, ("%s: nobody came to peer %s"):format(one.place, one.address))
    end
    for _, conn in ipairs(one.connections) do
      if conn.waits then
        check.add(run, ("peer %s: %s"):format(one.address, conn.waits))
      end
    end
  end
end

return peer
