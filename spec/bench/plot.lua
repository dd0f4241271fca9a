-- SPDX-License-Identifier: MIT
-- plot - throughput, latency, connect rate, cost and memory against the number of held
-- connections, as one SVG file: five panels, one line per peer, a cross where a peer fails.
local row = require "row"
local stat = require "stat"

local plot = {}

local WIDTH, HEIGHT, LEFT, TOP, COLUMNS = 420, 250, 62, 70, 2
local INNER_W, INNER_H = 320, 160
local colors = { "#333333", "#0b6e4f", "#c8553d", "#e0a030", "#3b6fb6", "#8a5aa8", "#777777",
  "#b0407a" }

local panels = {
  { title = "up, 1 stream, Gbit/s", value = row.part("up", "gbit_s") },
  { title = "down, 1 stream, Gbit/s", value = row.part("down", "gbit_s") },
  { title = "TCP round-trip p50, us", log = true,
 value = row.part("trip", "p50_us") },
  { title = "connect-request-response-close /s, 1 in flight",
    value = row.part("rate", "per_s") },
  { title = "whole-machine CPU s/GB, up", value = row.part("up", "cpu_s_per_gb") },
  { title = "resident memory of the program, MB", log = true,
    value = function(j)
      return j.opened == j.wanted and j.kb_per_connection and j.memory_kb / 1e3 or nil
    end },
}

local function escape(text)
  return (text:gsub("[&<>]", { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;" }))
end

-- { {x, y or nil}, ... }: medians; y is nil where every round failed.
local function series(all, p, panel)
  local out = {}
  for _, count in ipairs(all.settings.held) do
    local values = {}
    for _, j in ipairs(all.results["held" .. count][p.name]) do
      local v = panel.value(j)
      if v then values[#values + 1] = v end
    end
    local tried = all.results["held" .. count][p.name][1]
    if count > 0 and tried then
      out[#out + 1] = { count, stat.quantile(values, 0.5), not tried.ok }
    end
  end
  return out
end

local function nice_top(v)
  local unit = 10 ^ math.floor(math.log10(v))
  for _, step in ipairs { 1, 2, 3, 4, 5, 6, 8, 10 } do
    if step * unit >= v then return step * unit end
  end
end

local function tick(v)
  if v >= 1000 then return ("%gk"):format(v / 1000) end
  return ("%g"):format(tonumber(("%.3g"):format(v)))
end

-- Functions from figures to places, and the figures of the lines across.
local function scales(all, lines, panel)
  local low, high, most = math.huge, 0, 1
  for _, line in ipairs(lines) do
    for _, point in ipairs(line) do
      if point[2] and point[2] > 0 then
        low, high = math.min(low, point[2]), math.max(high, point[2])
      end
    end
  end
  for _, count in ipairs(all.settings.held) do most = math.max(most, count) end
  if high == 0 then low, high = 1, 10 end
  local function x(count)
    return LEFT + INNER_W * math.log10(count / 10) / math.max(1e-9, math.log10(most / 10))
  end
  local marks = {}
  if panel.log then
    local from, to = math.floor(math.log10(low)), math.ceil(math.log10(high))
    if to == from then to = from + 1 end
    for e = from, to do marks[#marks + 1] = 10 ^ e end
    return x, function(v)
      return TOP + INNER_H * (1 - (math.log10(v) - from) / (to - from))
    end, marks
  end
  local top = nice_top(high)
  for i = 0, 4 do marks[#marks + 1] = top * i / 4 end
  return x, function(v) return TOP + INNER_H * (1 - v / top) end, marks
end

local function draw_axes(all, out, x, y, marks)
  for _, v in ipairs(marks) do
    out[#out + 1] = ('<line x1="%d" x2="%d" y1="%.1f" y2="%.1f" stroke="#ddd"/>'):format(
      LEFT, LEFT + INNER_W, y(v), y(v))
    out[#out + 1] = ('<text x="%d" y="%.1f" text-anchor="end">%s</text>'):format(
      LEFT - 6, y(v) + 4, tick(v))
  end
  for _, count in ipairs(all.settings.held) do
    if count > 0 then
      out[#out + 1] = ('<text x="%.1f" y="%d" text-anchor="middle">%s</text>'):format(
        x(count), TOP + INNER_H + 16, tick(count))
    end
  end
end

local function draw_line(out, points, x, y, index)
  local path, color = {}, colors[(index - 1) % #colors + 1]

  for _, point in ipairs(points) do
    if point[2] and point[2] > 0 then
      path[#path + 1] = ("%s%.1f %.1f"):format(#path == 0 and "M" or "L", x(point[1]), y(point[2]))
      out[#out + 1] = ('<circle cx="%.1f" cy="%.1f" r="2.5" fill="%s"/>'):format(
        x(point[1]), y(point[2]), color)
    elseif point[3] then
      out[#out + 1] = ('<text x="%.1f" y="%d" text-anchor="middle" fill="%s">x</text>'):format(
        x(point[1]), TOP + INNER_H + 6 - 9 * index, color)
    end
  end
  if #path > 1 then
    out[#out + 1] = ('<path d="%s" fill="none" stroke="%s" stroke-width="2"/>'):format(
      table.concat(path, " "), color)
  end
end

local function draw_panel(all, out, panel, index)
  local lines = {}
  for i, p in ipairs(all.peers) do lines[i] = series(all, p, panel) end
  local x, y, marks = scales(all, lines, panel)
  out[#out + 1] = ('<g transform="translate(%d %d)">'):format(
    (index - 1) % COLUMNS * WIDTH, math.floor((index - 1) / COLUMNS) * HEIGHT)
  out[#out + 1] = ('<text x="%d" y="%d" font-weight="bold">%s</text>'):format(
    LEFT, TOP - 14, escape(panel.title))
  draw_axes(all, out, x, y, marks)
  for i, line in ipairs(lines) do draw_line(out, line, x, y, i) end
  out[#out + 1] = "</g>"
end

function plot.svg(all)
  local rows = math.ceil(#panels / COLUMNS)
  local width, height = WIDTH * COLUMNS, HEIGHT * rows + 30
  local out = { ('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" ' ..
    'height="%d" font-family="sans-serif" font-size="11">'):format(width, height, width, height),
    ('<rect width="%d" height="%d" fill="#fff"/>'):format(width, height) }
  for i, p in ipairs(all.peers) do
    local at = LEFT + (i - 1) * 130
    local color = colors[(i - 1) % #colors + 1]
    out[#out + 1] = ('<rect x="%d" y="14" width="12" height="12" fill="%s"/>'):format(at, color)
    out[#out + 1] = ('<text x="%d" y="24">%s</text>'):format(at + 17, escape(p.title))
  end
  for i, panel in ipairs(panels) do draw_panel(all, out, panel, i) end
  out[#out + 1] = ('<text x="%d" y="%d">%s</text>'):format(LEFT, height - 8,
    "against the number of held idle connections; medians; x = fails")
  out[#out + 1] = "</svg>\n"
  return table.concat(out, "\n")
end

return plot
