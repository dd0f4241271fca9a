---@meta nsnet.test
-- SPDX-License-Identifier: MIT
-- nsnet.test.d.lua - what tests of rule scripts are made of (nsnet-host test), for editors.
-- Written by: nsnet-host lua-init. lua/README.md describes what is here.

---@class nsnet.test.LoadOptions
---@field default? "allow"|"deny"
---@field env? string
---@field dry_run? boolean
---@field allow_host? boolean

---@alias nsnet.test.Scripts string|{ code: string, name?: string }|(string|{ code: string })[]

---@class nsnet.test.Connect
---@field dst string "192.0.2.1:443"
---@field src? string
---@field name? string what the command was told the address is of
---@field dns? string the same
---@field sni? string
---@field http_host? string
---@field process? string who makes it: "curl", or "/usr/bin/curl"
---@field first? string the bytes that the command says first
---@field inbound? boolean a call from outside: src is the caller, dst is inside
---@field auto? boolean through a port that -p auto found

---@class nsnet.test.Flow
---@field network "udp"|"icmp"
---@field dst string
---@field src? string
---@field name? string
---@field process? string
---@field inbound? boolean
---@field auto? boolean

---@class nsnet.test.Ask
---@field name string
---@field type? string "A", "AAAA", "TXT"
---@field network? "udp"|"tcp"
---@field src? string
---@field server? string the address that is asked

---@class nsnet.test.Packet
---@field dir? "out"|"in"
---@field proto? nsnet.Proto|integer
---@field src? string
---@field dst? string
---@field flags? string letters of FSRPAUEC
---@field payload? string
---@field ttl? integer
---@field bytes? string the whole packet

---@class nsnet.test.Rules
local Rules = {}

---@param options nsnet.test.Connect
---@return nsnet.test.Connection
function Rules:connect(options) end

---@param options nsnet.test.Flow
---@return nsnet.test.Connection
function Rules:flow(options) end

---@param options nsnet.test.Ask
---@return nsnet.test.Question
function Rules:ask(options) end

---@param options nsnet.test.Packet
---@return "pass"|"drop"
function Rules:packet(options) end

---@return true|nil ok
---@return string|nil err
function Rules:start() end

---@param status? integer
function Rules:exit(status) end

---@return true|nil ok
---@return string|nil err
function Rules:reload() end

---@param name string of a rule, or a handler's "file:line"
---@return integer
function Rules:hits(name) end

---@class nsnet.test.Connection
---@field action nsnet.Action
---@field address string
---@field asked table[]
---@field bytes_down number
---@field bytes_up number
---@field close_reason string|nil
---@field decided_by string|nil
---@field dial_error string|nil
---@field elapsed number virtual seconds
---@field error string|nil
---@field explain string
---@field limits table|nil
---@field network nsnet.Network
---@field open boolean
---@field reason string|nil
---@field rule string
---@field style nsnet.Style|nil
---@field tags string|nil
---@field target string|nil
---@field waits boolean its first bytes will decide
---@field where string|nil
local Connection = {}

---The command speaks; returns what goes on, or nil and how it ended.
---@param bytes string
---@return string|nil bytes
---@return string|nil cause
function Connection:say(bytes) end

---@return string|nil bytes
---@return string|nil cause
function Connection:finish() end

---The destination speaks, or who plays it; returns what the command gets.
---@param bytes? string
---@return string|nil bytes
---@return string|nil cause
function Connection:hear(bytes) end

---@param cause? "closed"|"reset by child"|"reset by world"|"idle"
function Connection:close(cause) end

---@return nsnet.test.Connection
function Connection:look() end

---@class nsnet.test.Question
---@field a string[]|nil
---@field aaaa string[]|nil
---@field action nsnet.Action|"answer"
---@field cname string|nil
---@field elapsed number virtual seconds
---@field explain string
---@field name string
---@field rcode string|nil "NOERROR", "REFUSED"
---@field reason string|nil
---@field rule string
---@field server string|nil of a redirect
---@field style nsnet.Style|nil
---@field ttl integer|nil
---@field txt string[]|nil
---@field where string|nil

---@class nsnet.test.Peer
local Peer = {}

---@param bytes string
---@return nsnet.test.Peer
function Peer:expect(bytes) end
---@param mark string
---@return nsnet.test.Peer
function Peer:expect_until(mark) end
---@param bytes string
---@return nsnet.test.Peer
function Peer:send(bytes) end
---@param seconds number
---@return nsnet.test.Peer
function Peer:wait(seconds) end
---@return nsnet.test.Peer
function Peer:close() end
---@return nsnet.test.Peer
function Peer:silent() end
---@return nsnet.test.Peer
function Peer:refuse() end
---@return nsnet.test.Peer
function Peer:unreachable() end
---@return nsnet.test.Peer
function Peer:blackhole() end
---@return nsnet.test.Peer
function Peer:optional() end

local t = {}

---@param name string
---@param fn fun()
function t.describe(name, fn) end
---@param name string
---@param fn async fun()
function t.it(name, fn) end
---@param fn async fun()
function t.before_each(fn) end
---@param fn async fun()
function t.after_each(fn) end

---@param what nsnet.test.Scripts
---@param options? nsnet.test.LoadOptions
---@return nsnet.test.Rules
function t.load(what, options) end
---@param what nsnet.test.Scripts
---@param options? nsnet.test.LoadOptions
---@return string message
---@return integer status
function t.load_error(what, options) end

---@overload fun(address: string, fn?: async fun(stream: nsnet.Stream)): nsnet.test.Peer
---@param network nsnet.DialNetwork
---@param address string
---@param fn? async fun(stream: nsnet.Stream)
---@return nsnet.test.Peer
function t.peer(network, address, fn) end
---@param name string
---@param addresses string[]
function t.resolves(name, addresses) end
---@param addresses string[]
function t.own(addresses) end
---@return string[]
function t.dialed() end

---@async
---@param seconds number
function t.sleep(seconds) end
---@return number seconds
function t.passed() end
---@param time string "2030-12-31 23:59"
function t.clock(time) end
---@param seconds number
function t.clock_at_most(seconds) end

---@return string[]
function t.log() end
---@param text string
function t.logged(text) end
---@param text string
function t.not_logged(text) end
---@param text string
function t.allow_error(text) end

---@param message? any
function t.eq(got, expected, message) end
---@param message? any
function t.ne(got, other, message) end
---@param message? any
function t.same(got, expected, message) end
---@param distance? number
---@param message? any
function t.near(got, expected, distance, message) end
---@generic T
---@param got T
---@param message? any
---@return T
function t.ok(got, message) end
---@param text string
---@param message? any
function t.has(got, text, message) end
---@param pattern string
---@param message? any
function t.match(got, pattern, message) end
---@param fn fun()
---@param text? string
---@return string message
function t.raises(fn, text) end
---@param message? any
function t.fail(message) end
---@param c nsnet.test.Connection|nsnet.test.Question
---@param rule? string
---@return nsnet.test.Connection|nsnet.test.Question
function t.allowed(c, rule) end
---@param c nsnet.test.Connection|nsnet.test.Question
---@param rule? string
---@return nsnet.test.Connection|nsnet.test.Question
function t.denied(c, rule) end
---@param c nsnet.test.Connection|nsnet.test.Question
---@param rule? string
---@return nsnet.test.Connection|nsnet.test.Question
function t.dropped(c, rule) end
---@param c nsnet.test.Connection|nsnet.test.Question
---@param target? string
---@return nsnet.test.Connection|nsnet.test.Question
function t.redirected(c, target) end

return t
