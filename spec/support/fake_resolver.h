/* SPDX-License-Identifier: MIT */
#ifndef NSNET_SPEC_FAKE_RESOLVER_H
#define NSNET_SPEC_FAKE_RESOLVER_H

/* fake_resolver - stands for all of resolver.c: takes questions and waits until the spec has
 * resolve() answer them. Include it after <cmocka.h>, in one file. */

#include <string.h>

#include "core/dnsquery.h"
#include "core/resolver.h"

static struct resolver_query *asked[DNSQUERY_MAX]; /* under way, oldest first */
static unsigned asked_count, asked_total;
static uint8_t asked_msg[DNSMSG_MAX];
static size_t asked_len;
static bool asked_whole;
static struct addr asked_server; /* v 0: the host's */
static int resolver_error;       /* of resolver_ask() */

int resolver_init(struct resolver *r, struct ev_loop *loop, struct resolvconf *conf)
{
	r->loop = loop;
	r->conf = conf;
	return 0;
}

void resolver_fini(struct resolver *r)
{
	assert_int_equal(asked_count, 0);
	r->loop = NULL;
}

int resolver_ask(struct resolver *r, struct resolver_query *q, uint8_t *msg, size_t len, bool whole,
	const struct addr *server, resolver_fn *done)
{
	asked_total++;
	if (resolver_error)
		return resolver_error;
	q->resolver = r;
	q->done = done;
	q->msg = msg;
	q->len = len;
	memcpy(asked_msg, msg, len);
	asked_len = len;
	asked_whole = whole;
	asked_server = server ? *server : (struct addr){0};
	dnsmsg_set_id(msg, 0xbeef); /* as the true one does */
	assert_true(asked_count < DNSQUERY_MAX);
	asked[asked_count++] = q;
	return 0;
}

void resolver_cancel(struct resolver_query *q)
{
	if (!q->resolver)
		return;
	q->resolver = NULL;
	for (unsigned i = 0; i < asked_count; i++) {
		if (asked[i] == q)
			asked[i] = asked[--asked_count];
	}
}

/* The name server's answer to the oldest question, or none. */
static __attribute__((unused)) void resolve(unsigned rcode, bool silent)
{
	struct resolver_query *q = asked[0];
	uint8_t msg[1024];

	assert_true(asked_count > 0);
	memcpy(msg, q->msg, q->len);
	msg[2] |= 0x80;
	msg[3] = (uint8_t)rcode;
	resolver_cancel(q);
	q->done(q, silent ? NULL : msg, silent ? 0 : q->len);
}

#endif
