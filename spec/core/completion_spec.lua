-- SPDX-License-Identifier: MIT
-- The completions that core/completion.lua makes of --help, tried in the shells.

local build = assert(os.getenv("NSNET_BUILD"), "NSNET_BUILD is not set: run by make")
local at = build .. "/completion/"

local function run(command)
  local p = assert(io.popen(command .. " 2>&1; echo \"status $?\""))
  local text, status = p:read("*a"):match("^(.-)status (%d+)\n$")
  p:close()
  return text, tonumber(status)
end

-- What bash offers for the last of the words.
local function offers(words)
  local quoted = {}
  for _, w in ipairs(words) do quoted[#quoted + 1] = "'" .. w .. "'" end
  local script = [[source "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _nsnet_host; ]] ..
    [[printf "%s\n" "${COMPREPLY[@]}"]]
  local text, status = run(("bash --norc -c '%s' '%sbash' nsnet-host %s"):format(
    script, at, table.concat(quoted, " ")))
  assert.equal(0, status, text)
  local set = {}
  for line in text:gmatch("[^\n]+") do set[line] = true end
  return set
end

describe("the completion for bash", function()
  it("offers every option of --help", function()
    local set, count = offers { "--" }, 0
    for name in run(build .. "/nsnet-host --help"):gmatch("\n  [-%a ][%a ][, ] (%-%-[%a%d-]+)") do
      count = count + 1
      assert.is_true(set[name] ~= nil, name)
    end
    assert.is_true(count > 10)
  end)

  it("offers the values of an option that has few", function()
    assert.same({ allow = true, deny = true }, offers { "--default", "" })
    assert.same({ deny = true }, offers { "--default", "d" })
  end)

  it("offers files for a script", function()
    assert.same({ ["core/completion.lua"] = true }, offers { "-s", "core/compl" })
  end)

  it("offers subcommands and commands for the first word, and leaves the command alone", function()
    assert.is_true(offers({ "doc" }).doctor)
    assert.is_true(offers({ "--", "ba" }).bash)
    assert.is_nil(offers({ "--", "bash", "--roo" })["--root"])
    assert.is_nil(offers({ "-v", "bash", "--roo" })["--root"])
    assert.is_true(offers({ "--default", "deny", "--roo" })["--root"])
  end)
end)

describe("the completions for zsh and fish", function()
  it("are programs of these shells", function()
    local text, status = run("zsh -n '" .. at .. "zsh'")
    assert.equal(0, status, text)
    text, status = run("HOME=/nonexistent fish --no-execute '" .. at .. "fish'")
    assert.equal(0, status, text)
  end)

  it("offer in fish what bash offers", function()
    local script = ([[source "%sfish"; complete -C "nsnet-host --default "]]):format(at)
    local text, status = run("HOME=/tmp fish --no-config -c '" .. script .. "'")
    assert.equal(0, status, text)
    assert.is_truthy(text:match("allow"))
    assert.is_truthy(text:match("deny"))
  end)
end)
