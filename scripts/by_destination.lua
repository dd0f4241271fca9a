-- SPDX-License-Identifier: MIT
-- by_destination.lua - the local networks directly, everything else through proxies, chosen by
-- where it goes. Copy it and edit the table; the first entry that has the address decides.
--
--   nsnet-host -s by_destination.lua -- COMMAND

local socks5 = require "nsnet.socks5"
local http_connect = require "nsnet.http_connect"

-- A chain: the web proxy is reached through the SOCKS5 proxy.
local first = socks5.dialer { proxy = "127.0.0.1:1080" }
local chain = http_connect.dialer { proxy = "203.0.113.80:3128", dial = first }

local TABLE = {
  { to = nsnet.cidrs { "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7" } },
  { to = nsnet.cidrs { "198.51.100.0/24" }, dial = chain },
  { to = nsnet.cidrs { "0.0.0.0/0", "::/0" }, dial = first },
}

for _, entry in ipairs(TABLE) do
  entry.verdict = entry.dial and nsnet.via(entry.dial) or nsnet.allow
end

local function decide(conn)
  for _, entry in ipairs(TABLE) do
    if entry.to:has(conn.dst_ip) then
      return entry.verdict
    end
  end
end

nsnet.on_connect(decide)
nsnet.on_flow(decide) -- UDP goes through SOCKS5; through HTTP and through a chain it is refused
