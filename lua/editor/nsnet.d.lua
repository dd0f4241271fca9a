---@meta nsnet
-- SPDX-License-Identifier: MIT
-- nsnet.d.lua - the API of nsnet-host's rule scripts, for editors that run lua-language-server.
-- Written by: nsnet-host lua-init. No script reads it; lua/README.md describes what is here.

---@alias nsnet.Action "allow"|"deny"|"drop"|"redirect"|"via"
---@alias nsnet.Style "refuse"|"unreachable"|"prohibited"|"reset"|"drop"
---@alias nsnet.Network "tcp"|"udp"|"icmp"
---@alias nsnet.RuleNetwork "tcp"|"udp"|"icmp"|"dns"
---@alias nsnet.DialNetwork "tcp"|"udp"|"unix"
---@alias nsnet.PacketDir "out"|"in"|"both"
---@alias nsnet.DataDir "up"|"down"|"both"
---@alias nsnet.Proto "tcp"|"udp"|"icmp"|"icmpv6"
---@alias nsnet.Code
---| "timeout" | "closed" | "refused" | "unreachable" | "reset" | "resolve" | "denied" | "busy"
---| "limit" | "cancelled" | "proto"
---@alias nsnet.Ports integer|string|(integer|string)[] 443, "8000-8999" or a list of those
---@alias nsnet.Addresses string|string[]|nsnet.Cidrs "10.0.0.0/8", a list, nsnet.cidrs{...}
---@alias nsnet.Names string|string[]|nsnet.Domains "a.b", "*.a.b" below it, ".a.b" both

---What a hook answers with; calling it gives one with a reason: nsnet.deny "why".
---@class nsnet.Verdict
---@field action nsnet.Action
---@field reason string|nil
---@field style nsnet.Style|nil of a denial
---@field target string|nil of a redirect, "192.0.2.1:8080"
---@operator call(string|nsnet.DenyOptions): nsnet.Verdict

---@class nsnet.DenyOptions
---@field reason? string
---@field style? nsnet.Style how the command sees it; "refuse" if nothing is said

---@class nsnet.RedirectOptions
---@field host_loopback? boolean the target is a server on the host itself
---@field reason? string

---@alias nsnet.Dialer fun(network: string, address: string, conn: nsnet.Conn): any, string?, any

---@alias nsnet.OnData fun(conn: nsnet.Conn, dir: "up"|"down", bytes: string): string|nsnet.Verdict?

-- Filters

---Conditions, checked before Lua is called: all that are given must hold.
---@class nsnet.FlowFilter
---@field port? nsnet.Ports of the destination
---@field cidr? nsnet.Addresses of the destination; names the address
---@field network? nsnet.Network|nsnet.Network[]
---@field domain? nsnet.Names the name of the destination
---@field inbound? boolean true: calls from outside; false: what the command opens
---@field process? string|string[] "curl" or "/usr/bin/curl"

---@class nsnet.HookFilter: nsnet.FlowFilter
---@field observe? boolean decides nothing, and its errors cost nothing

---@class nsnet.BytesFilter
---@field port? nsnet.Ports
---@field cidr? nsnet.Addresses
---@field network? nsnet.Network|nsnet.Network[]
---@field domain? nsnet.Names
---@field process? string|string[]
---@field sni? nsnet.Names the name in a ClientHello
---@field http_host? nsnet.Names the name in a request's Host
---@field ech? boolean another name may be hidden behind the visible one
---@field observe? boolean

---@class nsnet.DnsFilter
---@field domain? nsnet.Names
---@field type? string|string[] "A", "TXT", "TYPE65"
---@field observe? boolean

---@class nsnet.DataFilter
---@field port? nsnet.Ports
---@field cidr? nsnet.Addresses
---@field dir? nsnet.DataDir

---@class nsnet.PacketFilter
---@field port? nsnet.Ports of the far end
---@field cidr? nsnet.Addresses of the far end
---@field dir? nsnet.PacketDir
---@field proto? nsnet.Proto|integer

