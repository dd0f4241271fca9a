-- SPDX-License-Identifier: MIT
-- Programs as people use them, under scripts/allowlist.lua with two names in its list: they work as
-- they are, over TLS that is real, and what is not in the list they do not reach.
local lab = require("spec.support.lab")

describe("under a list of names", function()
  local L, options
  local zone = [[
v4.pkg.test A 60 203.0.113.1
v6.pkg.test AAAA 60 2001:db8:2::1
v4.other.test A 60 203.0.113.1
v6.other.test AAAA 60 2001:db8:2::1
]]

  local function has(program)
    return L:host({ "sh", "-c", "command -v " .. program }).code == 0
  end

  lazy_setup(function()
    L = lab.start({ world = false })
    L:host({ "bash", "-ec", [[
      cd /run/lab
      openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 \
        -subj /CN=lab -keyout secure.pem -out ca.pem -addext \
        subjectAltName=DNS:v4.pkg.test,DNS:v6.pkg.test,DNS:v4.other.test,DNS:v6.other.test
      cat ca.pem >>secure.pem

      mkdir git www && cd git && git init -q --bare repo.git && git init -q work && cd work
      git config user.name e2e && git config user.email e2e@lab.test
      for i in $(seq 100); do echo "file $i $RANDOM" >"f$i"; done
      head -c 1000000 /dev/urandom >big
      git add -A && git commit -qm first && git push -q ../repo.git HEAD:refs/heads/main
      git -C ../repo.git symbolic-ref HEAD refs/heads/main

      cd /run/lab/www && mkdir -p simple/hello npm/v4 npm/v6 deb/DEBIAN package
      printf 'Package: hello\nVersion: 1\nArchitecture: all\nMaintainer: e2e <e@lab.test>\n' \
        >deb/DEBIAN/control
      printf 'Description: says hello\n' >>deb/DEBIAN/control
      dpkg-deb -b deb hello_1_all.deb
      { cat deb/DEBIAN/control; echo "Filename: hello_1_all.deb"
        echo "Size: $(stat -c %s hello_1_all.deb)"
        echo "SHA256: $(sha256sum hello_1_all.deb | cut -d' ' -f1)"; } >Packages
      python3 - <<END
import zipfile, hashlib, json, tarfile, io, base64
wheel = zipfile.ZipFile("hello-1-py3-none-any.whl", "w")
wheel.writestr("hello.py", "print('hello')\n")
wheel.writestr("hello-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: hello\nVersion: 1\n")
wheel.writestr("hello-1.dist-info/WHEEL",
               "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
wheel.writestr("hello-1.dist-info/RECORD", "")
wheel.close()
digest = hashlib.sha256(open("hello-1-py3-none-any.whl", "rb").read()).hexdigest()
open("simple/hello/index.html", "w").write(
    '<a href="/files/hello-1-py3-none-any.whl#sha256=%s">hello-1-py3-none-any.whl</a>' % digest)
about = json.dumps({"name": "hello", "version": "1.0.0"}).encode()
with tarfile.open("hello.tgz", "w:gz") as tar:
    info = tarfile.TarInfo("package/package.json")
    info.size = len(about)
    tar.addfile(info, io.BytesIO(about))
digest = base64.b64encode(hashlib.sha512(open("hello.tgz", "rb").read()).digest()).decode()
for name in ("v4", "v6"):
    json.dump({"name": "hello", "dist-tags": {"latest": "1.0.0"}, "versions": {"1.0.0": {
        "name": "hello", "version": "1.0.0", "dist": {"integrity": "sha512-" + digest,
        "tarball": "https://%s.pkg.test/files/hello.tgz" % name}}}},
        open("npm/%s/hello" % name, "w"))
END
    ]] }, { bound = 60 }):exits(0)
    L:serve_authority("names", { "203.0.113.53", "2001:db8:2::53" }, zone)
    L:serve("secure", { "python3", "-BS", "/run/repo/spec/support/secure.py", "secure", "names",
      "203.0.113.1", "2001:db8:2::1" })
    local source = assert(io.open("scripts/allowlist.lua"))
    options = { args = { "-s", L:script(source:read("*a"), "allowlist.lua") }, env = {
      CURL_CA_BUNDLE = "/run/lab/ca.pem", GIT_SSL_CAINFO = "/run/lab/ca.pem",
      SSL_CERT_FILE = "/run/lab/ca.pem", PIP_CERT = "/run/lab/ca.pem",
      npm_config_cafile = "/run/lab/ca.pem" } }
    source:close()
    L:write("allowlist.txt", "v4.pkg.test\nv6.pkg.test\n")
  end)
  lazy_teardown(function() L:stop() end)
  if lab.direct then return end

  local function run(script, ...)
    return L:run({ "bash", "-c", script, ... }, options)
  end

  for _, version in ipairs({ "v4", "v6" }) do
    local good, bad = version .. ".pkg.test", version .. ".other.test"

    it("curl fetches, again on the same connection, and uploads, over " .. version, function()
      run([[curl -sS -w '%{http_code} %{size_download} %{num_connects}\n' -o /dev/null \
        -o /dev/null -o /dev/null https://$0/bytes/10 https://$0/bytes/3000000 \
        https://$0/bytes/70000]], good):says("200 10 1\n200 3000000 0\n200 70000 0")
      run("head -c 2000000 /dev/zero | curl -sS --data-binary @- https://$0/upload", good)
        :shows("^2000000 ")
      run("curl -sS https://$0/bytes/10", bad):exits(6)
    end)

    it("wget fetches, over " .. version, function()
      run("wget -q --ca-certificate=/run/lab/ca.pem -O - https://$0/bytes/100000 | wc -c", good)
        :says("100000")
    end)

    it("git clones and fetches, over " .. version, function()
      run("git clone -q https://$0/git/repo.git $0 && cd $0 && git fsck --full --strict && "
        .. "git fetch -q && git log --format=%s", good):says("first")
      run("git clone -q https://$0/git/repo.git $0", bad):exits(128)
    end)

    it("python reads an index and a package, over " .. version, function()
      run([[python3 -c '
import hashlib, re, sys, urllib.parse, urllib.request
index = "https://%s/files/simple/hello/" % sys.argv[1]
page = urllib.request.urlopen(index, timeout=20).read().decode()
href, digest = re.search("href=.(.*)#sha256=([0-9a-f]*)", page).groups()
data = urllib.request.urlopen(urllib.parse.urljoin(index, href), timeout=20).read()
print(hashlib.sha256(data).hexdigest() == digest)
' $0]], good):says("True")
    end)

    it("pip downloads a package, over " .. version, function()
      if not has("pip3") then return pending("pip is not installed") end
      local pip = "PIP_DISABLE_PIP_VERSION_CHECK=1 pip3 -q --no-cache-dir download --no-deps"
        .. " -d pip$0 -i https://$0/files/simple hello"
      run(pip .. " && ls pip$0", good):says("hello-1-py3-none-any.whl")
      assert.is_true(run(pip .. " --retries 0", bad).code ~= 0)
    end)

    it("npm installs a package, over " .. version, function()
      if not has("npm") then return pending("npm is not installed") end
      run("mkdir npm$0 && cd npm$0 && echo '{}' >package.json && npm --no-audit --no-fund "
        .. "install --registry https://$0/files/npm/$1/ hello "
        .. "&& cat node_modules/hello/package.json", good, version)
        :shows('"version": "1.0.0"')
    end)

    it("apt updates and downloads, over " .. version, function()
      run([[
        mkdir -p apt$0/lists/partial apt$0/cache/archives/partial && cd apt$0
        echo "deb [trusted=yes] https://$0/files ./" >sources.list
        touch status
        apt="apt-get -qq -o Dir::State=$PWD -o Dir::State::status=$PWD/status
          -o Dir::Cache=$PWD/cache -o Dir::Etc::sourcelist=$PWD/sources.list
          -o Dir::Etc::sourceparts=- -o Dir::Etc::parts=-
          -o Acquire::https::CaInfo=/run/lab/ca.pem -o APT::Sandbox::User= -o Debug::NoLocking=1"
        $apt update && $apt download hello && ls *.deb]], good):says("hello_1_all.deb")
    end)
  end

  it("who asks for something else is told what to add", function()
    run("curl -sS https://v4.other.test/"):complains(
      "v4.other.test A%w* denied %(REFUSED%) by default; { domain = \"v4.other.test\",")
    run("curl -sS https://203.0.113.1/"):complains(
      "denied tcp .*203.0.113.1:443.* by .-allowlist.txt to allow it")
  end)

  it("nothing for another name has reached a server", function()
    local log = L:read("secure.log")
    assert.is_nil(log:match("other%.test"))
    assert.equal(0, L:asked("names", nil, "other%.test"))
    assert.is_truthy(log:match("hello 203.0.113.1:443 sni=v4.pkg.test"))
    assert.is_truthy(log:match("hello %[2001:db8:2::1%]:443 sni=v6.pkg.test"))
  end)
end)
