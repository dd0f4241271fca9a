-- SPDX-License-Identifier: MIT
-- nsnet-host top: on a terminal that it gives back as it was, and in a pipe.
local lab = require("spec.support.lab")

if lab.direct then return end

describe("nsnet-host top", function()
  local L
  local env = { XDG_RUNTIME_DIR = "/run/lab/home" }
  lazy_setup(function() L = lab.start() end)
  lazy_teardown(function() L:stop() end)

  -- A program whose command keeps a connection open, once it has one, and then does the rest.
  local function running(address, rest)
    local job = L:spawn({ "sh", "-c", "python3 -BS /run/repo/spec/support/client.py fetch-idle "
      .. address .. " " .. lab.port.watch .. (rest or "; exec sleep 100") },
      { args = { "--log", "/run/lab/home/log" }, env = env, bound = 120 })
    assert(lab.eventually(function()
      return L:run({}, { args = { "ctl", "connections", "tcp" }, env = env }).out:match("open")
    end), "no connection")
    return job
  end

  local function stop(job)
    job:kill("TERM")
    job:wait()
  end

  -- Does the steps on a terminal where a shell runs it and says how it ended, and whether the
  -- terminal is as it was.
  local function on_terminal(steps)
    local words = L:wrap({}, { args = { "top" } })
    for i, word in ipairs(words) do words[i] = lab.quote(word) end
    if words[#words] == "'--'" then words[#words] = nil end
    local script = L:write("top.sh", ([[
      trap : INT
      a=$(stty -g)
      %s
      echo status $?
      [ "$a" = "$(stty -g)" ] && echo as it was
    ]]):format(table.concat(words, " ")))
    L:host({ "python3", "-BS", "/run/repo/spec/support/terminal.py", L:write("steps", steps),
      "sh", script }, { bound = 60, env = { XDG_RUNTIME_DIR = env.XDG_RUNTIME_DIR, TERM = "xterm",
        NSNET_SLOW = tostring(lab.slow) } }):exits(0)
  end

  it("prints one table where there is no terminal", function()
    lab.both(function(_, names)
      local job = running(names.world)
      local where = lab.bracket(names.world):gsub("%p", "%%%0")
      L:run({}, { args = { "top" }, env = env }):exits(0)
        :shows("^ +ID NET +PROCESS +DESTINATION +VERDICT +UP/S +DOWN/S +UP +DOWN +AGE\n")
        :shows("\n +%d+ tcp +python3%[%d+%] +" .. where .. ":7004 +allow +")
      stop(job)
    end)
  end)

  it("says that nobody is there, and how it is called", function()
    L:run({}, { args = { "top" }, env = env }):exits(69):complains("no nsnet%-host of this user")
    L:run({}, { args = { "top", "now" }, env = env }):exits(2):complains("usage: nsnet%-host top")
    L:run({}, { args = { "top", "--pid", "x" }, env = env }):exits(2)
  end)

  it("does not wait for ever for one that is stopped", function()
    local job = running(lab.v4.world)
    job:kill("STOP")
    L:run({}, { args = { "top" }, env = env }):exits(69)
      :complains("top: the program does not answer")
    job:kill("CONT")
    stop(job)
  end)

  it("shows it anew, sorts, follows the size, ends one and gives the terminal back", function()
    local job = running(lab.v4.world)
    on_terminal [[
      expect \x1b\[\?1049h
      expect nsnet-host: 1 open.*by down/s
      expect DESTINATION
      expect python3\[\d+\] +203.0.113.1:7004 +allow
      expect nsnet-host: 1 open.*by down/s
      send u
      expect by up/s
      send pr
      expect by process, reversed
      size 30 200
      expect UP +DOWN +AGE
      send \x1b[B\x1b[A
      send x
      expect nsnet-host: 0 open
      expect ended \d+
      send q
      expect \x1b\[\?25h\x1b\[\?1049l
      expect status 0
      expect as it was
      end 0
    ]]
    job:expect("ECONNRESET")
    stop(job)
  end)

  it("gives the terminal back when a signal ends it, or what it looked at is gone", function()
    local job = running(lab.v4.world)
    on_terminal [[
      expect 203.0.113.1:7004
      send \x03
      expect \x1b\[\?25h\x1b\[\?1049l
      expect status 130
      expect as it was
      end 0
    ]]
    stop(job)
    job = running(lab.v4.world, "")
    on_terminal [[
      expect 203.0.113.1:7004
      send x
      expect \x1b\[\?25h\x1b\[\?1049l
      expect top: the program has ended
      expect status 69
      expect as it was
      end 0
    ]]
    job:wait()
  end)
end)
