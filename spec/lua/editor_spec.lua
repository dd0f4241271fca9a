-- SPDX-License-Identifier: MIT
-- nsnet-host lua-init: what it writes, what it leaves alone, and that the settings hold for what
-- there is. That the definitions of nsnet agree with the program is in editor_spec.c.

local definitions = require("spec.lua.definitions")
local files = require("spec.lint.files")
local scratch = require("spec.support.scratch")
local build = assert(os.getenv("NSNET_BUILD"), "NSNET_BUILD is not set: run by make")

describe("nsnet-host lua-init", function()
  local root

  before_each(function()
    root = scratch.new({})
  end)

  after_each(function()
    scratch.remove(root)
  end)

  -- Runs a shell command in the scratch folder: its output, stderr too, and its status.
  local function run(command)
    local pipe = assert(io.popen(("cd '%s' && { %s; } 2>&1; echo $?"):format(root, command)))
    local output, status = pipe:read("*a"):match("^(.-)(%d+)\n$")
    pipe:close()
    return output, tonumber(status)
  end

  local function init(args)
    return run(("timeout -k 2 60 '%s/nsnet-host' lua-init %s"):format(build, args or ""))
  end

  it("writes its files, and is content with them", function()
    local output, status = init()
    assert.equal([[
./.luacheckrc was written
./.luarc.json was written
./nsnet.d.lua was written
./nsnet.http_connect.d.lua was written
./nsnet.socks5.d.lua was written
./nsnet.test.d.lua was written
]], output)
    assert.equal(0, status)
    output, status = init(root)
    assert.equal(6, select(2, output:gsub(" is as it should be\n", "")))
    assert.equal(0, status)
    assert.equal(files.read("lua/editor/nsnet.d.lua"), files.read(root .. "/nsnet.d.lua"))
    assert.same({ "", 0 }, { run("jq -e '.runtime.version == \"LuaJIT\"' .luarc.json >/dev/null") })
  end)

  it("leaves what was changed, says so, and writes the others", function()
    scratch.write(root, ".luacheckrc", "std = 'max'\n")
    assert.equal("", (run("ln -s nowhere .luarc.json; mkdir nsnet.d.lua")))
    local output, status = init()
    local rest = " is there and differs: left as it is; to have this release's, move it away and "
      .. "say lua-init again\n"
    assert.equal("nsnet-host: lua-init: ./.luacheckrc" .. rest
      .. "nsnet-host: lua-init: ./.luarc.json" .. rest .. "nsnet-host: lua-init: ./nsnet.d.lua"
      .. rest .. "./nsnet.http_connect.d.lua was written\n./nsnet.socks5.d.lua was written\n"
      .. "./nsnet.test.d.lua was written\n", output)
    assert.equal(1, status)
    assert.equal("std = 'max'\n", files.read(root .. "/.luacheckrc"))
    assert.equal("nowhere\n", (run("readlink .luarc.json")))
  end)

  it("ends with 73 where it cannot write, with 2 for two directories", function()
    local output, status = init("none")
    assert.equal("nsnet-host: lua-init: none/.luacheckrc cannot be written: No such file or "
      .. "directory; name a directory of yours\n", output)
    assert.equal(73, status)
    output, status = init("a b")
    assert.equal("nsnet-host: lua-init 'b': one directory at a time\n", output)
    assert.equal(2, status)
  end)

  it("has luacheck content with all scripts, examples and tests", function()
    local tree = assert(io.popen("pwd")):read("*l")
    init()
    assert.equal("", (run(("cp -r '%s'/scripts '%s'/examples ."):format(tree, tree))))
    assert.equal("", (run(("cp '%s'/spec/scripts/*_test.lua ."):format(tree))))
    local output, status = run("luacheck -q --no-color .")
    assert.equal(0, status, output)
    assert.is_truthy(tonumber(output:match("in (%d+) files")) > 40, output)
  end)

  it("has luacheck find what is not there", function()
    init()
    scratch.write(root, "bad.lua", "nsnet.on_conect()\nio.open 'x'\nnsnet.deny = 1\n"
      .. "nsnet.state.mine = string.dump\nos.exit()\nmine = nsnet.log.inform\n")
    local output, status = run("luacheck --no-color --codes bad.lua")
    assert.equal(1, status)
    for _, want in ipairs({ "1:1: (W143)", "2:1: (W113)", "3:1: (W122)", "4:20: (W143)",
      "5:1: (W143)", "6:1: (W111)", "6:8: (W143)" }) do
      assert.is_truthy(output:find(want, 1, true), want .. " is not in " .. output)
    end
    assert.equal("7", output:match("Total: (%d+) warnings"))
  end)

  -- The names of the module nsnet.test, as a test finds them.
  local WALK = [[
local t = require "nsnet.test"
local names = {}
local function put(prefix, list)
  for name in pairs(list) do
    if not name:find "^__" then
      names[#names + 1] = "<" .. prefix .. name .. ">"
    end
  end
end
t.it("walks", function()
  local rules = t.load { code = "" }
  local c = t.allowed(rules:connect { dst = "192.0.2.1:80" })
  put("t.", t)
  put("nsnet.test.Rules:", getmetatable(rules).__index)
  put("nsnet.test.Peer:", getmetatable(t.peer("192.0.2.1:1"):optional()).__index)
  put("nsnet.test.Connection.", getmetatable(c).fields)
  put("nsnet.test.Question.", getmetatable(t.allowed(rules:ask { name = "a.example" })).fields)
  put("nsnet.test.Connection:", getmetatable(c).methods)
  t.fail(table.concat(names, " "))
end)
]]

  it("defines what the library's dialers take, and nothing else", function()
    local options = {}
    for name in files.read("lua/editor/nsnet.socks5.d.lua"):gmatch("%-%-%-@field (%w+)") do
      options[#options + 1] = name
    end
    for _, name in ipairs { "socks5", "http_connect" } do
      local defined = {}
      for what in files.read(("lua/editor/nsnet.%s.d.lua"):format(name))
        :gmatch("function " .. name .. "%.([%w_]+)") do
        defined[#defined + 1] = what
      end
      scratch.write(root, "look.lua", ([[
        local names = {}
        for key in pairs(require "nsnet.%s") do names[#names + 1] = key end
        table.sort(names)
        nsnet.log.error("has <%%s>", table.concat(names, " "))
        nsnet.log.error("%%s", select(2, pcall(require "nsnet.%s".dialer, { x = 1 })))
      ]]):format(name, name))
      local output = run(("'%s/nsnet-host' explain -s look.lua tcp 192.0.2.1:1"):format(build))
      assert.equal(table.concat(defined, " "), output:match("has <([^>]*)>"), output)
      assert.equal(table.concat(options, ", "), output:match("there are ([^\n]+)"), output)
    end
  end)

  it("defines what a test has", function()
    local real, defined = {}, {}
    scratch.write(root, "walk_test.lua", WALK)
    local output = run(("'%s/nsnet-host' test walk_test.lua"):format(build))
    for name in output:gmatch("<([%w_.:]+)>") do
      real[#real + 1] = name
    end
    for _, name in ipairs(definitions.read(files.read("lua/editor/nsnet.test.d.lua"))) do
      if name:find("^t%.") or name:find("Connection") or name:find("Question")
        or name:find(":") then
        defined[#defined + 1] = name
      end
    end
    assert.is_true(#real > 60, output)
    assert.is_nil(definitions.difference(defined, real))
    assert.equal("only defined: t.new; only real: ",
      definitions.difference({ "t.new", unpack(real) }, real))
    assert.equal("only defined: ; only real: " .. real[1],
      definitions.difference({ unpack(real, 2) }, real))
  end)
end)
