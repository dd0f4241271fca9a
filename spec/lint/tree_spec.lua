-- SPDX-License-Identifier: MIT

local files = require("spec.lint.files")
local scratch = require("spec.support.scratch")
local tree = require("spec.lint.tree")

describe("the tree checker", function()
  local root

  local function complaints(check, content)
    root = scratch.new(content)
    return check(root, files.list(root))
  end

  after_each(function()
    scratch.remove(root)
    root = nil
  end)

  it("knows the entries of the top level", function()
    local list = complaints(tree.top_level, {
      ["core/a.c"] = "",
      ["lua/README.md"] = "",
      [".editorconfig"] = "",
      ["Makefile"] = "",
      ["docs/a.md"] = "",
      ["docs/b.md"] = "",
      ["build/out.c"] = "",
    })
    assert.same({ "docs: does not belong at the top level" }, list)
  end)

  it("limits files to 500 lines and examples to 40", function()
    local list = complaints(tree.sizes, {
      ["core/fits.c"] = ("\n"):rep(500),
      ["core/long.c"] = ("\n"):rep(501),
      ["examples/fits.lua"] = ("\n"):rep(40),
      ["examples/long.lua"] = ("\n"):rep(41),
    })
    assert.same({
      "core/long.c: 501 lines, the limit is 500",
      "examples/long.lua: 41 lines, the limit is 40",
    }, list)
  end)

  it("refuses names that say nothing", function()
    local list = complaints(tree.sizes, {
      ["core/util.c"] = "",
      ["core/read_and_write.h"] = "",
      ["core/android.c"] = "",
    })
    assert.same({
      'core/read_and_write.h: a name with "and" says nothing: split it',
      'core/util.c: a name with "util" says nothing: split it',
    }, list)
  end)

  it("sees characters, blanks, indentation, width and the last newline", function()
    local list = complaints(tree.characters, {
      ["core/a.c"] = "caf\195\169\nint a; \n        int b;\n" .. ("\t"):rep(12) .. "12345\nend",
      ["lua/b.lua"] = "\tlocal x\n",
      ["core/good.c"] = "\tint a;\n" .. ("\t"):rep(12) .. "1234\n",
    })
    assert.same({
      "core/a.c: no newline at the end",
      "core/a.c:1: a character that is not ASCII",
      "core/a.c:2: blanks at the end of the line",
      "core/a.c:3: indented with spaces",
      "core/a.c:4: more than 100 columns",
      "lua/b.lua:1: a tab in Lua",
    }, list)
  end)

  it("wants a license line and include guards", function()
    local license = "/* SPDX-License-Identifier: MIT */\n"
    local list = complaints(tree.headings, {
      ["core/a.c"] = "int a;\n",
      ["core/b.h"] = license .. "#ifndef NSNET_B_H\n#define NSNET_B_H\n#endif\n",
      ["core/c.h"] = license .. "#ifndef C_H\n#define C_H\n#endif\n",
      ["core/d.h"] = license .. "#ifndef NSNET_D_H\n#define NSNET_X_H\n#endif\n",
      [".ci/run"] = "#!/bin/sh\n# SPDX-License-Identifier: MIT\n",
    })
    assert.same({
      "core/a.c:1: no license line",
      "core/c.h:2: no include guard NSNET_..._H",
      "core/d.h:2: no include guard NSNET_..._H",
    }, list)
  end)
end)
