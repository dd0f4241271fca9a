/* SPDX-License-Identifier: MIT */
#include "conn.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "answer.h"
#include "base.h"
#include "log.h"
#include "steady.h"

#define QUIET_MAX 1024
/* IPv4 or IPv6 header, a few extension headers, TCP with all options. */
#define SYN_MAX 512

static void conn_judge(void *arg);

/* ---- the end ---- */

static void conn_dial_over(struct conn *c)
{
	if (c->dial)
		dial_stop(c->dial);
	free(c->dial);
	c->dial = NULL;
}

void conn_free(struct conn *c)
{
	struct conns *cs = c->conns;

	if (list_linked(&c->quiet)) {
		list_del(&c->quiet);
		cs->quiet_count--;
	} else {
		cs->count--;
	}
	conn_dial_over(c);
	stack_conn_free(&c->child);
	flow_remove(&c->flow);
	free(c->detour);
	free(c->early);
	free(c->syn);
	conn_hang_up(c);
	free(c);
}

void conn_end(struct conn *c, enum flow_cause cause)
{
	policy_end(c->conns->policy, &c->flow, cause, ev_now(c->conns->loop));
	relay_stop(&c->relay, cause != FLOW_CAUSE_CLOSED);
	if (c->detour)
		detour_stop(c->detour, cause != FLOW_CAUSE_CLOSED);
	conn_free(c);
}

/* Ends it without a word to the child, and remembers the SYN: the child's kernel will repeat it,
 * and nobody is to be asked again for the same connect(). */
static void conn_quiet(struct conn *c, enum flow_cause cause)
{
	struct conns *cs = c->conns;

	policy_end(cs->policy, &c->flow, cause, ev_now(cs->loop));
	conn_dial_over(c);
	free(c->syn);
	c->syn = NULL;
	c->seen_at = steady_now();
	list_add_tail(&cs->quiet, &c->quiet);
	cs->count--;
	if (++cs->quiet_count > QUIET_MAX)
		conn_free(container_of(cs->quiet.next, struct conn, quiet));
}

/* ---- refusing ---- */

static void held_syn(struct conn *c, struct packet *p)
{
	/* It parsed when it came, and was truncated after its headers. */
	packet_parse(p, c->syn, c->syn_len);
}

static void conn_deny(struct conn *c)
{
	struct packet p;

	held_syn(c, &p);
	answer_denied(c->conns->tun, &p, c->flow.decision.style);
	conn_end(c, FLOW_CAUSE_DENIED);
}

static void conn_refuse(struct conn *c, int error)
{
	struct packet p;

	c->flow.error = error;
	/* Silence becomes silence, but not where the user has set an end to it. */
	if (error == ETIMEDOUT && c->conns->dial_timeout_s <= 0) {
		conn_quiet(c, FLOW_CAUSE_DIAL_FAILED);
		return;
	}
	held_syn(c, &p);
	answer_failed(c->conns->tun, &p, error);
	conn_end(c, FLOW_CAUSE_DIAL_FAILED);
}

static void warn_lacking(int error)
{
	static struct log_limit limit = {.burst = 1};
	unsigned long missed;

	if (log_limit_pass(&limit, &missed))
		log_warn("connections are refused: %s; raise the limit of open files (ulimit -n) "
			 "or lower --max-conns",
			strerror(error));
}

/* ---- dialing ---- */

static void conn_on_relay(void *arg, enum relay_end how)
{
	static const enum flow_cause cause[] = {
		[RELAY_END_CLOSED] = FLOW_CAUSE_CLOSED,
		[RELAY_END_CHILD_RESET] = FLOW_CAUSE_CHILD_RESET,
		[RELAY_END_WORLD_RESET] = FLOW_CAUSE_WORLD_RESET,
		[RELAY_END_ABORTED] = FLOW_CAUSE_ABORTED,
	};

	conn_end(arg, cause[how]);
}

/* The straight way, or the one through lanes. Takes @fd. The socket is watched from here on, since
 * to stop and start again would cost more than to be told too early. */
