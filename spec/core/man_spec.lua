-- SPDX-License-Identifier: MIT
-- nsnet-host(1) and --help speak of the same options.

local build = assert(os.getenv("NSNET_BUILD"), "NSNET_BUILD is not set: run by make")

describe("nsnet-host(1)", function()
  local help = {}
  local printed = assert(io.popen(build .. "/nsnet-host --help"))
  for line in printed:lines() do
    local name = line:match("^  [-%a ][%a ][, ] %-%-([%a%d-]+)")
    if name then help[name] = true end
  end
  printed:close()
  local man = {}
  for line in io.lines("core/nsnet-host.1.scd") do
    -- A line that begins with an option explains it, and its synonyms.
    for name in (line:match("^%*%-.*") or ""):gmatch("%*%-%-([%a%d-]+)%*") do man[name] = true end
  end

  it("explains every option of --help", function()
    assert.is_true(next(help) ~= nil)
    for name in pairs(help) do assert.is_true(man[name] ~= nil, "not in the manual: --" .. name) end
  end)

  it("explains no other", function()
    for name in pairs(man) do assert.is_true(help[name] ~= nil, "not in --help: --" .. name) end
  end)
end)
