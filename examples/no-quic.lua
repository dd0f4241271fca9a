-- SPDX-License-Identifier: MIT
-- UDP and ICMP are asked about once per flow, in on_flow; here a filter and a rule are enough.
-- Browsers that are refused QUIC use TCP.
nsnet.rules {
  { name = "no quic", network = "udp", port = 443, nsnet.deny "use TCP" },
}