int conn_carry(struct conn *c, int fd)
{
	struct flow *f = &c->flow;
	struct ev_loop *loop = c->conns->loop;

	if (!f->shape && !f->decision.data) {
		relay_start(&c->relay, loop, f, &c->child, fd, conn_on_relay, c);
		c->relay.held = f->decision.first_bytes;
		c->relay.spent = conn_judge;
		return 0;
	}
	c->detour = malloc(sizeof(*c->detour));
	if (!c->detour) {
		close(fd);
		return -ENOMEM;
	}
	detour_start(c->detour, loop, f, c->conns->policy, &c->child, fd, conn_on_relay, c);
	c->detour->held = f->decision.first_bytes;
	c->detour->spent = conn_judge;
	return 0;
}

/* The destination is connected to @fd (taken): now TCP with the child begins. */
static void conn_accept(void *arg, int fd)
{
	struct conn *c = arg;
	struct packet p;
	int rc;

	conn_dial_over(c);
	held_syn(c, &p);
	rc = stack_conn_accept(c->conns->stack, &c->child, &conn_child_ops, &p);
	if (rc < 0) {
		close(fd);
		conn_refuse(c, -rc);
		return;
	}
	policy_opened(c->conns->policy, &c->flow);
	free(c->syn);
	c->syn = NULL;
	if (conn_carry(c, fd) < 0)
		conn_end(c, FLOW_CAUSE_ABORTED);
}

static void conn_dialed(struct conn *c, int fd)
{
	const double delay_s = c->flow.shape ? shape_delay(c->flow.shape) : 0;

	if (fd >= 0) {
		if (delay_s > 0)
			dial_delay(c->dial, c->conns->loop, fd, delay_s, conn_accept, c);
		else
			conn_accept(c, fd);
		return;
	}
	if (log_enabled(LOG_LEVEL_INFO) && !c->conns->policy->logged) {
		char text[FLOW_TEXT_MAX], to[ADDR_TEXT_MAX];

		log_info("%s: dial %s: %s", flow_format(&c->flow, text),
			addr_format(&c->flow.decision.target, true, to), strerror(-fd));
	}
	if (fd == -EMFILE || fd == -ENFILE || fd == -ENOMEM || fd == -ENOBUFS)
		warn_lacking(-fd);
	conn_refuse(c, -fd); /* last: @c may be gone */
}

/* Nothing has been sent to whoever answers, nor to the child. In the meantime the address may have
 * become one of the host's own, where a SYN that is repeated then arrives. */
static void conn_on_dial(void *arg, int fd)
{
	struct conn *c = arg;

	if (fd >= 0 && !policy_still_allows(c->conns->policy, &c->flow)) {
		close(fd);
		conn_deny(c); /* last: @c may be gone */
		return;
	}
	conn_dialed(c, fd); /* last: @c may be gone */
}

static void conn_flow_dialed(struct flow *f, int fd, const void *early, size_t n)
{
	struct conn *c = conn_of(f);

	if (fd >= 0 && n) {
		c->early = malloc(n);
		if (!c->early) {
			close(fd);
			fd = -ENOMEM;
		} else {
			memcpy(c->early, early, n);
			c->early_len = (uint32_t)n;
		}
	}
	conn_dialed(c, fd); /* last: @c may be gone */
}

/* The first bytes have been judged. */
static void conn_judged(struct conn *c)
{
	const uint64_t may = c->flow.decision.pass ? c->flow.decision.pass : UINT64_MAX;

	if (c->flow.decision.verdict == VERDICT_DENY)
		conn_end(c, FLOW_CAUSE_DENIED);
	else if (c->detour)
		detour_release(c->detour, may); /* last: @c may be gone */
	else
		relay_release(&c->relay, may); /* last: @c may be gone */
}