---A rule of nsnet.rules: conditions, and a verdict as its last element.
---@class nsnet.Rule: nsnet.FlowFilter
---@field name? string for messages
---@field when? async fun(conn: nsnet.Conn): boolean? a last condition
---@field network? nsnet.RuleNetwork|nsnet.RuleNetwork[]
---@field sni? nsnet.Names
---@field http_host? nsnet.Names
---@field ech? boolean
---@field [1] nsnet.Verdict

-- Objects

---@class nsnet.Parent
---@field pid integer
---@field name string

---@class nsnet.Process
---@field pid integer
---@field name string its short name, at most 15 bytes
---@field exe string|nil
---@field cwd string|nil
---@field argv string[]
---@field parents nsnet.Parent[] nearest first

---A connection or flow. Fields that say nothing are nil.
---@class nsnet.Conn
---@field id integer
---@field network nsnet.Network
---@field inbound boolean a call from outside
---@field src_ip string the command's side; inbound: the caller's
---@field src_port integer|nil
---@field dst_ip string canonical
---@field dst_port integer|nil
---@field dst_literal string as the command wrote it
---@field address string "192.0.2.1:443", "[2001:db8::1]:443"
---@field host string|nil the best known name of the destination
---@field host_source "dns"|"literal"
---@field sni string|nil from on_first_bytes on
---@field http_host string|nil from on_first_bytes on
---@field verdict nsnet.Action|nil
---@field rule string|nil who decided
---@field reason string|nil
---@field target string|nil where it goes
---@field opened number seconds
---@field duration number seconds
---@field process nsnet.Process|nil
---@field bytes_up number
---@field bytes_down number
---@field close_reason string|nil after the end
---@field dial_error string|nil why it could not be connected
---@field tags string|nil
---@field ctx table yours; lives as long as the connection
local Conn = {}

---@param text string
function Conn:tag(text) end

---@param reason? string
function Conn:close(reason) end

---What the command has sent, at least n bytes if they come; consumes nothing. In on_first_bytes.
---@async
---@param n? integer
---@return string bytes
function Conn:peek(n) end

---In on_connect or a dialer, for TCP.
---@param limits nsnet.Limits
function Conn:limit(limits) end

---@class nsnet.Limits
---@field up? number|nsnet.Bucket bytes a second
---@field down? number|nsnet.Bucket bytes a second
---@field burst? number bytes
---@field latency? number seconds
---@field jitter? number seconds
---@field reset_after? number bytes to the command
---@field seed? number

---A question to the name server.
---@class nsnet.Query
---@field name string lower case, no dot at the end
---@field type string "A", "HTTPS", "TYPE4711"
---@field network "udp"|"tcp"
---@field src_ip string
---@field src_port integer
---@field server string the address that was asked
local Query = {}

---@param answer nsnet.Answer
---@return nsnet.Verdict
function Query:answer(answer) end

---@param server? string the name server to ask; without it those of the host
---@return nsnet.Verdict
function Query:forward(server) end

---@class nsnet.Answer
---@field a? string|string[]
---@field aaaa? string|string[]
---@field txt? string|string[]
---@field cname? string
---@field ttl? integer seconds

---An IP packet; valid only in the hook.
---@class nsnet.Pkt
---@field dir "out"|"in"
---@field len integer
---@field version 4|6
---@field proto integer
---@field network nsnet.Network|nil
---@field src_ip string
---@field dst_ip string
---@field src_port integer|nil
---@field dst_port integer|nil
---@field src_u32 integer|nil cheaper than text
---@field dst_u32 integer|nil
---@field ttl integer
---@field tcp_flags integer|nil
---@field icmp_type integer|nil
---@field icmp_code integer|nil
---@field fragment boolean
local Pkt = {}

---@param offset integer from 0, at the IP header
---@return integer|nil
function Pkt:byte(offset) end

---@param first integer
---@param last? integer
---@return string
function Pkt:sub(first, last) end

---@class nsnet.Stream
---@field peer string
---@field local_address string
local Stream = {}

---1 to max bytes, what there is; nil, "closed" at the end.
---@async
---@param max? integer
---@return string|nil bytes, string|nil err, nsnet.Code|nil code
function Stream:read(max) end

