-- SPDX-License-Identifier: MIT
-- bench - the whole benchmark; started by spec/bench/run, which says where it runs.
package.path = os.getenv("BENCH_HERE") and os.getenv("BENCH_HERE") .. "/?.lua;" .. package.path
  or arg[0]:gsub("[^/]*$", "") .. "?.lua;" .. package.path

local help = [[
usage: spec/bench/run [quick | scripts | report FILE.json | help]
  (nothing)  5 rounds of 3 s, all rows, all peers, up to 19000 held connections
  quick      3 rounds of 1 s, fewer held connections: a sanity look
  scripts    what scripts cost: nsnet-host alone and with each script
  report     the table (and the plot, beside the file) of an earlier run
Environment: ROUNDS=n  TIME=seconds  HELD="counts"  HELD_TIME=seconds  HELD_ROUNDS=n
  ROWS="up1 down1 up8 down8 rate1 rate64 trip udp start held"
  PEERS="direct ours pasta pasta-reno slirp4netns slirp4netns-reno ours-log ours-log-json
         ours-log-json-no-who ours-connlog ours-allowlist ours-packet ours-1500 ours-1500-packet"
  CC=congestion control of both hosts (default: the machine's)  FAMILY=6 (over IPv6)
  VERIFY=1 (compare every byte)  NSNET_HOST=binary  NSNET_ARGS="words"  OUT=directory
Writes bench.md, bench.json and bench.svg there (default build/bench).
]]

if arg[1] == "help" then
  io.write(help)
  os.exit(0)
end

local json = require "json"
local peer = require "peer"
local plot = require "plot"
local proc = require "proc"
local report = require "report"
local rig = require "rig"
local row = require "row"

local GRACE_S = 9 -- beyond the times of its phases, for set-up, stragglers and draining
local presets = {
  [""] = { rounds = 5, time = 3, held = "0 10 100 1000 5000 10000 19000", held_time = 1,
    rows = "up1 down1 up8 down8 rate1 rate64 trip udp start held",
    peers = "direct ours pasta pasta-reno slirp4netns" },
  quick = { rounds = 3, time = 1, held = "0 1000", held_time = 0.5,
    rows = "up1 down1 up8 down8 rate1 rate64 trip udp start held",
    peers = "direct ours pasta slirp4netns" },
  scripts = { rounds = 9, time = 2, held = "", held_time = 1,
    rows = "up1 down1 up8 down8 rate1 rate64 trip udp start",
    peers = "direct ours ours-log ours-log-json ours-log-json-no-who ours-connlog " ..
      "ours-allowlist ours-packet ours-1500 ours-1500-packet" },
}

local function list(text)
  local out = {}
  for word in text:gmatch("%S+") do out[#out + 1] = word:gsub(",", "") end
  return out
end

local function note(...)
  io.stderr:write(string.format(...), "\n")
end

local function settings(name)
  local preset = presets[name]
  if not preset then
    io.stderr:write("bench: no mode " .. name .. "\n", help)
    os.exit(2)
  end
  local o = {
    rounds = tonumber(os.getenv("ROUNDS")) or preset.rounds,
    time = tonumber(os.getenv("TIME")) or preset.time,
    held_time = tonumber(os.getenv("HELD_TIME")) or preset.held_time,
    held = list(os.getenv("HELD") or preset.held),
    rows = list(os.getenv("ROWS") or preset.rows),
    peers = list(os.getenv("PEERS") or preset.peers),
    cc = os.getenv("CC"),
    verify = os.getenv("VERIFY") == "1",
    mode = name == "" and "full" or name,
  }
  o.held_rounds = tonumber(os.getenv("HELD_ROUNDS")) or math.min(o.rounds, 3)
  for i, count in ipairs(o.held) do o.held[i] = assert(tonumber(count), "HELD: a number") end
  return o
end

-- The runs that ROWS names, in our order, those with held connections last.
local function chosen_runs(o)
  local wanted, runs = {}, {}
  for _, name in ipairs(o.rows) do wanted[name] = true end
  for _, run in ipairs(row.runs) do
    if wanted[run.name] then runs[#runs + 1] = run end
    wanted[run.name] = nil
  end
  if wanted.held then
    for _, count in ipairs(o.held) do runs[#runs + 1] = row.held_run(count) end
    wanted.held = nil
  else
    o.held = {}
  end
  local unknown = next(wanted)
  if unknown then error("bench: no row " .. unknown, 0) end
  return runs
end

local function command_of(o, run, p, limit)
  local load = { rig.load }
  for _, word in ipairs(run.args(o)) do load[#load + 1] = word end
  for _, word in ipairs { "--addr", rig.address(), "--limit", ("%g"):format(limit) } do
    load[#load + 1] = word
  end
  if o.verify and load[2] == "bulk" then load[#load + 1] = "--verify" end
  local inner = run.spawn and p.command({ "true" }, 0) or p.command(load, run.held or 0)
  if run.spawn then
    load[#load + 1] = "--"
    for _, word in ipairs(inner) do load[#load + 1] = word end
    inner = load
  end
  local argv = rig.user()
  for _, word in ipairs(inner) do argv[#argv + 1] = word end
  return argv
end

local function note_memory(j, p, kb)
  if #p.processes == 0 or not kb.ready or not kb.held or (j.opened or 0) == 0 then return end
  j.memory_kb = kb.held
  j.kb_per_connection = (kb.held - kb.ready) / j.opened
end

-- Reads lines until the result; the phases of a held run are when memory is looked at.
local function result_of(child, p, deadline)
  local kb = {}
  while true do
    local line, why = child:line(deadline)
    if not line then
      return { ok = false, reason = why == "time" and "hangs" or "ended without a result" }
    end
    local j = line:sub(1, 1) == "{" and json.decode(line)
    if j and j.phase then
      proc.sleep(0.05)
      kb[j.phase] = proc.resident_kb(p.processes)
      child:write("go\n")
    elseif j then
      note_memory(j, p, kb)
      return j
    end
  end
end

-- Marks a failure that cost its whole time, and adds what the peer said.
local function explain(j, child)
  if j.ok then return end
  j.said = child:errors(160)
  if (j.reason == "ended without a result" or j.reason:find("exit status")) and j.said ~= "" then
    j.reason = j.reason .. ": " .. j.said
  end
  for _, sign in ipairs { "hangs", "time limit", "stalled", "does not end" } do
    if j.reason:find(sign, 1, true) then j.hangs = true end
  end
end

local function measure(o, run, p)
  local phases = run.held and o.held_time * 4 + 5 + run.held / 500 or o.time
  local limit = phases + GRACE_S
  local deadline = proc.now() + limit + 3
  rig.restart_server()
  local child = proc.start(command_of(o, run, p, limit), rig.tmp .. "/peer.err")
  local j = result_of(child, p, deadline)
  if not child:wait(math.min(deadline, proc.now() + 3)) and j.ok then
    j.ok, j.reason = false, "does not end after its command"
  end
  rig.clean()
  child:close()
  explain(j, child)
  return j
end

-- After two hangs in a row of the same kind the rest of the rounds would only cost time.
local function given_up(samples)
  local n = #samples
  return n >= 2 and samples[n].hangs and samples[n - 1].hangs
end

local function one_round(o, runs, peers, results, round)
  for _, run in ipairs(runs) do
    if not run.held or round <= o.held_rounds then
      for i = 1, #peers do
        local p = peers[(i + round - 2) % #peers + 1]
        local samples = results[run.name][p.name]
        if given_up(samples) then
          samples[#samples + 1] = { ok = false, hangs = true, reason = samples[#samples].reason }
        else
          local j = measure(o, run, p)
          samples[#samples + 1] = j
          note("round %d  %-10s %-18s %s", round, run.name, p.name, report.brief(j))
        end
      end
    end
  end
end

local function write(path, text)
  local f = assert(io.open(path, "w"))
  f:write(text)
  f:close()
end

-- Everything that the reports need, with an empty list of samples for each run and peer.
local function record(o, runs, peers, left_out)
  local all = { settings = o, machine = rig.machine(), left_out = left_out, peers = {},
    results = {}, disturbance = {} }
  for i, p in ipairs(peers) do
    all.peers[i] = { name = p.name, title = p.title, about = p.about, base = p.base }
  end
  for _, run in ipairs(runs) do
    all.results[run.name] = {}
    for _, p in ipairs(peers) do all.results[run.name][p.name] = {} end
  end
  return all
end

local function report_again(path)
  local f = assert(io.open(path))
  local all = assert(json.decode(f:read("*a")))
  f:close()
  io.write(report.markdown(all))
  if #all.settings.held > 1 then write(path:gsub("%.json$", "") .. ".svg", plot.svg(all)) end
end

local function main()
  if arg[1] == "report" and arg[2] then return report_again(arg[2]) end
  if not proc.is_first() then error("bench: start it with spec/bench/run", 0) end
  local o = settings(arg[1] or "")
  local out = os.getenv("BENCH_OUT")
  local runs = chosen_runs(o)
  rig.up({ load = out .. "/load", out = out, cc = o.cc })
  local peers, left_out = peer.find(o.peers)
  for _, reason in ipairs(left_out) do note("bench: left out: %s", reason) end
  local all = record(o, runs, peers, left_out)
  local began = proc.now()
  for round = 1, o.rounds do
    local busy = rig.disturbance()
    all.disturbance[round] = busy
    note("round %d of %d%s", round, o.rounds, busy > 0.1 and
      (": WARNING: the machine is %.0f %% busy with something else"):format(busy * 100) or "")
    one_round(o, runs, peers, all.results, round)
  end
  all.seconds = proc.now() - began
  write(out .. "/bench.json", json.encode(all))
  local markdown = report.markdown(all)
  write(out .. "/bench.md", markdown)
  if #o.held > 1 then write(out .. "/bench.svg", plot.svg(all)) end
  io.write(markdown)
  note("written: %s/bench.{md,json%s}", out, #o.held > 1 and ",svg" or "")
end

local ok, err = pcall(main)
if not ok then
  io.stderr:write(tostring(err), "\n")
  os.exit(1)
end
