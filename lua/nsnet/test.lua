-- SPDX-License-Identifier: MIT
-- test.lua - tests of rule scripts, without a namespace, a network or any waiting:
--
--   nsnet-host test rules_test.lua
--
-- lua/README.md tells how to write them. This file has what a test calls and runs the tests; the
-- connections it makes are in test_flow.lua, its questions in test_question.lua, the network it
-- plays in test_peer.lua, what was logged in test_log.lua.

local native = rawget(_G, "nsnet.test.native")
if not native then
  error("nsnet.test is for files that are run by: nsnet-host test FILE", 0)
end

local check = require "nsnet.test_check"
local flow = require "nsnet.test_flow"
local log = require "nsnet.test_log"
local peer = require "nsnet.test_peer"
local question = require "nsnet.test_question"

local t = {}
check.install(t)

local blocks = {} -- the t.describe that are being read, outermost first
local tests = {} -- { name =, fn =, before =, after = }
local running -- the test that runs: { plays =, failures =, log =, allowed =, started = }
local load_status = 0 -- of rules that could not be loaded: 66 or 70

local function now_running(what)
  if not running then
    check.misuse("%s is for the inside of t.it", what)
  end
  return running
end
log.install(t, now_running)

-- --- rules ------------------------------------------------------------------------------------

local OPTIONS = { default = "string", env = "string", dry_run = "boolean", allow_host = "boolean" }

local directory = native.path:match "^.*/" or ""

local function read_scripts(what)
  local list = type(what) == "table" and not what.code and what or { what }
  local scripts = {}
  for i, one in ipairs(list) do
    if type(one) == "table" then
      check.keys(one, { code = "string", name = "string" }, "t.load")
      scripts[i] = { code = one.code, name = one.name or "rules.lua" }
    elseif type(one) == "string" then
      scripts[i] = one:sub(1, 1) == "/" and one or directory .. one
    else
      check.misuse("t.load takes a path, { code = ... } or a list of them, not a %s", type(one))
    end
  end
  if #scripts == 0 then
    check.misuse "t.load needs a script"
  end
  return scripts
end

-- Opens the rules; nil, status and message.
local function open(scripts, options)
  local lines = running and running.log or {}
  log.read(lines)
  local seen = #lines
  local play, status = native.open(scripts, options)
  if play then
    return play
  end
  log.read(lines)
  return nil, status, table.concat(lines, "\n", seen + 1)
end

local Rules = {}
Rules.__index = Rules

-- The rule set for the running test: each has a fresh one.
local function play_of(self, what)
  local run = now_running(what)
  local mine = run.plays[self]
  if not mine then
    local play, status, message = open(self.scripts, self.options)
    if not play then
      load_status = load_status == 66 and 66 or status
      check.fail("the rules could not be loaded: %s", message)
    end
    mine = { id = play }
    run.plays[self] = mine
  end
  return mine
end

-- Runs on_start, once: what a flow needs first. True, or nil and the message.
function Rules:start()
  check.method(self, Rules, "rules:start")
  local mine = play_of(self, "rules:start")
  if mine.started == nil then
    local seen = #t.log()
    mine.started = native.start(mine.id)
    mine.message = table.concat(t.log(), "\n", seen + 1)
  end
  if mine.started then
    return true
  end
  return nil, mine.message
end

local function started(self, what)
  local mine = play_of(self, what)
  local ok, message = self:start()
  if not ok then
    check.fail("on_start failed: %s", message)
  end
  return mine.id
end

function Rules:connect(options)
  check.method(self, Rules, "rules:connect")
  return flow.new(started(self, "rules:connect"), "tcp", options, "rules:connect")
end

function Rules:flow(options)
  check.method(self, Rules, "rules:flow")
  return flow.new(started(self, "rules:flow"), nil, options, "rules:flow")
end

function Rules:ask(options)
  check.method(self, Rules, "rules:ask")
  return question.new(started(self, "rules:ask"), options)
end

function Rules:packet(options)
  check.method(self, Rules, "rules:packet")
  return flow.packet(started(self, "rules:packet"), options)
end

function Rules:exit(status)
  check.method(self, Rules, "rules:exit")
  native.exit(started(self, "rules:exit"), status or 0)
end

