-- SPDX-License-Identifier: MIT
-- TCP as the two ends see it: every byte, each half-close, each abort, and who is asked to wait.
local lab = require("spec.support.lab")

describe("TCP", function()
  local L
  lazy_setup(function() L = lab.start() end)
  lazy_teardown(function() L:stop() end)
  local port = lab.port

  lab.both(function(version, net)
    describe("over " .. version, function()
      for _, size in ipairs({ 0, 1, 65536, 100000000 }) do
        it(("carries %d bytes up, a half-close, and the answer"):format(size), function()
          L:client({ "upload", net.world, port.sum, size }, { bound = 90 })
            :says(("%d %s\nend=eof"):format(size, L:sum(size)))
        end)
      end

      it("carries an answer that comes long after the client's half-close", function()
        L:client({ "fetch", net.world, port.source, 5000000, "fin" })
          :says("5000000 " .. L:sum(5000000) .. " end=eof")
      end)

      it("lets the client go on sending after the server's half-close", function()
        L:client({ "half", net.world, port.half, 3000000 }):says("bye\nend=eof")
        assert(L:logged("tcp_half " .. lab.bracket(net.world):gsub("%p", "%%%0")
          .. ":%d+ %S+ end=eof bytes=3000000 sha=" .. L:sum(3000000)))
      end)

      it("carries both directions at once", function()
        L:client({ "exchange", net.world, port.echo, 20000000 }, { bound = 60 })
          :says(L:sum(20000000))
      end)

      it("waits for a slow reader in the command and loses nothing", function()
        L:client({ "fetch", net.world, port.source, 4000000, "fin", 0.001 }, { bound = 60 })
          :says("4000000 " .. L:sum(4000000) .. " end=eof")
      end)

      it("waits for a slow reader in the world and loses nothing", function()
        L:client({ "upload", net.world, port.slow, 4000000 }, { bound = 60 })
          :says(("4000000 %s\nend=eof"):format(L:sum(4000000)))
      end)

      it("lets the server speak first", function()
        L:client({ "talk", net.world, port.banner, "hello" }):says("220 ready\r\nhelloend=eof")
      end)

      it("tells the server of the client's abort by a reset, not an end", function()
        L:client({ "abort", net.world, port.watch, 0 }):says("reset")
        assert.equal("ECONNRESET", L:logged("tcp_watch %S+ %S+ end=(%S+) bytes=0"))
      end)

      it("resets a server in mid-sending when the client aborts", function()
        L:client({ "leave", net.world, port.source, 50000000 }):says("reset")
        local how = L:logged("tcp_source %S+ %S+ end=(E%S+) bytes=%d+")
        assert.is_truthy(how == "ECONNRESET" or how == "EPIPE", "server saw " .. tostring(how))
      end)

      it("tells the client of the server's abort by a reset, not an end", function()
        L:client({ "fetch", net.world, port.source, 0, "rst" }):shows("^0 %x+ end=ECONNRESET\n$")
      end)

      it("never turns a server's abort in mid-transfer into a clean end", function()
        for _ = 1, 5 do
          L:client({ "fetch", net.world, port.source, 2000000, "rst" })
            :shows("^%d+ %x+ end=ECONNRESET\n$")
        end
      end)

      it("carries 200 connections at once, each both ways with its checksum", function()
        L:client({ "many", net.world, port.echo, 200, 200000 }, { bound = 70 }):says("ok 200")
      end)

      it("carries 500 connections one after another", function()
        L:client({ "serial", net.world, port.echo, 500 }, { bound = 60 }):says("ok 500")
      end)

      it("shows the world the host's own address and no other", function()
        L:client({ "talk", net.world, port.who, "" })
          :shows("^" .. lab.bracket(net.host):gsub("%p", "%%%0") .. ":%d+ "
            .. lab.bracket(net.world):gsub("%p", "%%%0") .. ":7008\n")
      end)
    end)
  end)
end)
