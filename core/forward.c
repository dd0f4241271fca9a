/* SPDX-License-Identifier: MIT */
#include "forward.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base.h"
#include "dial.h"
#include "hook.h"
#include "log.h"
#include "pair.h"
#include "steady.h"

#define ACCEPTS_MAX 64
#define PAUSE_S 0.2 /* as in publish.c: without descriptors nobody is accepted for so long */
#define SWEEP_S 1.0

/* One connection: ASKED, DIALING, OPEN as flow.h has it. */
struct link {
	struct flow flow;
	struct forwards *forwards;
	struct list link;
	const struct forward_spec *spec; /* whose port it called */
	bool either; /* the host's loopback: if this address refuses, the other */
	int child;   /* owned until the pair takes it; else -1 */
	struct dial dial;
	struct pair pair;
	uint64_t seen;  /* bytes both ways at the last sweep that saw a change */
	double seen_at; /* steady_now() */
};

/* ---- the text ---- */

int forward_parse(struct forward_spec *spec, const char *text)
{
	const char *end = text + strlen(text), *colon = strchr(text, ':');

	memset(spec, 0, sizeof(*spec));
	spec->port = addr_parse_port(text, colon ? colon : end);
	if (!spec->port)
		return -EINVAL;
	spec->to.port = colon ? addr_parse_port(colon + 1, end) : spec->port;
	if (spec->to.port)
		return 0;
	return addr_parse(&spec->to, colon + 1) == 0 && spec->to.port ? 0 : -EINVAL;
}

int forwards_add(struct forwards *f, const char *text, char why[FORWARD_WHY_MAX])
{
	struct forward_spec *spec = &f->specs[f->spec_count];

	if (f->spec_count == FORWARD_PORTS) {
		snprintf(why, FORWARD_WHY_MAX, "-L %s: there may be %d of them", text,
			FORWARD_PORTS);
		return -EINVAL;
	}
	if (forward_parse(spec, text) < 0) {
		snprintf(why, FORWARD_WHY_MAX,
			"-L '%s' names no port: give PORT[:[ADDR:]HOSTPORT], as in 8080:80", text);
		return -EINVAL;
	}
	for (size_t i = 0; i < f->spec_count; i++) {
		if (f->specs[i].port == spec->port) {
			snprintf(why, FORWARD_WHY_MAX, "-L %s: port %u leads to the host already",
				text, spec->port);
			return -EEXIST;
		}
	}
	f->spec_count++;
	return 0;
}

/* ---- the end ---- */

static void hang_up(int fd)
{
	const struct linger hard = {.l_onoff = 1, .l_linger = 0};

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
	close(fd);
}

static struct link *link_of(struct flow *f)
{
	return container_of(f, struct link, flow);
}

static void link_end(struct link *l, enum flow_cause cause)
{
	struct forwards *f = l->forwards;

	policy_end(f->policy, &l->flow, cause, ev_now(f->loop));
	dial_stop(&l->dial);
	pair_stop(&l->pair, cause != FLOW_CAUSE_CLOSED);
	if (l->child >= 0)
		hang_up(l->child);
	f->bytes += l->flow.bytes_up + l->flow.bytes_down;
	f->count--;
	list_del(&l->link);
	flow_remove(&l->flow);
	free(l);
}

static void link_on_pair(void *arg, enum relay_end how)
{
	static const enum flow_cause cause[] = {
		[RELAY_END_CLOSED] = FLOW_CAUSE_CLOSED,
		[RELAY_END_CHILD_RESET] = FLOW_CAUSE_CHILD_RESET,
		[RELAY_END_WORLD_RESET] = FLOW_CAUSE_WORLD_RESET,
		[RELAY_END_ABORTED] = FLOW_CAUSE_ABORTED,
	};

	link_end(arg, cause[how]);
}

/* ---- the way ---- */

static void link_judged(struct link *l)
{
	const uint64_t may = l->flow.decision.pass ? l->flow.decision.pass : UINT64_MAX;

	if (l->flow.decision.verdict == VERDICT_DENY)
		link_end(l, FLOW_CAUSE_DENIED);
	else
		pair_release(&l->pair, may); /* last: @l may be gone */
}

/* Shows the first bytes, none of which has left, to policy. */
static void link_judge(void *arg)
{
	struct link *l = arg;
	const struct pair_side *s = &l->pair.child;
	enum verdict v;

	if (l->flow.waiting || (!s->len && !s->ended))
		return;
	v = policy_first_bytes(l->forwards->policy, &l->flow, s->buf ? s->buf->data + s->at : NULL,
		s->len, !s->ended && s->len < HOOK_FIRST_BYTES_MAX);
	if (v != VERDICT_PENDING && v != VERDICT_MORE)
		link_judged(l); /* last: @l may be gone */
}

static void link_failed(struct link *l, int error)
{
	if (log_enabled(LOG_LEVEL_INFO) && !l->forwards->policy->logged) {
		char text[FLOW_TEXT_MAX], to[ADDR_TEXT_MAX];

		log_info("%s: dial %s: %s", flow_format(&l->flow, text),
			addr_format(&l->flow.decision.target, true, to), strerror(error));
	}
	l->flow.error = error;
	link_end(l, FLOW_CAUSE_DIAL_FAILED);
}

