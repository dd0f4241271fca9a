-- SPDX-License-Identifier: MIT
-- The control socket: who is outside asks and gives orders, and whoever is inside can do neither.
local lab = require("spec.support.lab")

if lab.direct then return end

-- Connects to each path given and says how it went: an errno name, or the answer to "stats".
local asker = [[
import errno, socket, sys
for path in sys.argv[1:]:
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(20)
    try:
        sock.connect(path)
        try:
            sock.sendall(b'{"command":"stats"}\n')
        except BrokenPipeError:
            pass
        print("answer", sock.makefile().readline().strip()[:60])
    except OSError as error:
        print(errno.errorcode.get(error.errno, error))
]]

describe("the control socket", function()
  local L
  local env = { XDG_RUNTIME_DIR = "/run/lab/home" }
  lazy_setup(function()
    L = lab.start()
    L:write("ask.py", asker)
  end)
  lazy_teardown(function() L:stop() end)

  local function ctl(words, options)
    local all = { "ctl" }
    for _, word in ipairs(words) do all[#all + 1] = word end
    options = options or {}
    return L:run({}, { args = all, env = options.env or env })
  end

  -- A running nsnet-host whose command says "ready" and waits; the path of its socket.
  local function running(args, words)
    local job = L:spawn(words or { "sh", "-c", "echo ready; exec sleep 60" },
      { args = args, env = env, bound = 60 })
    job:expect("ready")
    return job, ("/run/lab/home/nsnet-host/%d.sock"):format(job:pid())
  end

  local function stop(job)
    job:kill("TERM")
    job:wait()
  end

  describe("from outside", function()
    it("says what there is to say, and that nobody is there", function()
      ctl({ "stats" }):exits(69)
        :complains("nsnet%-host: ctl: no nsnet%-host of this user is running")
      local job, path = running()
      local asked = ctl({ "--pid", tostring(job:pid()), "help" })
      asked:shows("connections +%[tcp|udp|icmp%]")
      ctl({ "help" }):says((asked.out:gsub("\n$", "")))
      ctl({ "nothing" }):exits(1):complains("no such command; ask for help")
      ctl({}):exits(2):complains("usage: ")
      ctl({ "--pid", "1", "help" }):exits(69):complains("process 1 has no control socket")
      L:host({ "stat", "-c", "%a %u", path:match("(.*)/") }):says("700 " .. lab.uid)
      stop(job)
      ctl({ "stats" }):exits(69)
      ctl({ "help" }):exits(0):says((asked.out:gsub("\n$", "")))
    end)

    it("does not wait for ever for one that is stopped", function()
      local job = running()
      job:kill("STOP")
      ctl({ "connections" }):exits(69):complains("ctl: the program does not answer; is it stopped?")
      job:kill("CONT")
      ctl({ "connections" }):exits(0)
      stop(job)
    end)

    it("lists connections and ends one", function()
      local job = L:spawn({ "sh", "-c", "exec python3 -BS /run/repo/spec/support/client.py "
        .. "fetch-idle " .. lab.v4.world .. " " .. lab.port.watch }, { env = env })
      local answer
      assert(lab.eventually(function()
        answer = ctl({ "connections", "tcp" })
        return answer.out:match("open")
      end), "no connection: ")
      local id = answer:shows("open +10%.0%.0%.1:%d+ +203%.0%.113%.1:7004").out
        :match("\n(%d+) +tcp")
      ctl({ "--json", "connections", "udp" }):says('{"ok":true,"connections":[]}')
      ctl({ "close", id }):shows("closed: tcp 10%.0%.0%.1:%d+ %-> 203%.0%.113%.1:7004")
      assert.is_truthy(job:wait().out:match("ECONNRESET"))
    end)

    it("counts what passed", function()
      local job = running(nil, { "sh", "-c", "python3 -BS /run/repo/spec/support/client.py udp "
        .. lab.v4.world .. " 7001 10; echo ready; exec sleep 60" })
      ctl({ "stats" }):shows("udp.opened: 1\n.*udp.up: 1\nudp.down: 1\n")
      stop(job)
    end)

    it("shows the rules and loads them again", function()
      local path = L:script('nsnet.rules { { name = "r1", port = 7, nsnet.deny } }', "ctl.lua")
      local job = running({ "-s", path })
      ctl({ "rules" }):shows("rule +/run/lab/ctl.lua:1 +r1 .- +0\n")
      L:script('nsnet.rules { { name = "r2", port = 7, nsnet.deny } }', "ctl.lua")
      ctl({ "reload" }):exits(0)
      ctl({ "rules" }):shows("r2")
      L:script("nsnet.rules {", "ctl.lua")
      ctl({ "reload" }):exits(1):complains("the old rules stay")
      ctl({ "rules" }):shows("r2")
      stop(job)
      job = running()
      ctl({ "reload" }):exits(1):complains("no script was given")
      stop(job)
    end)

    it("asks which one if there are several", function()
      local one, path = running()
      local other = running()
      ctl({ "stats" }):exits(2):complains("several are running %(%d+, %d+%): name one with %-%-pid")
      local pid = path:match("(%d+)%.sock")
      ctl({ "--pid", pid, "stats" }):shows("pid: " .. pid .. "\n")
      stop(one)
      stop(other)
    end)
  end)

  describe("from inside", function()
    local bystander
    lazy_setup(function()
      -- Somebody else's nsnet-host of the same user, and the same folder under another path.
      bystander = running()
      L:world({ "mkdir", "-p", "/run/other" }):exits(0)
      L:world({ "mount", "--bind", "/run/lab/home", "/run/other" }):exits(0)
    end)
    lazy_teardown(function() stop(bystander) end)

    -- Runs words as the command of a nsnet-host with a socket at @PATH@, whose pid is @PID@.
    local function inside(script, args)
      local whole = "PID=$PPID; SOCK=/run/lab/home/nsnet-host/$PID.sock; "
        .. "ASK='python3 -BS /run/lab/ask.py'; " .. script
      return L:run({ "sh", "-c", whole }, { env = env, args = args })
    end

    for _, args in ipairs({ {}, { "--root" }, { "--keep-caps" } }) do
      describe("with " .. (args[1] or "no option"), function()
        it("is not there", function()
          inside("ls -A /run/lab/home/nsnet-host; $ASK $SOCK", args):says("ENOENT")
        end)

        it("cannot be reached through /proc", function()
          local answer = inside("$ASK /proc/$PID/root$SOCK /proc/1/root$SOCK "
            .. "/proc/$PID/cwd/nsnet-host/$PID.sock /proc/self/root$SOCK "
            .. "/proc/thread-self/cwd$SOCK; "
            .. "for fd in 3 4 5 6 7 8 9 10 11 12; do $ASK /proc/$PID/fd/$fd; done", args)
          assert.falsy(answer.out:match("answer"), answer.out)
          assert.equal(15, select(2, answer.out:gsub("\n", "")))
        end)

        it("does not hear who finds another path to it", function()
          inside("$ASK /run/other/nsnet-host/$PID.sock", args)
            :says('answer {"ok":false,"error":"not from inside a namespace"}')
          inside("unshare -U $ASK /run/other/nsnet-host/$PID.sock", args)
            :says('answer {"ok":false,"error":"not from inside a namespace"}')
        end)

        it("does not hear somebody else's command", function()
          local answer = inside("for s in /run/other/nsnet-host/*.sock; do $ASK $s; done", args)
          assert.equal(2, select(2, answer.out:gsub("not from inside a namespace", "")))
        end)

        it("has no descriptor of it", function()
          local answer = inside("readlink /proc/self/fd/*", args)
          assert.falsy(answer.out:match("socket:"), answer.out)
        end)
      end)
    end

    it("stays covered by who has no capability", function()
      local answer = inside("umount /run/lab/home/nsnet-host; unshare -rm umount "
        .. "/run/lab/home/nsnet-host; $ASK $SOCK")
      answer:says("ENOENT")
    end)

    it("does not hear who takes the cover off", function()
      inside("umount /run/lab/home/nsnet-host && $ASK $SOCK", { "--keep-caps" })
        :says('answer {"ok":false,"error":"not from inside a namespace"}')
    end)

    it("tells the user who asked", function()
      inside("$ASK /run/other/nsnet-host/$PID.sock"):complains("control: refused process %d+")
    end)

    it("is not what a nsnet-host inside finds", function()
      local all = L:wrap({}, { args = { "ctl", "stats" } })
      local answer = L:run(all, { env = env })
      answer:exits(69)
    end)

    it("works for a nsnet-host inside, too", function()
      local inner = table.concat(L:wrap({ "true" }, {}), " ")
      L:run({ "sh", "-c", inner .. " && echo fine" }, { env = env }):says("fine")
    end)
  end)
end)
