/* SPDX-License-Identifier: MIT */
#ifndef NSNET_CONN_H
#define NSNET_CONN_H

#include <ev.h>
#include <stddef.h>
#include <stdint.h>

#include "base.h"
#include "detour.h"
#include "dial.h"
#include "flow.h"
#include "policy.h"
#include "relay.h"
#include "stack.h"
#include "tun.h"

/* conn - one TCP connection of the child, from the held SYN to the last byte.
 *
 * One allocation (and the dial, while it runs): struct conn embeds flow, stack_conn and relay. It
 * is made by conn_open() and frees itself; conns_fini() ends all that are left. The SYN is kept
 * until policy and dial have answered, and only then does TCP begin, so connect() in the child
 * fails as the real one: see conn_refuse() in conn.c.
 */
struct conns {
	struct ev_loop *loop;
	struct tun *tun;
	struct stack *stack;
	struct flow_table *flows;
	struct policy *policy;

	/* Limits; set before the first connection. */
	size_t max;            /* connections at a time; more are refused */
	double dial_timeout_s; /* 0: the kernel's */
	double idle_s;         /* no byte either way for so long: ended by RST; 0: never */
	int keepalive_s;       /* TCP keepalive towards the world after so long; 0: none */

	size_t count;      /* now, without the quiet ones */
	uint64_t refused;  /* above the limit */
	struct list quiet; /* dropped ones, kept so that a repeated SYN asks nobody again */
	size_t quiet_count;
	ev_timer sweep;
};

struct conn {
	struct flow flow;
	struct conns *conns;
	struct stack_conn child;
	struct dial *dial; /* owned, until it has answered */
	struct relay relay;
	struct detour *detour; /* owned: carries the bytes instead, if they are shaped or shown */
	struct list quiet;
	uint8_t *syn;   /* owned: the held SYN's headers, until the connection is accepted */
	uint8_t *early; /* owned: a dialer's surplus bytes, until the relay starts */
	uint32_t early_len;
	uint16_t syn_len;
	uint32_t syn_seq;
	int caller;         /* owned: an inbound one's socket until the relay takes it; else -1 */
	bool keepalive : 1; /* set on the socket */
	uint64_t seen;      /* bytes both ways at the last sweep that saw a change */
	double seen_at;     /* steady_now() of that; quiet: since when */
};

void conns_init(struct conns *cs, struct ev_loop *loop, struct tun *tun, struct stack *stack,
	struct flow_table *flows, struct policy *policy);
void conns_fini(struct conns *cs);

/* A SYN with the key of no flow. Takes @b. */
void conn_open(struct conns *cs, const struct flow_key *key, struct buf *b, struct packet *p);

/* The world calls: @fd (taken) is a stream socket that somebody connected, non-blocking. @key is
 * free: key.src is where the child may listen, key.dst the caller as the child is to see it. The
 * child is called once policy has allowed it; the caller sees a reset if it is denied, or if the
 * child refuses. @named: the user named the port. */
void conn_open_inbound(struct conns *cs, const struct flow_key *key, int fd, bool named);

/* Between conn.c, inbound.c and conns.c. */
extern const struct flow_ops conn_flow_ops, conn_inbound_ops;
extern const struct stack_conn_ops conn_child_ops;

static inline bool conn_is(const struct flow *f)
{
	return f->ops == &conn_flow_ops || f->ops == &conn_inbound_ops;
}

/* True, and told, if there are as many as may be. */
bool conns_full(struct conns *cs);
/* @c (zeroed but for the SYN) is one of @cs, and a flow: nobody was asked yet. */
void conn_enter(struct conns *cs, struct conn *c, const struct flow_ops *ops,
	const struct flow_key *key);
/* The caller sees a reset, if the relay did not take its socket. */
void conn_hang_up(struct conn *c);
/* Joins the child and @fd (taken). 0 or -ENOMEM. */
int conn_carry(struct conn *c, int fd);
/* The child has done with a connection and uses its port again: @p is its SYN. Takes @b. */
void conn_reopen(struct conn *c, struct buf *b, struct packet *p);

static inline struct conn *conn_of(struct flow *f)
{
	return container_of(f, struct conn, flow);
}

void conn_end(struct conn *c, enum flow_cause cause);   /* the child hears RST if it was open */
void conn_abort(struct flow *f, enum flow_cause cause); /* and if it was waiting */
void conn_free(struct conn *c);                         /* only what has ended: a quiet one */

/* Connections that have bytes of the child to deliver to the world, or may get some. */
size_t conns_undelivered(const struct conns *cs);

#endif
