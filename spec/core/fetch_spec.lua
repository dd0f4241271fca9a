-- SPDX-License-Identifier: MIT
-- core/lwip/fetch, with stand-ins for apt and dpkg-source: no network.

local scratch = require("spec.support.scratch")

-- $ROOT/mirrors names the working mirrors, $ROOT/versions what they have.
local apt_get = [[
#!/bin/sh
case $* in
*--print-uris*)
  echo "'http://third.example/debian/dists/trixie/InRelease' third 0 "
  echo "'http://mirror.example/debian/dists/trixie/InRelease' mirror 0 "
  echo "'http://mirror.example/debian/dists/trixie-updates/InRelease' updates 0 "
  exit 0 ;;
*update*)
  list=$(sed -n 's/^Dir::Etc::sourcelist "\(.*\)";/\1/p' "$2")
  read -r _ _ mirror suite _ <"$list"
  echo "$mirror $suite" >>"$ROOT/asked"
  grep -qx "$mirror" "$ROOT/mirrors" || { echo "E: not signed" >&2; exit 100; } ;;
*source*)
  for word; do last=$word; done
  echo "$last" >"$ROOT/taken"
  [ ! -e "$ROOT/broken" ] && touch lwip.dsc ;;
esac
]]
local apt_cache = [[
#!/bin/sh
for v in $(cat "$ROOT/versions"); do printf 'Package: lwip\nVersion: %s\n\n' "$v"; done
]]
local dpkg_source = [[
#!/bin/sh
for word; do last=$word; done
mkdir -p "$last/src/core" && touch "$last/src/core/tcp_in.c"
]]

describe("core/lwip/fetch", function()
  local root

  local function read(path)
    local file = io.open(root .. "/" .. path)
    local text = file and file:read("*a")
    if file then
      file:close()
    end
    return text
  end

  -- Runs it for $ROOT/out; returns whether it succeeded and what it printed.
  local function fetch(mirrors, versions)
    scratch.write(root, "mirrors", table.concat(mirrors, "\n") .. "\n")
    scratch.write(root, "versions", table.concat(versions, "\n") .. "\n")
    local pipe = assert(io.popen(
      ("chmod +x '%s'/bin/*; ROOT='%s' NSNET_KEYRING=/dev/null PATH='%s/bin':$PATH "):format(
        root, root, root
      ) .. ("core/lwip/fetch '%s/out' 2>&1; echo $?"):format(root)
    ))
    local output, status = pipe:read("*a"):match("^(.-)(%d+)\n$")
    pipe:close()
    return status == "0", output
  end

  before_each(function()
    root = scratch.new({
      ["bin/apt-get"] = apt_get,
      ["bin/apt-cache"] = apt_cache,
      ["bin/dpkg-source"] = dpkg_source,
    })
  end)

  after_each(function()
    scratch.remove(root)
  end)

  it("asks the machine's mirrors first and takes the next where one fails", function()
    assert.is_true(fetch({ "http://mirror.example/debian" }, { "2.2.1+dfsg1-1" }))
    assert.equal(
      "http://third.example/debian trixie\nhttp://mirror.example/debian trixie\n",
      read("asked")
    )
    assert.is_truthy(read("out/src/core/tcp_in.c"))
    assert.is_nil(read("out.apt/apt.conf"))
  end)

  it("falls back to Debian's own mirror", function()
    assert.is_true(fetch({ "http://deb.debian.org/debian" }, { "2.2.1+dfsg1-1" }))
  end)

  it("takes the newest revision of the series and no other version", function()
    assert.is_true(fetch({ "http://third.example/debian" }, {
      "2.2.1+dfsg1-1+deb13u1",
      "2.2.1+dfsg1-1+deb13u10",
      "2.2.1+dfsg1-1+deb13u9",
      "2.2.1+dfsg1-12",
      "2.3.0+dfsg1-1",
      "2.1.3+dfsg1-2",
    }))
    assert.equal("lwip=2.2.1+dfsg1-1+deb13u10\n", read("taken"))
  end)

  it("leaves nothing behind and says what to do where no mirror has it", function()
    local ok, output = fetch({ "http://third.example/debian" }, { "2.1.3+dfsg1-2" })
    assert.is_false(ok)
    assert.is_truthy(output:find("not from http://third.example/debian", 1, true))
    assert.is_truthy(output:find("E: not signed", 1, true))
    assert.is_truthy(output:find("LWIP_DIR=", 1, true))
    assert.is_nil(read("out/src/core/tcp_in.c"))
  end)

  it("leaves nothing behind where the package cannot be unpacked", function()
    scratch.write(root, "broken", "")
    assert.is_false(fetch({ "http://third.example/debian" }, { "2.2.1+dfsg1-1" }))
    assert.is_nil(read("out/src/core/tcp_in.c"))
  end)

  it("does nothing, and needs no tool, when it is there", function()
    scratch.write(root, "out/src/core/tcp_in.c", "")
    assert.is_true(fetch({}, {}))
    assert.is_nil(read("asked"))
  end)
end)
