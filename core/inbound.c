/* SPDX-License-Identifier: MIT */
#include "conn.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base.h"

/* A connection that the world opens. The kernel of the host has accepted it already, so a no can
 * only be a reset; but nothing is read from the caller before the child has answered, and the child
 * sees the caller's own address, since the SYN comes from us and may say what we like.
 *
 *   ASKED    policy thinks; the caller waits, accepted.
 *   DIALING  our SYN is out.
 *   OPEN     the child has answered: from here on it is a connection like any other.
 */

void conn_hang_up(struct conn *c)
{
	const struct linger hard = {.l_onoff = 1, .l_linger = 0};

	if (c->caller < 0)
		return;
	setsockopt(c->caller, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
	close(c->caller);
	c->caller = -1;
}

static void inbound_decided(struct flow *f)
{
	struct conn *c = conn_of(f);
	struct conns *cs = c->conns;
	int fd = c->caller;

	if (f->decision.verdict != VERDICT_ALLOW) {
		conn_end(c, FLOW_CAUSE_DENIED);
		return;
	}
	flow_set_state(f, FLOW_STATE_DIALING);
	f->times.dialing = ev_now(cs->loop);
	if (stack_conn_connect(cs->stack, &c->child, &conn_child_ops, &f->key.dst, &f->key.src) <
		0) {
		f->error = ENOMEM;
		conn_end(c, FLOW_CAUSE_DIAL_FAILED);
		return;
	}
	c->caller = -1;
	if (conn_carry(c, fd) < 0)
		conn_end(c, FLOW_CAUSE_ABORTED); /* last: @c may be gone */
}

static void inbound_input(struct flow *f, struct buf *b, struct packet *p)
{
	struct conn *c = conn_of(f);
	const uint8_t flags = p->tcp_flags & (PACKET_TCP_SYN | PACKET_TCP_ACK | PACKET_TCP_RST);

	if (f->state == FLOW_STATE_ASKED) /* we have said nothing yet: what could it answer? */
		buf_put(b);
	else if (unlikely(!c->child.pcb && flags == PACKET_TCP_SYN))
		conn_reopen(c, b, p);
	else
		stack_conn_input(&c->child, b, p);
}

/* No dialer is asked for an inbound one. */
static void inbound_dialed(struct flow *f, int fd, const void *early, size_t n)
{
	UNUSED(f);
	UNUSED(early);
	UNUSED(n);
	if (fd >= 0)
		close(fd);
}

const struct flow_ops conn_inbound_ops = {
	.network = "tcp",
	.input = inbound_input,
	.decided = inbound_decided,
	.dialed = inbound_dialed,
	.abort = conn_abort,
};

void conn_open_inbound(struct conns *cs, const struct flow_key *key, int fd, bool named)
{
	struct conn *c = conns_full(cs) ? NULL : calloc(1, sizeof(*c));

	if (!c) {
		struct conn nobody = {.caller = fd};

		observe_refused(cs->policy->observers, key, "too many connections");
		conn_hang_up(&nobody);
		return;
	}
	conn_enter(cs, c, &conn_inbound_ops, key);
	c->caller = fd;
	c->flow.inbound = true;
	c->flow.named = named;
	if (policy_ask(cs->policy, &c->flow))
		inbound_decided(&c->flow); /* last: @c may be gone */
}
