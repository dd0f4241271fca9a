-- SPDX-License-Identifier: MIT
-- What the program answers before it runs anything.

local files = require("spec.lint.files")
local build = assert(os.getenv("NSNET_BUILD"), "NSNET_BUILD is not set: run by make")

describe("nsnet-host", function()
  -- Its output and exit status.
  local function run(args)
    local command = ("timeout -k 2 30 '%s/nsnet-host' %s 2>&1; echo $?"):format(build, args)
    local output = files.run(command)
    local text, status = output:match("^(.-)(%d+)\n$")
    return text, tonumber(status)
  end

  it("checks scripts, and nothing that is none", function()
    assert.same({ "", 0 }, { run("--check -e 'nsnet.default(nsnet.deny)'") })
    local text, status = run("--check rules.lua")
    assert.equal(2, status)
    assert.is_truthy(text:find("--check 'rules.lua': ", 1, true), text)
    text, status = run("--check")
    assert.equal(2, status)
    assert.is_truthy(text:find("name a script", 1, true), text)
    text, status = run("--check -e \"$(printf '\\033LJ')\"")
    assert.equal(70, status)
    assert.is_truthy(text:find("nsnet-host: -e: this is compiled code", 1, true), text)
  end)

  it("refuses options of its tools that would not be heeded", function()
    for _, args in ipairs { "--src 192.0.2.1 -- true", "--inbound -- true", "--name a.example true",
      "--coverage -- true", "--sni a.example --pid 1" } do
      local text, status = run(args)
      assert.equal(2, status, text)
      assert.is_truthy(text:find("^nsnet%-host: %-%-[a-z]+: is for nsnet%-host explain"), text)
    end
  end)

  it("tells how each of its subcommands is called", function()
    local count = 0
    for name in run("--help"):gmatch("nsnet%-host ([%l-]+)[^\n]*\n") do
      if name:sub(1, 1) ~= "-" then
        count = count + 1
        local text, status = run(name .. " --help")
        assert.equal(0, status, name)
        assert.is_truthy(text:find("usage: nsnet-host " .. name, 1, true), text)
      end
    end
    assert.is_true(count >= 7)
    local text, status = run("explain -e 'nsnet.default(nsnet.deny)' tcp 192.0.2.1:80 --help")
    assert.equal(0, status)
    assert.is_truthy(text:find("^usage: nsnet%-host explain"), text)
  end)
end)
