-- SPDX-License-Identifier: MIT
-- run.lua [-w COMMAND] [-t SECONDS] SUITE... - run test suites one after another and sum up.
--
-- -t is the bound of each suite that follows it, up to the next -t; 600 without one.
--
-- A suite is a cmocka program (behind the words of COMMAND: valgrind, say), a fuzz target
-- NAME_fuzz, NAME_spec.lua (run by busted under LuaJIT), or another .lua file. Each speaks TAP. A
-- suite that crashes, outlives its time, prints no plan or another number of results than planned
-- counts as one failure more. What a failing suite printed is shown in full. The last line is
-- `N passed, N failed`, followed by `, N skipped` if any; the status is 0 if none failed.

local limit, wrapper = 600, ""
local suites, bounds = {}, {} -- bounds[i] is that of suites[i], in seconds
do
  local i = 1
  while arg[i] do
    if arg[i] == "-t" then
      limit = assert(tonumber(arg[i + 1]), "-t takes seconds")
      i = i + 1
    elseif arg[i] == "-w" then
      wrapper = assert(arg[i + 1], "-w takes a command") .. " "
      i = i + 1
    else
      suites[#suites + 1] = arg[i]
      bounds[#suites] = limit
    end
    i = i + 1
  end
end

local function quote(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

local function command_of(suite)
  local luajit = quote(arg[-1] or "luajit")
  if suite:match("_spec%.lua$") then
    return luajit .. " spec/support/busted.lua -o TAP " .. quote(suite)
  elseif suite:match("%.lua$") then
    return luajit .. " " .. quote(suite)
  elseif suite:match("_fuzz$") then
    return "spec/support/fuzz " .. quote(suite)
  end
  return "CMOCKA_MESSAGE_OUTPUT=TAP " .. wrapper .. quote(suite)
end

-- Returns what the suite printed and its wait status as the shell tells it: 128 + n for a signal.
local function execute(suite, bound)
  local command = ("timeout -k 5 %d env %s 2>&1 </dev/null; echo \"status=$?\"")
    :format(bound, command_of(suite))
  local pipe = assert(io.popen(command, "r"))
  local text = pipe:read("*a")
  pipe:close()
  local output, status = text:match("^(.*)status=(%d+)\n$")
  return output, tonumber(status)
end

local function count(output)
  local result = { passed = 0, failed = 0, skipped = 0, planned = nil, skips = {} }
  for line in output:gmatch("[^\n]+") do
    local last = line:match("^1%.%.(%d+)")
    if last then
      result.planned = (result.planned or 0) + tonumber(last)
    elseif line:match("^n?o?t? ?ok %d+.*# [Ss][Kk][Ii][Pp]") then
      result.skipped = result.skipped + 1
      result.skips[#result.skips + 1] = line:match("# [Ss][Kk][Ii][Pp]%s*(.*)")
    elseif line:match("^ok %d+") then
      result.passed = result.passed + 1
    elseif line:match("^not ok %d+") then
      result.failed = result.failed + 1
    end
  end
  return result
end

-- What is wrong with a suite beyond the failures that it reported itself, or nil.
local function complaint(result, status, bound)
  local seen = result.passed + result.failed + result.skipped
  if status == 124 or status == 137 then
    return ("not finished after %d s"):format(bound)
  elseif status > 128 then
    return ("killed by signal %d"):format(status - 128)
  elseif not result.planned then
    return "no result"
  elseif result.planned ~= seen then
    return ("%d results of %d"):format(seen, result.planned)
  elseif status ~= 0 and result.failed == 0 then
    return ("status %d without a failure"):format(status)
  end
  return nil
end

local total = { passed = 0, failed = 0, skipped = 0 }

local function report(suite, result, wrong, output, seconds)
  local words = { ("%d passed"):format(result.passed) }
  if result.failed > 0 then
    words[#words + 1] = ("%d failed"):format(result.failed)
  end
  if result.skipped > 0 then
    words[#words + 1] = ("%d skipped"):format(result.skipped)
  end
  words[#words + 1] = wrong
  words[#words + 1] = seconds >= 5 and ("%d s"):format(seconds) or nil
  if result.failed > 0 then
    io.write(output)
  end
  print(("%-48s %s"):format(suite, table.concat(words, ", ")))
  for _, skip in ipairs(result.skips) do
    print("  SKIPPED " .. skip)
  end
  io.stdout:flush()
end

for i, suite in ipairs(suites) do
  local start = os.time()
  local output, status = execute(suite, bounds[i])
  local result = count(output)
  local wrong = complaint(result, status, bounds[i])
  if wrong then
    result.failed = result.failed + 1
  end
  report(suite, result, wrong, output, os.time() - start)
  for key in pairs(total) do
    total[key] = total[key] + result[key]
  end
end

local line = ("%d passed, %d failed"):format(total.passed, total.failed)
if total.skipped > 0 then
  line = line .. (", %d skipped"):format(total.skipped)
end
print(line)
os.exit(total.failed == 0 and 0 or 1)
