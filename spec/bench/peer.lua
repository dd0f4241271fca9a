-- SPDX-License-Identifier: MIT
-- peer - the programs that are compared, and how each runs a command.
--
-- A peer has: name; title (for tables); about (its version); base (the peer that its ratios are
-- to; "direct" unless said); processes (names of its own processes, for their memory);
-- command(argv, held) = the words that run argv behind it, held = connections it must bear.
-- peer.find(names) gives those that can run here and the reasons of those that cannot.
local rig = require "rig"

local peer = {}
local root = os.getenv("BENCH_ROOT")

local function join(...)
  local out = {}
  for _, list in ipairs { ... } do
    for _, word in ipairs(list) do out[#out + 1] = word end
  end
  return out
end

local function words(text)
  local out = {}
  for word in (text or ""):gmatch("%S+") do out[#out + 1] = word end
  return out
end

local function output(command)
  local p = io.popen(command .. " 2>&1")
  local text = p:read("*a")
  p:close()
  return text
end

local function exists(path)
  local f = io.open(path)
  if f then f:close() end
  return f ~= nil
end

local function installed(tool)
  return output("command -v " .. tool):match("%S") ~= nil
end

local function package(name)
  return output("dpkg-query -W -f '${Version}' " .. name):match("^%d%S*")
end

-- The logs are written to a file where the ordinary user may make one.
local function log_file()
  os.execute(("mkdir -p -m 1777 '%s/logs'"):format(rig.tmp))
  return rig.tmp .. "/logs/log"
end

local function script_args(script)
  if script.file then return { "-s", script.file } end
  if script.log then return join(script.log, { log_file() }) end
  if script.make then return { "-s", script.make() } end
  return {}
end

local function nsnet_host(script)
  local binary =
    os.getenv("NSNET_HOST") or (os.getenv("NSNET_BUILD") or root .. "/build") .. "/nsnet-host"
  return {
    processes = { "nsnet-host" },
    missing = function()
      if not exists(binary) then return binary .. " is not built" end
      if script and script.file and not exists(script.file) then
        return script.file .. " does not exist"
      end
    end,
    command = function(argv, held)
      local args = words(os.getenv("NSNET_ARGS"))
      if held > 1000 then
        -- It keeps a descriptor for each UDP flow too: without fewer of those, 20000 files
        -- are not enough for 19000 connections.
        args = join(args, { "--max-flows", "128", "--max-conns",
          tostring(math.min(held + 400, rig.files - 300)) })
      end
      if script then args = join(args, script_args(script)) end
      if script and script.frames then
        argv = join({ rig.load, "behind", "--frames", "--" }, argv)
      end
      if script and script.code then args = join(args, { "-e", script.code }) end
      return join({ binary }, args, script and script.args or {}, { "--" }, argv)
    end,
  }
end

local function pasta(cc)
  return {
    processes = { "pasta", "passt" },
    missing = function()
      if not installed("pasta") then return "pasta is not installed (package passt)" end
    end,
    command = function(argv)
      if cc then argv = join({ rig.load, "behind", "--cc", cc, "--" }, argv) end
      -- No port is forwarded inwards, and the gateway address is the gateway's, not H's own.
      return join({ "pasta", "-q", "--config-net", "--no-map-gw", "-t", "none", "-u", "none",
        "-T", "none", "-U", "none", "--" }, argv)
    end,
  }
end

local function slirp(cc)
  return {
    processes = { "slirp4netns" },
    missing = function()
      if not installed("slirp4netns") then return "slirp4netns is not installed" end
    end,
    command = function(argv)
      return join({ rig.load, "behind", "--slirp" }, cc and { "--cc", cc } or {}, { "--" }, argv)
    end,
  }
end

-- A list of 100 000 names and one of 10 000 networks, the server's among them, as rules.
local function allowlist()
  local path = rig.tmp .. "/allowlist.lua"
  if exists(path) then return path end
  local names, networks = {}, { rig.server_address, rig.server_address6 }
  for i = 1, 100000 do names[i] = (".host%06d.example"):format(i) end
  for i = 1, 10000 do
    networks[#networks + 1] = ("10.%d.%d.0/24"):format(math.floor(i / 256), i % 256)
  end
  local function write(file, text)
    local f = assert(io.open(rig.tmp .. "/" .. file, "w"))
    f:write(text, "\n")
    f:close()
  end
  write("names.txt", table.concat(names, "\n"))
  write("networks.txt", table.concat(networks, "\n"))
  write("allowlist.lua", [[
nsnet.default(nsnet.deny)
nsnet.rules {
  { name = "names", domain = nsnet.domains "names.txt", nsnet.allow },
  { name = "networks", cidr = nsnet.cidrs "networks.txt", nsnet.allow },
}]])
  return path
end

local scripts = {
  connlog = { file = root .. "/scripts/connlog.lua" },
  allowlist = { make = allowlist },
  log = { log = { "--log" } },
  json = { log = { "--log-json" } },
  json_no_who = { log = { "--no-who", "--log-json" } },
  packet = { code = "nsnet.on_packet(function() end)" },
  -- Frames of 1500 bytes, as every packet of a program that has no TSO: of what the command sends.
  frames = { args = { "--keep-caps", "--mtu", "1500" }, frames = true },
  frames_packet = { args = { "--keep-caps", "--mtu", "1500" }, frames = true,
    code = "nsnet.on_packet(function() end)" },
}

local known = {
  direct = { title = "direct", processes = {}, command = function(argv) return argv end },
  ours = nsnet_host(),
  pasta = pasta(),
  ["pasta-reno"] = pasta("reno"),
  slirp4netns = slirp(),
  ["slirp4netns-reno"] = slirp("reno"),
  ["ours-connlog"] = nsnet_host(scripts.connlog),
  ["ours-log"] = nsnet_host(scripts.log),
  ["ours-log-json"] = nsnet_host(scripts.json),
  ["ours-log-json-no-who"] = nsnet_host(scripts.json_no_who),
  ["ours-allowlist"] = nsnet_host(scripts.allowlist),
  ["ours-packet"] = nsnet_host(scripts.packet),
  ["ours-1500"] = nsnet_host(scripts.frames),
  ["ours-1500-packet"] = nsnet_host(scripts.frames_packet),
}

local titles = {
  ours = "nsnet-host",
  ["pasta-reno"] = "pasta, reno",
  ["slirp4netns-reno"] = "slirp4netns, reno",
  ["ours-connlog"] = "connection log",
  ["ours-log"] = "--log",
  ["ours-log-json"] = "--log-json",
  ["ours-log-json-no-who"] = "--log-json --no-who",
  ["ours-allowlist"] = "100 000 names, 10 000 networks",
  ["ours-packet"] = "empty on_packet",
  ["ours-1500"] = "1500-byte frames",
  ["ours-1500-packet"] = "1500-byte frames, empty on_packet",
}

local bases = { ["ours-1500"] = "direct", ["ours-1500-packet"] = "ours-1500" }

local function about(name)
  if name:find("^pasta") then return "Debian passt " .. (package("passt") or "?") end
  if name:find("^slirp") then return "Debian slirp4netns " .. (package("slirp4netns") or "?") end
  return ""
end

-- names: a list. Gives the peers that can run, in that order, and a list of "name: reason".
function peer.find(names)
  local found, left_out = {}, {}
  for _, name in ipairs(names) do
    local p = known[name]
    if not p then
      local all = {}
      for k in pairs(known) do all[#all + 1] = k end
      table.sort(all)
      error("bench: no peer " .. name .. "; there are " .. table.concat(all, " "), 0)
    end
    local reason = p.missing and p.missing()
    if reason then
      left_out[#left_out + 1] = name .. ": " .. reason
    else
      p.name, p.title = name, titles[name] or name
      p.about = about(name)
      p.base = bases[name] or (name:find("^ours%-") and "ours" or "direct")
      found[#found + 1] = p
    end
  end
  return found, left_out
end

return peer
