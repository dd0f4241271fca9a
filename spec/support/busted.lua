-- SPDX-License-Identifier: MIT
-- busted.lua ARG... - busted's own command line, under the LuaJIT that runs this file.
require("busted.runner")({ standalone = false })
