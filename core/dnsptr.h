/* SPDX-License-Identifier: MIT */
#ifndef NSNET_DNSPTR_H
#define NSNET_DNSPTR_H

#include <stdbool.h>
#include <stdint.h>

#include "addr.h"

/* dnsptr - the address that the name of a reverse question stands for: 1.2.0.192.in-addr.arpa
 * (RFC 1035 3.5), 32 nibbles below ip6.arpa (RFC 3596 2.5). Pure. */

/* @wire is a name as dnsmsg.h has it. False: it is no whole address. */
bool dnsptr_read(const uint8_t *wire, struct addr *a);

#endif
