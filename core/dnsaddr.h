/* SPDX-License-Identifier: MIT */
#ifndef NSNET_DNSADDR_H
#define NSNET_DNSADDR_H

#include <stddef.h>
#include <stdint.h>

#include "addr.h"
#include "dnsmsg.h"

/* dnsaddr - the addresses in a DNS answer: A and AAAA records that belong to the question's name
 * or, by the CNAME records of the same message, to what it stands for. Pure. */

/* Calls @fn with each address (port 0) and its TTL in seconds. */
void dnsaddr_each(const struct dnsmsg *m,
	void (*fn)(void *arg, const struct addr *ip, uint32_t ttl), void *arg);

size_t dnsaddr_count(const struct dnsmsg *m);

#endif
