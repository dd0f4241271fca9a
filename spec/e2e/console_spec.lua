-- SPDX-License-Identifier: MIT
-- nsnet-host console: Lua from outside in the rules of a running program, and never from inside.
local lab = require("spec.support.lab")

if lab.direct then return end

local rules = [[
nsnet.default(nsnet.deny)
nsnet.state.seen = 0
nsnet.on_connect(function(conn)
  nsnet.state.seen = nsnet.state.seen + 1
  if nsnet.state.closed then return nsnet.deny "closed by hand" end
  return nsnet.allow
end)
]]

describe("nsnet-host console", function()
  local L, script
  local env = { XDG_RUNTIME_DIR = "/run/lab/home" }
  lazy_setup(function()
    L = lab.start()
    script = L:script(rules, "console.lua")
  end)
  lazy_teardown(function() L:stop() end)

  local function console(lines, args)
    return L:run({}, { args = args or { "console" }, env = env, stdin = lines })
  end

  local function lua(line) return console("", { "ctl", "lua", line }) end

  local job -- a running nsnet-host

  local function running(args)
    job = L:spawn({ "sh", "-c", "echo ready; exec sleep 60" },
      { args = args or { "-s", script }, env = env, bound = 60 })
    job:expect("ready")
  end

  after_each(function()
    if job then
      job:kill("TERM")
      job:wait()
    end
    job = nil
  end)

  it("evaluates a line with ctl lua", function()
    running()
    lua("1 + 1, nsnet.state"):says("2\n{\n  seen = 0,\n}"):exits(0)
    assert.equal("", lua("nsnet.state.seen = 7"):exits(0).out)
    lua("nsnet.state.seen"):says("7")
    lua("error 'no'"):exits(1):complains("nsnet%-host: ctl: no\n")
    lua("while true do end"):exits(1)
      :complains("it was stopped: a line has 10 ms of CPU time, and its share of memory")
    lua("nsnet.state.seen"):says("7")
    console("", { "ctl", "lua" }):exits(1):complains("say what, as in: nsnet%-host ctl lua")
    console("", { "ctl", "--json", "lua", "'a'" }):says('{"ok":true,"output":["a"]}')
  end)

  it("reads lines from a pipe, keeps what they set, and tells of errors at the end", function()
    running()
    console("x = 20\n\nx + 1\n  \nprint(x, x) return 'end'"):says("21\n20  20\nend"):exits(0)
    console("x\n:rules\n:nothing\nnope\nx + 2\n")
      :shows("^20\nkind +where +hits\non_connect +/run/lab/console.lua:3 +0\n22\n", 1)
      :complains("nsnet%-host: console: no such command; ask for help\n"
        .. "nsnet%-host: console: console:1: undefined global 'nope'\n")
    console(":help\n"):shows("lua +LINE +a line of Lua in the running rules")
  end)

  it("changes what the next connection meets", function()
    local client = { "sh", "-c", "read go; for i in 1 2; do "
      .. "python3 -BS /run/repo/spec/support/client.py connect " .. lab.v4.world .. " "
      .. lab.port.watch .. "; echo tried; [ $i = 2 ] || while [ ! -e /run/lab/home/go ]; "
      .. "do sleep 0.05; done; done" }
    job = L:spawn(client, { args = { "-s", script }, env = env, stdin = "go\n", bound = 60 })
    job:expect("tried")
    lua("nsnet.state.closed = true"):exits(0)
    lua("nsnet.state.seen"):says("1")
    L:host({ "touch", "/run/lab/home/go" }):exits(0)
    local answer = job:wait()
    job = nil
    assert.is_truthy(answer.out:match("tried\n.*ECONNREFUSED.*tried\n"), answer.out)
    L:host({ "rm", "/run/lab/home/go" }):exits(0)
  end)

  it("prompts at a terminal", function()
    running()
    local words = L:wrap({}, { args = { "console" } })
    local all = { "python3", "-BS", "/run/repo/spec/support/terminal.py", L:write("steps", [[
      expect Lua in the running rules; :help lists other commands; Ctrl-D ends\.\r\n>\x20
      send 6 * 7\r
      expect \r\n42\r\n>\x20
      send nope\r
      expect undefined global 'nope'\r\n>\x20
      send \x04
      end 0
    ]]) }
    for _, word in ipairs(words) do all[#all + 1] = word end
    L:host(all, { bound = 60, env = { XDG_RUNTIME_DIR = env.XDG_RUNTIME_DIR,
      NSNET_SLOW = tostring(lab.slow) } }):exits(0)
  end)

  it("says who is not there", function()
    console(""):exits(69):complains("nsnet%-host: console: no nsnet%-host of this user is running")
    console("", { "console", "more" }):exits(2):complains("usage: nsnet%-host console")
    console("", { "console", "--pid", "x" }):exits(2):complains("usage: nsnet%-host console")
    running({})
    lua("1"):exits(1):complains("there are no rules: no script was given")
  end)

  it("is not for the command", function()
    running() -- somebody else's, of the same user
    local inside = { "sh", "-c", table.concat(L:wrap({}, { args = { "console" } }), " ")
      .. " </dev/null; echo status $?; " .. "for pid in $PPID $(pgrep -x nsnet-host); do "
      .. "printf '{\"command\":\"lua\",\"argument\":\"1\"}\\n' | python3 -BS /run/lab/say.py "
      .. "/run/lab/home/nsnet-host/$pid.sock; done" }
    L:write("say.py", [[
import socket, sys
sock = socket.socket(socket.AF_UNIX)
try:
    sock.connect(sys.argv[1])
    sock.sendall(sys.stdin.buffer.read())
    print("answer", sock.makefile().readline())
except OSError as error:
    print("no way in:", error.strerror)
]])
    for _, args in ipairs({ {}, { "--root" }, { "--keep-caps" } }) do
      local all = { "-s", script }
      for _, word in ipairs(args) do all[#all + 1] = word end
      local answer = L:run(inside, { args = all, env = env })
      assert.is_truthy(answer.out:match("^status 69\nno way in: "), answer.out)
      assert.is_falsy(answer.out:match("answer"), answer.out)
    end
  end)
end)
