-- SPDX-License-Identifier: MIT
-- .luacheckrc - what scripts and tests of nsnet-host find in their sandbox, for luacheck.
-- Written by: nsnet-host lua-init.

local function fields(names)
  local all = {}
  for name in names:gmatch "%S+" do
    all[name] = {}
  end
  return all
end

local function library(names)
  return { fields = fields(names) }
end

local nsnet = fields [[
  allow deny drop redirect via default rules guard on_connect on_flow on_first_bytes on_dns dialer
  on_data on_packet on_close on_start on_exit sleep dial resolve spawn after every bucket cidrs
  domains append persist split_address ip_bytes ip_text require_api api version reloading
]]
nsnet.log = library "debug info warn error conn"
nsnet.json = library "null encode decode list"
nsnet.restored = { other_fields = true }
nsnet.state = { other_fields = true, read_only = false }

local globals = fields [[
  _VERSION assert collectgarbage error getmetatable ipairs load loadstring next pairs pcall print
  rawequal rawget rawset require select setmetatable tonumber tostring type unpack xpcall
]]
globals._G = { other_fields = true }
globals.nsnet = { fields = nsnet }
globals.bit = library "arshift band bnot bor bswap bxor lshift rol ror rshift tobit tohex"
globals.coroutine = library "create isyieldable resume running status wrap yield"
globals.debug = library "traceback"
globals.math = library [[
  abs acos asin atan atan2 ceil cos cosh deg exp floor fmod frexp huge ldexp log log10 max min modf
  pi pow rad random randomseed sin sinh sqrt tan tanh
]]
globals.os = library "clock date difftime getenv time"
globals.string = library [[
  byte char find format gmatch gsub len lower match rep reverse sub upper
]]
globals.table = library "concat insert maxn move remove sort"

stds.nsnet = { read_globals = globals }
std = "nsnet"
exclude_files = { "**/*.d.lua", "*.d.lua" }
