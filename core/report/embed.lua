-- SPDX-License-Identifier: MIT
-- embed.lua OUT PAGE FILE... - write the C file behind core/page.h: the report's page, in which a
-- line "@file" stands for the text of that file, as two strings: before and behind the log.

local out_path, page_path = arg[1], arg[2]
local texts = {}

local function fail(message)
  io.stderr:write("nsnet-host: embed.lua: ", message, "\n")
  os.exit(1)
end

local function read(path)
  local file, err = io.open(path, "rb")
  if not file then
    fail(err)
  end
  local text = file:read("*a")
  file:close()
  return text
end

for i = 3, #arg do
  texts[arg[i]:match("[^/]+$")] = read(arg[i])
end

local page = read(page_path):gsub("@([%w_]+%.%w+)\n", function(name)
  local text = texts[name]
  if not text then
    fail(page_path .. " asks for " .. name .. ", which was not given")
  end
  -- These would end the element that the text is put into.
  for _, mark in ipairs({ "</script", "</style", "<!--" }) do
    if text:find(mark, 1, true) then
      fail(name .. " has " .. mark .. " in it")
    end
  end
  return text
end)

local before, behind = page:match("^(.*)@@LOG@@(.*)$")
if not before then
  fail(page_path .. " has no place for the log")
end

-- Numbers instead of a string literal: no escapes to get wrong, no limit on the length.
local function bytes(text)
  local lines = {}
  for start = 1, #text, 20 do
    lines[#lines + 1] = "\t" .. table.concat({ text:byte(start, start + 19) }, ",") .. ","
  end
  return table.concat(lines, "\n")
end

local function array(name, text)
  return ("const char %s[] = {\n%s\n};\nconst size_t %s_len = %d;\n")
    :format(name, bytes(text), name, #text)
end

local out, err = io.open(out_path, "wb")
if not out then
  fail(err)
end
out:write("/* Written by core/report/embed.lua. */\n#include \"core/page.h\"\n",
  array("page_before", before), array("page_behind", behind))
out:close()
