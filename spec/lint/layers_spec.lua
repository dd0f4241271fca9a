-- SPDX-License-Identifier: MIT

local files = require("spec.lint.files")
local layers = require("spec.lint.layers")
local scratch = require("spec.support.scratch")

local order = "# lowest first\nbase\nlist log\nstack tun\nlua/vm\n"
  .. "lua/api lua/tools\nhello\nchild\nrules tools\n"

describe("the layer checker", function()
  local root

  -- The complaints about a tree that holds these files and the order above.
  local function complaints(tree)
    tree["core/LAYERS"] = tree["core/LAYERS"] or order
    root = scratch.new(tree)
    return layers.check(root, files.list(root))
  end

  local function assert_accepts(tree)
    assert.same({}, complaints(tree))
  end

  local function assert_refuses(tree, message)
    local list = complaints(tree)
    assert.equal(1, #list)
    assert.equal(message, list[1])
  end

  after_each(function()
    scratch.remove(root)
    root = nil
  end)

  it("accepts an include of a lower layer, beside the file or from the root", function()
    assert_accepts({
      ["core/base.h"] = "",
      ["core/list.h"] = '#include "base.h"\n',
      ["core/tun.c"] = '#include <ev.h>\n\n#include "core/list.h"\n# include "../core/base.h"\n',
    })
  end)

  it("accepts a module's own header", function()
    assert_accepts({ ["core/tun.h"] = "", ["core/tun.c"] = '#include "tun.h"\n' })
  end)

  it("catches an include of the same layer", function()
    assert_refuses(
      { ["core/list.h"] = "", ["core/log.c"] = '\n#include "list.h"\n' },
      "core/log.c:2: list is on the same line of core/LAYERS as log"
    )
  end)

  it("catches an include of a higher layer, in a header too", function()
    assert_refuses(
      { ["core/list.h"] = "", ["core/base.h"] = '#include "core/list.h"\n' },
      "core/base.h:1: list is above base in core/LAYERS"
    )
  end)

  it("catches a module that core/LAYERS does not list", function()
    assert_refuses({ ["core/new.c"] = "" }, "core/new.c:1: not listed in core/LAYERS")
    scratch.remove(root)
    assert_refuses({ ["lua/list.c"] = "" }, "lua/list.c:1: not listed in core/LAYERS")
  end)

  it("catches a name that core/LAYERS lists twice", function()
    assert_refuses(
      { ["core/LAYERS"] = "base\nlist base\n" },
      "core/LAYERS:2: base is named twice"
    )
  end)

  it("keeps lwIP in core/stack.c and in the port", function()
    assert_accepts({
      ["core/stack.c"] = "#include <lwip/tcp.h>\n",
      ["core/lwip/arch/cc.h"] = "#include <lwip/arch.h>\n",
    })
    scratch.remove(root)
    assert_refuses(
      { ["core/stack.h"] = "#include <lwip/tcp.h>\n" },
      "core/stack.h:1: only core/stack.c and core/inbox.c may include lwIP"
    )
    scratch.remove(root)
    assert_refuses(
      { ["core/tun.c"] = '#include "lwip/ip.h"\n' },
      "core/tun.c:1: only core/stack.c and core/inbox.c may include lwIP"
    )
  end)

  it("keeps Lua in lua/", function()
    assert_accepts({ ["lua/vm.c"] = "#include <lua.h>\n#include <lauxlib.h>\n" })
    scratch.remove(root)
    assert_refuses(
      { ["core/rules.c"] = "#include <lauxlib.h>\n" },
      "core/rules.c:1: only lua/ may include Lua"
    )
  end)

  it("lets only core/rules see lua/, and only lua/api.h (core/tools: "
        .. "lua/tools.h)", function()
    assert_accepts({
      ["lua/api.h"] = "",
      ["lua/api.c"] = '#include "lua/vm.h"\n#include "core/log.h"\n',
      ["lua/vm.h"] = "",
      ["core/log.h"] = "",
      ["core/rules.c"] = '#include "lua/api.h"\n',
      ["lua/tools.h"] = "",
      ["core/tools.c"] = '#include "lua/tools.h"\n',
    })
    scratch.remove(root)
    assert_refuses(
      { ["lua/api.h"] = "", ["core/child.c"] = '#include "lua/api.h"\n' },
      "core/child.c:1: only core/rules may include lua/, and only lua/api.h (core/tools: "
        .. "lua/tools.h)"
    )
    scratch.remove(root)
    assert_refuses(
      { ["lua/vm.h"] = "", ["core/rules.c"] = '#include "../lua/vm.h"\n' },
      "core/rules.c:1: only core/rules may include lua/, and only lua/api.h (core/tools: "
        .. "lua/tools.h)"
    )
  end)

  it("keeps the shim apart, but for the handshake in core/hello", function()
    assert_accepts({
      ["container-shim/handshake.h"] = "",
      ["container-shim/main.c"] = '#include "handshake.h"\n',
      ["core/hello.c"] = '#include "container-shim/handshake.h"\n',
    })
    scratch.remove(root)
    assert_refuses(
      { ["core/base.h"] = "", ["container-shim/main.c"] = '#include "../core/base.h"\n' },
      "container-shim/main.c:1: container-shim/ may include nothing of the rest"
    )
    scratch.remove(root)
    assert_refuses(
      { ["container-shim/tun.h"] = "", ["core/child.c"] = '#include "container-shim/tun.h"\n' },
      "core/child.c:1: only core/hello may include container-shim/, and only handshake.h"
    )
  end)
end)