-- Loads the scripts again, as SIGHUP would. True, or nil and the message.
function Rules:reload()
  check.method(self, Rules, "rules:reload")
  local play = started(self, "rules:reload")
  local seen = #t.log()
  if native.reload(play) then
    return true
  end
  return nil, table.concat(t.log(), "\n", seen + 1)
end

-- How often the rule of this name decided, or the handler at "file.lua:12" was called.
function Rules:hits(name)
  check.method(self, Rules, "rules:hits")
  for _, one in ipairs(native.tally(play_of(self, "rules:hits").id)) do
    local rule = one.name and one.name:match "^(.*) %b()$"
    if rule == name or one.name == name or (not one.name and one.where == name) then
      return one.hits
    end
  end
  check.misuse("these rules have no rule or handler %s", check.show(name))
end

function t.load(what, options)
  options = options or {}
  check.keys(options, OPTIONS, "t.load")
  local self = setmetatable({ scripts = read_scripts(what), options = options }, Rules)
  if running then
    play_of(self, "t.load")
    return self
  end
  local play, status, message = open(self.scripts, options)
  native.clear()
  if not play then
    load_status = load_status == 66 and 66 or status
    check.fail("the rules could not be loaded: %s", message)
  end
  return self
end

-- The message with which the rules cannot be loaded, and the exit status.
function t.load_error(what, options)
  options = options or {}
  check.keys(options, OPTIONS, "t.load_error")
  local play, status, message = open(read_scripts(what), options)
  if not running then
    native.clear()
  end
  check.count()
  if play then
    check.fail "the rules were loaded"
  end
  return message, status
end

-- --- network and time -------------------------------------------------------------------------

function t.peer(...)
  now_running "t.peer"
  return peer.new(running, ...)
end

-- What nsnet.resolve finds for @name: a list of addresses, {} for none.
function t.resolves(name, addresses)
  now_running "t.resolves"
  native.name(name, addresses)
end

-- These addresses are the host's own: the guard closes them.
function t.own(addresses)
  now_running "t.own"
  native.own(addresses)
end

-- What the scripts dialed: { "tcp 127.0.0.1:1080", ... }.
function t.dialed()
  peer.read_events(now_running "t.dialed")
  return running.dialed
end

t.sleep = nsnet.sleep

-- Seconds since the test began.
function t.passed()
  return native.now() - now_running("t.passed").started
end

function t.clock_at_most(seconds)
  check.count()
  local passed = t.passed()
  if passed > seconds then
    check.fail("%.3f s have passed, more than %s", passed, tostring(seconds))
  end
end

-- Sets the wall clock, local time: "2030-12-31 23:59" or with seconds.
function t.clock(text)
  local y, mo, d, h, mi, s = text:match "^(%d+)-(%d+)-(%d+) (%d+):(%d+):?(%d*)$"
  if not y then
    check.misuse 't.clock takes a time like "2030-12-31 23:59"'
  end
  native.set_wall(os.time {
    year = y, month = mo, day = d, hour = h, min = mi, sec = s == "" and 0 or s,
  })
end

-- --- reading the tests ------------------------------------------------------------------------

local function outside(what)
  if running then
    check.misuse("%s cannot be used inside of t.it", what)
  end
end

local function named(what, name, fn)
  outside(what)
  if type(name) ~= "string" or type(fn) ~= "function" then
    check.misuse("%s takes (name, function)", what)
  end
end

