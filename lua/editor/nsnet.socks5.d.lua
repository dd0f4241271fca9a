---@meta nsnet.socks5
-- SPDX-License-Identifier: MIT
-- nsnet.socks5.d.lua - the dialer through a SOCKS5 proxy, for editors.
-- Written by: nsnet-host lua-init. lua/README.md describes what is here.

---@class nsnet.ProxyOptions
---@field proxy string "host:port"
---@field user? string
---@field password? string
---@field timeout? number seconds, for each wait; 10
---@field bind? string the host's address to come from
---@field dial? nsnet.Dialer reaches the proxy: a chain

local socks5 = {}

---@param options nsnet.ProxyOptions
---@return nsnet.Dialer
function socks5.dialer(options) end

---Asks for a connection to a host over a stream to the proxy, in a dialer of your own.
---@param stream nsnet.Stream
---@param host string a name or an address
---@param port integer
---@param options { user?: string, password?: string }
---@return true|nil, string|nil, nsnet.Code|nil
function socks5.handshake(stream, host, port, options) end

return socks5