static void link_dial(struct link *l);

static void link_on_dial(void *arg, int fd)
{
	static const uint8_t loopback4[16] = {127, 0, 0, 1}, loopback6[16] = {[15] = 1};
	struct link *l = arg;
	struct addr *to = &l->flow.decision.target;

	if (fd == -ECONNREFUSED && l->either) {
		l->either = false;
		to->v = to->v == 4 ? 6 : 4;
		memcpy(to->ip, to->v == 4 ? loopback4 : loopback6, sizeof(to->ip));
		link_dial(l); /* last: @l may be gone */
		return;
	}
	if (fd < 0) {
		link_failed(l, -fd);
		return;
	}
	policy_opened(l->forwards->policy, &l->flow);
	pair_start(&l->pair, l->forwards->loop, &l->flow, l->child, fd, link_on_pair, l);
	l->child = -1;
	l->pair.held = l->flow.decision.first_bytes;
	l->pair.waits = link_judge;
	l->seen_at = steady_now();
}

static void link_dial(struct link *l)
{
	struct forwards *f = l->forwards;
	int rc = dial_start(&l->dial, f->loop, &l->flow.decision.target, f->dial_timeout_s,
		link_on_dial, l);

	if (rc < 0)
		link_on_dial(l, rc); /* last: @l may be gone */
}

void forward_settle(const struct forward_spec *spec, struct flow *f)
{
	struct decision *d = &f->decision;

	if (d->verdict == VERDICT_ALLOW || d->verdict == VERDICT_VIA) {
		/* Without an address: the loopback that it called, of the host. */
		d->target = spec->to.v ? spec->to : f->key.dst;
		d->target.port = spec->to.port;
	} else if (d->verdict != VERDICT_REDIRECT) {
		return;
	}
	/* What a pair cannot do, but a rule wants, is not left out. */
	if (f->shape || d->data) {
		free(d->reason);
		d->reason = strdup("a rule limits it or looks at its bytes, which -L cannot; let "
				   "that rule leave out this port");
		d->verdict = VERDICT_DENY;
	}
}

static void link_decided(struct flow *flow)
{
	struct link *l = link_of(flow);
	const struct decision *d = &flow->decision;
	const bool was = d->verdict != VERDICT_DENY && d->verdict != VERDICT_DROP;

	if (flow->state == FLOW_STATE_OPEN) {
		link_judged(l);
		return;
	}
	l->either = !l->spec->to.v && d->verdict != VERDICT_REDIRECT;
	forward_settle(l->spec, flow);
	if (d->verdict == VERDICT_DENY || d->verdict == VERDICT_DROP) {
		char text[FLOW_TEXT_MAX];

		if (was)
			log_warn("denied %s: %s", flow_format(flow, text),
				d->reason ? d->reason : "-L cannot do what a rule wants");
		link_end(l, FLOW_CAUSE_DENIED);
		return;
	}
	flow_set_state(flow, FLOW_STATE_DIALING);
	flow->times.dialing = ev_now(l->forwards->loop);
	link_dial(l); /* last: @l may be gone */
}

/* No packet is of it; one that says so was made by hand. */
static void link_input(struct flow *flow, struct buf *b, struct packet *p)
{
	UNUSED(flow);
	UNUSED(p);
	buf_put(b);
}

static void link_dialed(struct flow *flow, int fd, const void *early, size_t n)
{
	UNUSED(flow);
	UNUSED(early);
	UNUSED(n);
	if (fd >= 0)
		close(fd);
}

static void link_abort(struct flow *flow, enum flow_cause cause)
{
	link_end(link_of(flow), cause);
}

static const struct flow_ops link_flow_ops = {
	.network = "tcp",
	.input = link_input,
	.decided = link_decided,
	.dialed = link_dialed,
	.abort = link_abort,
};

/* ---- callers ---- */

static void on_caller(struct forward_port *port, int fd, const struct sockaddr_storage *from)
{
	struct forwards *f = port->forwards;
	struct sockaddr_storage at;
	socklen_t len = sizeof(at);
	struct flow_key key = {.proto = IPPROTO_TCP};
	struct link *l = NULL;

	/* The key is taken only by packets made by hand. */
	if (addr_from_sockaddr(&key.src, from) == 0 &&
		getsockname(fd, (struct sockaddr *)&at, &len) == 0 &&
		addr_from_sockaddr(&key.dst, &at) == 0 && !flow_find(f->flows, &key) &&
		f->count < f->max)
		l = calloc(1, sizeof(*l));
	if (!l) {
		observe_refused(f->policy->observers, &key, "too many connections");
		hang_up(fd);
		return;
	}
	l->flow.ops = &link_flow_ops;
	l->flow.named = true;
	l->forwards = f;
	l->child = fd;
	l->spec = &port->spec;
	f->count++;
	list_add_tail(&f->links, &l->link);
	flow_add(f->flows, &l->flow, &key, ev_now(f->loop));
	if (!ev_is_active(&f->sweep))
		ev_timer_again(f->loop, &f->sweep);
	if (policy_ask(f->policy, &l->flow))
		link_decided(&l->flow); /* last: @l may be gone */
}

