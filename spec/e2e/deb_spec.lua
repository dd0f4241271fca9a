-- SPDX-License-Identifier: MIT
-- make deb: a package that lintian accepts, and that comes and goes without a trace.

local scratch = require("spec.support.scratch")

local function run(command)
  local p = assert(io.popen("{ " .. command .. "; } 2>&1; echo \"status $?\""))
  local text, status = p:read("*a"):match("^(.-)status (%d+)\n$")
  p:close()
  return text, tonumber(status)
end

local function must(command)
  local text, status = run(command)
  assert.equal(0, status, command .. "\n" .. text)
  return text
end

describe("make deb", function()
  local root, deb

  setup(function()
    root = scratch.new {}
    -- Only the release mode makes programs for users.
    deb = must("make -s MODE=release deb"):match("([^\n]+%.deb)\n$")
    must("mkdir -p " .. root .. "/var/lib/dpkg/updates " .. root .. "/var/lib/dpkg/info " ..
      root .. "/etc " .. root .. "/usr && touch " .. root .. "/var/lib/dpkg/status")
  end)
  teardown(function() scratch.remove(root) end)

  local function dpkg(words)
    return must("dpkg --root=" .. root .. " --force-depends --force-not-root " ..
      "--force-script-chrootless --log=" .. root .. "/log " .. words)
  end

  it("makes a package that lintian finds no error in", function()
    assert.is_string(deb)
    local text, status = run("lintian --allow-root --fail-on error " .. deb)
    assert.equal(0, status, text)
    assert.is_nil(text:match("\n?E: "), text)
  end)

  it("asks for no script to be run", function()
    local members = must("dpkg-deb --ctrl-tarfile " .. deb .. " | tar -t")
    for _, name in ipairs { "preinst", "postinst", "prerm", "postrm" } do
      assert.is_nil(members:match("%./" .. name .. "\n"), name)
    end
  end)

  it("installs programs that run, their manual and the scripts, and removes them", function()
    dpkg("-i " .. deb)
    assert.is_truthy(must(root .. "/usr/bin/nsnet-host --version"):match("^nsnet%-host %d"))
    must(root .. "/usr/bin/nsnet-host --check -s " .. root ..
      "/usr/share/nsnet-host/scripts/firewall.lua")
    must("test -x " .. root .. "/usr/bin/container-shim")
    for _, page in ipairs { "man1/nsnet-host.1", "man1/container-shim.1", "man7/nsnet-rules.7" } do
      must("gzip -t " .. root .. "/usr/share/man/" .. page .. ".gz")
    end
    must("test -e " .. root .. "/usr/lib/*/libnsnet.so.0 && test -s " .. root ..
      "/usr/include/nsnet.h")
    dpkg("-P nsnet-host")
    assert.equal("", must("if [ -e " .. root .. "/usr ]; then find " .. root ..
      "/usr ! -type d; fi"))
  end)
end)
