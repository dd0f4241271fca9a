-- SPDX-License-Identifier: MIT
-- scratch - a folder with given files for one test.

local scratch = {}

-- Makes a new folder holding files = { ["path"] = "text" }; returns its path.
function scratch.new(files)
  local pipe = assert(io.popen("mktemp -d", "r"))
  local root = pipe:read("*l")
  pipe:close()
  assert(root and root ~= "", "mktemp failed")
  for path, text in pairs(files) do
    scratch.write(root, path, text)
  end
  return root
end

function scratch.write(root, path, text)
  local folder = (root .. "/" .. path):match("^(.*)/")
  assert(os.execute(("mkdir -p '%s'"):format(folder)) == 0)
  local file = assert(io.open(root .. "/" .. path, "wb"))
  file:write(text)
  file:close()
end

function scratch.remove(root)
  assert(root:match("^/.+/"), "not a scratch folder")
  assert(os.execute(("rm -rf '%s'"):format(root)) == 0)
end

return scratch
