-- SPDX-License-Identifier: MIT
-- lint.lua - every rule that a program can check, as TAP. Run from the top of the tree (make lint).

package.path = "./?.lua;" .. package.path

local files = require("spec.lint.files")
local layers = require("spec.lint.layers")
local tree = require("spec.lint.tree")

local paths = files.list(".")

local function matching(...)
  local list = {}
  for _, path in ipairs(paths) do
    for _, pattern in ipairs({ ... }) do
      if path:match(pattern) then
        list[#list + 1] = "'" .. path .. "'"
        break
      end
    end
  end
  return table.concat(list, " ")
end

-- A check by a program: its output are the complaints, or the lines of it that match.
local function tool(command, pattern)
  return function()
    local output, ok = files.run(command .. " 2>&1")
    local complaints = {}
    if not ok then
      for line in output:gmatch("[^\n]+") do
        if line:find(pattern or "") then
          complaints[#complaints + 1] = line
        end
      end
      if #complaints == 0 then
        complaints[1] = ("%s failed: %s"):format(command:match("%S+"), output)
      end
    end
    return complaints
  end
end

local make = "make -s -k -j$(nproc) --no-print-directory "
local format = "clang-format --dry-run -Werror "
local c_files = matching("%.[ch]$")

local checks = {
  { "only the agreed names stand at the top level", tree.top_level },
  { "a module includes only modules of lower layers", layers.check },
  { "files are short and named for what they are", tree.sizes },
  { "sources are ASCII, at most 100 columns wide", tree.characters },
  { "sources name their license, headers are guarded", tree.headings },
  { "every header compiles alone", tool(make .. "lint-headers") },
  { "C is formatted (make format)", tool(format .. c_files, ": error:") },
  { "clang-tidy finds nothing", tool(make .. "lint-tidy") },
  { "luacheck finds nothing", tool("luacheck -q --no-color " .. matching("%.lua$")) },
}

print("1.." .. #checks)
local status = 0
for number, check in ipairs(checks) do
  local complaints = check[2](".", paths)
  if #complaints > 0 then
    status = 1
  end
  print(("%s %d - %s"):format(#complaints == 0 and "ok" or "not ok", number, check[1]))
  for _, complaint in ipairs(complaints) do
    print("# " .. complaint)
  end
end
os.exit(status)
