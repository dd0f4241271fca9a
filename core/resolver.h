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
	struct resolvconf *conf; /* borrowed; looked at for each question */
	struct askudp udp;
	struct asktcp tcp;
	unsigned next; /* "options rotate" */
	/* Monotonic seconds until which a server that was silent is asked after the others. */
	double silent_until[RESOLVCONF_SERVERS_MAX];
	unsigned long silent_generation; /* of conf, that silent_until belongs to */
	uint64_t asked, answered, failed;
	uint64_t repeated; /* questions sent again, or to the next server */
	uint64_t garbage;  /* what came for a question and was no answer to it */
	uint64_t by_tcp;
};

/* One server, for one question. */
struct resolver_try {
	struct resolver_query *query;
	struct resolvconf_server server;
	int index; /* in conf->server, -1 = none of those */
	struct askudp_ticket udp;
	struct asktcp_ticket tcp;
	bool sent, dead; /* dead: it will not answer, or only with a failure */
	bool retried;    /* by TCP, after the server closed a used connection */
};

/* Embedded in whoever asks; zeroed by it before the first use. */
struct resolver_query {
	struct resolver *resolver; /* NULL = not under way */
	resolver_fn *done;
	struct dnsmsg asked; /* the parsed question: borrows the message */
	uint8_t *msg;        /* borrowed */
	size_t len;
	bool whole;
	const char *rule; /* borrowed: what chose the server, for messages; NULL = unknown */
	struct resolver_try try[RESOLVCONF_SERVERS_MAX];
	unsigned tries;
	unsigned step; /* how often a server was chosen */
	unsigned last; /* the try chosen last */
	ev_timer timer;
	double patience;  /* seconds left */
	uint8_t *failure; /* owned: says SERVFAIL or so, if nothing better comes */
	size_t failure_len;
};

int resolver_init(struct resolver *r, struct ev_loop *loop, struct resolvconf *conf);
void resolver_fini(struct resolver *r); /* every query must be done or canceled */

/* Asks the @len bytes at @msg, which dnsmsg_parse() accepts as whole with one question. They are
 * lent until the end; the identifier in them is overwritten. @whole: a truncated answer is of no
 * use, go on with TCP. @server: ask this one instead of the host's, as q->rule wants it, or NULL.
 * Returns 0: @done will be called; or a negative errno: it will not. */
int resolver_ask(struct resolver *r, struct resolver_query *q, uint8_t *msg, size_t len, bool whole,
	const struct addr *server, resolver_fn *done);

/* Ends @q without an answer. Safe on one that is not under way. */
void resolver_cancel(struct resolver_query *q);

#endif
