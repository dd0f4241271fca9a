-- SPDX-License-Identifier: MIT
-- nsnet.every and nsnet.after call a function later; nsnet.spawn starts one beside the rest. All of
-- them may wait: nsnet.sleep, nsnet.dial, stream:read and the like look as if they blocked.
local open = 0

nsnet.on_connect({ observe = true }, function()
  open = open + 1
end)

nsnet.on_close({ network = "tcp" }, function()
  open = open - 1
end)

local progress = nsnet.every(10, function()
  nsnet.log.info("%d connections are open", open)
end)

nsnet.after(3600, function()
  progress:cancel()
  nsnet.log.info "an hour is over; no more reports"
end)
