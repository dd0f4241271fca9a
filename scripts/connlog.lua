-- SPDX-License-Identifier: MIT
-- connlog.lua - one line for each connection, when it has ended:
--
--   14:03:22 tcp 203.0.113.9:443 (example.com) allow 1.2k up, 340.1k down, 0.81 s, closed
--
-- It decides nothing: put it before or behind other scripts.  nsnet-host -s connlog.lua -- COMMAND

local UNITS = { "", "k", "M", "G", "T" }

local function size(bytes)
  local unit = 1
  while bytes >= 1000 and unit < #UNITS do
    bytes, unit = bytes / 1000, unit + 1
  end
  return ((unit == 1 and "%d%s" or "%.1f%s"):format(bytes, UNITS[unit]))
end

-- What was decided, and by whom if it was not let through.
local function outcome(conn)
  local text = conn.verdict or "undecided"
  if text == "deny" or text == "drop" then
    text = ("%s by %s"):format(text, conn.rule or "default")
    if conn.reason then
      text = ("%s: %s"):format(text, conn.reason)
    end
  elseif text == "redirect" then
    text = ("redirect to %s"):format(conn.target)
  end
  return text
end

nsnet.on_close(function(conn)
  nsnet.log.info(
    "%s %s %s%s %s %s up, %s down, %.2f s, %s",
    os.date "%H:%M:%S",
    conn.network,
    conn.address,
    conn.host and (" (%s)"):format(conn.host) or "",
    outcome(conn),
    size(conn.bytes_up),
    size(conn.bytes_down),
    conn.duration,
    conn.dial_error or conn.close_reason
  )
end)
