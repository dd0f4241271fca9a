/* SPDX-License-Identifier: MIT */
#include "lua/lookup.h"

#include <ares.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/base.h"

/* c-ares calls back from inside ares_getaddrinfo() for what it knows at once (a literal, a line of
 * /etc/hosts), so an answer is put aside and given from the loop. It cannot forget one query
 * either: a cancelled one stays until c-ares ends it, with nobody to tell.
 *
 * A channel cannot re-read resolv.conf in this version. A new file makes a new channel for the
 * questions from then on; the old one goes with its last answer.
 */
#define ADDRESSES_MAX 16
#define SOCKETS_MAX 16 /* the channel's at a time: a few servers, UDP and TCP */

struct lookup_socket {
	ev_io io; /* fd < 0: free */
	struct lookup_channel *channel;
};

struct lookup_channel {
	struct list link; /* lookup.channels */
	bool retired;     /* ends with its last query */
	bool answering;   /* gives answers: may not be freed under its feet */
	struct ev_loop *loop;
	ares_channel ares;
	struct list queries;
	struct lookup_socket socket[SOCKETS_MAX];
	ev_timer timer;          /* c-ares' own timeouts */
	ev_timer ready;          /* gives the answers */
	struct timespec changed; /* of resolv.conf when the channel was made */
};

struct lookup_query {
	struct list link;
	struct lookup_channel *channel;
	lookup_fn *fn; /* NULL: cancelled */
	void *arg;
	bool done;
	size_t len;
	const char *error;
	struct addr addr[ADDRESSES_MAX];
};

static void channel_arm(struct lookup_channel *c)
{
	struct timeval tv, *left = ares_timeout(c->ares, NULL, &tv);
	ev_timer_stop(c->loop, &c->timer);
	if (!left)
		return;
	ev_timer_set(&c->timer, (double)left->tv_sec + (double)left->tv_usec / 1e6, 0.);
	ev_timer_start(c->loop, &c->timer);
}

static void channel_free(struct lookup_channel *c)
{
	list_del(&c->link);
	for (size_t i = 0; i < SOCKETS_MAX; i++)
		ev_io_stop(c->loop, &c->socket[i].io);
	ev_timer_stop(c->loop, &c->timer);
	ev_timer_stop(c->loop, &c->ready);
	ares_destroy(c->ares);
	free(c);
}

static void channel_process(struct lookup_channel *c, ares_socket_t rd, ares_socket_t wr)
{
	ares_process_fd(c->ares, rd, wr);
	channel_arm(c);
}

static void channel_on_socket(struct ev_loop *loop, ev_io *w, int revents)
{
	UNUSED(loop);
	struct lookup_socket *s = container_of(w, struct lookup_socket, io);
	channel_process(s->channel, revents & EV_READ ? w->fd : ARES_SOCKET_BAD,
		revents & EV_WRITE ? w->fd : ARES_SOCKET_BAD);
}

static void channel_on_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
	UNUSED(loop);
	UNUSED(revents);
	channel_process(container_of(w, struct lookup_channel, timer), ARES_SOCKET_BAD,
		ARES_SOCKET_BAD);
}

/* c-ares wants (or no longer wants) to know of @fd. */
static void channel_watch(void *arg, ares_socket_t fd, int readable, int writable)
{
	struct lookup_channel *c = arg;
	struct lookup_socket *s = NULL;
	for (size_t i = 0; i < SOCKETS_MAX; i++) {
		if (c->socket[i].io.fd == fd) {
			s = &c->socket[i];
			break;
		}
		if (c->socket[i].io.fd < 0 && !s)
			s = &c->socket[i];
	}
	/* Without a free slot the query ends by its timeout. */
	if (!s)
		return;
	ev_io_stop(c->loop, &s->io);
	if (!readable && !writable) {
		s->io.fd = -1;
		return;
	}
	ev_io_set(&s->io, fd, (readable ? EV_READ : 0) | (writable ? EV_WRITE : 0));
	ev_io_start(c->loop, &s->io);
}

static void channel_on_ready(struct ev_loop *loop, ev_timer *w, int revents)
{
	UNUSED(loop);
	UNUSED(revents);
	struct lookup_channel *c = container_of(w, struct lookup_channel, ready);
	for (;;) {
		struct lookup_query *q = NULL;
		for (struct list *e = c->queries.next; e != &c->queries && !q; e = e->next) {
			struct lookup_query *other = container_of(e, struct lookup_query, link);
			if (other->done)
				q = other;
		}
		if (!q)
			break;
		list_del(&q->link);
		struct lookup_query answer = *q;
		free(q);
		/* The callee may start other queries, or end the whole lookup. */
		c->answering = true;
		if (answer.fn)
			answer.fn(answer.arg, answer.addr, answer.len, answer.error);
		c->answering = false;
	}
	if (c->retired && list_empty(&c->queries))
		channel_free(c);
}

