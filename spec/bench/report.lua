-- SPDX-License-Identifier: MIT
-- report - the figures as a Markdown table: medians, ranges, and ratios to the base peer of the
-- same round (median and quartiles of the paired ratios).
local row = require "row"
local stat = require "stat"

local report = {}

-- A figure with three significant digits, never in exponent notation.
local function short(v)
  if v ~= v then return "?" end
  local size = math.abs(v)
  if size >= 100 then return ("%.0f"):format(v) end
  if size >= 10 then return ("%.1f"):format(v) end
  return ("%.2f"):format(v)
end

local function brief_rate(j)
  local failed = (j.lost or 0) + (j.errors or 0)
  return ("%.0f /s, p99 %.0f us%s"):format(j.per_s, j.p99_us,
    failed > 0 and (", %d failed"):format(failed) or "")
end

local briefs = {
  bulk = function(j) return ("%.2f Gbit/s, %.2f CPU s/GB"):format(j.gbit_s, j.cpu_s_per_gb) end,
  rate = brief_rate,
  datagram = brief_rate,
  trip = function(j) return ("p50 %.1f us, p99 %.1f us"):format(j.p50_us, j.p99_us) end,
  spawn = function(j) return ("%.2f ms"):format(j.p50_ms) end,
  held = function(j)
    local memory = j.kb_per_connection and short(j.kb_per_connection) or "-"
    return ("%d held, %s kB each, trip %.1f us, %.0f connects/s, up %.1f down %.1f Gbit/s")
      :format(j.opened, memory, j.trip.p50_us, j.rate.per_s, j.up.gbit_s, j.down.gbit_s)
  end,
}

-- One line about one run, for the progress log.
function report.brief(j)
  if not j.ok then return "FAILS: " .. (j.reason or "?") end
  return briefs[j.mode](j)
end

local function sample_of(r, j)
  return j and (j.ok or r.parts) and r.value(j) or nil
end

-- The samples that this peer's are compared with; none for the base peer itself.
local function base_of(all, r, p)
  if r.base_run then return (all.results[r.base_run] or {})[p.name] or {} end
  return p.base ~= p.name and all.results[r.run][p.base] or {}
end

local function comparison(r, v, base)
  if not base then return nil end
  if r.compare == "ratio" then return base > 0 and v / base or nil end
  return r.compare == "extra" and v - base or nil
end

-- The cell's samples: { values = summary, compared = summary or nil, failed = n, reason = text }.
local function cell(all, r, p)
  local values, compared, failed, reason = {}, {}, 0, nil
  local samples = all.results[r.run][p.name]
  local base = base_of(all, r, p)
  for i, j in ipairs(samples) do
    local v = sample_of(r, j)
    if v then
      values[#values + 1] = v
      compared[#compared + 1] = comparison(r, v, sample_of(r, base[i]))
    elseif not j.ok then
      failed, reason = failed + 1, j.reason
    end
  end
  return { values = stat.summary(values), compared = stat.summary(compared), failed = failed,
    tried = #samples, reason = reason }
end

local function cell_text(c, r)
  local out = {}
  if c.values then
    local v = c.values
    out[1] = ("**%s** [%s..%s]"):format(short(v.median), short(v.min), short(v.max))
    if c.compared then
      local k = c.compared
      out[2] = r.compare == "ratio" and
        ("x%.2f (%.2f..%.2f)"):format(k.median, k.q1, k.q3) or
        ("%+.1f (%+.1f..%+.1f)"):format(k.median, k.q1, k.q3)
    end
  elseif c.failed == 0 then
    return "-"
  end
  if c.failed > 0 then
    out[#out + 1] = ("fails %d of %d: %s"):format(c.failed, c.tried, c.reason:gsub("|", "/"))
  end
  return table.concat(out, "<br>")
end

local function goal_text(goal)
  if goal.ratio then return ("x%.2f"):format(goal.ratio) end
  return goal.extra and ("%+g"):format(goal.extra) or ("%g"):format(goal.value)
end

-- Missed only if the better quartile misses it too.
local function verdict(r, c)
  local goal = r.goal
  if not goal then return "" end
  local want = goal.ratio or goal.value or goal.extra
  local got = goal.value and c.values or not goal.value and c.compared
  if not got then return goal_text(goal) end
  local sign, best = 1, got.q3
  if r.better == "less" then sign, best = -1, got.q1 end
  if sign * got.median >= sign * want then return goal_text(goal) .. ": met" end
  return goal_text(goal) .. (sign * best >= sign * want and ": within noise" or ": **missed**")
end

local function rows_of(all)
  local out = {}
  for _, r in ipairs(row.rows) do
    if all.results[r.run] then out[#out + 1] = r end
  end
  for _, r in ipairs(row.held_rows(all.settings.held)) do
    if all.results[r.run] then out[#out + 1] = r end
  end
  return out
end

local function head(all, out)
  local m, o = all.machine, all.settings
  local worst = 0
  for _, share in ipairs(all.disturbance) do worst = math.max(worst, share) end
  out[#out + 1] = "# nsnet-host benchmark"
  out[#out + 1] = ""
  out[#out + 1] = ("- machine: %s, %d cores, %d GB, Linux %s, congestion control %s, %d files")
    :format(m.cpu, m.cores, m.memory_gb, m.kernel, m.congestion_control, m.open_files)
  out[#out + 1] = ("- %s run: %d interleaved rounds of %g s, order rotated, %s, %.0f s in all")
    :format(o.mode, o.rounds, o.time, m.user, all.seconds)
  out[#out + 1] = ("- busy with something else before a round: %.0f %% at most%s"):format(
    worst * 100, worst > 0.1 and " (**too much for figures to keep**)" or "")
  for _, p in ipairs(all.peers) do
    if p.about ~= "" then out[#out + 1] = ("- %s: %s"):format(p.title, p.about) end
  end
  for _, reason in ipairs(all.left_out) do out[#out + 1] = "- left out: " .. reason end
  out[#out + 1] = "- cells: **median** [lowest..highest], then the ratio (x) or difference (+) " ..
    "to direct in the same round, scripts to nsnet-host: median (quartiles)"
  out[#out + 1] = ""
end

function report.markdown(all)
  local out = {}
  head(all, out)
  local titles, rule = { "" }, { "---" }
  local has_ours = false
  for _, p in ipairs(all.peers) do
    titles[#titles + 1] = p.title
    rule[#rule + 1] = "---"
    has_ours = has_ours or p.name == "ours"
  end
  if has_ours then
    titles[#titles + 1] = "goal for nsnet-host"
    rule[#rule + 1] = "---"
  end
  out[#out + 1] = "| " .. table.concat(titles, " | ") .. " |"
  out[#out + 1] = "|" .. table.concat(rule, "|") .. "|"
  for _, r in ipairs(rows_of(all)) do
    local line, ours = { r.title }, nil
    for _, p in ipairs(all.peers) do
      local c = cell(all, r, p)
      if p.name == "ours" then ours = c end
      line[#line + 1] = cell_text(c, r)
    end
    if has_ours then line[#line + 1] = verdict(r, ours) end
    out[#out + 1] = "| " .. table.concat(line, " | ") .. " |"
  end
  return table.concat(out, "\n") .. "\n"
end

return report
