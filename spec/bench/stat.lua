-- SPDX-License-Identifier: MIT
-- stat - medians and quartiles of a few samples.
local stat = {}

-- The value that the share q (0..1) of the samples do not exceed, interpolated; nil for none.
function stat.quantile(samples, q)
  if #samples == 0 then return nil end
  local sorted = {}
  for i, v in ipairs(samples) do sorted[i] = v end
  table.sort(sorted)
  local at = 1 + (#sorted - 1) * q
  local low = math.floor(at)
  local high = math.min(low + 1, #sorted)
  return sorted[low] + (sorted[high] - sorted[low]) * (at - low)
end

-- { n, median, q1, q3, min, max }, or nil for no samples.
function stat.summary(samples)
  if #samples == 0 then return nil end
  return {
    n = #samples,
    median = stat.quantile(samples, 0.5),
    q1 = stat.quantile(samples, 0.25),
    q3 = stat.quantile(samples, 0.75),
    min = stat.quantile(samples, 0),
    max = stat.quantile(samples, 1),
  }
end

return stat
