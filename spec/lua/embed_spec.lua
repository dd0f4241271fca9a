-- SPDX-License-Identifier: MIT
-- lua/embed.lua: the table that lua/modules.h declares.

local scratch = require("spec.support.scratch")

describe("lua/embed.lua", function()
  local root

  local function embed(files)
    root = scratch.new(files)
    local paths = {}
    for path in pairs(files) do
      paths[#paths + 1] = ("'%s/%s'"):format(root, path)
    end
    local pipe = assert(io.popen(
      ("luajit lua/embed.lua '%s/out.c' %s 2>&1; echo $?"):format(root, table.concat(paths, " "))
    ))
    local output, status = pipe:read("*a"):match("^(.-)(%d+)\n$")
    pipe:close()
    return status == "0", output
  end

  -- What a C program sees in the table: one line per entry, name and length, then the text.
  local function entries()
    scratch.write(root, "main.c", [[
#include <stdio.h>
#include "lua/modules.h"
int main(void)
{
  for (const struct lua_module *m = lua_modules; m->name; m++)
    printf("%s %zu %d\n%s", m->name, m->len, m->text[m->len], m->text);
  return 0;
}
]])
    local command = "cc -I. -o '$/a.out' '$/main.c' '$/out.c' 2>&1 && '$/a.out'"
    local pipe = assert(io.popen((command:gsub("%$", root))))
    local text = pipe:read("*a")
    pipe:close()
    return text
  end

  after_each(function()
    scratch.remove(root)
  end)

  it("names modules as require does, in the files' order, each ended by a NUL", function()
    assert.is_true(embed({
      ["lua/nsnet/match.lua"] = "return 1\n",
      ["lua/nsnet/init.lua"] = "return '\\\\ \"'\n",
      ["lua/nsnet/deep/x.lua"] = "",
    }))
    assert.equal(
      "nsnet.deep.x 0 0\nnsnet 14 0\nreturn '\\\\ \"'\nnsnet.match 9 0\nreturn 1\n",
      entries()
    )
  end)

  it("ends an empty table", function()
    assert.is_true(embed({}))
    assert.equal("", entries())
  end)

  it("stops at a file that does not parse, with its line", function()
    local ok, output = embed({ ["lua/nsnet/bad.lua"] = "\nlocal = 1\n" })
    assert.is_false(ok)
    assert.is_truthy(output:find("lua/nsnet/bad.lua:2:", 1, true))
  end)
end)
