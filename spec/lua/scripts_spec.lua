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
