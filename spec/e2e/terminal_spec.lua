-- SPDX-License-Identifier: MIT
-- An interactive shell behind the program feels as it does without it.
local lab = require("spec.support.lab")

describe("on a terminal", function()
  local L
  lazy_setup(function() L = lab.start({ world = false }) end)
  lazy_teardown(function() L:stop() end)

  local function on_terminal(words, steps)
    local all = { "python3", "-BS", "/run/repo/spec/support/terminal.py", L:write("steps", steps) }
    for _, word in ipairs(words) do all[#all + 1] = word end
    return L:host(all, { bound = 60, env = { PS1 = "ready> ", NSNET_SLOW = tostring(lab.slow),
      INPUTRC = L:write("inputrc", "set enable-bracketed-paste off\n") } })
      :exits(0)
  end
  local shell = { "bash", "--norc", "--noprofile", "-i" }
  local function inside(steps) on_terminal(L:wrap(shell), steps) end
  -- An ordinary shell, where nsnet-host itself is a job.
  local function outside(words, steps)
    on_terminal({ "sh", "-c", "exec bash --norc --noprofile -i" },
      "expect ready>\nsend " .. table.concat(L:wrap(words), " ") .. "\\r\n" .. steps)
  end

  it("a shell prompts, runs commands and ends with its status", function()
    inside [[
      expect ready>
      send echo $((40 + 2))\r
      expect \r\n42\r\n
      send exit 7\r
      end 7
    ]]
  end)

  it("a shell has job control and says nothing of a missing terminal", function()
    inside [[
      expect ^ready>
      send [ -t 0 ] && [ -t 1 ] && [ -t 2 ] && set -o | grep monitor; tty\r
      expect monitor\s+on\r\n/dev/pts/\d+\r\n
      send exit\r
      end 0
    ]]
  end)

  it("Ctrl-C ends the shell's command, not the shell", function()
    inside [[
      expect ready>
      send sh -c 'echo begun; exec sleep 100'\r
      expect \r\nbegun
      send \x03
      expect ready>
      send echo status $?\r
      expect status 130
      send exit 0\r
      end 0
    ]]
  end)

  it("Ctrl-Z, bg, fg and Ctrl-C work in the shell", function()
    inside [[
      expect ready>
      send sh -c 'echo begun; exec sleep 100'\r
      expect \r\nbegun
      send \x1a
      expect Stopped
      expect ready>
      send bg\r
      expect ready>
      send fg\r
      expect sleep 100
      press \x03 ready>
      send echo status $?\r
      expect status 130
      send exit 0\r
      end 0
    ]]
  end)

  it("Ctrl-D ends cat and then the shell", function()
    inside [[
      expect ready>
      send sh -c 'echo begun; exec cat'\r
      expect \r\nbegun
      send line\r
      expect line\r\nline\r\n
      send \x04
      expect ready>
      send \x04
      end 0
    ]]
  end)

  it("the window's size and its changes arrive", function()
    inside [[
      expect ready>
      send stty size\r
      expect 24 80
      size 50 132
      send stty size\r
      expect 50 132
      send trap 'echo changed $(stty size)' WINCH; echo set\r
      expect \nset
      size 33 99
      send sleep 0.1\r
      expect changed 33 99
      send exit 0\r
      end 0
    ]]
  end)

  it("a command that is no shell hears of the window's change", function()
    on_terminal(L:wrap({ "python3", "-c", "import os, signal\n"
      .. "signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGWINCH})\n"
      .. "print('waiting', flush=True)\n"
      .. "signal.sigwait({signal.SIGWINCH})\nprint(os.get_terminal_size())\n" }), [[
      expect waiting
      size 44 55
      expect columns=55, lines=44
      end 0
    ]])
  end)

  it("less pages, searches and quits", function()
    inside [[
      expect ready>
      send seq 5000 | less\r
      expect \n20\r\n
      send G
      expect 5000
      send ?^4321$\r
      expect 4321
      send q
      expect ready>
      send exit 0\r
      end 0
    ]]
  end)

  it("Ctrl-C ends the program and its command with 130", function()
    outside({ "sh", "-c", "'echo begun; exec sleep 100'" }, [[
      expect \r\nbegun
      send \x03
      expect ready>
      send echo status $?\r
      expect status 130
      send exit 0\r
      end 0
    ]])
  end)

  it("Ctrl-C is the command's to handle", function()
    local script = [["trap 'echo caught; exit 3' INT; echo begun; while :; do sleep 0.1; done"]]
    outside({ "sh", "-c", script }, [[
      expect \r\nbegun
      send \x03
      expect caught
      expect ready>
      send echo status $?\r
      expect status 3
      send exit 0\r
      end 0
    ]])
  end)

  -- Says what it reads, and when it is resumed: after fg, the shell needs a moment to hand over.
  local reader = "import os, signal, sys\n"
    .. "signal.signal(signal.SIGCONT, lambda *_: os.write(1, b'resumed\\n'))\n"
    .. "os.write(1, b'begun\\n')\n"
    .. "for line in sys.stdin: os.write(1, b'got ' + line.encode())\n"

  it("Ctrl-Z stops the program with its command, fg resumes both", function()
    outside({ "python3", L:write("reader.py", reader) }, [[
      expect \r\nbegun
      send one\n
      expect got one
      send \x1a
      expect Stopped
      expect ready>
      send fg\n
      expect resumed
      send two\n
      expect got two
      send \x1a
      expect Stopped
      expect ready>
      send fg\n
      expect resumed
      send three\n
      expect got three
      send \x04
      expect ready>
      send echo status $?\r
      expect status 0
      send exit 0\r
      end 0
    ]])
  end)

  it("Ctrl-C after Ctrl-Z and fg still ends both", function()
    outside({ "python3", L:write("reader.py", reader) }, [[
      expect \r\nbegun
      send \x1a
      expect Stopped
      expect ready>
      send fg\n
      expect resumed
      send \x03
      expect ready>
      send echo status $?\r
      expect status 130
      send exit 0\r
      end 0
    ]])
  end)

  it("the terminal closing ends the program and its command", function()
    local marker = "sleep 98765"
    on_terminal(L:wrap({ "sh", "-c", "echo begun; exec " .. marker }), [[
      expect begun
    ]]) -- the driver ends and its terminal with it: SIGHUP
    assert.is_true(lab.eventually(function()
      return not L:host({ "ps", "-eo", "args" }).out:find(marker, 1, true)
    end), "still running: " .. marker)
  end)
end)
