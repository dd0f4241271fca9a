/* SPDX-License-Identifier: MIT */
#ifndef NSNET_DNSQUERY_H
#define NSNET_DNSQUERY_H

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "addr.h"
#include "dnslocal.h"
#include "dnsmsg.h"
#include "dnsnews.h"
#include "hook.h"
#include "list.h"
#include "policy.h"
#include "resolver.h"

/* dnsquery - one DNS question of the child, from arrival to answer: checked, judged by policy,
 * asked by the resolver, logged. Both fronts (UDP and TCP) end here, and nothing reaches the
 * resolver that was not judged here.
 *
 *   arrival --> JUDGING --allow, redirect--> ASKING --answer--> (gone)
 *      |           |  hooks.dns may take its time                 ^
 *      +-----------+-- no, or the answer is known --> READY ------+
 */
enum dnsquery_state {
	DNSQUERY_STATE_JUDGING,
	DNSQUERY_STATE_ASKING,
	DNSQUERY_STATE_READY,
};

#define DNSQUERY_BUCKETS 64
#define DNSQUERY_JUDGING_S 30. /* then SERVFAIL; the policy side has shorter limits of its own */
#define DNSQUERY_MAX 512       /* under way at a time */
#define DNSQUERY_LEN_MAX 4096  /* of a question; real ones are below 600 bytes */

struct dnsquery;
struct hosts;
struct synth;

/* The answer to @q, once, never from inside dnsquery_new(): @len bytes at @msg (borrowed, may be
 * changed, the child's identifier in it), or NULL for silence. @q has been taken off the list
 * @q->mine and is freed afterwards. */
typedef void dnsquery_fn(struct dnsquery *q, uint8_t *msg, size_t len);

/* An answer on its way to the child, for those who remember names. Borrowed. */
typedef void dnsquery_seen_fn(void *arg, const struct dnsquery *q, const uint8_t *msg, size_t len);

struct dnsquery_pool {
	struct ev_loop *loop;
	struct resolver *resolver; /* borrowed; NULL = nobody is asked: silence is the answer */
	struct policy *policy;     /* borrowed; NULL = all is allowed */
	dnsquery_seen_fn *seen;    /* NULL = none */
	void *seen_arg;
	struct hosts *hosts; /* borrowed; NULL = none */
	struct synth *synth; /* borrowed; NULL = addresses are the true ones */
	struct dnsnews news;
	struct list bucket[DNSQUERY_BUCKETS]; /* all queries, by the child's identifier */
	size_t count;
	uint64_t asked, answered;
	uint64_t denied, dropped;           /* by policy */
	uint64_t verdicts[VERDICT_VIA + 1]; /* of questions that have ended; NONE: before any */
	uint64_t malformed;                 /* no DNS question at all: no answer was due */
	uint64_t repeated;  /* the child asked again before the answer: one is enough */
	uint64_t overflow;  /* more than DNSQUERY_MAX */
	uint64_t failed;    /* no server answered: SERVFAIL from us */
	uint64_t rcode[16]; /* answers to the child, by what they say */
};

struct dnsquery {
	/* For hooks and those who see answers. */
	struct addr src, dst; /* the child's socket, and where it sent this */
	bool tcp;
	struct dnsmsg m;            /* m.data = msg; m.name, m.type, m.class are the question */
	char name[DNSMSG_TEXT_MAX]; /* of the question: dnsmsg_text() */
	void *policy_data;          /* hooks.dns' own */
	struct decision decision;   /* verdict NONE until it is judged; a malformed one never is */
	ev_tstamp asked_at;         /* ev_now() of the loop, seconds since 1970 */
	struct process *process;    /* held; NULL: unknown, or nobody wants to know */
	double took;                /* seconds until its end, set then */

	/* For the front. */
	void *owner;      /* its own, e.g. the connection */
	struct list mine; /* its own: not on a list at first */

	/* Ours. */
	struct dnsquery_pool *pool;
	struct list link; /* dnsquery_pool.bucket */
	dnsquery_fn *done;
	uint16_t id; /* the child's; in msg the resolver overwrites it */
	enum dnsquery_state state;
	bool told;               /* observers know of its end */
	bool real;               /* we ask, not the child: for true addresses */
	enum dnslocal_kind kind; /* what the answer is about, as far as it is ours */
	ev_timer timer;          /* JUDGING: the limit; READY: ends the waiting at once */
	double started;          /* monotonic seconds */
	struct resolver_query up;
	uint8_t *answer; /* READY: owned, or NULL for silence */
	size_t answer_len;
	size_t len;
	uint8_t msg[]; /* the question, owned */
};

void dnsquery_pool_init(struct dnsquery_pool *p, struct ev_loop *loop, struct resolver *r,
	struct policy *policy);
void dnsquery_pool_fini(struct dnsquery_pool *p); /* ends all; no callback comes */

/* Takes up the question of @len bytes at @msg (borrowed). Returns 0 and *@out: @done will be
 * called; or a negative errno: there will be no answer and none is due (-EBADMSG: no DNS
 * question, -EALREADY: a repeated one that is under way, UDP only; -EBUSY: too many; -ENOMEM). */
int dnsquery_new(struct dnsquery_pool *p, const struct addr *src, const struct addr *dst, bool tcp,
	const uint8_t *msg, size_t len, dnsquery_fn *done, void *owner, struct dnsquery **out);

/* The same for ourselves, as if @process (held anew, or NULL) asked from the socket of @key: what
 * true addresses of @type (A, AAAA) has @name? */
int dnsquery_seek(struct dnsquery_pool *p, const struct flow_key *key, struct process *process,
	const char *name, uint16_t type, dnsquery_fn *done, void *owner, struct dnsquery **out);

/* The front does not want the answer any more. @q is gone. */
void dnsquery_free(struct dnsquery *q);

/* For hooks.dns: answer with these @len bytes (copied; a whole answer to this very question, the
 * identifier is set for you) when the verdict ALLOW follows. Returns 0, -EBADMSG or -ENOMEM. */
int dnsquery_supply(struct dnsquery *q, const uint8_t *msg, size_t len);

/* The late answer of hooks.dns to PENDING. Takes the strings of @d, and clears it. */
void dnsquery_decide(struct dnsquery *q, enum verdict v, struct decision *d);

#endif
