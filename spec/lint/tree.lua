-- SPDX-License-Identifier: MIT
-- tree - rules about files that no compiler knows: which there are, how long, which characters.
--
-- Each check takes (root, paths) and returns complaints, "path[:line]: what".

local files = require("spec.lint.files")

local tree = {}

local top_level = {
  ["core"] = true,
  ["lua"] = true,
  ["scripts"] = true,
  ["container-shim"] = true,
  ["examples"] = true,
  ["spec"] = true,
  ["Makefile"] = true,
  ["README.md"] = true,
  ["LICENSE"] = true,
}

-- The top level is the user's: these entries and dot-files, nothing else.
function tree.top_level(_, paths)
  local complaints, seen = {}, {}
  for _, path in ipairs(paths) do
    local entry = path:match("^[^/]+")
    if not top_level[entry] and not entry:match("^%.") and not seen[entry] then
      seen[entry] = true
      complaints[#complaints + 1] = entry .. ": does not belong at the top level"
    end
  end
  return complaints
end

local vague = { util = true, utils = true, misc = true, common = true, ["and"] = true }

local function is_source(path)
  return path:match("%.[ch]$") or path:match("%.lua$") or path:match("Makefile$")
    or path:match("%.scd$") or path:match("^%.ci/")
end

local function each_source(root, paths, judge)
  local complaints = {}
  for _, path in ipairs(paths) do
    if is_source(path) then
      judge(path, files.read(root .. "/" .. path), function(...)
        complaints[#complaints + 1] = path .. string.format(...)
      end)
    end
  end
  return complaints
end

-- A file has at most 500 lines, an example 40, and its name says what it is.
function tree.sizes(root, paths)
  return each_source(root, paths, function(path, text, complain)
    local limit = path:match("^examples/") and 40 or 500
    local _, count = text:gsub("\n", "")
    if count > limit then
      complain(": %d lines, the limit is %d", count, limit)
    end
    for word in path:match("[^/]+$"):gsub("%..*", ""):gmatch("%a+") do
      if vague[word] then
        complain(": a name with %q says nothing: split it", word)
      end
    end
  end)
end

local function visual_width(line)
  local width = 0
  for char in line:gmatch(".") do
    width = char == "\t" and width + 8 - width % 8 or width + 1
  end
  return width
end

-- ASCII, no blanks at the end of a line, tabs in C and spaces in Lua, 100 columns, a last newline.
function tree.characters(root, paths)
  return each_source(root, paths, function(path, text, complain)
    if not text:match("\n$") then
      complain(": no newline at the end")
    end
    for number, line in files.lines(text) do
      if line:find("[^\t\32-\126]") then
        complain(":%d: a character that is not ASCII", number)
      end
      if line:find("[ \t]$") then
        complain(":%d: blanks at the end of the line", number)
      end
      if path:match("%.[ch]$") and line:find("^        ") then
        complain(":%d: indented with spaces", number)
      elseif path:match("%.lua$") and line:find("\t") then
        complain(":%d: a tab in Lua", number)
      end
      if not path:match("Makefile$") and not path:match("%.scd$") and visual_width(line) > 100 then
        complain(":%d: more than 100 columns", number)
      end
    end
  end)
end

-- Every source names its license in one of the first two lines (a script has #! before it), and a
-- header is guarded by NSNET_NAME_H, the shim's by SHIM_NAME_H also.
function tree.headings(root, paths)
  return each_source(root, paths, function(path, text, complain)
    local first, second = text:match("^([^\n]*)\n?([^\n]*)")
    local exempt = path:match("%.scd$") or path:match("^spec/fuzz/corpus/")
    if not exempt and not (first .. second):find("SPDX-License-Identifier: MIT", 1, true) then
      complain(":1: no license line")
    end
    if path:match("%.h$") then
      local guard = text:match("#ifndef (NSNET_[A-Z0-9_]+_H)\n")
        or path:match("^container%-shim/") and text:match("#ifndef (SHIM_[A-Z0-9_]+_H)\n")
      if not guard or not text:find("#define " .. guard .. "\n", 1, true) then
        complain(":2: no include guard NSNET_..._H")
      end
    end
  end)
end

return tree