static void conn_decided(struct flow *f)
{
	struct conn *c = conn_of(f);
	struct conns *cs = c->conns;
	int rc;

	if (f->state == FLOW_STATE_OPEN) {
		conn_judged(c);
		return;
	}
	switch (f->decision.verdict) {
	case VERDICT_ALLOW:
	case VERDICT_REDIRECT:
	case VERDICT_VIA:
		break;
	case VERDICT_DROP:
		conn_quiet(c, FLOW_CAUSE_DENIED);
		return;
	default:
		conn_deny(c);
		return;
	}
	flow_set_state(f, FLOW_STATE_DIALING);
	c->dial = calloc(1, sizeof(*c->dial));
	rc = c->dial ? policy_dial(cs->policy, f) : -ENOMEM;
	if (rc == -ENOSYS)
		rc = dial_start(c->dial, cs->loop, &f->decision.target, cs->dial_timeout_s,
			conn_on_dial, c);
	if (rc < 0 && rc != -EINPROGRESS)
		conn_dialed(c, rc); /* last: @c may be gone */
}

/* ---- open ---- */

/* Shows the first bytes of the child, none of which has left, to policy; and those behind them, if
 * it let only some go. */
static void conn_judge(void *arg)
{
	struct conn *c = arg;
	struct inbox *in = &c->child.inbox;
	const bool fin = c->child.rx_fin;
	enum verdict v;
	struct buf *b;
	size_t n;

	if (c->flow.waiting || (!in->len && !fin))
		return;
	b = buf_get();
	if (!b) {
		conn_end(c, FLOW_CAUSE_ABORTED);
		return;
	}
	n = inbox_copy(in, b->whole, HOOK_FIRST_BYTES_MAX);
	v = policy_first_bytes(c->conns->policy, &c->flow, b->whole, n,
		!fin && n < HOOK_FIRST_BYTES_MAX);
	buf_put(b);
	if (v != VERDICT_PENDING && v != VERDICT_MORE)
		conn_judged(c); /* last: @c may be gone */
}

static void conn_on_opened(struct stack_conn *sc)
{
	struct conn *c = container_of(sc, struct conn, child);
	int rc;

	if (c->flow.inbound)
		policy_opened(c->conns->policy, &c->flow);
	rc = c->detour ? detour_on_opened(c->detour, c->early, c->early_len)
		       : relay_on_opened(&c->relay, c->early, c->early_len);
	if (rc < 0) {
		conn_end(c, FLOW_CAUSE_ABORTED);
		return;
	}
	free(c->early);
	c->early = NULL;
}

static void conn_on_readable(struct stack_conn *sc)
{
	struct conn *c = container_of(sc, struct conn, child);

	if (unlikely(c->flow.decision.first_bytes) && (c->detour ? c->detour->held : c->relay.held))
		conn_judge(c);
	else if (unlikely(c->detour))
		detour_on_readable(c->detour);
	else
		relay_on_readable(&c->relay);
}

static void conn_on_writable(struct stack_conn *sc)
{
	struct conn *c = container_of(sc, struct conn, child);

	if (unlikely(c->detour))
		detour_on_writable(c->detour);
	else
		relay_on_writable(&c->relay);
}

static void conn_on_closed(struct stack_conn *sc, bool reset)
{
	struct conn *c = container_of(sc, struct conn, child);

	if (!sc->opened && c->flow.inbound) { /* nobody listens there */
		c->flow.error = ECONNREFUSED;
		conn_end(c, FLOW_CAUSE_DIAL_FAILED);
	} else if (!sc->opened) /* gone before the handshake was complete */
		conn_end(c, FLOW_CAUSE_CHILD_RESET);
	else if (unlikely(c->detour))
		detour_on_closed(c->detour, reset);
	else
		relay_on_closed(&c->relay, reset);
}

const struct stack_conn_ops conn_child_ops = {
	.opened = conn_on_opened,
	.readable = conn_on_readable,
	.writable = conn_on_writable,
	.closed = conn_on_closed,
};

/* ---- packets ---- */

