-- SPDX-License-Identifier: MIT
-- test_check.lua - what a test asserts with, and how a failure is told: with its place in the
-- test file, what was expected and what was there.

local native = rawget(_G, "nsnet.test.native")

local check = {}

local FAILURE = {} -- marks the errors that are failures rather than mistakes

local run, count -- the test that runs, and how often it asserted something

function check.begin(now)
  run, count = now, 0
end

function check.count()
  count = (count or 0) + 1
end

function check.counted()
  return count
end

-- A value as it would be written in Lua, shortened.
local function show(value, depth)
  if type(value) == "string" then
    local text = value:gsub("[%c\128-\255\"\\]", function(c)
      return c == '"' and '\\"' or c == "\\" and "\\\\" or ("\\%d"):format(c:byte())
    end)
    return #text > 300 and ('"%s..." (%d bytes)'):format(text:sub(1, 300), #value)
      or '"' .. text .. '"'
  elseif type(value) ~= "table" or getmetatable(value) or depth > 3 then
    return tostring(value)
  end
  local parts = {}
  for key, item in pairs(value) do
    local name = type(key) == "string" and key:find "^[%a_][%w_]*$" and key
      or "[" .. show(key, depth + 1) .. "]"
    parts[#parts + 1] = name .. " = " .. show(item, depth + 1)
  end
  table.sort(parts)
  return "{ " .. table.concat(parts, ", ") .. " }"
end

function check.show(value)
  return show(value, 0)
end

-- Where in the test file this was called from: the first place that is none of ours.
function check.place()
  for where in debug.traceback("", 2):gmatch "\n%s*([^\n]-:%d+): in " do
    if not where:find "^nsnet%." and not where:find "^%[" then
      return where
    end
  end
  return "?"
end

local function raise(format, ...)
  local text = select("#", ...) > 0 and format:format(...) or format
  error({ mark = FAILURE, text = check.place() .. ": " .. text }, 0)
end

check.fail = raise -- an assertion that does not hold
check.misuse = raise -- a call that makes no sense

function check.add(to, failure)
  to.failures[#to.failures + 1] = failure
end

-- For xpcall: the message with its place. An error of ours begins with a place in our files.
function check.handler(err)
  if type(err) == "table" and rawequal(rawget(err, "mark"), FAILURE) then
    return err.text
  end
  local text, ours = tostring(err):gsub("^nsnet%.[%w_]+:%d+: ", "")
  if ours > 0 or not text:find "^[^\n]-:%d+: " then
    text = check.place() .. ": " .. text
  end
  return text
end

function check.method(self, class, name)
  if getmetatable(self) ~= class then
    raise("use %s(...), with a colon", name)
  end
end

-- Only these keys, of these types: a misspelt one must not go unnoticed.
function check.keys(options, known, what)
  if type(options) ~= "table" then
    raise("%s takes a table, not a %s", what, type(options))
  end
  for key, value in pairs(options) do
    local want = known[key]
    if not want then
      raise("%s: unknown key %s%s", what, check.show(key), native.suggest(tostring(key), known))
    elseif type(value) ~= want then
      raise("%s: %s must be a %s, not a %s", what, key, want, type(value))
    end
  end
end

local function same(a, b)
  if a == b then
    return true
  elseif type(a) ~= "table" or type(b) ~= "table" then
    return false
  end
  for key, value in pairs(a) do
    if not same(value, b[key]) then
      return false
    end
  end
  for key in pairs(b) do
    if a[key] == nil then
      return false
    end
  end
  return true
end

local function because(message)
  return message and ("%s: "):format(tostring(message)) or ""
end

local function expected(got, want, message)
  raise("%sexpected %s, got %s", because(message), want, check.show(got))
end

-- Calls what must raise; returns the message.
local function raises(fn, text)
  check.count()
  local ok, err = pcall(fn)
  if ok then
    raise "nothing was raised"
  end
  local message = type(err) == "table" and rawget(err, "text") or tostring(err)
  if text and not message:find(text, 1, true) then
    raise("expected an error with %s, got %s", check.show(text), check.show(message))
  end
  return message
end

-- The verdict of a connection. @rule, if given, is who must have decided.
local function verdict(action)
  return function(c, rule)
    check.count()
    if type(c) ~= "table" or not (rawget(c, "flow_id") or rawget(c, "verdict_of")) then
      raise("expected what rules:connect, rules:flow or rules:ask returned, got %s", check.show(c))
    end
    if c.action ~= action or (rule and c.rule ~= rule) then
      raise("expected %s%s, got:\n%s", action, rule and " by " .. rule or "", c.explain)
    end
    return c
  end
end

local asserts = {
  eq = function(got, want, message)
    check.count()
    if got ~= want then
      expected(got, check.show(want), message)
    end
  end,
  ne = function(got, other, message)
    check.count()
    if got == other then
      expected(got, "anything but that", message)
    end
  end,
  same = function(got, want, message)
    check.count()
    if not same(got, want) then
      expected(got, check.show(want), message)
    end
  end,
  near = function(got, want, distance, message)
    check.count()
    if type(got) ~= "number" or math.abs(got - want) > (distance or 0.01) then
      expected(got, ("about %s"):format(tostring(want)), message)
    end
  end,
  ok = function(got, message)
    check.count()
    if not got then
      expected(got, "something true", message)
    end
    return got
  end,
  has = function(got, text, message)
    check.count()
    if type(got) ~= "string" or not got:find(text, 1, true) then
      expected(got, "a string with " .. check.show(text), message)
    end
  end,
  match = function(got, pattern, message)
    check.count()
    if type(got) ~= "string" or not got:find(pattern) then
      expected(got, "a string that matches " .. check.show(pattern), message)
    end
  end,
  raises = raises,
  fail = function(message)
    check.count()
    raise("%s", tostring(message or "failed"))
  end,
  allowed = verdict "allow",
  denied = verdict "deny",
  dropped = verdict "drop",
}

function asserts.redirected(c, target)
  verdict "redirect"(c)
  if target and (rawget(c, "verdict_of") and c.server or c.target) ~= target then
    raise("expected a redirect to %s, got:\n%s", target, c.explain)
  end
  return c
end

-- Lua's own assert counts, too.
function check.install(t)
  for name, fn in pairs(asserts) do
    t[name] = fn
  end
  local plain = assert
  rawset(_G, "assert", function(...)
    check.count()
    return plain(...)
  end)
end

-- A failure that happens beside the test, in a peer, say.
function check.note(failure)
  if run then
    check.add(run, failure)
  end
end

return check
