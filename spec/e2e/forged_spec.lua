-- SPDX-License-Identifier: MIT
-- What a client can do to be taken for another, with programs that everybody has and servers that
-- speak TLS: each gets what the rule says, and the server has seen none of what was refused.
local lab = require("spec.support.lab")

describe("TLS under rules about names:", function()
  local L
  local zone = [[
v4.pkg.test A 60 203.0.113.1
v6.pkg.test AAAA 60 2001:db8:2::1
v4.evil.example A 60 203.0.113.1
v6.evil.example AAAA 60 2001:db8:2::1
]]
  local env = { CURL_CA_BUNDLE = "/run/lab/ca.pem", SSL_CERT_FILE = "/run/lab/ca.pem" }

  lazy_setup(function()
    L = lab.start({ world = false })
    L:host({ "bash", "-ec", [[
      cd /run/lab
      openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 \
        -subj /CN=lab -keyout secure.pem -out ca.pem -addext \
        subjectAltName=DNS:v4.pkg.test,DNS:v6.pkg.test,DNS:v4.evil.example,DNS:v6.evil.example,$(:
        )IP:203.0.113.1,IP:203.0.113.2,IP:2001:db8:2::1,IP:2001:db8:2::2
      cat ca.pem >>secure.pem]] }):exits(0)
    L:serve_authority("names", { "203.0.113.53", "2001:db8:2::53" }, zone)
    L:serve("secure", { "python3", "-BS", "/run/repo/spec/support/secure.py", "secure", "names",
      "203.0.113.1", "2001:db8:2::1", "203.0.113.2", "2001:db8:2::2" })
  end)
  lazy_teardown(function() L:stop() end)
  if lab.direct then return end

  -- Runs the script, in which $0 is the name and $1 and $2 are addresses, as curl takes them; gives
  -- the result and what the servers have seen of it, without those that were only called.
  local function run(code, script, words, stdin)
    local before = #(L:read("secure.log") or "")
    local result = L:run({ "bash", "-c", script, unpack(words) },
      { args = { "-e", code }, env = env, stdin = stdin })
    return result, ((L:read("secure.log") or ""):sub(before + 1):gsub("accept [^\n]*\n", ""))
  end

  local deny = "nsnet.default(nsnet.deny) "
  local named = deny .. "nsnet.rules { { domain = '.pkg.test', nsnet.allow } }"
  local shown = deny .. "nsnet.rules { { sni = '.pkg.test', nsnet.allow },"
    .. " { network = 'dns', domain = '.pkg.test', nsnet.allow } }"
  local shut = "nsnet.rules { { domain = '.evil.example', nsnet.deny } }"
  local hello = "python3 -BS /run/repo/spec/support/hello.py"
  local first = "getent ahosts $0 >/dev/null; "

  local families = {
    v4 = { "v4.pkg.test", "203.0.113.1", "203.0.113.2", "v4.evil.example" },
    v6 = { "v6.pkg.test", "[2001:db8:2::1]", "[2001:db8:2::2]", "v6.evil.example" },
  }

  for version, words in pairs(families) do
    -- curl's words, and what becomes of them under the three rule sets: its status. 0 = fine,
    -- 6 = no such name, 7 = refused, 35 = reset in the handshake.
    local cases = {
      { "the name", "https://$0/where", 0, 0, 0 },
      { "its address", "https://$1/where", 0, 35, 0 },
      { "another address", "https://$2/where", 7, 35, 0 },
      { "another name", "https://$3/where", 6, 6, 6 },
      { "the name at another address", "--resolve $0:443:$2 https://$0/where", 7, 0, 0 },
      { "another name at its address", "--resolve $3:443:$1 https://$3/where", 35, 35, 35 },
      { "another name through it", "--connect-to $3:443:$0:443 https://$3/where", 35, 35, 35 },
      { "another name at another address", "--resolve $3:443:$2 https://$3/where", 7, 35, 35 },
      { "another name in capitals with a dot",
        "--connect-to ::$0:443 https://$(echo $3 | tr a-z A-Z)./where", 35, 35, 35 },
    }
    for i, rules in ipairs({ { "opening by name", named }, { "opening by SNI", shown },
      { "closing by name", shut } }) do
      it(("curl gets what a rule says that is %s, over %s"):format(rules[1], version), function()
        local script, want, hellos = { first }, {}, {}
        for _, case in ipairs(cases) do
          local code, at = case[2 + i], case[2]:match("%$2") and words[3] or words[2]
          script[#script + 1] = ("echo \"%s: $(curl -sS -m 20 %s) $?\""):format(case[1], case[2])
          want[#want + 1] = ("%s: %s %d"):format(case[1], code == 0 and at .. ":443" or "", code)
          if code == 0 then hellos[#hellos + 1] = case[1] end
        end
        local r, seen = run(rules[2], table.concat(script, "\n"), words)
        r:says(table.concat(want, "\n"))
        assert.is_nil(seen:match("evil"), seen)
        assert.equal(#hellos, select(2, seen:gsub("hello", "")), seen)
      end)
    end

    it("a Host that differs is not seen inside TLS, over " .. version, function()
      local r, seen = run(named, "curl -sS -H 'Host: '$3 https://$0/where", words)
      r:exits(0)
      assert.is_truthy(seen:match("sni=v%d.pkg.test\n.*host=v%d.evil.example"), seen)
    end)

    it("no SNI passes by proof, and not by a rule about SNI, over " .. version, function()
      local client = first .. "echo | openssl s_client -noservername -connect $1:443 2>&1 |"
        .. " grep -c 'Cipher is T'"
      local r, seen = run(named, client, words)
      r:says("1")
      assert.is_truthy(seen:match("sni=\n"), seen)
      r, seen = run(shown, client, words)
      r:shows("^0\n", 1)
      assert.equal("", seen)
    end)

    it("a ClientHello is read in whatever pieces, over " .. version, function()
      local address = words[2]:gsub("[%[%]]", "")
      local function say(code, names, ways)
        local lines = {}
        for _, name in ipairs(names) do
          for _, way in ipairs(ways) do
            lines[#lines + 1] = ("%s 443 %s %s\n"):format(address, name, way)
          end
        end
        local r, seen = run(code, first .. hello, words, table.concat(lines))
        assert.is_nil(seen:match("evil"), seen)
        return r:exits(0).out
      end
      for _, code in ipairs({ named, shown, shut }) do
        assert.equal(("answered\n"):rep(5) .. ("ConnectionResetError\n"):rep(5),
          say(code, { words[1], words[4] }, { "whole", "bytes", "records", "big", "late" }))
      end
      assert.equal(("ConnectionResetError\n"):rep(2), -- the outer name of ECH
        say(named, { words[1], words[4] }, { "ech" }))
      local open = named:gsub("nsnet.allow", "ech = true, nsnet.allow")
      assert.equal("answered\nConnectionResetError\n",
        say(open, { words[1], words[4] }, { "ech" }))
      say(named, { words[1] }, { "twice" })
    end)
  end
end)
