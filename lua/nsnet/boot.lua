-- SPDX-License-Identifier: MIT
-- boot.lua - the part of the standard library that is written in Lua, run once in each new state.
--
-- coroutine: a C function that waits (nsnet.sleep, stream:read, ...) yields WAIT to whoever resumed
-- it. In a coroutine of the script's own that would be the script, so resume and wrap pass WAIT on
-- outwards until it reaches the host, and the results inwards: waiting works at any depth.
-- load, require: they call what they compiled from Lua, so that it may wait as well.

local raw, find, WAIT = ...

local create, resume, yield, status = raw.create, raw.resume, raw.yield, raw.status
local compile, error, type, rawequal, tostring = raw.compile, error, type, rawequal, tostring
local select, concat = select, table.concat

local function carry(co, ...)
  if (...) and rawequal((select(2, ...)), WAIT) then
    return carry(co, resume(co, yield(WAIT)))
  end
  return ...
end

local function unwrap(ok, ...)
  if not ok then
    error((...), 0)
  end
  return ...
end

coroutine = { -- luacheck: ignore
  create = create,
  yield = yield,
  status = status,
  running = raw.running,
  isyieldable = raw.isyieldable,
  resume = function(co, ...)
    return carry(co, resume(co, ...))
  end,
  wrap = function(fn)
    local co = create(fn)
    return function(...)
      return unwrap(carry(co, resume(co, ...)))
    end
  end,
}

function loadstring(text, name, _, env) -- luacheck: ignore
  if type(text) ~= "string" then
    error("loadstring takes a string, not a " .. type(text), 2)
  end
  return compile(text, name, env)
end

function load(chunk, name, _, env) -- luacheck: ignore
  if type(chunk) == "function" then
    local parts = {}
    for piece in chunk do
      if piece == "" then
        break
      end
      parts[#parts + 1] = piece
    end
    chunk = concat(parts)
    name = name or "=(load)"
  elseif type(chunk) ~= "string" then
    error("load takes a string or a function, not a " .. type(chunk), 2)
  end
  return compile(chunk, name, env)
end

local loaded, loading = { nsnet = nsnet }, {}

-- The module's table is a proxy without fields of its own: one set past its metatable would change
-- what a guard of another script says when it returns nsnet.deny.
local rawset_any, nsnet_table = rawset, nsnet

function rawset(t, key, value) -- luacheck: ignore
  if rawequal(t, nsnet_table) then
    error("nsnet." .. tostring(key) .. " cannot be set; shared state goes in nsnet.state", 2)
  end
  return rawset_any(t, key, value)
end

function require(name) -- luacheck: ignore
  if type(name) ~= "string" then
    error("require takes the name of a module, not a " .. type(name), 2)
  end
  if name == "nsnet" then
    return loaded.nsnet
  end
  local module, path = find(name)
  if not module then
    error("module '" .. tostring(name) .. "' was not found:" .. path, 2)
  end
  if loading[path] then
    error("module '" .. name .. "' (" .. path .. ") requires itself, or failed before", 2)
  end
  if loaded[path] == nil then
    loading[path] = true
    local value = module(name, path)
    loading[path] = nil
    loaded[path] = value == nil and true or value
  end
  return loaded[path]
end
