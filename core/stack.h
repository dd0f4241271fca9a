/* SPDX-License-Identifier: MIT */
#ifndef NSNET_STACK_H
#define NSNET_STACK_H

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "inbox.h"
#include "list.h"
#include "outbox.h"
#include "packet.h"
#include "tun.h"

/* stack - TCP towards the child: lwIP behind a plain interface. The only module that knows lwIP,
 * which is global, so there is one stack in a process.
 *
 * A struct stack_conn is embedded in its owner (a flow). It begins with stack_conn_accept() or
 * stack_conn_connect() and ends with stack_conn_free(), which is always safe. Events reach the
 * owner only from stack_flush(), which the loop calls after each batch of input and the stack
 * after its timers: never from inside another function of this file, so an event may do anything,
 * freeing included.
 */
struct stack_conn;

struct stack_conn_ops {
	/* The child has completed the handshake. Once. */
	void (*opened)(struct stack_conn *c);
	/* New bytes to peek, or the child's FIN (stack_conn_eof). */
	void (*readable)(struct stack_conn *c);
	/* Bytes were acknowledged: stack_conn_room() or _unacked() changed for the better. Only
	 * after stack_conn_want_write(). Once per wish. */
	void (*writable)(struct stack_conn *c);
	/* TCP is over on this side: @reset by RST (or resources), else in order, both directions.
	 * Once; peeking and consuming what is queued still works. */
	void (*closed)(struct stack_conn *c, bool reset);
};

struct stack {
	struct tun *tun;
	ev_prepare prepare; /* reports what is left before the loop sleeps */
	ev_timer slow;      /* lwIP's timers, only while there are connections */
	ev_timer delack;    /* delayed acknowledgments, only while there are some */
	struct list all;    /* struct stack_conn.all with a live pcb */
	struct list acks;   /* those that owe an acknowledgment */
	struct list dirty;  /* those with events to report */
	size_t count;       /* live pcbs */
	uint64_t resets_sent;
};

struct stack_conn {
	const struct stack_conn_ops *ops;
	struct stack *stack;
	void *pcb; /* lwIP's; NULL when TCP is over */
	struct list all, acks, dirty;
	uint8_t events; /* to report */
	bool rx_fin : 1, tx_fin : 1, want_write : 1, opened : 1;
	struct inbox inbox;   /* child to world: what nobody consumed; peek freely */
	struct outbox outbox; /* world to child: what the child has not acknowledged */
};

/* 0 or negative errno. One at a time in a process. */
int stack_init(struct stack *s, struct ev_loop *loop, struct tun *tun);
void stack_fini(struct stack *s); /* all connections must be freed */

/* Reports the events collected. Call after each tun batch. */
void stack_flush(struct stack *s);

/* Lets the stack answer a segment of no known connection (RST, or the ACK of TIME_WAIT). Takes @b.
 * */
void stack_stray(struct stack *s, struct buf *b, struct packet *p);

/* Begins @c by playing the held SYN (borrowed, copied) to lwIP, which answers SYN-ACK.
 * Returns 0, or -ENOMEM or -EINVAL: nothing was sent and @c is as freed. */
int stack_conn_accept(struct stack *s, struct stack_conn *c, const struct stack_conn_ops *ops,
	const struct packet *syn);

/* Begins @c by a SYN from @from (any address; the child takes it for its peer's) to @to, where the
 * child may listen. Events tell how it goes: opened(), or closed() without it if the child refuses
 * or does not answer. Returns 0, or -ENOMEM: nothing was sent and @c is as freed. */
int stack_conn_connect(struct stack *s, struct stack_conn *c, const struct stack_conn_ops *ops,
	const struct addr *from, const struct addr *to);

/* A segment of this connection. Takes @b. */
void stack_conn_input(struct stack_conn *c, struct buf *b, struct packet *p);

/* The first @n bytes of the inbox are done: frees them and opens the child's window. */
void stack_conn_consume(struct stack_conn *c, size_t n);
/* The child has sent FIN and all before it is consumed. */
static inline bool stack_conn_eof(const struct stack_conn *c)
{
	return c->rx_fin && !c->inbox.len;
}

/* How many bytes one stack_conn_send() may carry now; 0 = none: ask with _want_write(). */
size_t stack_conn_room(const struct stack_conn *c);
/* Sends @len bytes at @data inside @b, at most what _room() said. Takes @b (small amounts are
 * copied and @b is put at once; else until acknowledged). Returns 0 or negative errno: the
 * connection is beyond help, abort it. */
int stack_conn_send(struct stack_conn *c, struct buf *b, const uint8_t *data, size_t len);
void stack_conn_want_write(struct stack_conn *c);
/* Bytes sent and not acknowledged by the child. */
static inline uint64_t stack_conn_unacked(const struct stack_conn *c)
{
	return c->pcb ? c->outbox.sent - c->outbox.acked : 0;
}

/* FIN after all that was sent. The child may go on sending. Idempotent. */
void stack_conn_shutdown(struct stack_conn *c);

/* Ends @c: RST to the child if TCP is not over. No event comes any more. Frees what it holds;
 * the owner may free the struct. Safe on a zeroed or freed one. */
void stack_conn_free(struct stack_conn *c);

/* Between stack.c and lwip/clock.c: sets the timers up; lwIP has freed the pcb of @c. */
void stack_clock_init(struct stack *s);
void stack_conn_gone(struct stack_conn *c);

#endif
