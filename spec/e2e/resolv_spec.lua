-- SPDX-License-Identifier: MIT
-- Whatever the host's resolv.conf is, the command's works, and the host's is never touched.
local lab = require("spec.support.lab")

describe("resolv.conf", function()
  local L
  lazy_setup(function()
    L = lab.start({ world = false })
    L:serve_dns({ "203.0.113.53" }, "203.0.113.1")
  end)
  lazy_teardown(function() L:stop() end)

  local text = "nameserver 203.0.113.53\n"
  local stub = "/run/systemd/resolve/stub-resolv.conf"
  -- How to make each on the host; DATA is the text. resolves = false: there is none to use.
  local hosts = {
    { "a plain file", "DATA >/etc/resolv.conf" },
    { "a link as systemd-resolved makes it",
      "mkdir -p /run/systemd/resolve; DATA >" .. stub .. "; ln -s ../" .. stub:sub(2)
        .. " /etc/resolv.conf" },
    { "an absolute link",
      "mkdir -p /run/net; DATA >/run/net/rc; ln -s /run/net/rc /etc/resolv.conf" },
    { "a chain of links", "mkdir -p /run/a /run/b; DATA >/run/a/rc; ln -s ../a/rc /run/b/rc;"
      .. " ln -s /run/b /run/c; ln -s ../run/c/rc /etc/resolv.conf" },
    { "a link into a directory of the user's own", "mkdir -p /run/lab/home/wsl;"
      .. " DATA >/run/lab/home/wsl/rc; ln -s /run/lab/home/wsl/rc /etc/resolv.conf" },
    { "a file that may not be written",
      "DATA >/etc/resolv.conf; chmod 444 /etc/resolv.conf" },
    { "a mount itself", "DATA >/run/mounted; touch /etc/resolv.conf;"
      .. " mount --bind /run/mounted /etc/resolv.conf", undo = "umount /etc/resolv.conf" },
    { "absent", "true", resolves = false },
    { "a link to nothing", "ln -s /run/nowhere/rc /etc/resolv.conf", resolves = false },
    { "empty", ": >/etc/resolv.conf", resolves = false },
    { "a file with much else in it", "printf '# c\\n; c\\nsearch test\\noptions edns0 trust-ad\\n"
      .. "sortlist 10.0.0.0\\n\\nnameserver  \\t203.0.113.53 # first\\nnameserver bogus\\n'"
      .. " >/etc/resolv.conf" },
    { "a file without an end of line", "printf 'nameserver 203.0.113.53' >/etc/resolv.conf" },
    { "a file with carriage returns", "printf 'nameserver 203.0.113.53\\r\\n' >/etc/resolv.conf",
      resolves = "either" }, -- the C library does not take it either
  }

  local function as_root(script)
    return L:host({ "sh", "-c", script }, { who = "root" }):exits(0)
  end
  local function state()
    return as_root("ls -l --time-style=full-iso /etc/resolv.conf 2>&1; cat /etc/resolv.conf 2>&1;"
      .. " cat /proc/self/mountinfo").out
  end

  for _, host in ipairs(hosts) do
    it("of the host may be " .. host[1], function()
      as_root("rm -f /etc/resolv.conf; " .. host[2]:gsub("DATA", "printf '%%s' '" .. text .. "'"))
      finally(function() if host.undo then as_root(host.undo) end end)
      local before = state()
      local answer = L:run({ "sh", "-c", "echo ran; getent ahostsv4 a.test | head -n 1"
        .. " | cut -d' ' -f1" }, { env = { RES_OPTIONS = "timeout:2 attempts:1" } })
      assert.equal(before, state())
      answer:shows("^ran\n", answer.code)
      if host.resolves == nil then
        answer:says("ran\n203.0.113.1")
      elseif host.resolves == false then
        assert.is_nil(answer.out:match("203%.0%.113%.1"))
      end
      if not lab.direct then
        -- Where the host has no file there is none to cover: the C library asks 127.0.0.1.
        if not host[1]:match("absent") and not host[1]:match("nothing") then
          L:run({ "cat", "/etc/resolv.conf" }):shows("nameserver 10%.0%.0%.53\n")
        end
      end
    end)
  end

  if lab.direct then return end

  it("keeps the host's search list and options", function()
    as_root("rm -f /etc/resolv.conf; printf 'search one.test two.test\\nnameserver 203.0.113.53\\n"
      .. "options ndots:3\\n' >/etc/resolv.conf")
    L:run({ "cat", "/etc/resolv.conf" }):shows("search one%.test two%.test"):shows("ndots:3")
  end)

  it("cannot be written or taken off by the command", function()
    as_root("rm -f /etc/resolv.conf; printf 'nameserver 203.0.113.53\\n' >/etc/resolv.conf")
    L:run({ "sh", "-c", "echo nameserver 203.0.113.54 >/etc/resolv.conf;"
      .. " rm -f /etc/resolv.conf; umount /etc/resolv.conf" }, { args = { "--root" } })
    L:host({ "cat", "/etc/resolv.conf" }):says("nameserver 203.0.113.53")
  end)
end)
