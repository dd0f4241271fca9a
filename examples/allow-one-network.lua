-- SPDX-License-Identifier: MIT
-- Deny everything but one network. Rules are conditions and a verdict; the first that matches wins.
nsnet.default(nsnet.deny)

nsnet.rules {
  { name = "questions", network = "dns", nsnet.allow },
  { name = "lab", cidr = "198.51.100.0/24", nsnet.allow },
}