---@async
---@param n integer
---@return string|nil bytes, string|nil err, nsnet.Code|nil code
function Stream:read_exact(n) end

---A line without its end.
---@async
---@param max? integer
---@return string|nil line, string|nil err, nsnet.Code|nil code
function Stream:read_line(max) end

---Up to and with the mark.
---@async
---@param mark string
---@param max? integer
---@return string|nil bytes, string|nil err, nsnet.Code|nil code
function Stream:read_until(mark, max) end

---@async
---@param bytes string|string[]
---@return true|nil ok, string|nil err, nsnet.Code|nil code
function Stream:write(bytes) end

function Stream:shutdown() end

function Stream:close() end

---@param seconds number for each read and write
function Stream:set_timeout(seconds) end

---For a UDP stream that a dialer returns: a SOCKS5 header for each datagram.
---@param header string
---@param control? nsnet.Stream the flow ends with it
function Stream:enclose(header, control) end

---@class nsnet.Cidrs
---@field count integer
local Cidrs = {}

---@param ip string
---@return boolean
function Cidrs:has(ip) end

---@class nsnet.Domains
---@field count integer
local Domains = {}

---@param name string
---@return boolean
function Domains:match(name) end

---Of nsnet.spawn, nsnet.after and nsnet.every.
---@class nsnet.Task
local Task = {}

function Task:cancel() end

---Waits for its end. Of nsnet.spawn only.
---@async
---@return true|nil ok, string|nil err, nsnet.Code|nil code
function Task:join() end

---Bytes a second that connections share.
---@class nsnet.Bucket

---@class nsnet.BucketOptions
---@field rate number bytes a second
---@field burst? number bytes

---@class nsnet.LogFile
local LogFile = {}

---@param line string
---@return true|nil ok, string|nil err, nsnet.Code|nil code
function LogFile:write(line) end

---@class nsnet.DialOptions
---@field timeout? number seconds; 10
---@field family? 4|6
---@field bind? string the host's address to come from

nsnet = {}

---@type nsnet.Verdict
nsnet.allow = nil
---@type nsnet.Verdict
nsnet.deny = nil
---@type nsnet.Verdict
nsnet.drop = nil

---@param target string "192.0.2.1:8080"; without a port the port stays
---@param options? nsnet.RedirectOptions
---@return nsnet.Verdict
function nsnet.redirect(target, options) end

---@param dialer nsnet.Dialer
---@return nsnet.Verdict
function nsnet.via(dialer) end

---@param verdict nsnet.Verdict nsnet.allow or nsnet.deny
function nsnet.default(verdict) end

---@param rules nsnet.Rule[]
function nsnet.rules(rules) end

---Asked first; can only deny or drop.
---@overload fun(fn: fun(conn: nsnet.Conn): nsnet.Verdict?)
---@param filter nsnet.FlowFilter
---@param fn fun(conn: nsnet.Conn): nsnet.Verdict?
function nsnet.guard(filter, fn) end

---A new TCP connection. May wait.
---@overload fun(fn: async fun(conn: nsnet.Conn): nsnet.Verdict?)
---@param filter nsnet.HookFilter
---@param fn async fun(conn: nsnet.Conn): nsnet.Verdict?
function nsnet.on_connect(filter, fn) end

---The first datagram of a UDP flow, the first of an echo. May wait.
---@overload fun(fn: async fun(flow: nsnet.Conn): nsnet.Verdict?)
---@param filter nsnet.HookFilter
---@param fn async fun(flow: nsnet.Conn): nsnet.Verdict?
function nsnet.on_flow(filter, fn) end

---What the command says first on TCP, before it leaves: allow, deny or nil. May wait.
---@overload fun(fn: async fun(conn: nsnet.Conn, bytes: string): nsnet.Verdict?)
---@param filter nsnet.BytesFilter
---@param fn async fun(conn: nsnet.Conn, bytes: string): nsnet.Verdict?
function nsnet.on_first_bytes(filter, fn) end

---A question to the name server. May wait.
---@overload fun(fn: async fun(query: nsnet.Query): nsnet.Verdict?)
---@param filter nsnet.DnsFilter
---@param fn async fun(query: nsnet.Query): nsnet.Verdict?
function nsnet.on_dns(filter, fn) end

