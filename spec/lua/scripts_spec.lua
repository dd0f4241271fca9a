-- SPDX-License-Identifier: MIT
-- The finished scripts and the example have tests of their own, for nsnet-host test; so have rules.

local files = require("spec.lint.files")
local build = assert(os.getenv("NSNET_BUILD"), "NSNET_BUILD is not set: run by make")

describe("the tests of", function()
  local function run(path)
    local output, ok = files.run(("timeout -k 2 120 '%s/nsnet-host' test --coverage %s 2>&1")
      :format(build, path))
    assert.is_true(ok, output)
    assert.is_truthy(output:find("\n[1-9]%d* passed, 0 failed\n$"), output)
  end

  for _, path in ipairs(files.list(".")) do
    if path:match("^spec/.*_test%.lua$") or path:match("^examples/tests/.*_test%.lua$") then
      it(path, function()
        run(path)
      end)
    end
  end
end)

describe("scripts/README.md", function()
  it("tells of every finished script, and each has a test", function()
    local text = files.read("scripts/README.md")
    local scripts, rows, count = {}, {}, 0
    for _, path in ipairs(files.list(".")) do
      local name = path:match("^scripts/([%w_]+%.lua)$")
      if name then
        count = count + 1
        scripts[name] = true
        assert.is_truthy(files.read("spec/scripts/" .. name:gsub("%.lua$", "_test.lua")), name)
      end
    end
    for name, link in text:gmatch("\n| %[([^%]]+)%]%(([^)]+)%) |") do
      assert.equal(name, link)
      rows[name] = true
    end
    assert.same(scripts, rows)
    assert.is_true(count >= 13)
  end)
end)
