-- SPDX-License-Identifier: MIT
-- layers - who may include whom. core/LAYERS has the order; the walls are here.
--
-- check(root, paths) returns complaints, each "path:line: what". A module is a pair x.c, x.h: "x"
-- in core/, "lua/x" in lua/.

local files = require("spec.lint.files")

local layers = {}

-- Headers behind a wall: a pattern, the files that may name it, and the words for the complaint.
local walls = {
  {
    header = "^lwip/",
    allowed = { "^core/stack%.c$", "^core/inbox%.c$", "^core/lwip/" },
    message = "only core/stack.c and core/inbox.c may include lwIP",
  },
  {
    header = "^lua%.h$",
    allowed = { "^lua/", "^spec/lua/" },
    message = "only lua/ may include Lua",
  },
}
for _, name in ipairs({ "lauxlib", "lualib", "luajit", "luaconf" }) do
  walls[#walls + 1] = {
    header = "^" .. name .. "%.h$",
    allowed = walls[2].allowed,
    message = walls[2].message,
  }
end

-- Through which header a module of core/ reaches lua/.
local doors = { rules = "lua/api.h", tools = "lua/tools.h" }

local function matches_any(text, patterns)
  for _, pattern in ipairs(patterns) do
    if text:match(pattern) then
      return true
    end
  end
  return false
end

-- "core/a.c" is "a", "lua/a.h" is "lua/a"; nil for anything else.
local function module_of(path)
  return path:match("^core/([%w_]+)%.[ch]$") or path:match("^(lua/[%w_]+)%.[ch]$")
end

local function read_order(root)
  local order, complaints = {}, {}
  local text = files.read(root .. "/core/LAYERS")
  if not text then
    return order, { "core/LAYERS: missing" }
  end
  for number, line in files.lines(text) do
    for name in line:gsub("#.*", ""):gmatch("%S+") do
      if order[name] then
        complaints[#complaints + 1] = ("core/LAYERS:%d: %s is named twice"):format(number, name)
      end
      order[name] = number
    end
  end
  return order, complaints
end

-- The path of a quoted include, as the compiler finds it: beside the file, else from the root.
local function resolve(root, from, name)
  local path = from:match("^(.*/)") .. name
  local count
  repeat
    path, count = path:gsub("[^/]+/%.%./", "", 1)
  until count == 0
  if files.exists(root .. "/" .. path) then
    return path
  end
  return name
end

-- What is wrong with an include across the folders, or nil.
local function judge_folder(from, to)
  if from:match("^container%-shim/") then
    return not to:match("^container%-shim/") and "container-shim/ may include nothing of the rest"
  elseif to:match("^container%-shim/") then
    return (to ~= "container-shim/handshake.h" or module_of(from) ~= "hello")
      and "only core/hello may include container-shim/, and only handshake.h"
  elseif from:match("^core/") and to:match("^lua/") then
    return doors[module_of(from)] ~= to
      and "only core/rules may include lua/, and only lua/api.h (core/tools: lua/tools.h)"
  end
  return nil
end

-- What is wrong with an include between modules, or nil.
local function judge_order(order, user, used)
  if not user or not used or user == used or not order[user] or not order[used] then
    return nil
  elseif order[used] == order[user] then
    return ("%s is on the same line of core/LAYERS as %s"):format(used, user)
  elseif order[used] > order[user] then
    return ("%s is above %s in core/LAYERS"):format(used, user)
  end
  return nil
end

local function judge(root, order, path, line)
  local open, name = line:match('^%s*#%s*include%s*([<"])([^>"]+)[>"]')
  if not name then
    return nil
  end
  for _, wall in ipairs(walls) do
    if name:match(wall.header) and not matches_any(path, wall.allowed) then
      return wall.message
    end
  end
  if open == '"' then
    local to = resolve(root, path, name)
    return judge_folder(path, to) or judge_order(order, module_of(path), module_of(to))
  end
  return nil
end

function layers.check(root, paths)
  local order, complaints = read_order(root)
  for _, path in ipairs(paths) do
    if path:match("%.[ch]$") and not path:match("^spec/") then
      local module = module_of(path)
      if module and not order[module] then
        complaints[#complaints + 1] = path .. ":1: not listed in core/LAYERS"
      end
      for number, line in files.lines(files.read(root .. "/" .. path)) do
        local wrong = judge(root, order, path, line)
        if wrong then
          complaints[#complaints + 1] = ("%s:%d: %s"):format(path, number, wrong)
        end
      end
    end
  end
  return complaints
end

return layers
