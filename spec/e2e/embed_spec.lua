-- SPDX-License-Identifier: MIT
-- Programs that embed libnsnet, built against what `make install` brought, and run as an ordinary
-- user: the example, and embedded.c, which uses everything.
local lab = require("spec.support.lab")

if lab.direct then return end

local mode = os.getenv("NSNET_MODE") or "release"
local asan = mode == "asan" and " -fsanitize=address,undefined" or ""

local function must(command)
  local pipe = assert(io.popen("{ " .. command .. "; } 2>&1; echo \"status $?\""))
  local text, status = pipe:read("*a"):match("^(.-)status (%d+)\n$")
  pipe:close()
  assert(status == "0", command .. "\n" .. text)
  return text
end

describe("a program that embeds libnsnet", function()
  local L
  local dest = "/run/lab/dest/usr/local"

  lazy_setup(function()
    L = lab.start()
    must(("make -s MODE=%s install DESTDIR=%s"):format(mode, L:path("dest")))
    local config = ("PKG_CONFIG_SYSROOT_DIR=%s PKG_CONFIG_PATH=%s/usr/local/lib/pkgconfig " ..
      "pkg-config"):format(L:path("dest"), L:path("dest"))
    local cc = ("cc -g -Wall -Wextra -Werror -Wno-unused-parameter%s -o %s")
      :format(asan, L:path(""))
    must(cc .. ("example examples/embed.c $(%s --cflags --libs nsnet)"):format(config))
    must(cc .. ("shared spec/e2e/embedded.c $(%s --cflags --libs nsnet) -lev"):format(config))
    must(cc .. ("static spec/e2e/embedded.c $(%s --cflags --static --libs nsnet | " ..
      "sed s/-lnsnet/-l:libnsnet.a/)"):format(config))
    os.execute("chmod -R a+rX " .. L:path("dest"))
  end)
  lazy_teardown(function() L:stop() end)

  local env = { LD_LIBRARY_PATH = dest .. "/lib", PATH = dest .. "/bin:/usr/bin:/bin:/usr/sbin" }

  local function words(program, options, command)
    local all = { "/run/lab/" .. program }
    for word in options:gmatch("%S+") do all[#all + 1] = word end
    for _, word in ipairs(command) do all[#all + 1] = tostring(word) end
    return all
  end

  local function client(...)
    return { "python3", "-BS", "/run/repo/spec/support/client.py", ... }
  end

  local function run(program, options, command)
    return L:host(words(program, options, command), { env = env, bound = 60 })
  end

  it("finds the public header complete, as C and as C++", function()
    must("cc -std=c99 -pedantic -Wall -Wextra -Werror -fsyntax-only -x c core/nsnet.h")
    must("g++ -Wall -Wextra -Werror -fsyntax-only -x c++ core/nsnet.h")
  end)

  it("sees the public names and no other", function()
    for _, command in ipairs({ "nm -D --defined-only %s/libnsnet.so",
      "nm -g --defined-only %s/libnsnet.a" }) do
      local count = 0
      for name in must(command:format(L:path("dest/usr/local/lib"))):gmatch(" [TDBRVW] (%S+)") do
        if not name:match("^__") and not name:match("^%.") then -- the sanitizer's
          assert(name:match("^nsnet_"), name)
          count = count + 1
        end
      end
      assert.is_true(count > 20, command)
    end
    assert(must("readelf -d " .. L:path("dest/usr/local/lib/libnsnet.so"))
      :match("SONAME.*%[libnsnet%.so%.0%]"))
  end)

  it("is the example: mail is refused, the rest is led away and told", function()
    run("example", "", client("connect", lab.v6.world, 4711)):shows("ECONNREFUSED")
      :shows("dial failed: 0 bytes in")
    L:serve("local", { "python3", "-BS", "/run/repo/spec/support/world.py", "host", "127.0.0.1" },
      { where = "host" })
    lab.both(function(_, net)
      run("example", "", client("exchange", net.world, 4711, 300000))
        :shows(L:sum(300000)):shows("closed: 300000 bytes in")
      run("example", "", client("connect", net.world, 25)):shows("denied: 0 bytes in")
        :shows("ECONNREFUSED")
    end)
    run("example", "", { "sh", "-c", "exit 7" }):exits(7)
    run("example", "", {}):exits(71)
  end)

  for _, program in ipairs({ "shared", "static" }) do
    for _, loop in ipairs({ "", "-l", "-L" }) do
      local how = program .. " library, " .. (loop == "" and "its thread" or "loop " .. loop)

      it("passes data through a dialer in C, twice: " .. how, function()
        local r = run(program, loop .. " -d 7001", client("exchange", lab.v6.world, 4711, 500000))
        r:shows("result 0, status 0"):shows("tcp 4711: closed, 500000 out, 500000 in")
          :shows("allowed 1, denied 0, connections 0, flows 0, bytes 1.*\nagain\n.*allowed 1")
        local _, count = r.out:gsub(L:sum(500000), "")
        assert.equal(2, count)
        assert.equal("", r.err)
      end)

      it("closes connections with the network: " .. how, function()
        local r = run(program, loop .. " -k", client("fetch", lab.v4.world, lab.port.source, 1e9,
          "fin"))
        r:shows("connections 1, flows 1, bytes 1\ntcp 7003: left open.*\nclosed\n")
          :shows("end=ECONNRESET")
      end)
    end

    it("denies by a hook in C, in the way it says: " .. program, function()
      run(program, "-n 7001", client("connect", lab.v6.world, 7001))
        :shows("ECONNREFUSED"):shows("denied 1"):shows("tcp 7001: denied, 0 out, 0 in")
        :shows("log 1: denied tcp %S+ %-> %S+ by hook: because")
      run(program, "-u 7001", client("connect", lab.v4.world, 7001)):shows("EHOSTUNREACH")
    end)
  end

  it("redirects, and answers later", function()
    run("shared", "-R 9", client("exchange", lab.v6.world, 9, 1000)):shows(L:sum(1000))
    run("shared", "-l -w 7001", client("exchange", lab.v4.world, 7001, 1000)):shows(L:sum(1000))
    for _, loop in ipairs({ "", "-l" }) do
      run("shared", loop .. " -W 7001", client("connect", lab.v4.world, 7001, 0.1))
        :shows("cancelled\ntcp 7001: left open.*cancelled.*result 0")
    end
  end)

  it("answers for names", function()
    L:serve_dns({ "203.0.113.53" }, "203.0.113.1")
    local function dig(name) return { "dig", "+tries=1", "+time=2", name, "A" } end
    run("shared", "-N", dig("a.test")):shows("NOERROR.*203.0.113.1")
    run("shared", "-N", dig("gone.test")):shows("NXDOMAIN")
    run("shared", "-N", dig("other.test")):shows("REFUSED")
      :shows("log 1: .*other.test.*a redirect to nowhere")
    run("shared", "", dig("other.test")):shows("NOERROR.*203.0.113.2")
    run("shared", "-N -z", dig("a.test")):shows("NOERROR.*203.0.113.1")
    run("shared", "-z", dig("a.test")):shows("REFUSED")
    run("shared", "-z", client("connect", lab.v6.world, 7001)):shows("ECONNREFUSED")
      :shows("by default")
  end)

  it("sees and replaces bytes, and drops packets", function()
    run("shared", "-x", client("talk", lab.v4.world, lab.port.echo, "banana"))
      :shows("bbnbnbend=eof")
    run("shared", "-D", client("udp", lab.v6.world, 7001, 10, 0.2)):shows("silence")
      :shows("the hook saw packets")
    run("shared", "", client("udp", lab.v6.world, 7001, 10)):shows("echo")
  end)

  it("takes rules instead, and says what is wrong with them", function()
    L:script("nsnet.rules { { port = 7001, nsnet.deny } }", "some.lua")
    for _, loop in ipairs({ "", "-l" }) do
      run("shared", loop .. " -r /run/lab/some.lua", client("connect", lab.v4.world, 7001))
        :shows("ECONNREFUSED"):shows("denied 1")
        :shows("log 1: denied tcp .* by rule 1 %(%S+some.lua:1%)")
    end
    L:script("nsnet.rules {", "wrong.lua")
    run("shared", "-r /run/lab/wrong.lua", { "true" }):shows("log 0: .*wrong.lua:1.*result %-22")
    run("shared", "-r /run/lab/none.lua", { "true" }):shows("result %-2,")
  end)

  it("tells a status, and a command that cannot be run", function()
    run("shared", "-l", { "sh", "-c", "exit 7" }):shows("status 1792\n")
    run("shared", "", { "sh", "-c", "kill -9 $$" }):shows("status 9\n")
    run("shared", "", { "/nonexistent" }):shows("status 32512\n")
    L:host({ "env", "PATH=/nonexistent", "/run/lab/shared", "true" },
      { env = { LD_LIBRARY_PATH = dest .. "/lib" } })
      :shows("log 0: cannot find container%-shim.*result %-2,")
  end)

  it("publishes a port, and serves a namespace that is there", function()
    local job = L:spawn_host(words("shared", "-p 7701:7001", { "python3", "-BS",
      "/run/repo/spec/support/world.py", "inside", "0.0.0.0" }), { env = env })
    assert(lab.eventually(function()
      return L:host(client("exchange", "127.0.0.1", 7701, 5000)).out == L:sum(5000) .. "\n"
    end))
    job:kill("KILL")
    local other = L:spawn_host({ "unshare", "-rn", "sh", "-c", "echo made; exec sleep 60" })
    other:expect("made")
    local attached = L:spawn_host(words("shared", "-a " .. other:pid(), {}), { env = env })
    attached:expect("attached")
    L:host({ "nsenter", "-t", other:pid(), "-U", "-n", "--preserve-credentials",
      unpack(client("udp", lab.v6.world, 7001, 10)) }):says("echo")
    other:kill("KILL")
    attached:wait():shows("result 0, status %-1")
  end)
end)
