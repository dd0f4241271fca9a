-- SPDX-License-Identifier: MIT
-- nsnet-host report: the page as a browser has it, of a real run, of many connections, of hostile
-- names.
local lab = require("spec.support.lab")
local cjson = {}

-- As much JSON as a log has: no numbers but decimal ones, objects by sorted keys.
function cjson.encode(value)
  if type(value) == "string" then
    return '"' .. value:gsub('[%c"\\]', function(c) return ("\\u%04x"):format(c:byte()) end) .. '"'
  elseif type(value) ~= "table" then
    return type(value) == "number" and ("%.6f"):format(value) or tostring(value)
  end
  local parts = {}
  if value[1] ~= nil then
    for i, item in ipairs(value) do parts[i] = cjson.encode(item) end
    return "[" .. table.concat(parts, ",") .. "]"
  end
  for key, item in pairs(value) do
    parts[#parts + 1] = cjson.encode(key) .. ":" .. cjson.encode(item)
  end
  table.sort(parts)
  return "{" .. table.concat(parts, ",") .. "}"
end

describe("the report", function()
  local dir
  lazy_setup(function()
    local pipe = assert(io.popen("mktemp -d ${TMPDIR:-/tmp}/nsnet-e2e.XXXXXX"))
    dir = pipe:read("*l")
    pipe:close()
  end)
  lazy_teardown(function() os.execute("rm -rf " .. dir) end)

  local host = (os.getenv("NSNET_HOST") or (os.getenv("NSNET_BUILD") or "build") .. "/nsnet-host")

  local function make_page(log)
    local page = dir .. "/page.html"
    assert(os.execute(("timeout -k 2 60 %s report %s -o %s"):format(host, log, page)) == 0)
    return page
  end

  local function write_log(events)
    local file = assert(io.open(dir .. "/log.jsonl", "wb"))
    for _, event in ipairs(events) do
      file:write(type(event) == "string" and event or cjson.encode(event), "\n")
    end
    file:close()
    return dir .. "/log.jsonl"
  end

  -- Opens the page, does the steps, returns what the "eval" steps gave, as they were written.
  local function browse(page, steps)
    local lines = {}
    for i, step in ipairs(steps) do lines[i] = cjson.encode(step) end
    local file = assert(io.open(dir .. "/steps", "wb"))
    file:write(table.concat(lines, "\n"), "\n")
    file:close()
    local pipe = assert(io.popen(("timeout -k 2 %d python3 -BS spec/support/browser.py %s <%s 2>&1")
      :format(120 * lab.slow, page, dir .. "/steps")))
    local out = {}
    for line in pipe:lines() do out[#out + 1] = line end
    pipe:close()
    return out
  end

  local shown = { "eval", "document.documentElement.dataset.shown" }
  local side = { "eval", "document.getElementById('side').innerText.replace(/\\s+/g, ' ')" }
  local totals = { "eval", "document.getElementById('totals').innerText.replace(/\\s+/g, ' ')" }

  local start = { v = 1, type = "start", time = 1795544248.5, version = "0.1.0",
    command = { "make", "install" }, pid = 4711 }

  -- Where row number i (from 1) of the first lane is, if there is a row for each connection.
  local function row(i)
    return ("(() => { const box = document.getElementById('canvas').getBoundingClientRect(); "
      .. "return [box.left + 400, box.top + 26 + 28 + 22 * %d + 11]; })()"):format(i - 1)
  end

  local function flow(id, at, more)
    local event = { v = 1, type = "flow", time = start.time + at, id = id, network = "tcp",
      src = "10.0.0.1:40000", dst = "203.0.113.9:443", host = "example.com", verdict = "allow",
      rule = "rules.lua:12", ["end"] = "closed", up = 100, down = 2000,
      t = { decided = 0.001, dialing = 0.001, opened = 0.02, first_up = 0.021, first_down = 0.05,
        ended = 0.4 },
      process = { pid = 12, name = "curl", argv = { "curl", "https://example.com" } } }
    for key, value in pairs(more or {}) do event[key] = value ~= "none" and value or nil end
    return event
  end

  local function denied(id, at, more)
    local event = flow(id, at, { verdict = "deny", rule = "rules.lua:31", reason = "not this one",
      host = "telemetry.test", ["end"] = "denied", up = 0, down = 0,
      t = { decided = 0.0001, ended = 0.0001 } })
    for key, value in pairs(more or {}) do event[key] = value end
    return event
  end

  it("of a real run has its connections, questions and denials", function()
    local L = lab.start()
    finally(function() L:stop() end)
    L:serve_dns({ "203.0.113.53" }, "203.0.113.1")
    local rules = L:script([[nsnet.on_connect(function(conn)
      if conn.dst_port == 7099 then return nsnet.deny "closed today" end
    end)]])
    L:run({ "sh", "-c", "curl -s -o /dev/null http://a.test/; curl -s http://203.0.113.1:7099/; "
      .. "ping -c1 203.0.113.1" }, { args = { "-s", rules, "--log-json", "/run/lab/home/log" } })
      :exits(0)
    local out = browse(make_page(L:path("home/log")), { totals, side,
      { "eval", "document.title" },
      { "eval", "[...document.querySelectorAll('#legend button')].map((b) => b.innerText).join()" },
      { "errors" } })
    assert.matches("^\"connections 3 blocked 1 DNS questions [1-9] ", out[1])
    assert.matches("Blocked, by rule Count /run/lab/rules1%.lua:%d 1 ", out[2])
    assert.matches("Blocked destinations Count a%.test 1 ", out[2])
    assert.matches("curl", out[2])
    assert.matches("^\"sh %-c curl", out[3])
    assert.matches("allowed%D*2,", out[4])
    assert.equal("[]", out[5])
  end)

  it("filters, selects with the mouse and with keys, and tells all about one", function()
    local events = { start, { v = 1, type = "dns", time = start.time + 0.9, network = "udp",
      name = "example.com", qtype = "A", verdict = "allow", rcode = "NOERROR",
      answers = { "203.0.113.9" }, took = 0.05 } }
    for i = 1, 5 do events[#events + 1] = flow(i, i) end
    for i = 6, 8 do events[#events + 1] = denied(i, i - 5.5) end
    events[#events + 1] = flow(9, 3, { target = "127.0.0.1:3128", down = 3000000 })
    events[#events + 1] = flow(10, 3.2, { ["end"] = "dial failed", error = "Connection refused",
      up = 0, down = 0, t = { decided = 0.001, dialing = 0.001, ended = 0.2 } })
    events[#events + 1] = { v = 1, type = "refused", time = start.time + 5, network = "tcp",
      src = "10.0.0.1:1", dst = "[2001:db8::9]:443", why = "too many connections" }
    local function filter(text)
      return { "eval", ("(() => { const f = document.getElementById('filter'); f.value = %s; "
        .. "f.dispatchEvent(new Event('input')); return new Promise((done) => setTimeout(() => "
        .. "done(document.documentElement.dataset.shown), 200)); })()"):format(
          cjson.encode(text)) }
    end
    local out = browse(make_page(write_log(events)), { shown,
      filter("verdict:deny"), filter("down>1mb"), filter("curl -telemetry"), filter("port:44"),
      filter("dial>100ms"), filter("rule:rules.lua:31 \"not this\""), filter("2001:db8"),
      filter("no such thing"), { "eval", "document.getElementById('nothing').hidden" },
      filter(""), { "click", row(1) }, side, { "key", "ArrowDown" }, side,
      { "key", "Escape" }, side, { "click", row(2) }, { "key", "c" }, shown,
      { "wheel", 500, 300, -300 }, { "eval", "document.getElementById('reset').disabled" },
      { "key", "0" }, { "eval", "document.getElementById('reset').disabled" }, { "errors" } })
    assert.same({ '"12"', '"4"', '"1"', '"7"', '"0"', '"1"', '"3"', '"1"', '"0"', "false", '"12"' },
      { unpack(out, 1, 11) })
    assert.matches("telemetry%.test:443 tcp to 203%.0%.113%.9 denied Phases rules 100 ", out[12])
    assert.matches("Rule rules%.lua:31 Reason not this one Ended denied Process Name curl", out[12])
    assert.matches("example%.com:443 tcp to 203%.0%.113%.9 allowed Phases DNS 50 ms rules 1 ms "
      .. "dial 19 ms until first byte 30 ms transfer 350 ms Verdict Rule rules%.lua:12", out[13])
    assert.matches("Bytes Up 100 B Down 2 kB", out[13])
    assert.matches("^\"Destinations by bytes", out[14])
    assert.same({ '"12"', "false", "true", "[]" }, { unpack(out, 15, 18) })
  end)

  it("is quick and draws only what is seen of 10 000 connections", function()
    local events = { start }
    for i = 1, 10000 do
      local process = { pid = i % 7, name = "worker" .. i % 5 }
      events[#events + 1] = i % 5 == 0 and denied(i, i / 200, { process = process })
        or flow(i, i / 200, { process = process })
    end
    local out = browse(make_page(write_log(events)), { shown, totals,
      { "eval", "document.getElementById('compact').getAttribute('aria-pressed')" },
      { "click", 500, 400 }, { "key", "c" },
      { "eval", "Number(document.getElementById('canvas').dataset.drawn) < 100" },
      { "eval", "document.querySelectorAll('*').length < 500" },
      { "eval", "document.getElementById('scroller').scrollHeight > 200000" }, { "errors" } })
    assert.same({ '"10000"', out[2], '"true"', "true", "true", "true", "[]" }, out)
    assert.matches("connections 10%D+000 blocked 2%D+000 DNS questions 0", out[2])
  end)

  it("shows hostile names as text, and loads and runs nothing of theirs", function()
    local evil = "</script><script>document.title='owned'</script><img src=x onerror=alert(1)>"
      .. "<!--<script>"
    local events = { start, flow(1, 1, { host = evil, rule = evil, reason = evil, error = evil,
      ["end"] = evil, network = evil, process = { name = evil, argv = { evil }, cwd = evil,
        pid = 1, parents = { { name = evil, pid = 1 } } } }),
      flow(2, 2, { host = "__proto__", process = { name = "constructor" } }),
      denied(3, 2, { host = evil, rule = evil }),
      { v = 1, type = "dns", time = start.time, name = evil, qtype = evil, answers = { evil } },
      '{"type":"flow","time":"x"}', '{"type":"constructor","time":1}', "[1]", "null", "</script>",
      '{"v":1,"type":"flow","time":1795544250,"dst":7,"t":[],"process":"x","up":{}}',
      '{"v":1,"type":"start","time":1795544248.5,"command":[' .. cjson.encode(evil) .. "]}" }
    local out = browse(make_page(write_log(events)), {
      { "eval", "document.title.slice(0, 9)" }, shown, { "click", row(1) }, side,
      { "move", row(1) }, { "eval", "document.getElementById('tip').hidden" },
      { "eval", "[...document.images].length + document.scripts.length" },
      { "eval", "document.getElementById('subtitle').textContent" }, { "errors" } })
    assert.equal('"</script>"', out[1]) -- the title is that text, and not "owned"
    assert.equal('"5"', out[2])
    assert.matches("onerror=alert", out[3])
    assert.equal("false", out[4])
    assert.equal("2", out[5])
    assert.matches("2 lines of the log could not be read", out[6])
    assert.equal("[]", out[7])
  end)

  it("of an empty log says so", function()
    local out = browse(make_page(write_log({ start })), { shown,
      { "eval", "document.getElementById('nothing').textContent" }, { "errors" } })
    assert.same({ '"0"', '"The log has no connections."', "[]" }, out)
  end)
end)
