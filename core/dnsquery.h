/* SPDX-License-Identifier: MIT */
#ifndef NSNET_DNSQUERY_H
#define NSNET_DNSQUERY_H

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "addr.h"
#include "dnsmsg.h"
#include "hook.h"
#include "list.h"
#include "policy.h"
#include "resolver.h"

/* dnsquery - one DNS question of the child, from arrival to answer: checked, judged by
 * policy, asked by the resolver, logged. Both fronts (UDP and TCP) end here, and nothing reaches
 * the resolver that was not judged here.
 *
 *   arrival --> DECIDING --allow--> ASKING --> answer
 *                  |  hooks.dns may take its time
 *                  +-- deny: REFUSED or NXDOMAIN; drop: silence
 */
#define DNSQUERY_MAX 512       /* under way at a time */
#define DNSQUERY_LEN_MAX 4096  /* of a question; real ones are below 600 bytes */

struct dnsquery;

/* The answer to @q, once, never from inside dnsquery_new(): @len bytes at @msg (borrowed, may be
 * changed, the child's identifier in it), or NULL for silence. @q is freed afterwards. */
typedef void dnsquery_fn(struct dnsquery *q, uint8_t *msg, size_t len);

/* An answer on its way to the child, for those who remember names. Borrowed. */
typedef void dnsquery_seen_fn(void *arg, const struct dnsquery *q, const uint8_t *msg, size_t len);

struct dnsquery_pool {
	struct ev_loop *loop;
	struct resolver *resolver;    /* borrowed */
	struct policy *policy;        /* borrowed; NULL = all is allowed */
	dnsquery_seen_fn *seen;       /* NULL = none */
	void *seen_arg;
	struct list bucket[64];       /* all queries, by identifier */
	size_t count;
	uint64_t asked, answered, denied, dropped, malformed, repeated, overflow;
	uint64_t rcode[16];           /* answers to the child, by what they say */
};

struct dnsquery {
	struct dnsquery_pool *pool;
	struct list link; /* dnsquery_pool.bucket */
	dnsquery_fn *done; /* NULL once the front has gone */
	void *owner;       /* the front's: its connection, or NULL */
	struct list mine;  /* the front's: list of a connection's queries */
	struct addr src, dst; /* the child's socket, and where it sent this */
	bool tcp;
	bool deciding;        /* hooks.dns said PENDING */
	uint16_t id;          /* the child's */
	ev_tstamp started;    /* monotonic seconds */
	struct dnsmsg m;      /* m.data = msg */
	char name[DNSMSG_TEXT_MAX]; /* lower case, no trailing dot */
	struct resolver_query up;
	uint8_t *answer;      /* supplied by policy, owned */
	size_t answer_len;
	ev_timer late;        /* carries an answer known at once; limits DECIDING */
	void *policy_data;    /* hooks.dns' own */
	size_t len;
	uint8_t msg[];        /* as it came */
};

void dnsquery_pool_init(struct dnsquery_pool *p, struct ev_loop *loop, struct resolver *r,
	struct policy *policy);
void dnsquery_pool_fini(struct dnsquery_pool *p); /* ends all; no callback comes */

/* Takes up the question of @len bytes at @msg (borrowed). Returns 0 and *@out: @done will be
 * called; or a negative errno: there will be no answer and none is due (-EBADMSG: no DNS
 * question, -EALREADY: a repeated one that is under way, UDP only; -EBUSY: too many; -ENOMEM). */
int dnsquery_new(struct dnsquery_pool *p, const struct addr *src, const struct addr *dst, bool tcp,
	const uint8_t *msg, size_t len, dnsquery_fn *done, void *owner, struct dnsquery **out);

/* The front does not want the answer any more. @q is gone. */
void dnsquery_free(struct dnsquery *q);

/* For hooks.dns: answer with these @len bytes (copied; a whole answer to this very question, the
 * identifier is set for you) when the verdict ALLOW follows. Returns 0, -EBADMSG or -ENOMEM. */
int dnsquery_supply(struct dnsquery *q, const uint8_t *msg, size_t len);

/* The late answer of hooks.dns to PENDING. Takes the strings of @d. */
void dnsquery_decide(struct dnsquery *q, enum verdict v, struct decision *d);

#endif
