-- SPDX-License-Identifier: MIT
-- proc - child processes with deadlines. The bench is process 1 of its own PID namespace: it
-- reaps everybody, and everybody that it did not mean to keep can be killed by one scan of /proc.
local ffi = require "ffi"

ffi.cdef [[
typedef int pid_t;
struct pollfd { int fd; short events; short revents; };
struct timespec { long tv_sec; long tv_nsec; };
struct rlimit { unsigned long cur; unsigned long max; };
pid_t fork(void);
int execvp(const char *file, char *const argv[]);
void _exit(int);
int pipe2(int fd[2], int flags);
int dup2(int, int);
int open(const char *, int, ...);
int close(int);
long read(int, void *, unsigned long);
long write(int, const void *, unsigned long);
int poll(struct pollfd *, unsigned long, int);
pid_t waitpid(pid_t, int *, int);
pid_t getpid(void);
int kill(pid_t, int);
int clock_gettime(int, struct timespec *);
int getrlimit(int, struct rlimit *);
int setrlimit(int, const struct rlimit *);
void *signal(int, void *);
]]

local C = ffi.C
local O_CLOEXEC, O_WRONLY_CREAT_TRUNC = 0x80000, 0x241
local POLLIN, WNOHANG, SIGKILL, SIGPIPE, RLIMIT_NOFILE = 1, 1, 9, 13, 7

local proc = {}
local Child = {}
Child.__index = Child

local statuses = {} -- of reaped processes, by pid

function proc.now()
  local t = ffi.new("struct timespec")
  C.clock_gettime(1, t)
  return tonumber(t.tv_sec) + tonumber(t.tv_nsec) / 1e9
end

function proc.sleep(seconds)
  C.poll(nil, 0, math.floor(seconds * 1000 + 0.5))
end

-- Raises the soft limit of open files to the hard one, for all children; returns it.
function proc.raise_files()
  local r = ffi.new("struct rlimit")
  C.getrlimit(RLIMIT_NOFILE, r)
  r.cur = r.max
  C.setrlimit(RLIMIT_NOFILE, r)
  C.signal(SIGPIPE, ffi.cast("void *", 1))
  return tonumber(r.max)
end

local function reap()
  local status = ffi.new("int[1]")
  while true do
    local pid = C.waitpid(-1, status, WNOHANG)
    if pid <= 0 then return end
    local s = status[0]
    local signal = s % 128
    statuses[pid] = signal ~= 0 and 128 + signal or math.floor(s / 256) % 256
  end
end

local function exec_child(argv, input, output, errors)
  local c_argv = ffi.new("const char *[?]", #argv + 1)
  for i, arg in ipairs(argv) do c_argv[i - 1] = arg end
  C.dup2(input, 0)
  C.dup2(output, 1)
  C.dup2(errors, 2)
  C.signal(SIGPIPE, nil)
  C.execvp(argv[1], ffi.cast("char *const *", c_argv))
  C._exit(127)
end

-- Starts argv with its standard input and output on pipes; stderr goes to the file errors_path.
function proc.start(argv, errors_path)
  local input, output = ffi.new("int[2]"), ffi.new("int[2]")
  assert(C.pipe2(input, O_CLOEXEC) == 0 and C.pipe2(output, O_CLOEXEC) == 0, "no pipe")
  local errors = C.open(errors_path, O_WRONLY_CREAT_TRUNC + O_CLOEXEC, ffi.cast("int", 420))
  assert(errors >= 0, "cannot write " .. errors_path)
  local pid = C.fork()
  assert(pid >= 0, "cannot fork")
  if pid == 0 then exec_child(argv, input[0], output[1], errors) end
  C.close(input[0])
  C.close(output[1])
  C.close(errors)
  return setmetatable({
    pid = pid, input = input[1], output = output[0], text = "", errors_path = errors_path,
  }, Child)
end

function Child:write(text)
  return C.write(self.input, text, #text) == #text
end

-- The next line without its newline, or nil and "end" or "time".
function Child:line(deadline)
  local fds = ffi.new("struct pollfd[1]")
  local buf = ffi.new("char[?]", 65536)
  while true do
    local line, rest = self.text:match("^([^\n]*)\n(.*)$")
    if line then
      self.text = rest
      return line
    end
    local left = deadline - proc.now()
    if left <= 0 then return nil, "time" end
    fds[0].fd, fds[0].events = self.output, POLLIN
    if C.poll(fds, 1, math.ceil(left * 1000)) == 1 then
      local n = tonumber(C.read(self.output, buf, 65536))
      if n <= 0 then return nil, "end" end
      self.text = self.text .. ffi.string(buf, n)
    end
  end
end

-- Its exit status (128 + n for a signal), or nil if it still runs at the deadline.
function Child:wait(deadline)
  while true do
    reap()
    if statuses[self.pid] then return statuses[self.pid] end
    if proc.now() >= deadline then return nil end
    proc.sleep(0.002)
  end
end

function Child:kill()
  if not statuses[self.pid] then C.kill(self.pid, SIGKILL) end
end

function Child:close()
  C.close(self.input)
  C.close(self.output)
end

-- The last lines that it wrote to stderr, as one line.
function Child:errors(limit)
  local f = io.open(self.errors_path)
  if not f then return "" end
  local text = f:read("*a"):gsub("%s+$", ""):gsub("%s*\n%s*", " / ")
  f:close()
  return #text > limit and "..." .. text:sub(-limit) or text
end

local function each_pid()
  local list = {}
  local p = io.popen("exec ls /proc")
  for name in p:lines() do
    local pid = tonumber(name)
    if pid then list[#list + 1] = pid end
  end
  p:close()
  return list
end

local function field(pid, pattern)
  local f = io.open("/proc/" .. pid .. "/status")
  if not f then return nil end
  local text = f:read("*a")
  f:close()
  return text:match(pattern)
end

-- Resident kilobytes of all processes whose name begins with one of names.
function proc.resident_kb(names)
  local sum = 0
  for _, pid in ipairs(each_pid()) do
    local name = field(pid, "Name:%s*(%S+)")
    for _, want in ipairs(names) do
      if name and name:sub(1, #want) == want then
        sum = sum + (tonumber(field(pid, "VmRSS:%s*(%d+)")) or 0)
      end
    end
  end
  return sum
end

-- Kills everybody but this process and the pids that are keys of keep, and waits for their end.
function proc.kill_others(keep)
  local deadline = proc.now() + 5
  while true do
    local left = 0
    reap()
    for _, pid in ipairs(each_pid()) do
      if pid ~= 1 and not keep[pid] and (field(pid, "State:%s*(%S)") or "Z") ~= "Z" then
        C.kill(pid, SIGKILL)
        left = left + 1
      end
    end
    if left == 0 then return true end
    if proc.now() > deadline then return false end
    proc.sleep(0.01)
  end
end

-- Runs a shell command to its end; an error names what failed.
function proc.must(command)
  local p = io.popen("(" .. command .. ") 2>&1; echo \"status $?\"")
  local text = p:read("*a")
  p:close()
  local status = text:match("status (%d+)%s*$")
  if status ~= "0" then
    error("bench: " .. command .. ": " .. text:gsub("%s*status %d+%s*$", ""), 0)
  end
end

function proc.is_first()
  return C.getpid() == 1
end

return proc
