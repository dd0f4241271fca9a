/* SPDX-License-Identifier: MIT */
#include "follow.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#include "base.h"
#include "listeners.h"
#include "log.h"

/* net.ipv4.ip_local_port_range of a new namespace (ip(7)): sockets that nobody bound. */
#define CHOSEN_FIRST 32768
#define CHOSEN_LAST 60999
#define LOOPBACK_INDEX 1 /* the kernel's LOOPBACK_IFINDEX, in every namespace */

static struct followed *find(struct follow *f, const struct publish_port *port)
{
	for (size_t i = 0; i < f->count; i++) {
		const struct publish_port *p = &f->ports[i].port;

		if (p->port == port->port && p->v == port->v && p->udp == port->udp)
			return &f->ports[i];
	}
	return NULL;
}

static void note(struct follow *f, const struct listening *l, bool udp, unsigned v)
{
	const struct publish_port port = {.v = (uint8_t)v, .udp = udp, .port = l->at.port};
	struct followed *one = find(f, &port);

	if (!one && f->count == FOLLOW_PORTS) {
		if (!f->full)
			log_warn("-p auto publishes %d ports at a time: port %u and others are "
				 "left out; name them with -p",
				FOLLOW_PORTS, l->at.port);
		f->full = true;
		return;
	}
	if (!one) {
		one = &f->ports[f->count++];
		*one = (struct followed){.port = port};
		f->changed = true;
	}
	one->seen = true;
}

/* Can the namespace's own address of version @v be called for @l? */
static bool is_open(const struct follow *f, const struct listening *l, unsigned v)
{
	static const uint8_t any[16];
	const struct addr *self = v == 4 ? &f->publish->self4 : &f->publish->self6;

	if (l->device == LOOPBACK_INDEX)
		return false;
	if (memcmp(l->at.ip, any, sizeof(any)) == 0)
		return l->at.v == v || (v == 4 && l->both);
	return addr_equal_ip(&l->at, self);
}

static void on_socket(struct follow *f, const struct listening *l, bool udp)
{
	if (is_open(f, l, 4))
		note(f, l, udp, 4);
	if (is_open(f, l, 6))
		note(f, l, udp, 6);
}

static void on_tcp(void *arg, const struct listening *l)
{
	on_socket(arg, l, false);
}

static void on_udp(void *arg, const struct listening *l)
{
	if (l->at.port < CHOSEN_FIRST || l->at.port > CHOSEN_LAST)
		on_socket(arg, l, true);
}

/* A port that the user published, under this number or another, is not published twice. */
static void offer(struct follow *f, struct followed *one)
{
	char why[PUBLISH_WHY_MAX];

	if (one->published || publish_has(f->publish, &one->port))
		return;
	if (publish_add_port(f->publish, &one->port, why) < 0) {
		if (!one->failed)
			log_warn("%s; -p auto tries again", why);
		one->failed = true;
		return;
	}
	one->published = true;
	one->failed = false;
	f->changed = true;
}

static void follow_round(struct follow *f)
{
	int rc;

	f->rounds++;
	f->changed = false;
	for (size_t i = 0; i < f->count; i++)
		f->ports[i].seen = false;
	rc = listeners_ask(f->diag, IPPROTO_TCP, on_tcp, f);
	if (rc == 0)
		rc = listeners_ask(f->diag, IPPROTO_UDP, on_udp, f);
	if (rc < 0) { /* who was not told of may listen still */
		if (!f->deaf && rc != -EINTR)
			log_warn("-p auto cannot ask the kernel who listens: %s; it tries again",
				strerror(-rc));
		f->deaf |= rc != -EINTR;
		return;
	}
	f->deaf = false;
	for (size_t i = f->count; i-- > 0;) {
		if (f->ports[i].seen)
			continue;
		if (f->ports[i].published)
			publish_remove_port(f->publish, &f->ports[i].port);
		f->ports[i] = f->ports[--f->count];
		f->changed = true;
		f->full = false;
	}
	for (size_t i = 0; i < f->count; i++)
		offer(f, &f->ports[i]);
}

static void follow_on_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct follow *f = container_of(w, struct follow, timer);

	UNUSED(revents);
	follow_round(f);
	f->period_s = f->changed ? FOLLOW_LEAST_S : MIN(2 * f->period_s, FOLLOW_MOST_S);
	ev_timer_set(w, f->period_s, 0);
	ev_timer_start(loop, w);
}

int follow_start(struct follow *f, struct ev_loop *loop, struct publish *publish, int diag)
{
	memset(f, 0, sizeof(*f));
	if (diag < 0)
		return -EOPNOTSUPP;
	f->diag = fcntl(diag, F_DUPFD_CLOEXEC, 3);
	if (f->diag == -1)
		return -errno;
	f->loop = loop;
	f->publish = publish;
	f->period_s = FOLLOW_LEAST_S;
	ev_timer_init(&f->timer, follow_on_timer, FOLLOW_LEAST_S, 0);
	ev_timer_start(loop, &f->timer);
	return 0;
}

void follow_stop(struct follow *f)
{
	if (!f->loop)
		return;
	ev_timer_stop(f->loop, &f->timer);
	close(f->diag);
	f->loop = NULL;
}
