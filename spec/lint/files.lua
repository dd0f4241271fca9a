-- SPDX-License-Identifier: MIT
-- files - reading the tree for the checks of this folder. Only POSIX tools and plain Lua.

local files = {}

-- Runs a command; returns its standard output and whether it succeeded.
function files.run(command)
  local pipe = assert(io.popen(command .. '; echo "status=$?"', "r"))
  local text = pipe:read("*a")
  pipe:close()
  local output, status = text:match("^(.*)status=(%d+)\n$")
  return output, status == "0"
end

function files.read(path)
  local file = io.open(path, "rb")
  if not file then
    return nil
  end
  local text = file:read("*a")
  file:close()
  return text
end

function files.exists(path)
  local file = io.open(path, "rb")
  if file then
    file:close()
  end
  return file ~= nil
end

-- Every path that belongs to the project, sorted: what git knows or would add; without git (a
-- release, another user's clone) whatever lies there, but build/.
function files.list(root)
  local output, ok = files.run(
    ("cd '%s' && git ls-files -co --exclude-standard 2>/dev/null"):format(root)
  )
  if not ok or output == "" then
    local prune = "\\( -path ./build -o -path ./.git \\) -prune"
    output = files.run(("cd '%s' && find . %s -o -type f -print"):format(root, prune))
  end
  local list = {}
  for path in output:gmatch("[^\n]+") do
    path = path:gsub("^%./", "")
    if files.exists(root .. "/" .. path) then
      list[#list + 1] = path
    end
  end
  table.sort(list)
  return list
end

-- Iterates the lines of a text with their numbers.
function files.lines(text)
  local number = 0
  local next_line = (text:match("\n$") and text or text .. "\n"):gmatch("(.-)\n")
  return function()
    local line = next_line()
    number = number + 1
    if line then
      return number, line
    end
  end
end

return files
