-- SPDX-License-Identifier: MIT
-- spec/TRAPS.md names specs as proof: they are there, and have what it quotes.
local files = require("spec.lint.files")

describe("spec/TRAPS.md", function()
  local text = files.read("spec/TRAPS.md")

  local function source(name)
    for _, kind in ipairs({ ".c", ".lua" }) do
      if files.exists("spec/" .. name .. kind) then return files.read("spec/" .. name .. kind) end
    end
  end

  it("names files that exist, and quotes what stands in them", function()
    local wrong, quotes, names = {}, 0, 0
    for row in text:gmatch("[^\n]+") do
      local proof = row:match("^| .- | (.*) |$")
      -- Each name, and what is quoted up to the next one.
      for name, rest in (proof or ""):gmatch("`([%w_]+/[%w_]+)`([^`]*)") do
        local code = source(name)
        names = names + 1
        if not code then wrong[#wrong + 1] = name end
        for quoted in rest:gmatch('"([^"]+)"') do
          quotes = quotes + 1
          if code and not code:find(quoted, 1, true) then
            wrong[#wrong + 1] = ("%s has no %q"):format(name, quoted)
          end
        end
      end
    end
    assert.same({}, wrong)
    assert.is_true(names > 40 and quotes > 15, names .. " names, " .. quotes .. " quotes")
  end)
end)
