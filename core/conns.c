/* SPDX-License-Identifier: MIT */
#include "conn.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#include "base.h"
#include "log.h"
#include "steady.h"

/* A client repeats its SYN for about two minutes (tcp(7), tcp_syn_retries = 6). */
#define QUIET_S 130.0
#define SWEEP_S 5.0

static void set_keepalive(struct conn *c)
{
	const int on = 1, idle = c->conns->keepalive_s, interval = MAX(idle / 2, 1);
	const int fd = c->detour ? c->detour->fd : c->relay.fd;

	/* Best effort: a redirect or a dialer may have given a socket that is not TCP. */
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval));
	c->keepalive = true;
}

static void sweep_one(struct conn *c, double now)
{
	struct conns *cs = c->conns;
	uint64_t bytes = c->flow.bytes_up + c->flow.bytes_down;

	if (c->flow.state != FLOW_STATE_OPEN || !c->child.opened)
		return;
	/* Only what has lived for a while: short connections pay nothing for it. */
	if (cs->keepalive_s && !c->keepalive)
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
	const double now = steady_now();
	struct list *e, *tmp;

	UNUSED(revents);
	while (!list_empty(&cs->quiet)) {
		struct conn *c = container_of(cs->quiet.next, struct conn, quiet);

		if (now - c->seen_at < QUIET_S)
			break;
		conn_free(c);
	}
	list_foreach (e, tmp, &cs->flows->all) {
		struct flow *f = container_of(e, struct flow, all);

		if (conn_is(f))
			sweep_one(conn_of(f), now);
	}
	if (!cs->count && !cs->quiet_count)
		ev_timer_stop(loop, w);
}

bool conns_full(struct conns *cs)
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

void conn_enter(struct conns *cs, struct conn *c, const struct flow_ops *ops,
	const struct flow_key *key)
{
	c->conns = cs;
	c->caller = -1;
	c->flow.ops = ops;
	list_init(&c->quiet);
	flow_add(cs->flows, &c->flow, key, ev_now(cs->loop));
	c->seen_at = steady_now();
	cs->count++;
	if (!ev_is_active(&cs->sweep))
		ev_timer_again(cs->loop, &cs->sweep);
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
	list_foreach (e, tmp, &cs->flows->all) {
		struct flow *f = container_of(e, struct flow, all);

		if (conn_is(f))
			conn_end(conn_of(f), FLOW_CAUSE_LEFT_OPEN);
	}
}

size_t conns_undelivered(const struct conns *cs)
{
	size_t n = 0;

	for (struct list *e = cs->flows->all.next; e != &cs->flows->all; e = e->next) {
		struct flow *f = container_of(e, struct flow, all);

		if (conn_is(f) && conn_of(f)->child.inbox.len)
			n++;
	}
	return n;
}
