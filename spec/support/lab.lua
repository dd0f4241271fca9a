-- SPDX-License-Identifier: MIT
--- lab - a host and a world in namespaces of their own, for the end-to-end specs.
--
--     cmd --[nsnet-host]-- H 198.51.100.2 ---veth--- 198.51.100.1 W, services at 203.0.113.1 ...
--
-- The network is described in lab.sh. A lab is one process tree in one pid namespace, which ends
-- with the pipe that this process holds: a spec that fails, or is killed, leaves nothing behind.
-- Works as root (nsnet-host then runs as an ordinary uid) and as an ordinary user with user
-- namespaces. Paths: inside the lab the repository is /run/repo, the lab's folder is /run/lab.
--
-- Environment: NSNET_HOST    another nsnet-host than NSNET_BUILD's or build/nsnet-host
--              NSNET_WRAP    words put before it, e.g. valgrind
--              NSNET_DIRECT  set: commands run in H without nsnet-host, to try lab and specs
--              NSNET_SLOW    factor for every time bound (sanitizers, valgrind)

local ffi = require("ffi")
ffi.cdef [[
typedef struct { long sec; long nsec; } lab_timespec;
int clock_gettime(int clock, lab_timespec *now);
int usleep(unsigned int microseconds);
unsigned int geteuid(void);
]]

local lab = {
  direct = (os.getenv("NSNET_DIRECT") or "") ~= "",
  slow = tonumber(os.getenv("NSNET_SLOW") or 1),
  root = ffi.C.geteuid() == 0,
  uid = 10001,
  v4 = { world = "203.0.113.1", other = "203.0.113.2", unreachable = "203.0.113.201",
    prohibited = "203.0.113.202", silent = "203.0.113.203", no_net = "192.0.2.1",
    no_route = "198.18.0.1", host = "198.51.100.2", loopback = "127.0.0.1" },
  v6 = { world = "2001:db8:2::1", other = "2001:db8:2::2", unreachable = "2001:db8:2::201",
    prohibited = "2001:db8:2::202", silent = "2001:db8:2::203", no_net = "2001:db8:3::1",
    no_route = "2001:db8:ffff::1", host = "2001:db8:1::2", loopback = "::1" },
}
-- The ports of world.py.
lab.port = { http = 80, echo = 7001, sum = 7002, source = 7003, watch = 7004, slow = 7005,
  banner = 7006, silent = 7007, who = 7008, half = 7009, closed = 7099,
  foreign = 7002, sized = 7003, record = 7004 }

local Lab = {}
Lab.__index = Lab
local Job = {}
Job.__index = Job
local Result = {}
Result.__index = Result

--- Seconds of a clock that nobody sets.
function lab.now()
  local t = ffi.new("lab_timespec")
  assert(ffi.C.clock_gettime(1, t) == 0)
  return tonumber(t.sec) + tonumber(t.nsec) / 1e9
end

function lab.sleep(s)
  ffi.C.usleep(s * 1e6)
end

--- Calls fn until it returns something true, and returns that; after the bound, what fn said last.
function lab.eventually(fn, bound_s)
  local limit = lab.now() + (bound_s or 15) * lab.slow
  while true do
    local value, why = fn()
    if value or lab.now() > limit then return value, why end
    lab.sleep(0.01)
  end
end

--- Calls fn("IPv4", names) and fn("IPv6", names): for specs that hold for both.
function lab.both(fn)
  fn("IPv4", lab.v4)
  fn("IPv6", lab.v6)
end

--- An address as it stands in a URL or before a port.
function lab.bracket(address)
  return address:match(":") and "[" .. address .. "]" or address
end

function lab.quote(word)
  return "'" .. tostring(word):gsub("'", [['\'']]) .. "'"
end

local function quote_all(words)
  local out = {}
  for i, word in ipairs(words) do out[i] = lab.quote(word) end
  return table.concat(out, " ")
end

local function slurp(path)
  local file = io.open(path, "rb")
  if not file then return nil end
  local text = file:read("*a")
  file:close()
  return text
end

