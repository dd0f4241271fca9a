-- SPDX-License-Identifier: MIT
-- curl and wget: what most people will run behind the program.
local lab = require("spec.support.lab")

describe("web clients", function()
  local L
  lazy_setup(function() L = lab.start() end)
  lazy_teardown(function() L:stop() end)

  local function url(address, path)
    return "http://" .. lab.bracket(address) .. path
  end

  lab.both(function(version, net)
    -- 1 byte, one segment of the tun and its neighbors, more than every window
    for _, size in ipairs({ 0, 1, 1460, 65480, 65481, 1000003, 100000000 }) do
      it(("curl gets %d bytes over %s"):format(size, version), function()
        L:run({ "sh", "-c", "curl -sSf -m 60 '" .. url(net.world, "/bytes/" .. size)
          .. "' | sha256sum" }, { bound = 70 }):says(L:sum(size) .. "  -")
      end)
    end

    it("wget gets a file over " .. version, function()
      L:run({ "wget", "-q", "-T", "20", "-t", "1", "-O", "/run/lab/got",
        url(net.world, "/bytes/3000001") }):exits(0)
      L:host({ "sha256sum", "/run/lab/got" }):says(L:sum(3000001) .. "  /run/lab/got")
    end)

    it("curl sends 20 MB over " .. version, function()
      L:host({ "sh", "-c", "head -c 20000000 /dev/urandom >/run/lab/upload" }):exits(0)
      local sum = L:host({ "sha256sum", "/run/lab/upload" }).out:match("%x+")
      L:run({ "curl", "-sSf", "-m", "60", "-T", "/run/lab/upload", url(net.world, "/upload") })
        :says("20000000 " .. sum)
    end)

    it("a kept-alive connection carries many requests over " .. version, function()
      local words = { "curl", "-sSf", "-m", "20", "-w", "%{num_connects} %{size_download}\n" }
      for _ = 1, 20 do
        for _, word in ipairs({ "-o", "/dev/null", url(net.world, "/bytes/5000") }) do
          words[#words + 1] = word
        end
      end
      L:run(words):says("1 5000\n" .. ("0 5000\n"):rep(19):sub(1, -2))
    end)

    it("200 downloads at once are all whole over " .. version, function()
      local config, sums, sizes = {}, {}, {}
      for i = 1, 200 do sizes[i] = 100000 + i end
      L:sum_all(sizes)
      for i = 1, 200 do
        config[#config + 1] = ('url = "%s"\noutput = "/run/lab/parallel/%d"'):format(
          url(net.world, "/bytes/" .. 100000 + i), i)
        sums[#sums + 1] = ("%s  /run/lab/parallel/%d"):format(L:sum(100000 + i), i)
      end
      L:host({ "mkdir", "-p", "/run/lab/parallel" }):exits(0)
      L:run({ "curl", "-sSf", "-m", "60", "--no-progress-meter", "--parallel",
        "--parallel-immediate", "--parallel-max", "200", "-K",
        L:write("parallel.cfg", table.concat(config, "\n")) }, { bound = 70 }):exits(0)
      L:host({ "sha256sum", "-c", "--quiet", L:write("parallel.sums",
        table.concat(sums, "\n") .. "\n") }):exits(0)
      L:host({ "rm", "-r", "/run/lab/parallel" }):exits(0)
    end)
  end)

  it("curl falls back to IPv4 when the IPv6 address of a name refuses", function()
    L:run({ "curl", "-sSf", "-m", "20", "--resolve",
      "dual.test:80:[2001:db8:ffff::1]," .. lab.v4.world, "http://dual.test/where" })
      :says(lab.v4.world .. ":80")
  end)

  it("a client that is told nothing gets exactly the server's error", function()
    L:run({ "curl", "-sS", "-m", "20", "-o", "/dev/null", "-w", "%{http_code}\n",
      url(lab.v4.world, "/nowhere") }):says("404")
  end)
end)
