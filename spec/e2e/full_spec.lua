-- SPDX-License-Identifier: MIT
-- A disk that is full costs what was to be written there, and says so in one line: never the
-- command, its connections or its exit status.
local lab = require("spec.support.lab")
if lab.direct then return end

describe("on a full disk", function()
  local L
  local port = lab.port
  local SMALL = "/run/small"

  lazy_setup(function() L = lab.start() end)
  lazy_teardown(function() L:stop() end)

  before_each(function()
    L:host({ "sh", "-ec", "mkdir -p " .. SMALL .. " && mount -t tmpfs -o size=64k,mode=1777 tmpfs "
      .. SMALL }, { who = "root" }):exits(0)
  end)
  after_each(function() L:host({ "umount", SMALL }, { who = "root" }):exits(0) end)

  -- Leaves so many bytes, a multiple of 4096.
  local function fill(left)
    L:host({ "sh", "-c", ("head -c %d /dev/zero >%s/filling"):format(65536 - left, SMALL) })
      :exits(0)
  end

  -- What the program itself said.
  local function said(result)
    local lines = {}
    for line in result.err:gmatch("[^\n]+") do
      if line:match("^nsnet%-host: ") then lines[#lines + 1] = line end
    end
    return lines
  end

  -- The one line that the program said has both patterns.
  local function said_once(result, what, why)
    local lines = said(result)
    assert.equal(1, #lines, result.err)
    assert.matches(what, lines[1])
    assert.matches(why or "No space left on device", lines[1])
  end

  local SERIAL = "python3 -BS /run/repo/spec/support/client.py serial " .. lab.v4.world .. " "
    .. port.echo .. " 300; exit 9"

  for _, option in ipairs({ "--log", "--log-json", "--pcap" }) do
    for _, left in ipairs({ 0, 8192 }) do
      it(("%s ends after %d bytes, and the command goes on"):format(option, left), function()
        fill(left)
        local answer = L:run({ "sh", "-c", SERIAL }, { args = { option, SMALL .. "/out" } })
        answer:shows("^ok 300\n", 9)
        said_once(answer, "/run/small/out")
      end)
    end
  end

  it("the lines of a script are lost, and its verdicts are not", function()
    fill(0)
    local answer = L:run({ "sh", "-c", SERIAL }, { args = { "-e", "local f = nsnet.append '"
      .. SMALL .. "/lines'\n"
      .. "nsnet.on_connect(function(c) f:write(c.dst_ip) return nsnet.allow end)" } })
    answer:shows("^ok 300\n", 9)
    said_once(answer, "/run/small/lines")
  end)

  it("standard error itself loses the summary and the messages, and nothing else", function()
    fill(0)
    local words = L:wrap({ "sh", "-c", SERIAL }, { args = { "--summary", "-v" } })
    L:host({ "sh", "-c", "exec \"$@\" 2>" .. SMALL .. "/err", "sh", unpack(words) })
      :shows("^ok 300\n", 9)
  end)

  it("a report is not written by half", function()
    L:run({ "true" }, { args = { "--log-json", "/run/lab/home/log.jsonl" } }):exits(0)
    fill(4096)
    local answer = L:run({}, { args = { "report", "/run/lab/home/log.jsonl", "-o",
      SMALL .. "/page.html" } }):exits(73)
    said_once(answer, "/run/small/page%.html")
    L:host({ "ls", SMALL }):says("filling")
  end)

  it("there is no control socket, and the command runs", function()
    L:host({ "mount", "-o", "remount,nr_inodes=1", SMALL }, { who = "root" }):exits(0)
    local answer = L:run({ "sh", "-c", "exit 9" }, { args = { "-v" },
      env = { XDG_RUNTIME_DIR = SMALL } }):exits(9)
    assert.matches("no control socket in " .. SMALL .. "[^\n]*: No space left on device\n",
      answer.err)
  end)
end)
