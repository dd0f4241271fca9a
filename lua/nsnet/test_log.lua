-- SPDX-License-Identifier: MIT
-- test_log.lua - what was logged while a test ran, and what it says about it.

local native = rawget(_G, "nsnet.test.native")
local check = require "nsnet.test_check"

local log = {}

-- Adds to @list what was logged since the last time.
function log.read(list)
  for line in native.log():gmatch "[^\n]+" do
    list[#list + 1] = (line:gsub("^nsnet%-host: ", ""):gsub("\\x09", "  "))
  end
  return list
end

-- The functions of t; @now(what) is the running test, or raises that @what is for inside of one.
function log.install(t, now)
  -- The lines that were logged since the test began, without "nsnet-host: ".
  function t.log()
    return log.read(now("t.log").log)
  end

  local function find_line(text)
    for _, line in ipairs(t.log()) do
      if line:find(text, 1, true) then
        return line
      end
    end
  end

  function t.logged(text)
    check.count()
    if not find_line(text) then
      check.fail("nothing like %s was logged", check.show(text))
    end
  end

  function t.not_logged(text)
    check.count()
    local line = find_line(text)
    if line then
      check.fail("%s was logged", check.show(line))
    end
  end

  -- An error of the scripts whose message has @text is expected. Any other fails the test.
  function t.allow_error(text)
    check.count()
    local allowed = now("t.allow_error").allowed
    allowed[#allowed + 1] = { text = text, place = check.place() }
  end
end

return log
