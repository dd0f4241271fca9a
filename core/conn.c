/* SPDX-License-Identifier: MIT */
#include "conn.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base.h"
#include "craft.h"
#include "log.h"

/* A client repeats its SYN for about two minutes (tcp(7), tcp_syn_retries = 6). */
#define QUIET_S 130.0
#define QUIET_MAX 1024
#define SWEEP_S 5.0
/* IPv4 or IPv6 header, a few extension headers, TCP with all options. */
#define SYN_MAX 512

static const struct flow_ops conn_flow_ops;
static const struct stack_conn_ops conn_child_ops;

static struct conn *conn_of(struct flow *f)
{
	return container_of(f, struct conn, flow);
}

/* ---- the end ---- */

static void conn_free(struct conn *c)
{
	struct conns *cs = c->conns;

	if (list_linked(&c->quiet)) {
		list_del(&c->quiet);
		cs->quiet_count--;
	} else {
		cs->count--;
	}
	dial_stop(&c->dial);
	if (c->fd >= 0)
		close(c->fd);
	stack_conn_free(&c->child);
	flow_remove(&c->flow);
	free(c->early);
	free(c->syn);
	free(c);
}

static void conn_end(struct conn *c, enum flow_cause cause)
{
	policy_end(c->conns->policy, &c->flow, cause, ev_now(c->conns->loop));
	relay_stop(&c->relay, cause != FLOW_CAUSE_CLOSED);
	conn_free(c);
}

/* Ends it without a word to the child, and remembers the SYN: the child's kernel will repeat it, and
 * nobody is to be asked again for the same connect(). */
static void conn_quiet(struct conn *c, enum flow_cause cause)
{
	struct conns *cs = c->conns;

	policy_end(cs->policy, &c->flow, cause, ev_now(cs->loop));
	dial_stop(&c->dial);
	free(c->syn);
	c->syn = NULL;
	list_add_tail(&cs->quiet, &c->quiet);
	cs->count--;
	if (++cs->quiet_count > QUIET_MAX)
		conn_free(container_of(cs->quiet.next, struct conn, quiet));
}

/* ---- refusing ---- */

static void send_small(struct tun *tun, uint8_t *packet, size_t len)
{
	struct iovec iov[2] = {{0}, {packet, len}};

	if (len)
		tun_writev(tun, NULL, iov, 2);
}

static void answer_rst(struct tun *tun, const struct packet *p)
{
	uint8_t out[CRAFT_SMALL_MAX];

	send_small(tun, out, craft_rst(out, p));
}

static void answer_unreach(struct tun *tun, const struct packet *p, enum craft_unreach why)
{
	uint8_t out[CRAFT_SMALL_MAX];

	send_small(tun, out, craft_unreach(out, p, why));
}

static void held_syn(struct conn *c, struct packet *p)
{
	/* It parsed when it came, and was truncated after its headers. */
	packet_parse(p, c->syn, c->syn_len);
}

static void conn_deny(struct conn *c)
{
	struct tun *tun = c->conns->tun;
	struct packet p;

	held_syn(c, &p);
	switch (c->flow.decision.style) {
	case DENY_STYLE_UNREACHABLE:
		answer_unreach(tun, &p, CRAFT_UNREACH_HOST);
		break;
	case DENY_STYLE_PROHIBITED:
		answer_unreach(tun, &p, CRAFT_UNREACH_PROHIBITED);
		break;
	case DENY_STYLE_REFUSE:
	case DENY_STYLE_RESET:
		answer_rst(tun, &p);
	}
	conn_end(c, FLOW_CAUSE_DENIED);
}

/* The dial failed with @error: the child's connect() is to fail with the same errno (ip(7),
 * net/ipv4/icmp.c icmp_err_convert, net/ipv6/icmp.c). Silence becomes silence. */