local function spit(path, text)
  local file = assert(io.open(path, "wb"))
  assert(file:write(text))
  assert(file:close())
end

local function output_of(command)
  local pipe = assert(io.popen(command))
  local text = pipe:read("*a")
  pipe:close()
  return (text:gsub("%s+$", ""))
end

local function first_child(pid)
  local text = slurp(("/proc/%d/task/%d/children"):format(pid, pid))
  return text and tonumber(text:match("%d+"))
end

local function host_program()
  return os.getenv("NSNET_HOST") or (os.getenv("NSNET_BUILD") or "build") .. "/nsnet-host"
end

--- Starts a lab. Options: world = false leaves out the servers of world.py.
function lab.start(options)
  options = options or {}
  local self = setmetatable({ jobs = 0, running = {} }, Lab)
  self.repo = output_of("pwd -P")
  if not lab.direct and host_program():sub(1, 1) ~= "/" then
    assert(io.open(host_program()), host_program() .. " is missing: run make"):close()
  end
  self.dir = output_of("mktemp -d ${TMPDIR:-/tmp}/nsnet-e2e.XXXXXX")
  assert(self.dir ~= "", "mktemp failed")
  os.execute(("mkdir %s/home && chmod 755 %s"):format(self.dir, self.dir))
  if lab.root then
    os.execute(("chown -R %d:%d %s"):format(lab.uid, lab.uid, self.dir))
  end
  local flags = "--mount --net --pid --fork --kill-child=KILL --mount-proc"
  if not lab.root then flags = "--user --map-root-user " .. flags end
  local command = "echo $$ >%s/unshare.pid; exec unshare %s sh -e %s %s %s %d 2>%s/lab.err"
  self.pipe = assert(io.popen(command:format(self.dir, flags,
    lab.quote(self.repo .. "/spec/support/lab.sh"), self.dir, lab.quote(self.repo), lab.uid,
    self.dir), "we"))
  lab.eventually(function() return self:read("ready") or self:read("failed") end, 20)
  if not self:read("ready") then
    local why = slurp(self.dir .. "/lab.err")
    self:stop()
    error("the lab did not start; user namespaces, tun, ip(8)? It said:\n" .. tostring(why))
  end
  self.unshare = tonumber(slurp(self.dir .. "/unshare.pid"))
  self.init = assert(first_child(self.unshare), "lab without process 1")
  self.holder = assert(first_child(self.init), "lab without a host namespace")
  if options.world ~= false then
    self:serve("world", { "python3", "-BS", "/run/repo/spec/support/world.py", "world",
      "203.0.113.1", "2001:db8:2::1", "203.0.113.2", "2001:db8:2::2", "169.254.169.254",
      "fd00:ec2::254", "10.99.0.1", "fdbb:99::1" })
  end
  return self
end

--- Ends everything in the lab; only this makes the folder go.
function Lab:stop()
  if self.pipe then
    if self.unshare then os.execute("kill -9 " .. self.unshare .. " 2>/dev/null") end
    self.pipe:close()
    self.pipe = nil
  end
  for _, job in ipairs(self.running) do -- their shells still write how they ended
    lab.eventually(function() return job:done() end, 5)
  end
  os.execute("rm -rf " .. self.dir)
end

function Lab:path(name) return self.dir .. "/" .. name end
function Lab:read(name) return slurp(self:path(name)) end

--- Writes a file that cmd and nsnet-host see as the returned path.
function Lab:write(name, text, mode)
  spit(self:path(name), text)
  os.execute(("chmod %s %s"):format(mode or "644", lab.quote(self:path(name))))
  return "/run/lab/" .. name
end

--- Writes a rule script; returns its path in the lab.
function Lab:script(code, name)
  self.scripts = (self.scripts or 0) + 1
  return self:write(name or ("rules%d.lua"):format(self.scripts), code)
end

