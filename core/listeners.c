/* SPDX-License-Identifier: MIT */
#include "listeners.h"

#include <arpa/inet.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#include "base.h"
#include "sockdiag.h"

struct told {
	listeners_fn *fn;
	void *arg;
};

static void unfold(struct addr *a)
{
	if (!addr_is_mapped(a))
		return;
	memmove(a->ip, a->ip + 12, 4);
	memset(a->ip + 4, 0, 12);
	a->v = 4;
}

static void tell(void *arg, const struct inet_diag_msg *d, size_t rest)
{
	static const uint8_t any[16];
	const struct told *told = arg;
	int left = (int)rest;
	const bool v6 = d->idiag_family == AF_INET6;
	struct listening l = {
		.at = {.v = v6 ? 6 : 4, .port = ntohs(d->id.idiag_sport)},
		.device = d->id.idiag_if,
		.both = v6,
	};

	memcpy(l.at.ip, d->id.idiag_src, v6 ? 16 : 4);
	for (const struct rtattr *a = (const void *)(d + 1); RTA_OK(a, left);
		a = RTA_NEXT(a, left)) {
		if (a->rta_type == INET_DIAG_SKV6ONLY && RTA_PAYLOAD(a) >= 1 &&
			*(const uint8_t *)RTA_DATA(a))
			l.both = false;
	}
	if (v6)
		unfold(&l.at);
	l.both &= memcmp(l.at.ip, any, sizeof(any)) == 0 && l.at.v == 6;
	told->fn(told->arg, &l);
}

int listeners_ask(int diag, int proto, listeners_fn *fn, void *arg)
{
	static const uint8_t family[] = {AF_INET, AF_INET6};
	/* A UDP socket without a peer is CLOSE. */
	const uint32_t states = 1u << (proto == IPPROTO_TCP ? TCP_LISTEN : TCP_CLOSE);
	struct told told = {fn, arg};
	int rc = 0;

	for (size_t i = 0; i < ARRAY_LEN(family) && rc == 0; i++)
		rc = sockdiag_each(diag, family[i], (uint8_t)proto, states, tell, &told);
	return rc;
}
