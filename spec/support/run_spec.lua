-- SPDX-License-Identifier: MIT

local scratch = require("spec.support.scratch")

describe("the test runner", function()
  local root

  -- Runs suites given as { name = shell script }; returns the lines printed and the exit status.
  local function run(options, scripts, names)
    root = scratch.new(scripts)
    local command = { "cd '" .. root .. "' && chmod +x * && cd - >/dev/null &&" }
    command[#command + 1] = "luajit spec/support/run.lua " .. options
    for _, name in ipairs(names) do
      command[#command + 1] = name:match("^%-") and name or "'" .. root .. "/" .. name .. "'"
    end
    local pipe = assert(io.popen(table.concat(command, " ") .. " 2>&1; echo $?", "r"))
    local lines = {}
    for line in pipe:lines() do
      lines[#lines + 1] = line
    end
    pipe:close()
    return lines, tonumber(table.remove(lines))
  end

  local function run_one(script, options)
    return run(options or "", { suite = "#!/bin/sh\n" .. script }, { "suite" })
  end

  local function assert_ends(lines, status, summary, code)
    assert.equal(summary, lines[#lines])
    assert.equal(code, status)
  end

  local function has(lines, text)
    for _, line in ipairs(lines) do
      if line:find(text, 1, true) then
        return true
      end
    end
    return false
  end

  after_each(function()
    scratch.remove(root)
    root = nil
  end)

  it("sums over suites and passes when all pass", function()
    local lines, status = run("", {
      a = "#!/bin/sh\necho 1..2; echo ok 1 - x; echo ok 2 - y\n",
      b = "#!/bin/sh\necho ok 1 - z; echo 1..1\n",
    }, { "a", "b" })
    assert_ends(lines, status, "3 passed, 0 failed", 0)
    assert.is_true(has(lines, "/a"))
    assert.is_true(has(lines, "/b"))
  end)

  it("shows what a failing suite printed and nothing of a passing one", function()
    local lines, status = run("", {
      good = "#!/bin/sh\necho quiet; echo 1..1; echo ok 1 - x\n",
      bad = "#!/bin/sh\necho noise >&2; echo 1..2; echo ok 1 - x; echo not ok 2 - y; exit 1\n",
    }, { "good", "bad" })
    assert_ends(lines, status, "2 passed, 1 failed", 1)
    assert.is_true(has(lines, "noise"))
    assert.is_true(has(lines, "not ok 2 - y"))
    assert.is_false(has(lines, "quiet"))
  end)

  it("counts skipped tests apart and names them", function()
    local lines, status = run_one(
      "echo 1..3; echo ok 1 - x; echo 'not ok 2 # SKIP a'; echo 'ok 3 - # SKIP b: no tun'"
    )
    assert_ends(lines, status, "1 passed, 0 failed, 2 skipped", 0)
    assert.is_true(has(lines, "SKIPPED a"))
    assert.is_true(has(lines, "SKIPPED b: no tun"))
  end)

  it("fails a suite that crashes after its results", function()
    local lines, status = run_one("echo 1..1; echo ok 1 - x; kill -SEGV $$")
    assert_ends(lines, status, "1 passed, 1 failed", 1)
    assert.is_true(has(lines, "killed by signal 11"))
  end)

  it("fails a suite that outlives its time", function()
    local lines, status = run_one("echo 1..1; echo ok 1 - x; exec sleep 60", "-t 1")
    assert_ends(lines, status, "1 passed, 1 failed", 1)
    assert.is_true(has(lines, "not finished after 1 s"))
  end)

  it("gives each suite the last bound before it", function()
    local slow = "#!/bin/sh\necho 1..1; echo ok 1 - x; sleep 2\n"
    local lines, status = run("", { a = slow, b = slow, c = slow },
      { "a", "-t 1", "b", "-t 9", "c" })
    assert_ends(lines, status, "3 passed, 1 failed", 1)
    assert.is_true(has(lines, "/b "))
    assert.is_true(has(lines, "not finished after 1 s"))
  end)

  it("fails a suite without a result, or without all that it planned", function()
    local lines, status = run_one("echo hello")
    assert_ends(lines, status, "0 passed, 1 failed", 1)
    assert.is_true(has(lines, "no result"))
    scratch.remove(root)
    lines, status = run_one("echo 1..3; echo ok 1 - x")
    assert_ends(lines, status, "1 passed, 1 failed", 1)
    assert.is_true(has(lines, "1 results of 3"))
  end)

  it("fails a suite whose status is bad though its tests passed", function()
    local lines, status = run_one("echo 1..1; echo ok 1 - x; exit 3")
    assert_ends(lines, status, "1 passed, 1 failed", 1)
    assert.is_true(has(lines, "status 3"))
  end)

  it("fails a suite that does not exist", function()
    local lines, status = run("", { other = "" }, { "missing" })
    assert_ends(lines, status, "0 passed, 1 failed", 1)
  end)

  it("runs a program behind the words of -w", function()
    local lines, status = run_one('echo 1..1; echo "ok 1 - $WORD"', "-w 'env WORD=x'")
    assert_ends(lines, status, "1 passed, 0 failed", 0)
    scratch.remove(root)
    lines, status = run_one("echo 1..1; echo ok 1", "-w false")
    assert_ends(lines, status, "0 passed, 1 failed", 1)
  end)

  it("runs busted suites under LuaJIT", function()
    local lines, status = run("", {
      ["x_spec.lua"] = 'describe("x", function() it("y", function() assert.truthy(jit) end) '
        .. 'pending("z") end)\n',
    }, { "x_spec.lua" })
    assert_ends(lines, status, "1 passed, 0 failed, 1 skipped", 0)
  end)

  it("fails a busted suite that does not parse", function()
    local lines, status = run("", { ["x_spec.lua"] = "this is not Lua\n" }, { "x_spec.lua" })
    assert.equal(1, status)
    assert.truthy(lines[#lines]:match("^0 passed, %d failed$"))
  end)
end)
