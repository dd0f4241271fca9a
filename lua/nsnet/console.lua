-- SPDX-License-Identifier: MIT
-- console.lua - one line of Lua from nsnet-host console, in the sandbox of the running rules: what
-- it comes to, as lines of text for a terminal.

local native = ...

local LINES_MAX, LINE_MAX, KEYS_MAX, TEXT_MAX = 200, 400, 1000, 120

local out -- lines of the evaluation under way; nil: there is none

local function escape(char)
  return ("\\x%02x"):format(char:byte())
end

-- Text from strangers must not steer a terminal.
local function clean(text, max)
  local cut = #text > max
  return text:sub(1, max):gsub("[^\32-\126]", escape) .. (cut and "..." or "")
end

local function put(text)
  if #out < LINES_MAX then
    out[#out + 1] = clean(text, LINE_MAX)
  elseif #out == LINES_MAX then
    out[#out + 1] = "... (no more is shown)"
  end
end

local function inner(value)
  if type(value) == "string" then
    local text = value:sub(1, TEXT_MAX):gsub('[\\"]', "\\%0")
    return '"' .. text .. (#value > TEXT_MAX and '..."' or '"')
  end
  return tostring(value)
end

local function before(a, b)
  local ta, tb = type(a), type(b)
  if ta ~= tb then
    return ta == "number" or (tb ~= "number" and ta < tb)
  elseif ta == "number" or ta == "string" then
    return a < b
  end
  return tostring(a) < tostring(b)
end

local function key_text(key)
  if type(key) == "string" and key:find "^[%a_][%w_]*$" then
    return key
  end
  return "[" .. inner(key) .. "]"
end

-- A table, one level deep.
local function put_table(value)
  local keys, more = {}, false
  for key in next, value do
    if #keys == KEYS_MAX then
      more = true
      break
    end
    keys[#keys + 1] = key
  end
  if #keys == 0 then
    return put "{}"
  end
  table.sort(keys, before)
  put "{"
  for _, key in ipairs(keys) do
    put(("  %s = %s,"):format(key_text(key), inner(rawget(value, key))))
  end
  put(more and "  ...\n}" or "}")
end

local function put_value(value)
  local meta = type(value) == "table" and getmetatable(value)
  if type(value) ~= "table" or (type(meta) == "table" and rawget(meta, "__tostring")) then
    return put(tostring(value))
  end
  put_table(value)
end

local function put_results(...)
  for i = 1, select("#", ...) do
    put_value((select(i, ...)))
  end
end

-- What a line sets is kept for the next ones, and is no global of the scripts.
local env = setmetatable({ conns = native.conns }, { __index = _G, __metatable = "globals" })

function env.print(...)
  if not out then
    return print(...)
  end
  local list = { ... }
  for i = 1, select("#", ...) do
    list[i] = tostring(list[i])
  end
  put(table.concat(list, "  "))
end

local function compile(line)
  local fn = load("return " .. line, "=console", "t", env)
  if fn then
    return fn
  end
  return load(line, "=console", "t", env)
end

-- Evaluates @line: true and its output, or false and the message of an error.
return function(line)
  local fn, message = compile(line)
  if not fn then
    return false, clean(message, LINE_MAX)
  end
  out = {}
  local ok, err = pcall(function()
    put_results(fn())
  end)
  local lines = out
  out = nil
  if ok then
    return true, table.concat(lines, "\n")
  end
  -- In "return error(...)" the place of the caller is ours.
  return false, clean((tostring(err):gsub("^nsnet%.console:%d+: ", "")), LINE_MAX)
end