--- The words that make nsnet-host run as it should: options.args are its own arguments.
function Lab:wrap(words, options)
  if lab.direct then return words end
  local host = host_program()
  if host:sub(1, 1) ~= "/" then
    host = "/run/repo/" .. host
  elseif host:sub(1, #self.repo + 1) == self.repo .. "/" then
    host = "/run/repo" .. host:sub(#self.repo + 1)
  end
  local all = {}
  for word in (os.getenv("NSNET_WRAP") or ""):gmatch("%S+") do all[#all + 1] = word end
  all[#all + 1] = host
  for _, word in ipairs(options and options.args or {}) do all[#all + 1] = word end
  if words[1] then
    all[#all + 1] = "--"
    for _, word in ipairs(words) do all[#all + 1] = word end
  end
  return all
end

local passed_on = { "ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS", "VALGRIND_OPTS" }

local function environment(options)
  local parts = { "env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    .. " HOME=/run/lab/home USER=e2e SHELL=/bin/bash TERM=xterm LC_ALL=C.UTF-8" }
  for _, key in ipairs(passed_on) do
    if os.getenv(key) then parts[#parts + 1] = key .. "=" .. lab.quote(os.getenv(key)) end
  end
  for key, value in pairs(options.env or {}) do
    parts[#parts + 1] = key .. "=" .. lab.quote(value)
  end
  return table.concat(parts, " ")
end

-- The command line that enters the lab: where = "host" or "world", who = "user" or "root".
-- The innermost shell leaves its pid in a file before it becomes the command.
local function enter(self, name, words, options)
  local parts = { "nsenter", "-t", options.where == "world" and self.init or self.holder,
    "-m", "-n", "-p" }
  if not lab.root then parts[#parts + 1] = "-U --preserve-credentials" end
  parts[#parts + 1] = "--"
  parts[#parts + 1] = ("timeout -k 3 %d"):format((options.bound or 30) * lab.slow)
  if options.who ~= "root" then
    parts[#parts + 1] = lab.root
      and ("setpriv --reuid=%d --regid=%d --clear-groups --inh-caps=-all"):format(lab.uid, lab.uid)
      or ("unshare -U --map-user=%d --map-group=%d"):format(lab.uid, lab.uid)
  end
  parts[#parts + 1] = environment(options)
  local inner = ("echo $$ >/run/lab/%s.pid; cd %s; exec %s"):format(name,
    lab.quote(options.cwd or "/run/lab/home"), quote_all(words))
  parts[#parts + 1] = "sh -c " .. lab.quote(inner)
  return table.concat(parts, " ")
end

-- Runs words; options: where, who, bound (seconds), env, cwd, stdin (text), background.
local function launch(self, words, options)
  self.jobs = self.jobs + 1
  local name = options.name or ("job%d"):format(self.jobs)
  local path = self:path(name)
  local stdin = "/dev/null"
  if options.stdin then
    stdin = path .. ".in"
    spit(stdin, options.stdin)
  end
  spit(path .. ".pid", "")
  os.execute(("chmod 666 %s.pid"):format(path))
  local line = ("{ %s; echo $? >%s.rc_; mv %s.rc_ %s.rc; } <%s >%s.out 2>%s.err%s"):format(
    enter(self, name, words, options), path, path, path, stdin, path, path,
    options.background and " &" or "")
  os.execute(line)
  local job = setmetatable({ lab = self, name = name, words = words }, Job)
  if options.background then self.running[#self.running + 1] = job end
  return job
end

local function result(job)
  local self = job.lab
  return setmetatable({ code = tonumber(self:read(job.name .. ".rc") or ""),
    out = self:read(job.name .. ".out"), err = self:read(job.name .. ".err"),
    words = table.concat(job.words, " ") }, Result)
end

local function fail(self, wanted)
  error(("%s\nwanted %s\nexit %s\nstdout: %s\nstderr: %s"):format(self.words, wanted,
    tostring(self.code), self.out:sub(-2000), self.err:sub(-4000)), 3)
end

--- Fails unless the command ended with that status. All of these return the result.
function Result:exits(code)
  if self.code ~= code then fail(self, "exit " .. code) end
  return self
end

--- Fails unless it ended with 0 and wrote exactly this line on stdout.
function Result:says(line)
  if self.code ~= 0 or self.out ~= line .. "\n" then fail(self, "exit 0, stdout: " .. line) end
  return self
end

--- Fails unless stdout has the pattern, and the status is code (0).
function Result:shows(pattern, code)
  if self.code ~= (code or 0) or not self.out:match(pattern) then
    fail(self, ("exit %d, stdout with: %s"):format(code or 0, pattern))
  end
  return self
end

--- Fails unless stderr has the pattern.
function Result:complains(pattern)
  if not self.err:match(pattern) then fail(self, "stderr with: " .. pattern) end
  return self
end

local function with(options, more)
  local all = {}
  for key, value in pairs(options or {}) do all[key] = value end
  for key, value in pairs(more) do all[key] = value end
  return all
end

--- Runs a command behind nsnet-host, as the ordinary user in H; options.args go to nsnet-host.
-- Returns { code, out, err }.
function Lab:run(words, options)
  options = options or {}
  return result(launch(self, self:wrap(words, options), options))
end

--- Runs a command in H without nsnet-host.
function Lab:host(words, options)
  return result(launch(self, words, with(options, { where = "host" })))
end

--- Runs a command in W, as root of the lab.
function Lab:world(words, options)
  return result(launch(self, words, with(options, { where = "world", who = "root" })))
end

--- As run(), but returns at once with a job.
function Lab:spawn(words, options)
  return launch(self, self:wrap(words, options or {}), with(options, { background = true }))
end

--- As host(), but returns at once with a job.
function Lab:spawn_host(words, options)
  return launch(self, words, with(options, { where = "host", background = true }))
end

--- Starts a server in W (options.where = "host": in H) and waits until it says "ready" on stdout,
-- or, with options.listening = port, until somebody listens there.
function Lab:serve(name, words, options)
  options = with({ where = "world", who = "root", bound = 3600 }, options or {})
  options.background = true
  local job = launch(self, words, options)
  local ok = lab.eventually(function()
    if options.listening then
      local where = options.where == "world" and "world" or "host"
      local at = (options.address or ""):gsub("%p", "%%%0")
      return self[where](self, { "ss", "-Hlntu" }).out
        :match(at .. "%]?:" .. options.listening .. "%s")
    end
    return job:out():match("ready") or job:done()
  end, 20)
  if not ok or job:done() then
    error(("server %s did not start: %s%s"):format(name, job:out(), job:err()))
  end
  return job
end

--- Starts dnsmasq at the addresses; it knows big.test (truncates), a.test, v6only.test,
-- cname.test and where.test (which is @where), and that nothing else below test exists.
function Lab:serve_dns(addresses, where, options)
  local words = { "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv",
    "--no-hosts", "--bind-interfaces", "--cache-size=0", "--pid-file=", "--user=root",
    "--group=root", "--local=/test/", "--log-queries", "--log-facility=/run/lab/dns.log",
    "--edns-packet-max=4096", "--host-record=a.test,203.0.113.1,2001:db8:2::1",
    "--host-record=v6only.test,2001:db8:2::1", "--host-record=other.test,203.0.113.2",
    "--host-record=where.test," .. where, "--cname=cname.test,a.test" }
  for i = 1, 15 do words[#words + 1] = "--txt-record=big.test," .. ("x%02d"):format(i):rep(60) end
  for _, address in ipairs(addresses) do words[#words + 1] = "--listen-address=" .. address end
  return self:serve("dnsmasq", words,
    with({ listening = 53, address = addresses[1] }, options or {}))
end

--- Puts a bad cable (impair.c, see there for the numbers) between H and W, for good; the job takes
-- USR1. It must be the first thing that a lab does.
function Lab:impair(seed, loss, duplicate, reorder, delay_ms)
  local tool = (os.getenv("NSNET_BUILD") or "build") .. "/spec/support/impair"
  tool = tool:gsub("^" .. self.repo:gsub("%p", "%%%0") .. "/", "")
  local words = { "unshare", "-n", "--", "/run/repo/" .. tool, seed, loss, duplicate, reorder,
    delay_ms, "i0", "i1" }
  local job = launch(self, words, { where = "world", who = "root", bound = 3600,
    background = true })
  self:world({ "sh", "-ec", ([[
    until [ "$(readlink /proc/%d/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.01; done
    ip link set w0 netns %d name i0
    ip link add w0 type veth peer name i1 netns %d
    ip addr add 198.51.100.1/24 dev w0
    ip addr add 2001:db8:1::1/64 dev w0 nodad
    ip link set w0 up
    ip route add 2001:db8:2::201/128 dev w0]]):gsub("%%d", job:pid()) }):exits(0)
  self:host({ "ip", "neigh", "flush", "dev", "h0" }, { who = "root" })
  job:expect("ready")
  return job
end

--- Starts an authoritative name server of our own (authority.py) with the zone, and a log of what
-- it was asked: see asked().
function Lab:serve_authority(label, addresses, zone, options)
  self:write(label .. ".zone", zone)
  return self:serve(label, { "python3", "-BS", "/run/repo/spec/support/authority.py", label,
    unpack(addresses) }, options)
end

--- How often that server was asked for the name; pattern: a Lua pattern of the whole line instead.
function Lab:asked(label, name, pattern)
  local count = 0
  for line in (self:read(label .. ".log") or ""):gmatch("[^\n]+") do
    if pattern and line:match(pattern) or line:match("^%a+ (.-) %w+$") == name then
      count = count + 1
    end
  end
  return count
end

function Job:out() return self.lab:read(self.name .. ".out") or "" end
function Job:err() return self.lab:read(self.name .. ".err") or "" end
function Job:done() return self.lab:read(self.name .. ".rc") ~= nil end

--- The pid in the lab's pid namespace, once the command itself runs.
function Job:pid()
  return lab.eventually(function()
    return tonumber(self.lab:read(self.name .. ".pid"))
  end)
end

--- Sends a signal ("TERM") to the command and only to it.
function Job:kill(signal)
  return self.lab:world({ "kill", "-" .. signal, assert(self:pid(), "no pid") })
end

--- Waits for the end; returns what run() returns.
function Job:wait(bound_s)
  assert(lab.eventually(function() return self:done() end, bound_s or 40),
    "still running: " .. table.concat(self.words, " "))
  return result(self)
end

--- Waits until the command has written the pattern on stdout.
function Job:expect(pattern, bound_s)
  local found
  lab.eventually(function()
    local done = self:done() -- looked at first: what it wrote last counts
    found = self:out():match(pattern)
    return found or done
  end, bound_s)
  return assert(found, ("no %q in: %s%s"):format(pattern, self:out(), self:err()))
end

--- Runs client.py (a small socket client, see there) behind nsnet-host.
function Lab:client(words, options)
  local all = { "python3", "-BS", "/run/repo/spec/support/client.py" }
  for _, word in ipairs(words) do all[#all + 1] = tostring(word) end
  return self:run(all, options)
end

--- As client(), as a job.
function Lab:spawn_client(words, options)
  local all = { "python3", "-BS", "/run/repo/spec/support/client.py" }
  for _, word in ipairs(words) do all[#all + 1] = tostring(word) end
  return self:spawn(all, options)
end

--- What world.py has seen: a line per event, see there.
function Lab:log() return self:read("world.log") or "" end

--- Waits until the log of world.py has a line with the pattern.
function Lab:logged(pattern, bound_s)
  return lab.eventually(function() return self:log():match(pattern) end, bound_s)
end

local sums = {}

--- The checksum of the first n bytes of the pattern that world.py and client.py send.
function Lab:sum(n)
  if not sums[n] then self:sum_all({ n }) end
  return sums[n]
end

--- Works out many checksums at once.
function Lab:sum_all(sizes)
  local text = output_of(("python3 -BS %s sum %s"):format(
    lab.quote(self.repo .. "/spec/support/client.py"), table.concat(sizes, " ")))
  local i = 0
  for sum in text:gmatch("%x+") do
    i = i + 1
    sums[sizes[i]] = sum
  end
  assert(i == #sizes, text)
end

return lab
