-- SPDX-License-Identifier: MIT
-- embed.lua OUT FILE... - write the C file behind lua/modules.h from Lua sources, and from what is
-- in an editor/ directory. A file that does not parse stops the build here, with its line.

local out_path = arg[1]
local files = {}
for i = 2, #arg do
  files[#files + 1] = arg[i]
end
table.sort(files)

local function fail(message)
  io.stderr:write(message, "\n")
  os.exit(1)
end

local function read(path)
  local file, err = io.open(path, "rb")
  if not file then
    fail(err)
  end
  local text = file:read("*a")
  file:close()
  local ok, syntax_error = loadstring(text, "@" .. path)
  if not ok and path:find "%.lua$" then
    fail(syntax_error)
  end
  return text
end

local function module_name(path)
  local name = path:match("lua/(.+)%.lua$"):gsub("/", ".")
  return (name:gsub("%.init$", ""))
end

-- What is hidden where it is used is not hidden here, and has an end that tells what it is.
local function editor_name(path)
  local name = path:match("/editor/(.+)$")
  if name:find("%.d%.lua$") then
    return name
  end
  return "." .. name:gsub("%.lua$", "")
end

-- Numbers instead of a string literal: no escapes to get wrong, no limit on the length.
local function bytes(text)
  local lines = {}
  for start = 1, #text, 20 do
    lines[#lines + 1] = "\t" .. table.concat({ text:byte(start, start + 19) }, ",") .. ","
  end
  lines[#lines + 1] = "\t0"
  return table.concat(lines, "\n")
end

local parts = { '/* Written by lua/embed.lua. */\n#include "lua/modules.h"\n' }
local entries = { modules = {}, editor = {} }
for i, path in ipairs(files) do
  local text = read(path)
  local editor = path:find("/editor/", 1, true)
  local list = editor and entries.editor or entries.modules
  parts[#parts + 1] = ("static const char file_%d[] = {\n%s\n};\n"):format(i, bytes(text))
  list[#list + 1] = ('\t{"%s", file_%d, %d},'):format(
    editor and editor_name(path) or module_name(path), i, #text)
end
for _, name in ipairs { "modules", "editor" } do
  local list = entries[name]
  list[#list + 1] = "\t{NULL, NULL, 0},"
  parts[#parts + 1] = ("const struct lua_module lua_%s[] = {\n%s\n};"):format(name,
    table.concat(list, "\n"))
end

local out, err = io.open(out_path, "wb")
if not out then
  fail(err)
end
out:write(table.concat(parts, "\n"), "\n")
out:close()