---Connects for the command: returns a stream; or nil, message, nsnet.Code. May wait.
---@overload fun(fn: nsnet.Dialer)
---@param filter nsnet.FlowFilter
---@param fn nsnet.Dialer
function nsnet.dialer(filter, fn) end

---Every piece of a TCP connection: nil, a string instead, or nsnet.deny.
---@overload fun(fn: nsnet.OnData)
---@param filter nsnet.DataFilter
---@param fn nsnet.OnData
function nsnet.on_data(filter, fn) end

---Each IP packet: nsnet.drop or nil.
---@overload fun(fn: fun(pkt: nsnet.Pkt): nsnet.Verdict?)
---@param filter nsnet.PacketFilter
---@param fn fun(pkt: nsnet.Pkt): nsnet.Verdict?
function nsnet.on_packet(filter, fn) end

---The end of a connection or flow, exactly once.
---@overload fun(fn: fun(conn: nsnet.Conn))
---@param filter nsnet.FlowFilter
---@param fn fun(conn: nsnet.Conn)
function nsnet.on_close(filter, fn) end

---Before the command starts: returns nothing; or nil, why not.
---@param fn async fun(): nil, string?
function nsnet.on_start(fn) end

---@param fn fun(status: integer)
function nsnet.on_exit(fn) end

---@async
---@param seconds number
function nsnet.sleep(seconds) end

---@async
---@param network nsnet.DialNetwork
---@param address string "host:port", or a path
---@param options? nsnet.DialOptions
---@return nsnet.Stream|nil stream, string|nil err, nsnet.Code|nil code
function nsnet.dial(network, address, options) end

---@async
---@param name string
---@param kind? "A"|"AAAA"
---@return string[]|nil addresses, string|nil err, nsnet.Code|nil code
function nsnet.resolve(name, kind) end

---@param fn async fun(...)
---@return nsnet.Task
function nsnet.spawn(fn, ...) end

---@param seconds number
---@param fn async fun()
---@return nsnet.Task
function nsnet.after(seconds, fn) end

---@param seconds number
---@param fn async fun()
---@return nsnet.Task
function nsnet.every(seconds, fn) end

---@param options nsnet.BucketOptions
---@return nsnet.Bucket
function nsnet.bucket(options) end

---@param what string|string[] a file, or networks
---@return nsnet.Cidrs
function nsnet.cidrs(what) end

---@param what string|string[] a file, or names
---@return nsnet.Domains
function nsnet.domains(what) end

---While the script loads: a file to add lines to.
---@param path string
---@return nsnet.LogFile
function nsnet.append(path) end

---While the script loads: a table that outlives a reload.
---@param name string
---@param value? table
---@return table
function nsnet.persist(name, value) end

---@param address string "host:port"
---@return string host
---@return integer port
function nsnet.split_address(address) end

---@param ip string
---@return string|nil bytes 4 or 16
function nsnet.ip_bytes(ip) end

---@param bytes string 4 or 16
---@return string|nil
function nsnet.ip_text(bytes) end

---@param version 1
function nsnet.require_api(version) end

---@type integer
nsnet.api = 1
---@type string
nsnet.version = ""
---@type boolean
nsnet.reloading = false
---@type table<string, table>
nsnet.restored = {}
---@type table what hooks share
nsnet.state = {}

nsnet.log = {}
---@param format any
function nsnet.log.debug(format, ...) end
---@param format any
function nsnet.log.info(format, ...) end
---@param format any
function nsnet.log.warn(format, ...) end
---@param format any
function nsnet.log.error(format, ...) end
---@param conn nsnet.Conn
function nsnet.log.conn(conn) end

nsnet.json = {}
---@type userdata
nsnet.json.null = nil
---@param value any
---@return string
function nsnet.json.encode(value) end
---@param text string
---@return any value, string|nil err, nsnet.Code|nil code
function nsnet.json.decode(text) end
---@generic T: table
---@param list T an empty one is then []
---@return T
function nsnet.json.list(list) end

return nsnet
