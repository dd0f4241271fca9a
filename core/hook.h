/* SPDX-License-Identifier: MIT */
#ifndef NSNET_HOOK_H
#define NSNET_HOOK_H

#include <stdbool.h>
#include <stddef.h>

#include "flow.h"

/* hook - the seam between the data plane and policy.
 *
 * The policy side (lua/api.c, or a C program) fills a struct hooks. A hook that is not
 * wanted is NULL and costs one test. Every function is called on the loop's thread, must
 * not block, and must not free the flow. @arg is hooks.arg.
 *
 * A hook that answers VERDICT_PENDING (or -EINPROGRESS) answers later through policy_answer() or
 * policy_dialed() (policy.h), exactly once, never from inside the hook. If the
 * flow ends first, cancel() tells so and the answer must not come any more.
 */
#define HOOK_FIRST_BYTES_MAX 65536

enum hook_dir {
	HOOK_DIR_OUT, /* child to world */
	HOOK_DIR_IN,  /* world to child */
};

struct dnsquery;

struct hooks {
	void *arg;

	/* A new TCP connection: the SYN is held. Returns a verdict; fills @d (zeroed; strings
	 * are malloc'd and given away). */
	enum verdict (*connect)(void *arg, struct flow *f, struct decision *d);

	/* The first datagram of a UDP flow, or the first echo request of an ICMP flow. */
	enum verdict (*flow)(void *arg, struct flow *f, struct decision *d);

	/* For a connection whose decision has first_bytes set: the first @n bytes of the child are
	 * here (borrowed, not consumed; contiguous, at most HOOK_FIRST_BYTES_MAX). None of them has
	 * left. ALLOW or NONE: they pass, and the hook is not called again; but if d->pass is set,
	 * only so many pass (perhaps more than @n), and the hook is called again with what follows,
	 * or with nothing at the child's end. MORE: called again with
	 * more, but not if @more is false (the child sends no more, or no more fit): then MORE
	 * counts as DENY. PENDING: policy_answer() comes later. All else resets. Bytes from the
	 * world are not held up: a server may speak first. */
	enum verdict (*first_bytes)(void *arg, struct flow *f, const void *bytes, size_t n,
		bool more, struct decision *d);

	/* @n bytes of a connection whose decision has data set, before they go on (borrowed). 0:
	 * they pass. 1: *@other (malloc'd, given away) of *@other_len bytes, perhaps none, go
	 * instead. Negative errno: both sides are reset. */
	int (*data)(void *arg, struct flow *f, enum hook_dir dir, const void *bytes, size_t n,
		void **other, size_t *other_len);

	/* A question of the child to the resolver (dnsquery.h: name, m.type, src, tcp, msg are
	 * set). NONE or ALLOW: it is forwarded; ALLOW after dnsquery_supply(): that is the answer.
	 * REDIRECT: asked at the name server d->target. DENY: REFUSED, or NXDOMAIN with style
	 * UNREACHABLE, or SERVFAIL with style RESET: a script failed. DROP: silence. PENDING:
	 * dnsquery_decide() comes later. @q is lent until the answer. */
	enum verdict (*dns)(void *arg, struct dnsquery *q, struct decision *d);

	/* A question that waits for dnsquery_decide() ends: forget it. */
	void (*dns_cancel)(void *arg, struct dnsquery *q);

	/* Make the connection for @f to f->decision.target yourself. Returns -EINPROGRESS and
	 * answers by policy_dialed() later, or -ENOSYS for "not mine, dial directly", or
	 * another negative errno: failed. Called for VERDICT_VIA, and for every allowed flow
	 * while a dialer is registered. */
	int (*dial)(void *arg, struct flow *f);

	/* Would dial() make the connection of @f, which was allowed by its name alone? Then its
	 * addresses need not be asked for. NULL: dial() never would. */
	bool (*dials)(void *arg, struct flow *f);

	/* A flow to a name was asked about with one of its addresses and goes to another, or
	 * nowhere: @f->policy is to be released here, and close() will not come for it. */
	void (*forget)(void *arg, struct flow *f);

	/* Each packet, both directions, whole: fragments are put together first; false drops it.
	 * Fast path: see architecture note. */
	bool (*packet)(void *arg, enum hook_dir dir, struct packet *p);

	/* A flow that waits for an answer (connect, flow, first_bytes, dial) ends: forget it. */
	void (*cancel)(void *arg, struct flow *f);

	/* A flow that was asked has ended: its counters and cause are final. Exactly once.
	 * f->policy is to be released here. */
	void (*close)(void *arg, struct flow *f);
};

#endif
