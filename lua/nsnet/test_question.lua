-- SPDX-License-Identifier: MIT
-- test_question.lua - questions to the name server that a test lets the command ask.

local native = rawget(_G, "nsnet.test.native")
local check = require "nsnet.test_check"

local question = {}

local FIELDS = {
  "a", "aaaa", "action", "cname", "elapsed", "explain", "name", "rcode", "reason", "rule", "server",
  "style", "ttl", "txt", "where",
}
local known = {}
for _, name in ipairs(FIELDS) do
  known[name] = true
end

local Question = { fields = known }

function Question.__index(self, key)
  if not known[key] then
    check.misuse("a question has no field %s", check.show(key))
  end
  return rawget(self, "data")[key]
end

function Question.__newindex(_, key)
  check.misuse("a question's %s cannot be set", check.show(key))
end

function Question.__tostring(self)
  return ("%s %s"):format(self.name, self.action)
end

local function verdict(data)
  return ("  %s%s by %s%s"):format(data.action, data.style and " (" .. data.style .. ")" or "",
    data.decided_by or "default", data.reason and ": " .. data.reason or "")
end

local OPTIONS = {
  name = "string", type = "string", network = "string", src = "string", server = "string",
}

-- Asks; what it came to.
function question.new(play, options)
  check.keys(options, OPTIONS, "rules:ask")
  local network = options.network or "udp"
  if not options.name then
    check.misuse "rules:ask needs name="
  elseif network ~= "udp" and network ~= "tcp" then
    check.misuse 'rules:ask: network= is "udp" or "tcp"'
  end
  local started = native.now()
  local data = native.question(play, options.name, options.type or "A", network == "tcp",
    options.src, options.server)
  local name, where = (data.decided_by or ""):match "^(.*) (%b())$"
  data.rule = name or data.decided_by or "default"
  data.where = where and where:sub(2, -2) or (data.decided_by or ""):match "^.*:%d+$"
  data.elapsed = native.now() - started
  data.explain = verdict(data)
  return setmetatable({ data = data, verdict_of = "question" }, Question)
end

return question
