-- SPDX-License-Identifier: MIT
-- git over http and over ssh, and ssh by itself.
local lab = require("spec.support.lab")

describe("git and ssh", function()
  local L, head
  lazy_setup(function()
    L = lab.start()
    -- A repository with a few hundred objects, one of them big.
    L:host({ "bash", "-ec", [[
      mkdir /run/lab/git && cd /run/lab/git && git init -q --bare repo.git
      git init -q work && cd work
      git config user.name e2e && git config user.email e2e@lab.test
      for i in $(seq 300); do echo "file $i $RANDOM" >"f$i"; done
      head -c 5000000 /dev/urandom >big
      git add -A && git commit -qm first && echo more >>f1 && git commit -qam second
      git push -q ../repo.git HEAD:refs/heads/main
      git -C ../repo.git symbolic-ref HEAD refs/heads/main
      git -C ../repo.git config http.receivepack true
      cd /run/lab && dropbearkey -t ed25519 -f host.key && mkdir -m 700 home/.ssh
      ssh-keygen -q -t ed25519 -N '' -f client.key && cp client.key.pub home/.ssh/authorized_keys
      chmod 600 home/.ssh/authorized_keys && chmod go-w home
    ]], }, { bound = 30 }):exits(0)
    head = L:host({ "git", "-C", "/run/lab/git/repo.git", "rev-parse", "main" }).out
    L:serve("ssh", { "dropbear", "-F", "-E", "-s", "-r", "/run/lab/host.key", "-P", "",
      "-p", lab.v4.world .. ":2222", "-p", "[" .. lab.v6.world .. "]:2222" },
      { who = "user", listening = 2222, address = lab.v4.world })
  end)
  lazy_teardown(function() L:stop() end)

  local ssh = "ssh -i /run/lab/client.key -o BatchMode=yes -o StrictHostKeyChecking=no"
    .. " -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -p 2222"

  local function check(name)
    L:host({ "git", "-C", "/run/lab/home/" .. name, "rev-parse", "HEAD" }):says(head:sub(1, -2))
    L:host({ "git", "-C", "/run/lab/home/" .. name, "fsck", "--full", "--strict" }):exits(0)
  end

  lab.both(function(version, net)
    local at = lab.bracket(net.world)

    it("clones over http and " .. version, function()
      L:run({ "git", "clone", "-q", "http://" .. at .. "/git/repo.git", "http" .. version })
        :exits(0)
      check("http" .. version)
    end)

    it("clones over ssh and " .. version, function()
      L:run({ "git", "clone", "-q", "ssh://e2e@" .. at .. ":2222/run/lab/git/repo.git",
        "ssh" .. version }, { env = { GIT_SSH_COMMAND = ssh } }):exits(0)
      check("ssh" .. version)
    end)

    it("runs a command over ssh and " .. version .. ", with status and both streams", function()
      local answer = L:run({ "sh", "-c", ssh .. " e2e@" .. net.world
        .. " 'cat; echo wrong >&2; exit 42'" }, { stdin = "through and back\n" })
      answer:exits(42):complains("wrong"):shows("^through and back\n$", 42)
    end)

    it("copies 10 MB over ssh and " .. version, function()
      L:host({ "sh", "-c", "head -c 10000000 /dev/urandom >/run/lab/ten" }):exits(0)
      local sum = L:host({ "sha256sum", "/run/lab/ten" }).out:match("%x+")
      L:run({ "sh", "-c", ssh .. " e2e@" .. net.world .. " sha256sum </run/lab/ten" })
        :says(sum .. "  -")
      L:run({ "sh", "-c", ssh .. " e2e@" .. net.world .. " cat /run/lab/ten | sha256sum" })
        :says(sum .. "  -")
    end)
  end)

  it("pushes over http", function()
    L:run({ "bash", "-ec", "git clone -q http://203.0.113.1/git/repo.git push && cd push"
      .. " && git config user.name e2e && git config user.email e2e@lab.test"
      .. " && head -c 3000000 /dev/urandom >more && git add more && git commit -qm third"
      .. " && git push -q origin HEAD:refs/heads/pushed && git rev-parse HEAD >/run/lab/pushed" })
      :exits(0)
    L:host({ "git", "-C", "/run/lab/git/repo.git", "rev-parse", "pushed" })
      :says(L:read("pushed"):sub(1, -2))
  end)

  it("does not call a repository of the user's own dubious", function()
    L:run({ "git", "-C", "/run/lab/git/work", "status", "--short" }):exits(0)
    assert.equal("", L:run({ "git", "-C", "/run/lab/git/work", "status", "--short" }).out)
  end)

  it("reads the system's ssh configuration without complaint", function()
    L:run({ "ssh", "-G", "somewhere.test" }):shows("hostname somewhere%.test")
  end)
end)
