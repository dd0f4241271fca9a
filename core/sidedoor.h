/* SPDX-License-Identifier: MIT */
#ifndef NSNET_SIDEDOOR_H
#define NSNET_SIDEDOOR_H

#include <stdbool.h>
#include <stdint.h>

#include "addr.h"

/* sidedoor - the ways around rules about names: other name servers, whose answers we do not see,
 * and QUIC, whose names we cannot. Where rules speak of names, a rule has to name such a
 * destination to open it, and the default does not. Pure.
 *
 * The lists of servers that speak DNS over HTTPS hold the public ones that programs have built in.
 * They can never be whole: what keeps others out is a default of deny.
 */
enum sidedoor {
	SIDEDOOR_NONE,
	SIDEDOOR_DNS,  /* ports 53 and 853, mDNS, LLMNR */
	SIDEDOOR_DOH,  /* a known server, port 443 */
	SIDEDOOR_QUIC, /* UDP port 443 */
};

/* What the destination @dst of @proto (IPPROTO_TCP, ...) is. Any spelling. */
enum sidedoor sidedoor_of(uint32_t proto, const struct addr *dst);

const char *sidedoor_text(enum sidedoor s); /* "another name server", ... */

/* How @name, in normal form (dname.h), leads to another resolver. */
enum sidedoor_name {
	SIDEDOOR_NAME_NONE,
	SIDEDOOR_NAME_SERVER, /* it is a known server, or below one */
	SIDEDOOR_NAME_SIGNAL, /* whoever finds it absent stays with the resolver it has */
};
enum sidedoor_name sidedoor_name(const char *name);

#endif