function t.describe(name, fn)
  named("t.describe", name, fn)
  blocks[#blocks + 1] = { name = name, before = {}, after = {} }
  fn()
  blocks[#blocks] = nil
end

local function collect(key)
  local list = {}
  for _, block in ipairs(blocks) do
    for _, fn in ipairs(block[key]) do
      list[#list + 1] = fn
    end
  end
  return list
end

function t.it(name, fn)
  named("t.it", name, fn)
  local words = {}
  for i, block in ipairs(blocks) do
    words[i] = block.name
  end
  words[#words + 1] = name
  tests[#tests + 1] = {
    name = table.concat(words, " > "),
    fn = fn,
    before = collect "before",
    after = collect "after",
  }
end

local function add_hook(key, what)
  return function(fn)
    outside(what)
    if #blocks == 0 or type(fn) ~= "function" then
      check.misuse("%s takes a function, inside of t.describe and before its t.it", what)
    end
    table.insert(blocks[#blocks][key], fn)
  end
end
t.before_each = add_hook("before", "t.before_each")
t.after_each = add_hook("after", "t.after_each")

-- --- running them -----------------------------------------------------------------------------

local ERROR = "%(in [^()]*%)" -- how the message of an error in a script ends

-- Why a test was stopped: the log tells, if nobody else does.
local function stopped(run, why)
  for i = #run.log, 1, -1 do
    why = why or run.log[i]:find(ERROR) and run.log[i]
  end
  check.add(run, why or run.log[#run.log] or "it was stopped")
end

local function is_allowed(run, line)
  local excused = false
  for _, allowed in ipairs(run.allowed) do
    if line:find(allowed.text, 1, true) then
      allowed.met, excused = true, true
    end
  end
  return excused
end

-- Errors of the scripts that nobody expected; expectations that did not come true.
local function judge_errors(run)
  local total, seen = 0, 0
  for _, mine in pairs(run.plays) do
    total = total + native.errors(mine.id)
  end
  for _, line in ipairs(t.log()) do
    if line:find(ERROR) then
      seen = seen + 1
      if not is_allowed(run, line) then
        check.add(run, ("an error in the scripts: %s"):format(line))
      end
    end
  end
  if total > 0 and seen == 0 then
    check.add(run, ("%d errors in the scripts"):format(total))
  end
  for _, allowed in ipairs(run.allowed) do
    if not allowed.met then
      check.add(run, ("%s: no error with %s"):format(allowed.place, check.show(allowed.text)))
    end
  end
end

local function protected(run, fn)
  local ok, message = xpcall(fn, check.handler)
  if not ok then
    check.add(run, message)
  end
end

local function run_test(test)
  local run = { plays = {}, failures = {}, log = {}, allowed = {}, peers = {}, dialed = {} }
  log.read {}
  native.events()
  run.started = native.now()
  running = run
  check.begin(run)
  local ended, why = native.run(function()
    protected(run, function()
      for _, fn in ipairs(test.before) do
        fn()
      end
      test.fn()
    end)
    for _, fn in ipairs(test.after) do
      protected(run, fn)
    end
  end)
  if ended then
    nsnet.sleep(0.001) -- what is on its way arrives
  end
  log.read(run.log)
  if not ended then
    stopped(run, why)
  else
    peer.judge(run)
    judge_errors(run)
    if check.counted() == 0 and #run.failures == 0 then
      check.add(run, "it asserts nothing, so it cannot fail")
    end
  end
  running = nil
  native.clear()
  log.read(run.log)
  return run
end

local function report(name, run)
  local lines = {}
  if #run.failures == 0 then
    if native.verbose then
      native.print(("  ok   %s\n"):format(name))
    end
    return
  end
  lines[1] = "  FAIL " .. name
  for _, failure in ipairs(run.failures) do
    lines[#lines + 1] = "       " .. failure:gsub("\n", "\n       ")
  end
  for i = math.max(1, #run.log - 9), #run.log do
    lines[#lines + 1] = "       log: " .. run.log[i]
  end
  native.print(table.concat(lines, "\n") .. "\n")
end

local function finish(passed, failed)
  local status = load_status > 0 and load_status or failed > 0 and 1 or 0
  native.print(("%s: %d passed, %d failed\n"):format(native.path, passed, failed))
  native.finish(passed, failed, status)
end

-- Reads the tests of the file; true if there are any, and nothing was wrong.
local function read_file(file)
  local run = { failures = {}, log = {} }
  local ended, why = native.run(function()
    protected(run, file)
  end)
  log.read(run.log)
  if not ended then
    stopped(run, why)
  elseif #tests == 0 and #run.failures == 0 then
    check.add(run, "there is no t.it in this file")
  end
  if #run.failures > 0 then
    report("(reading the file)", run)
    return false
  end
  return true
end

-- A misspelt assertion says so, and what it may have meant.
setmetatable(t, {
  __index = function(_, key)
    check.misuse("nsnet.test has no %s%s", check.show(key), native.suggest(tostring(key), t))
  end,
})

native.main(function(file)
  if native.verbose then
    native.print(native.path .. "\n")
  end
  if not read_file(file) then
    load_status = load_status > 0 and load_status or 70
    return finish(0, 1)
  end
  local passed, failed = 0, 0
  for _, test in ipairs(tests) do
    local one = run_test(test)
    report(test.name, one)
    if #one.failures == 0 then
      passed = passed + 1
    else
      failed = failed + 1
    end
  end
  finish(passed, failed)
end)

return t
