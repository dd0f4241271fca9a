-- SPDX-License-Identifier: MIT
-- proxy.lua - what the dialers through proxies share: their options, and the way to the proxy.
--
-- options: proxy = "address:port", user, password, timeout (10 s), bind (the host's address to
-- connect from), dial (how to reach the proxy: a dialer, for a chain of proxies).

local proxy = {}

local KINDS = {
  proxy = "string",
  user = "string",
  password = "string",
  timeout = "number",
  bind = "string",
  dial = "function",
}

-- Raises at the load what would otherwise fail, or be left out, at the first connection.
function proxy.check(what, options)
  if type(options) ~= "table" then
    error(("%s: options must be a table, as in { proxy = \"address:port\" }"):format(what), 3)
  end
  for key, value in pairs(options) do
    local kind = KINDS[key]
    if not kind then
      local known = "proxy, user, password, timeout, bind, dial"
      error(("%s: unknown option '%s'; there are %s"):format(what, tostring(key), known), 3)
    elseif type(value) ~= kind then
      error(("%s: %s must be a %s, not a %s"):format(what, key, kind, type(value)), 3)
    end
  end
  local ok, why = pcall(nsnet.split_address, options.proxy)
  if not ok then
    error(("%s: proxy = \"address:port\" is missing or wrong: %s"):format(what, why), 3)
  elseif options.password and not options.user then
    error(("%s: there is a password, but no user"):format(what), 3)
  end
end

-- A stream to the proxy, or nil, message, code.
function proxy.reach(options, conn)
  local timeout = options.timeout or 10
  local stream, err, code
  if options.dial then
    stream, err, code = options.dial("tcp", options.proxy, conn)
  else
    stream, err, code = nsnet.dial("tcp", options.proxy, { timeout = timeout, bind = options.bind })
  end
  if not stream then
    return nil, "proxy: " .. err, code
  end
  stream:set_timeout(timeout)
  return stream
end

return proxy