static uint32_t seq_of(const struct packet *p)
{
	const uint8_t *t = p->data + p->l4 + 4;

	return (uint32_t)t[0] << 24 | (uint32_t)t[1] << 16 | (uint32_t)t[2] << 8 | t[3];
}

static bool is_syn(const struct packet *p)
{
	return (p->tcp_flags & (PACKET_TCP_SYN | PACKET_TCP_ACK | PACKET_TCP_RST)) ==
		PACKET_TCP_SYN;
}

/* Keeps the headers of the SYN @p; payload on a SYN (RFC 7413) will be sent again. */
static int hold_syn(struct conn *c, const struct packet *p)
{
	uint8_t *copy;

	if (p->payload > SYN_MAX)
		return -EINVAL;
	copy = malloc(p->payload);
	if (!copy)
		return -ENOMEM;
	memcpy(copy, p->data, p->payload);
	/* The IP header's length must agree with what is kept. */
	if (p->v == 4) {
		copy[2] = (uint8_t)(p->payload >> 8);
		copy[3] = (uint8_t)p->payload;
	} else {
		copy[4] = (uint8_t)((p->payload - 40) >> 8);
		copy[5] = (uint8_t)(p->payload - 40);
	}
	free(c->syn);
	c->syn = copy;
	c->syn_len = p->payload;
	c->syn_seq = seq_of(p);
	return 0;
}

static void conn_input_waiting(struct conn *c, struct packet *p)
{
	if (p->tcp_flags & PACKET_TCP_RST)
		conn_end(c, FLOW_CAUSE_CHILD_RESET);
	else if (is_syn(p) && seq_of(p) != c->syn_seq) /* a new connect() from the same port */
		hold_syn(c, p);
	/* else the child's kernel repeats itself */
}

/* The destination still takes in the last bytes of the old one. */
void conn_reopen(struct conn *c, struct buf *b, struct packet *p)
{
	struct flow_key key = c->flow.key;

	flow_retire(&c->flow);
	conn_open(c->conns, &key, b, p);
}

static void conn_input(struct flow *f, struct buf *b, struct packet *p)
{
	struct conn *c = conn_of(f);

	if (likely(f->state == FLOW_STATE_OPEN)) {
		if (unlikely(!c->child.pcb && is_syn(p))) {
			conn_reopen(c, b, p);
			return;
		}
		stack_conn_input(&c->child, b, p);
		return;
	}
	if (f->state == FLOW_STATE_ENDED) { /* quiet */
		if (is_syn(p) && seq_of(p) != c->syn_seq) {
			struct conns *cs = c->conns;
			struct flow_key key = f->key;

			conn_free(c);
			conn_open(cs, &key, b, p);
			return;
		}
	} else {
		conn_input_waiting(c, p);
	}
	buf_put(b);
}

void conn_abort(struct flow *f, enum flow_cause cause)
{
	struct conn *c = conn_of(f);

	if (f->state != FLOW_STATE_ENDED && c->syn) {
		struct packet p;

		held_syn(c, &p);
		answer_rst(c->conns->tun, &p);
	}
	conn_end(c, cause);
}

const struct flow_ops conn_flow_ops = {
	.network = "tcp",
	.input = conn_input,
	.decided = conn_decided,
	.dialed = conn_flow_dialed,
	.abort = conn_abort,
};

void conn_open(struct conns *cs, const struct flow_key *key, struct buf *b, struct packet *p)
{
	struct conn *c;

	if (conns_full(cs)) {
		observe_refused(cs->policy->observers, key, "too many connections");
		answer_rst(cs->tun, p);
		buf_put(b);
		return;
	}
	c = calloc(1, sizeof(*c));
	if (!c || hold_syn(c, p) < 0) { /* dropped; the child's kernel tries again */
		free(c);
		buf_put(b);
		return;
	}
	buf_put(b);
	conn_enter(cs, c, &conn_flow_ops, key);
	if (policy_ask(cs->policy, &c->flow))
		conn_decided(&c->flow); /* last: @c may be gone */
}