static struct timespec resolv_changed(void)
{
	struct stat st;
	return stat("/etc/resolv.conf", &st) == -1 ? (struct timespec){0} : st.st_mtim;
}

static struct lookup_channel *channel_new(struct lookup *l)
{
	struct lookup_channel *c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	c->loop = l->loop;
	c->changed = resolv_changed();
	list_init(&c->link);
	list_init(&c->queries);
	for (size_t i = 0; i < SOCKETS_MAX; i++) {
		ev_init(&c->socket[i].io, channel_on_socket);
		c->socket[i].io.fd = -1;
		c->socket[i].channel = c;
	}
	ev_init(&c->timer, channel_on_timer);
	ev_init(&c->ready, channel_on_ready);
	struct ares_options o = {.sock_state_cb = channel_watch,
		.sock_state_cb_data = c,
		.timeout = 2000,
		.tries = 3};
	if (ares_init_options(&c->ares, &o,
		    ARES_OPT_SOCK_STATE_CB | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES) != ARES_SUCCESS) {
		free(c);
		return NULL;
	}
	list_add_tail(&l->channels, &c->link);
	return c;
}

/* The replaced or ending channel goes now, or with its last answer. */
static void channel_retire(struct lookup_channel *c)
{
	c->retired = true;
	if (list_empty(&c->queries) && !c->answering)
		channel_free(c);
}

void lookup_init(struct lookup *l, struct ev_loop *loop)
{
	l->loop = loop;
	l->channel = NULL;
	list_init(&l->channels);
}

void lookup_fini(struct lookup *l)
{
	l->channel = NULL;
	while (!list_empty(&l->channels)) {
		struct lookup_channel *c =
			container_of(l->channels.next, struct lookup_channel, link);
		/* Ends what was cancelled; the callbacks only mark it done. */
		ares_cancel(c->ares);
		while (!list_empty(&c->queries)) {
			struct lookup_query *q =
				container_of(c->queries.next, struct lookup_query, link);
			list_del(&q->link);
			free(q);
		}
		list_del(&c->link);
		channel_retire(c); /* the one that gives answers goes when it has given this one */
	}
}

static void query_take(struct lookup_query *q, const struct ares_addrinfo *info)
{
	for (const struct ares_addrinfo_node *n = info->nodes; n && q->len < ADDRESSES_MAX;
		n = n->ai_next) {
		struct sockaddr_storage ss = {0};
		struct addr a;
		if (n->ai_addrlen > sizeof(ss))
			continue;
		memcpy(&ss, n->ai_addr, n->ai_addrlen);
		if (addr_from_sockaddr(&a, &ss))
			continue;
		a.port = 0;
		bool known = false;
		for (size_t i = 0; i < q->len && !known; i++)
			known = addr_equal(&q->addr[i], &a);
		if (!known)
			q->addr[q->len++] = a;
	}
}

static void query_on_answer(void *arg, int status, int timeouts, struct ares_addrinfo *info)
{
	struct lookup_query *q = arg;
	struct lookup_channel *c = q->channel;
	UNUSED(timeouts);
	if (status == ARES_SUCCESS)
		query_take(q, info);
	if (info)
		ares_freeaddrinfo(info);
	q->done = true;
	if (!q->len)
		q->error = status == ARES_SUCCESS ? "no address" : ares_strerror(status);
	ev_timer_stop(c->loop, &c->ready);
	ev_timer_set(&c->ready, 0., 0.);
	ev_timer_start(c->loop, &c->ready);
}

struct lookup_query *lookup_start(struct lookup *l, const char *name, int family, lookup_fn *fn,
	void *arg)
{
	struct timespec changed = resolv_changed();
	if (l->channel && memcmp(&changed, &l->channel->changed, sizeof(changed)) != 0) {
		channel_retire(l->channel);
		l->channel = NULL;
	}
	if (!l->channel)
		l->channel = channel_new(l);
	struct lookup_channel *c = l->channel;
	struct lookup_query *q = c ? calloc(1, sizeof(*q)) : NULL;
	if (!q)
		return NULL;
	q->channel = c;
	q->fn = fn;
	q->arg = arg;
	list_add_tail(&c->queries, &q->link);
	struct ares_addrinfo_hints hints = {.ai_family = family == 4 ? AF_INET
			: family == 6                                ? AF_INET6
								     : AF_UNSPEC,
		.ai_socktype = SOCK_STREAM};
	ares_getaddrinfo(c->ares, name, NULL, &hints, query_on_answer, q);
	channel_arm(c);
	return q;
}

void lookup_cancel(struct lookup_query *q)
{
	q->fn = NULL;
}
