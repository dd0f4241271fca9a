/* SPDX-License-Identifier: MIT */
#ifndef NSNET_RESOLVER_H
#define NSNET_RESOLVER_H

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "askudp.h"
#include "asktcp.h"
#include "dnsmsg.h"
#include "resolvconf.h"

/* resolver - asks the host's name servers one raw DNS message and gives back one raw answer.
 *
 * UDP first; the next server after a silence, a refusal or a failure; TCP if the answer is
 * truncated and the asker wants it whole. An answer counts only if it comes from the server asked
 * (connected socket), with the identifier, and with the very question. Nothing is cached.
 */
struct resolver_query;

/* The answer to @q, once, never from inside resolver_ask(): @len bytes at @msg (borrowed, may be
 * changed; the identifier is not the asker's), or NULL: no server gave one. @q may be freed or
 * asked again. */
typedef void resolver_fn(struct resolver_query *q, uint8_t *msg, size_t len);

struct resolver {
	struct ev_loop *loop;
	struct resolvconf *conf; /* borrowed */
	struct askudp udp;
	struct asktcp tcp;
	unsigned next;           /* "options rotate" */
	ev_tstamp bad_until[RESOLVCONF_SERVERS_MAX]; /* silent lately: asked after the others */
	unsigned long bad_generation;
	uint64_t asked, answered, failed, garbage, retries;
};

struct resolver_try {
	struct askudp_ticket udp;
	struct asktcp_ticket tcp;
	struct resolver_query *query;
	struct resolvconf_server server;
	uint8_t index;  /* in resolvconf.server, for bad_until; 0xff = none */
	bool dead;      /* will not answer: refused, unreachable, answered with a failure */
};

/* Embedded in whoever asks; zeroed by it before the first use. */
struct resolver_query {
	struct resolver *resolver; /* NULL = not under way */
	resolver_fn *done;
	struct dnsmsg asked;       /* the parsed question: borrows the message */
	uint8_t *msg;              /* borrowed */
	size_t len;
	bool whole;
	struct resolver_try try[RESOLVCONF_SERVERS_MAX];
	unsigned tries, step;
	ev_timer timer;
	ev_tstamp deadline;
	uint8_t *failure; /* owned: an answer that says SERVFAIL or the like, if nothing better comes */
	size_t failure_len;
};

int resolver_init(struct resolver *r, struct ev_loop *loop, struct resolvconf *conf);
void resolver_fini(struct resolver *r); /* every query must be done or canceled */

/* Asks the @len bytes at @msg, which dnsmsg_parse() accepts as whole with one question. They are
 * lent until the end; the identifier in them is overwritten. @whole: a truncated answer is of no
 * use, go on with TCP. @server: ask this one instead of the host's, or NULL. Returns 0: @done
 * will be called; or a negative errno: it will not. */
int resolver_ask(struct resolver *r, struct resolver_query *q, uint8_t *msg, size_t len, bool whole,
	const struct addr *server, resolver_fn *done);

/* Ends @q without an answer. Safe on one that is not under way. */
void resolver_cancel(struct resolver_query *q);

#endif
