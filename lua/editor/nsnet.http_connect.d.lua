---@meta nsnet.http_connect
-- SPDX-License-Identifier: MIT
-- nsnet.http_connect.d.lua - the dialer through an HTTP proxy by CONNECT, for editors.
-- Written by: nsnet-host lua-init. lua/README.md describes what is here.

local http_connect = {}

---@param options nsnet.ProxyOptions
---@return nsnet.Dialer
function http_connect.dialer(options) end

---Asks for a tunnel to a host over a stream to the proxy, in a dialer of your own.
---@param stream nsnet.Stream
---@param target string "host:port"
---@param options { user?: string, password?: string }
---@return true|nil, string|nil, nsnet.Code|nil
function http_connect.handshake(stream, target, options) end

return http_connect