static void forward_on_pause(struct ev_loop *loop, ev_timer *w, int revents)
{
	UNUSED(revents);
	ev_io_start(loop, &container_of(w, struct forward_port, pause)->io);
}

static void lacking(struct forward_port *port, int error)
{
	static struct log_limit limit = {.burst = 1};
	unsigned long missed;

	if (log_limit_pass(&limit, &missed))
		log_warn("the command waits at port %u (-L): %s; raise the limit of open files "
			 "(ulimit -n)",
			port->spec.port, strerror(error));
	ev_io_stop(port->forwards->loop, &port->io);
	ev_timer_set(&port->pause, PAUSE_S, 0);
	ev_timer_start(port->forwards->loop, &port->pause);
}

static void forward_on_callers(struct ev_loop *loop, ev_io *w, int revents)
{
	struct forward_port *port = container_of(w, struct forward_port, io);

	UNUSED(loop);
	UNUSED(revents);
	for (int i = 0; i < ACCEPTS_MAX; i++) {
		struct sockaddr_storage from = {0};
		socklen_t len = sizeof(from);
		int fd = accept4(port->fd, (struct sockaddr *)&from, &len,
			SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd >= 0) {
			on_caller(port, fd, &from);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
			lacking(port, errno);
		else if (errno != EAGAIN) /* that one has gone: the next, accept(2) */
			continue;
		return;
	}
}

/* ---- all of them ---- */

static void forwards_on_sweep(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct forwards *f = container_of(w, struct forwards, sweep);
	const double now = steady_now();
	struct list *e, *tmp;

	UNUSED(revents);
	list_foreach (e, tmp, &f->links) {
		struct link *l = container_of(e, struct link, link);
		const uint64_t bytes = l->flow.bytes_up + l->flow.bytes_down;

		if (l->flow.state != FLOW_STATE_OPEN)
			continue;
		if (bytes != l->seen) {
			l->seen = bytes;
			l->seen_at = now;
		} else if (f->idle_s > 0 && now - l->seen_at >= f->idle_s) {
			link_end(l, FLOW_CAUSE_IDLE);
			continue;
		}
		pair_look(&l->pair);
	}
	if (!f->count)
		ev_timer_stop(loop, w);
}

static const struct forward_spec *spec_of(const struct forwards *f, int fd)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	struct addr at;

	if (getsockname(fd, (struct sockaddr *)&ss, &len) == -1 || addr_from_sockaddr(&at, &ss) < 0)
		return NULL;
	for (size_t i = 0; i < f->spec_count; i++)
		if (f->specs[i].port == at.port)
			return &f->specs[i];
	return NULL;
}

int forwards_start(struct forwards *f, const int *fds, size_t n)
{
	list_init(&f->links);
	ev_init(&f->sweep, forwards_on_sweep);
	f->sweep.repeat = SWEEP_S;
	for (size_t i = 0; i < n; i++) {
		const struct forward_spec *spec = spec_of(f, fds[i]);
		struct forward_port *port = &f->ports[f->port_count];

		if (!spec || f->port_count == ARRAY_LEN(f->ports)) {
			close(fds[i]);
			continue;
		}
		*port = (struct forward_port){.forwards = f, .spec = *spec, .fd = fds[i]};
		ev_init(&port->pause, forward_on_pause);
		ev_io_init(&port->io, forward_on_callers, port->fd, EV_READ);
		ev_io_start(f->loop, &port->io);
		f->port_count++;
	}
	return f->spec_count && !f->port_count ? -ENOENT : 0;
}

void forwards_stop(struct forwards *f)
{
	struct list *e, *tmp;

	for (size_t i = 0; i < f->port_count; i++) {
		ev_io_stop(f->loop, &f->ports[i].io);
		ev_timer_stop(f->loop, &f->ports[i].pause);
		close(f->ports[i].fd);
	}
	f->port_count = 0;
	if (!f->links.next)
		return;
	list_foreach (e, tmp, &f->links)
		link_end(container_of(e, struct link, link), FLOW_CAUSE_LEFT_OPEN);
	ev_timer_stop(f->loop, &f->sweep);
}

size_t forwards_undelivered(const struct forwards *f, uint64_t *progress)
{
	size_t n = 0;

	*progress += f->bytes;
	for (size_t i = 0; i < f->port_count; i++) {
		struct pollfd p = {.fd = f->ports[i].fd, .events = POLLIN};

		n += poll(&p, 1, 0) > 0; /* somebody who has not been accepted yet */
	}
	if (!f->links.next)
		return n;
	for (const struct list *e = f->links.next; e != &f->links; e = e->next) {
		const struct link *l = container_of(e, struct link, link);

		*progress += l->flow.bytes_up + l->flow.bytes_down;
		n += l->flow.state != FLOW_STATE_OPEN || pair_undelivered(&l->pair);
	}
	return n;
}
