-- SPDX-License-Identifier: MIT
-- definitions.lua - reads what lua/editor/ tells editors, as a list of names, so that a spec can
-- hold it against the program:
--
--   nsnet.on_connect, nsnet.log.info   functions and values of the module (or t.eq of a test's t)
--   nsnet.Conn.host, nsnet.Conn:tag    fields and methods of a class
--   nsnet.Style=refuse                 the values of an alias that is a list of strings

local definitions = {}

-- What is read, line by line.
local Reader = {}
Reader.__index = Reader

function Reader:class(line)
  local name, after = line:match "^%-%-%-@class ([%w_.]+):? ?([%w_.]*)"
  if name then
    self.current, self.fields[name] = name, {}
    self.parent[name] = after ~= "" and after or nil
  end
  local field = line:match "^%-%-%-@field ([%w_]+)"
  if field then
    self.fields[self.current][field] = true
  end
end

-- An alias may go on in further lines.
function Reader:alias(line)
  local rest
  if line:find "^%-%-%-@alias " then
    self.name, rest = line:match "^%-%-%-@alias ([%w_.]+)(.*)$"
  else
    rest = line:match "^%-%-%-|(.*)$"
  end
  if rest and not rest:gsub('"[^"]*"', ""):find "[^| ]" then
    for value in rest:gmatch '"([^"]*)"' do
      self.names[#self.names + 1] = self.name .. "=" .. value
    end
  end
end

function Reader:code(line)
  local object = line:match "^local (%w+) = {}$"
  if object then
    self.class_of[object] = self.current
    self.current = nil
  end
  local owner, sign, member = line:match "^function ([%w_.]+)([.:])([%w_]+)%("
  if owner then
    self.names[#self.names + 1] = (self.class_of[owner] or owner) .. sign .. member
  end
  self.names[#self.names + 1] = line:match "^(nsnet%.[%w_.]+) ="
end

-- The fields of a class are its own and its parents'.
function Reader:add_fields(name)
  local all, from = {}, name
  while from do
    for field in pairs(self.fields[from]) do
      all[field] = true
    end
    from = self.parent[from]
  end
  for field in pairs(all) do
    self.names[#self.names + 1] = name .. "." .. field
  end
end

-- All names of a definition file's @text, sorted.
function definitions.read(text)
  local reader = setmetatable({ names = {}, fields = {}, parent = {}, class_of = {} }, Reader)
  for line in text:gmatch "[^\n]+" do
    reader:class(line)
    reader:alias(line)
    reader:code(line)
  end
  for name in pairs(reader.fields) do
    reader:add_fields(name)
  end
  table.sort(reader.names)
  return reader.names
end

-- The names of the luacheck settings' @text: "nsnet.log.info", "string.rep", "print".
function definitions.globals(text)
  local env = setmetatable({ stds = {} }, { __index = _G })
  setfenv(assert(loadstring(text, "=luacheckrc")), env)()
  local names = {}
  local function add(prefix, list)
    for name, what in pairs(list) do
      names[#names + 1] = prefix .. name
      if what.fields then
        add(prefix .. name .. ".", what.fields)
      end
    end
  end
  add("", env.stds[env.std].read_globals)
  table.sort(names)
  return names
end

-- What is in one list and not in the other: "only here: a, b; only there: c"; nil if they agree.
function definitions.difference(here, there)
  local function missing(from, other)
    local has, list = {}, {}
    for _, name in ipairs(other) do
      has[name] = true
    end
    for _, name in ipairs(from) do
      if not has[name] then
        list[#list + 1] = name
      end
    end
    return table.concat(list, ", ")
  end
  local a, b = missing(here, there), missing(there, here)
  if a == "" and b == "" then
    return nil
  end
  return ("only defined: %s; only real: %s"):format(a, b)
end

return definitions