static void conn_refuse(struct conn *c, int error)
{
	struct tun *tun = c->conns->tun;
	struct packet p;

	c->flow.error = error;
	held_syn(c, &p);
	switch (error) {
	case ETIMEDOUT:
		conn_quiet(c, FLOW_CAUSE_DIAL_FAILED);
		return;
	case ENETUNREACH:
	case EADDRNOTAVAIL:
	case EAFNOSUPPORT:
		answer_unreach(tun, &p, CRAFT_UNREACH_NET);
		break;
	case EHOSTUNREACH:
	case EHOSTDOWN:
		answer_unreach(tun, &p, CRAFT_UNREACH_HOST);
		break;
	case EACCES:
	case EPERM:
		answer_unreach(tun, &p, CRAFT_UNREACH_PROHIBITED);
		break;
	default: /* ECONNREFUSED, ECONNRESET, and what the host lacks: visibly refused */
		answer_rst(tun, &p);
	}
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

static void conn_dialed(struct conn *c, int fd)
{
	struct packet p;
	int rc;

	if (fd < 0) {
		if (log_enabled(LOG_LEVEL_INFO)) {
			char text[FLOW_TEXT_MAX], to[ADDR_TEXT_MAX];

			log_info("%s: dial %s: %s", flow_format(&c->flow, text),
				addr_format(&c->flow.decision.target, true, to), strerror(-fd));
		}
		if (fd == -EMFILE || fd == -ENFILE || fd == -ENOMEM || fd == -ENOBUFS)
			warn_lacking(-fd);
		conn_refuse(c, -fd);
		return;
	}
	c->fd = fd;
	held_syn(c, &p);
	rc = stack_conn_accept(c->conns->stack, &c->child, &conn_child_ops, &p);
	if (rc < 0) {
		conn_refuse(c, -rc);
		return;
	}
	flow_set_state(&c->flow, FLOW_STATE_OPEN);
	free(c->syn);
	c->syn = NULL;
}

static void conn_on_dial(void *arg, int fd)
{
	conn_dialed(arg, fd); /* last: the conn may be gone */
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

static void conn_decided(struct flow *f)
{
	struct conn *c = conn_of(f);
	struct conns *cs = c->conns;
	int rc;

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
	rc = policy_dial(cs->policy, f);
	if (rc == -ENOSYS)
		rc = dial_start(&c->dial, cs->loop, &f->decision.target, cs->dial_timeout_s,
			conn_on_dial, c);
	if (rc < 0 && rc != -EINPROGRESS)
		conn_dialed(c, rc); /* last: @c may be gone */
}

/* ---- open ---- */

static void conn_on_relay(void *arg, enum relay_end how)
{
	static const enum flow_cause cause[] = {
		[RELAY_END_CLOSED] = FLOW_CAUSE_CLOSED,
		[RELAY_END_CHILD_RESET] = FLOW_CAUSE_CHILD_RESET,
		[RELAY_END_WORLD_RESET] = FLOW_CAUSE_WORLD_RESET,
		[RELAY_END_NO_MEMORY] = FLOW_CAUSE_ABORTED,
	};

	conn_end(arg, cause[how]);
}

static void conn_on_opened(struct stack_conn *sc)
{
	struct conn *c = container_of(sc, struct conn, child);
	int fd = c->fd;

	c->fd = -1;
	relay_start(&c->relay, c->conns->loop, sc, fd, &c->flow.bytes_up, &c->flow.bytes_down,
		conn_on_relay, c);
	if (c->early && relay_prepend(&c->relay, c->early, c->early_len) < 0) {
		conn_end(c, FLOW_CAUSE_ABORTED);
		return;
	}
	free(c->early);
	c->early = NULL;
}

static void conn_on_readable(struct stack_conn *sc)
{
	relay_on_readable(&container_of(sc, struct conn, child)->relay);
}

static void conn_on_writable(struct stack_conn *sc)
{
	relay_on_writable(&container_of(sc, struct conn, child)->relay);
}

static void conn_on_closed(struct stack_conn *sc, bool reset)
{
	struct conn *c = container_of(sc, struct conn, child);

	if (sc->opened)
		relay_on_closed(&c->relay, reset);
	else /* gone before the handshake was complete */
		conn_end(c, FLOW_CAUSE_CHILD_RESET);
}

static const struct stack_conn_ops conn_child_ops = {
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
	return (p->tcp_flags & (PACKET_TCP_SYN | PACKET_TCP_ACK | PACKET_TCP_RST)) == PACKET_TCP_SYN;
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

static void conn_input(struct flow *f, struct buf *b, struct packet *p)
{
	struct conn *c = conn_of(f);

	if (likely(f->state == FLOW_STATE_OPEN)) {
		if (unlikely(!c->child.pcb && is_syn(p))) {
			/* The child has done with this connection and uses its port again, while
			 * the destination still takes in the last bytes. */
			struct flow_key key = f->key;

			flow_retire(f);
			conn_open(c->conns, &key, b, p);
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

static void conn_abort(struct flow *f, enum flow_cause cause)
{
	struct conn *c = conn_of(f);

	if (f->state != FLOW_STATE_ENDED && c->syn) {
		struct packet p;

		held_syn(c, &p);
		answer_rst(c->conns->tun, &p);
	}
	conn_end(c, cause);
}

static const struct flow_ops conn_flow_ops = {
	.network = "tcp",
	.input = conn_input,
	.decided = conn_decided,
	.dialed = conn_flow_dialed,
	.abort = conn_abort,
};

static bool over_limit(struct conns *cs)
{
	static struct log_limit limit = {.burst = 1};
	unsigned long missed;

	if (cs->count < cs->max)
		return false;
	cs->refused++;
	if (log_limit_pass(&limit, &missed))
		log_warn("refusing connections: %zu are open, the most that --max-conns allows",
			cs->count);
	return true;
}

void conn_open(struct conns *cs, const struct flow_key *key, struct buf *b, struct packet *p)
{
	struct conn *c;

	if (over_limit(cs)) {
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
	c->conns = cs;
	c->fd = -1;
	c->flow.ops = &conn_flow_ops;
	list_init(&c->quiet);
	flow_add(cs->flows, &c->flow, key, ev_now(cs->loop));
	c->seen_at = c->flow.opened;
	cs->count++;
	if (!ev_is_active(&cs->sweep))
		ev_timer_again(cs->loop, &cs->sweep);
	if (policy_ask(cs->policy, &c->flow))
		conn_decided(&c->flow); /* last: @c may be gone */
}

/* ---- all of them ---- */

static void set_keepalive(struct conn *c)
{
	const int on = 1, idle = c->conns->keepalive_s, interval = MAX(idle / 2, 1);

	/* Best effort: a redirect or a dialer may have given a socket that is not TCP. */
	setsockopt(c->relay.fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	setsockopt(c->relay.fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
	setsockopt(c->relay.fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval));
	c->keepalive = true;
}

static void sweep_one(struct conn *c, ev_tstamp now)
{
	struct conns *cs = c->conns;
	uint64_t bytes = c->flow.bytes_up + c->flow.bytes_down;

	if (c->flow.state != FLOW_STATE_OPEN || !c->child.opened)
		return;
	/* Only what has lived for a while: short connections pay nothing for it. */
	if (cs->keepalive_s && !c->keepalive && c->relay.fd >= 0)
		set_keepalive(c);
	if (bytes != c->seen) {
		c->seen = bytes;
		c->seen_at = now;
	} else if (cs->idle_s > 0 && now - c->seen_at >= cs->idle_s) {
		conn_abort(&c->flow, FLOW_CAUSE_IDLE);
	}
}

static void conns_on_sweep(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct conns *cs = container_of(w, struct conns, sweep);
	const ev_tstamp now = ev_now(loop);
	struct list *e, *tmp;

	UNUSED(revents);
	while (!list_empty(&cs->quiet)) {
		struct conn *c = container_of(cs->quiet.next, struct conn, quiet);

		if (now - c->flow.ended < QUIET_S)
			break;
		conn_free(c);
	}
	list_foreach(e, tmp, &cs->flows->all) {
		struct flow *f = container_of(e, struct flow, all);

		if (f->ops == &conn_flow_ops)
			sweep_one(conn_of(f), now);
	}
	if (!cs->count && !cs->quiet_count)
		ev_timer_stop(loop, w);
}

void conns_init(struct conns *cs, struct ev_loop *loop, struct tun *tun, struct stack *stack,
	struct flow_table *flows, struct policy *policy)
{
	memset(cs, 0, sizeof(*cs));
	cs->loop = loop;
	cs->tun = tun;
	cs->stack = stack;
	cs->flows = flows;
	cs->policy = policy;
	cs->max = 16384;
	cs->keepalive_s = 60;
	list_init(&cs->quiet);
	ev_init(&cs->sweep, conns_on_sweep);
	cs->sweep.repeat = SWEEP_S;
}

void conns_fini(struct conns *cs)
{
	struct list *e, *tmp;

	ev_timer_stop(cs->loop, &cs->sweep);
	list_foreach(e, tmp, &cs->flows->all) {
		struct flow *f = container_of(e, struct flow, all);

		if (f->ops == &conn_flow_ops)
			conn_end(conn_of(f), FLOW_CAUSE_ABORTED);
	}
}

size_t conns_undelivered(const struct conns *cs)
{
	size_t n = 0;

	for (struct list *e = cs->flows->all.next; e != &cs->flows->all; e = e->next) {
		struct flow *f = container_of(e, struct flow, all);

		if (f->ops == &conn_flow_ops && conn_of(f)->child.inbox.len)
			n++;
	}
	return n;
}
