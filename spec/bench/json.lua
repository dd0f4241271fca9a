-- SPDX-License-Identifier: MIT
-- json - the little that the bench needs, so that it depends on no package: what load prints is
-- ASCII with short escapes, and what is written is sorted and readable.
local json = {}

local escapes = { ['"'] = '"', ["\\"] = "\\", ["/"] = "/", b = "\b", f = "\f", n = "\n",
  r = "\r", t = "\t" }
local words = { ["true"] = true, ["false"] = false }
local value

local function fail(text, at, what)
  error(("json: %s at byte %d of %s"):format(what, at, text:sub(1, 200)), 0)
end

local function skip(text, at)
  return text:find("[^ \t\r\n]", at) or #text + 1
end

local function string_at(text, at)
  local out = {}
  at = at + 1
  while true do
    local stop = text:find('["\\]', at) or fail(text, at, "string without an end")
    out[#out + 1] = text:sub(at, stop - 1)
    if text:sub(stop, stop) == '"' then return table.concat(out), stop + 1 end
    local c = text:sub(stop + 1, stop + 1)
    if c == "u" then
      local code = tonumber(text:sub(stop + 2, stop + 5), 16)
      out[#out + 1] = code and code < 128 and string.char(code) or "?"
      at = stop + 6
    else
      out[#out + 1] = escapes[c] or fail(text, stop, "escape")
      at = stop + 2
    end
  end
end

local function list_at(text, at)
  local out = {}
  at = skip(text, at + 1)
  if text:sub(at, at) == "]" then return out, at + 1 end
  while true do
    out[#out + 1], at = value(text, at)
    at = skip(text, at)
    local c = text:sub(at, at)
    if c == "]" then return out, at + 1 end
    if c ~= "," then fail(text, at, "no comma") end
    at = at + 1
  end
end

local function object_at(text, at)
  local out = {}
  at = skip(text, at + 1)
  if text:sub(at, at) == "}" then return out, at + 1 end
  while true do
    at = skip(text, at)
    if text:sub(at, at) ~= '"' then fail(text, at, "no key") end
    local key
    key, at = string_at(text, at)
    at = skip(text, at)
    if text:sub(at, at) ~= ":" then fail(text, at, "no colon") end
    out[key], at = value(text, at + 1)
    at = skip(text, at)
    local c = text:sub(at, at)
    if c == "}" then return out, at + 1 end
    if c ~= "," then fail(text, at, "no comma") end
    at = at + 1
  end
end

function value(text, at)
  at = skip(text, at)
  local c = text:sub(at, at)
  if c == "{" then return object_at(text, at) end
  if c == "[" then return list_at(text, at) end
  if c == '"' then return string_at(text, at) end
  local word = text:match("^%a+", at)
  if word == "null" then return nil, at + 4 end
  if words[word] ~= nil then return words[word], at + #word end
  local number = text:match("^-?%d[%d.eE+-]*", at)
  if not tonumber(number) then fail(text, at, "no value") end
  return tonumber(number), at + #number
end

-- The value of text, or nil and a message.
function json.decode(text)
  local ok, out = pcall(value, text, 1)
  if ok then return out end
  return nil, out
end

local function scalar(v)
  if type(v) == "string" then
    return '"' .. v:gsub('[%c"\\\127-\255]', function(c)
      return ("\\u%04x"):format(c:byte())
    end) .. '"'
  end
  return (v ~= v or v == math.huge or v == -math.huge) and "null" or tostring(v)
end

local function encode(v, indent, out)
  if type(v) ~= "table" then
    out[#out + 1] = scalar(v)
    return
  end
  local is_list, keys = #v > 0 or next(v) == nil, {}
  for key in pairs(v) do keys[#keys + 1] = key end
  table.sort(keys, function(a, b) return is_list and a < b or tostring(a) < tostring(b) end)
  out[#out + 1] = is_list and "[" or "{"
  for i, key in ipairs(keys) do
    out[#out + 1] = (i > 1 and "," or "") .. "\n" .. indent .. " "
    if not is_list then out[#out + 1] = '"' .. tostring(key) .. '": ' end
    encode(v[key], indent .. " ", out)
  end
  out[#out + 1] = "\n" .. indent .. (is_list and "]" or "}")
end

function json.encode(v)
  local out = {}
  encode(v, "", out)
  return table.concat(out) .. "\n"
end

return json
