-- SPDX-License-Identifier: MIT
-- row - what is measured (runs) and what of it is shown (rows).
--
-- A run has a name and args: the words for load, made from the settings. A row has the run it
-- comes from, a title, value(json) = the figure, and:
--   compare = "ratio" (to the base peer in the same round) or "extra" (difference to it) or nil
--   base_run = the run of the same peer that compare is to, instead of the base peer
--   parts = true if value() itself knows whether its part of the run went well
--   better = "more" or "less"
--   goal = { ratio = n } or { value = n } or { extra = n }: ours only
local row = {}

local function seconds(s) return ("%g"):format(s) end

row.runs = {
  { name = "up1", args = function(o) return { "bulk", "--up", "--seconds", seconds(o.time) } end },
  { name = "down1", args = function(o) return { "bulk", "--seconds", seconds(o.time) } end },
  { name = "up8", args = function(o)
    return { "bulk", "--up", "--streams", "8", "--seconds", seconds(o.time) }
  end },
  { name = "down8", args = function(o)
    return { "bulk", "--streams", "8", "--seconds", seconds(o.time) }
  end },
  { name = "rate1", args = function(o) return { "rate", "--seconds", seconds(o.time) } end },
  { name = "rate64", args = function(o)
    return { "rate", "--flights", "64", "--seconds", seconds(o.time) }
  end },
  { name = "trip", args = function(o) return { "trip", "--size", "1", "--seconds",
    seconds(o.time) } end },
  { name = "udp", args = function(o)
    return { "datagram", "--size", "64", "--seconds", seconds(o.time) }
  end },
  { name = "start", spawn = true, args = function(o)
    return { "spawn", "--count", "20", "--seconds", seconds(math.max(2, o.time)) }
  end },
}

local function field(name)
  return function(j) return j[name] end
end

row.rows = {
  { run = "up1", title = "up, 1 stream, Gbit/s", value = field "gbit_s", compare = "ratio",
    better = "more", goal = { ratio = 0.93 } },
  { run = "down1", title = "down, 1 stream, Gbit/s", value = field "gbit_s", compare = "ratio",
    better = "more", goal = { ratio = 0.90 } },
  { run = "up8", title = "up, 8 streams, Gbit/s", value = field "gbit_s", compare = "ratio",
    better = "more", goal = { ratio = 0.55 } },
  { run = "down8", title = "down, 8 streams, Gbit/s", value = field "gbit_s", compare = "ratio",
    better = "more", goal = { ratio = 0.50 } },
  { run = "up1", title = "CPU s/GB, up, 1 stream", value = field "cpu_s_per_gb",
    compare = "ratio", better = "less" },
  { run = "down1", title = "CPU s/GB, down, 1 stream", value = field "cpu_s_per_gb",
    compare = "ratio", better = "less" },
  { run = "up8", title = "CPU s/GB, up, 8 streams", value = field "cpu_s_per_gb",
    compare = "ratio", better = "less", goal = { value = 0.85 } },
  { run = "down8", title = "CPU s/GB, down, 8 streams", value = field "cpu_s_per_gb",
    compare = "ratio", better = "less", goal = { value = 0.95 } },
  { run = "rate1", title = "connect-request-response-close /s, 1 in flight",
    value = field "per_s", compare = "ratio", better = "more", goal = { ratio = 0.60 } },
  { run = "rate64", title = "the same, 64 in flight", value = field "per_s",
    compare = "ratio", better = "more", goal = { ratio = 0.52 } },
  { run = "rate64", title = "p99 of 64 in flight, ms",
    value = function(j) return j.p99_us and j.p99_us / 1e3 end, compare = "ratio",
    better = "less", goal = { value = 6 } },
  { run = "trip", title = "TCP round-trip p50, us", value = field "p50_us", compare = "extra",
    better = "less", goal = { extra = 25 } },
  { run = "trip", title = "TCP round-trip p99, us", value = field "p99_us", compare = "extra",
    better = "less" },
  { run = "udp", title = "UDP echo, 64 B, /s", value = field "per_s", compare = "ratio",
    better = "more", goal = { ratio = 0.50 } },
  { run = "start", title = "start-up of `true`, ms", value = field "p50_ms",
    compare = "extra", better = "less", goal = { extra = 6 } },
}

-- The figure of one part of a held run, if that part went well, even if another one did not.
function row.part(name, key)
  return function(j)
    return j[name] and j[name].ok and j.opened == j.wanted and j[name][key] or nil
  end
end

-- The runs with idle connections, one for each count, and the row of memory.
function row.held_run(count)
  return { name = "held" .. count, held = count, args = function(o)
    return { "held", "--held", tostring(count), "--sync", "--bulk", "--seconds",
      seconds(o.held_time) }
  end }
end

function row.held_rows(counts)
  local out = {}
  for _, count in ipairs(counts) do
    if count >= 1000 then
      out[#out + 1] = { run = "held" .. count,
        title = ("memory per connection, %d held, kB"):format(count), better = "less",
        parts = true, value = function(j)
          return j.opened == j.wanted and j.kb_per_connection or nil
        end, goal = { value = 1.2 } }
    end
  end
  local last = counts[#counts]
  if last and last > 0 and counts[1] == 0 then
    out[#out + 1] = { run = "held" .. last, base_run = "held0",
      title = ("round-trip p50, %d held, us (x: to none held)"):format(last), better = "less",
      compare = "ratio", parts = true, value = row.part("trip", "p50_us"),
      goal = { ratio = 1.1 } }
    out[#out + 1] = { run = "held" .. last, base_run = "held0",
      title = ("connect-request-response-close /s, %d held (x: to none held)"):format(last),
      better = "more", compare = "ratio", parts = true, value = row.part("rate", "per_s"),
      goal = { ratio = 0.91 } }
  end
  return out
end

return row
