/* SPDX-License-Identifier: MIT */
#include "resolver.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base.h"
#include "log.h"

/* Theory of operation
 *
 * A question has one try per server. Steps go round the tries: the first step asks the first
 * server, a silence of a few seconds brings the next step, and so on until the patience that
 * resolv.conf's timeout and attempts give is used up. A try that was asked stays open: a late
 * answer is as good as an early one. A server that cannot answer (port closed, no route) or
 * answers that it will not (SERVFAIL, NOTIMP, REFUSED: libc goes on after these too) is dead for
 * this question, and if it was the one asked last, the next step comes at once.
 *
 * libc waits 5 seconds before it asks again; but it is the child's libc that has begun to wait
 * for us, so we are quicker: 2 seconds, then 4, then 8.
 */
#define REPEAT_S 2.    /* first silence */
#define TCP_S 5.       /* at least this for a connection and its answer */
#define PATIENCE_S 20. /* at most, whatever resolv.conf says: memory is held meanwhile */
#define SILENT_S 10.   /* a silent server is asked last for so long */

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

int resolver_init(struct resolver *r, struct ev_loop *loop, struct resolvconf *conf)
{
	memset(r, 0, sizeof(*r));
	r->loop = loop;
	r->conf = conf;
	asktcp_init(&r->tcp, loop);
	return askudp_init(&r->udp, loop);
}

void resolver_fini(struct resolver *r)
{
	askudp_fini(&r->udp);
	asktcp_fini(&r->tcp);
}

/* Ends all but the callback. */
static void query_stop(struct resolver_query *q)
{
	struct resolver *r = q->resolver;

	q->resolver = NULL;
	ev_timer_stop(r->loop, &q->timer);
	for (unsigned i = 0; i < q->tries; i++) {
		askudp_drop(&r->udp, &q->try[i].udp);
		asktcp_drop(&r->tcp, &q->try[i].tcp);
	}
}

void resolver_cancel(struct resolver_query *q)
{
	if (!q->resolver)
		return;
	query_stop(q);
	free(q->failure);
	q->failure = NULL;
}

/* One line that names who named the servers, at most one each second. */
static void log_failure(const struct resolver_query *q, const struct resolvconf *conf)
{
	static struct log_limit limit = {.burst = 1};
	char list[RESOLVCONF_SERVERS_MAX * (ADDR_TEXT_MAX + 2)] = "";
	char text[ADDR_TEXT_MAX];
	size_t n = 0;
	unsigned long dropped;

	if (!log_limit_pass(&limit, &dropped))
		return;
	for (unsigned i = 0; i < q->tries; i++)
		n += (size_t)snprintf(list + n, sizeof(list) - n, "%s%s", i ? ", " : "",
			addr_format(&q->try[i].server.addr, false, text));
	if (q->try[0].index < 0)
		log_warn("dns: no answer from %s, which %s chose; see whether a name server is "
			 "there",
			list, q->rule ? q->rule : "a rule");
	else if (conf->by_default)
		log_warn("dns: no name server: %s names none, and %s does not answer; "
			 "put a nameserver line there",
			conf->path, list);
	else
		log_warn("dns: no answer from %s; check the nameserver lines of %s", list,
			conf->path);
}

/* The end: @msg, or the failure kept, or nothing. */
static void query_finish(struct resolver_query *q, uint8_t *msg, size_t len)
{
	struct resolver *r = q->resolver;
	uint8_t *failure = q->failure;

	query_stop(q);
	q->failure = NULL;
	if (msg) {
		r->answered++;
	} else if (failure) {
		r->answered++;
		msg = failure;
		len = q->failure_len;
	} else {
		r->failed++;
		log_failure(q, r->conf);
	}
	q->done(q, msg, msg ? len : 0); /* last: @q may be gone */
	free(failure);
}

/* Notes whether @t's server talks. */
static void try_mark(struct resolver_try *t, bool silent)
{
	struct resolver *r = t->query->resolver;

	/* The file may have changed since the question was asked. */
	if (t->index >= 0 && resolvconf_same_server(&t->server, &r->conf->server[t->index]))
		r->silent_until[t->index] = silent ? now() + SILENT_S : 0;
}

static int try_tcp(struct resolver_try *t)
{
	struct resolver_query *q = t->query;
	struct resolver *r = q->resolver;
	int err = asktcp_send(&r->tcp, &t->tcp, &t->server, q->msg, q->len);

	if (err < 0)
		return err;
	r->by_tcp++;
	/* A connection takes its time; what is left of this step is not enough. */
	if (&q->try[q->last] == t && ev_timer_remaining(r->loop, &q->timer) < TCP_S) {
		ev_timer_stop(r->loop, &q->timer);
		ev_timer_set(&q->timer, TCP_S, 0);
		ev_timer_start(r->loop, &q->timer);
	}
	return 0;
}

static int try_send(struct resolver_try *t)
{
	struct resolver_query *q = t->query;
	struct resolver *r = q->resolver;

	if (t->sent)
		r->repeated++;
	t->sent = true;
	if (t->tcp.stream)
		return 0; /* TCP repeats by itself */
	if (r->conf->use_vc && t->index >= 0)
		return try_tcp(t);
	return askudp_send(&r->udp, &t->udp, &t->server, q->msg, q->len);
}

/* Asks the next server that may still answer. Returns 0, or a negative errno: there is none. */
static int query_step(struct resolver_query *q)
{
	struct resolver *r = q->resolver;
	int err = -EHOSTUNREACH;

	for (unsigned i = 0; i < q->tries; i++) {
		unsigned round = q->step / q->tries;
		q->last = q->step++ % q->tries;
		struct resolver_try *t = &q->try[q->last];
		if (t->dead)
			continue;
		double wait = MIN((double)r->conf->timeout_s, REPEAT_S) * (1u << MIN(round, 4u));
		wait = MIN(wait, q->patience);
		q->patience -= wait;
		ev_timer_stop(r->loop, &q->timer);
		ev_timer_set(&q->timer, wait, 0);
		ev_timer_start(r->loop, &q->timer);
		err = try_send(t);
		if (!err)
			return 0;
		t->dead = true;
		q->patience += wait;
	}
	return err;
}

static void query_on_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct resolver_query *q = container_of(w, struct resolver_query, timer);

	UNUSED(loop);
	UNUSED(revents);
	try_mark(&q->try[q->last], true);
	/* With a failure in hand it is enough that everybody was asked. */
	if (q->patience <= 0 || (q->failure && q->step >= q->tries) || query_step(q) < 0)
		query_finish(q, NULL, 0); /* last: @q may be gone */
}

/* @t will not answer. Goes on with the next server if this was the one waited for. */
static void try_dead(struct resolver_try *t)
{
	struct resolver_query *q = t->query;
	bool alive = false;

	t->dead = true;
	askudp_drop(&q->resolver->udp, &t->udp);
	asktcp_drop(&q->resolver->tcp, &t->tcp);
	for (unsigned i = 0; i < q->tries; i++)
		alive |= !q->try[i].dead;
	if (!alive || (&q->try[q->last] == t && query_step(q) < 0))
		query_finish(q, NULL, 0); /* last: @q may be gone */
}

/* True if @m is an answer to what @q asks. */
static bool is_answer(const struct resolver_query *q, const struct dnsmsg *m, int err)
{
	/* Some servers break off in the middle of a record, as RFC 1035 allows with TC. */
	if (err && !(err == -EMSGSIZE && m->truncated))
		return false;
	return m->response && m->opcode == q->asked.opcode && dnsmsg_same_question(m, &q->asked);
}

/* True if @m is a bare "I do not understand" without the question, as old servers answer EDNS. The
 * identifier and the connected socket have to do as proof; it carries nothing but a failure. */
static bool is_bare_failure(const struct dnsmsg *m, int err)
{
	return !err && m->response && !m->questions && !m->answers && !m->authorities &&
		(m->rcode == DNSMSG_RCODE_FORMERR || m->rcode == DNSMSG_RCODE_NOTIMP);
}

/* Keeps a failure in case nothing better comes. */
static void keep_failure(struct resolver_query *q, const struct dnsmsg *m)
{
	uint8_t text[DNSMSG_ERROR_MAX];
	const uint8_t *from = m->data;
	size_t len = m->len;

	if (!m->questions) {
		len = dnsmsg_error(text, &q->asked, m->rcode, false);
		from = text;
	}
	uint8_t *copy = malloc(len);
	if (!copy)
		return; /* the asker will hear of a failure in any case */
	memcpy(copy, from, len);
	free(q->failure);
	q->failure = copy;
	q->failure_len = len;
}

/* What came for @t. Returns false if it is to be ignored. */
static bool try_message(struct resolver_try *t, uint8_t *msg, size_t len, bool tcp)
{
	struct resolver_query *q = t->query;
	struct resolver *r = q->resolver;
	struct dnsmsg m;
	int err = dnsmsg_parse(&m, msg, len);
	bool bare = is_bare_failure(&m, err);

	if (!bare && !is_answer(q, &m, err)) {
		r->garbage++;
		return false;
	}
	try_mark(t, false);
	if (bare || m.rcode == DNSMSG_RCODE_SERVFAIL || m.rcode == DNSMSG_RCODE_NOTIMP ||
		m.rcode == DNSMSG_RCODE_REFUSED) {
		keep_failure(q, &m);
		try_dead(t); /* last: @q may be gone */
	} else if (m.truncated && q->whole && !tcp) {
		askudp_drop(&r->udp, &t->udp);
		if (!t->tcp.stream && try_tcp(t) < 0)
			try_dead(t); /* last: @q may be gone */
	} else {
		query_finish(q, msg, len); /* last: @q may be gone */
	}
	return true;
}

static void try_on_udp(struct askudp_ticket *ticket, uint8_t *msg, ssize_t len)
{
	struct resolver_try *t = container_of(ticket, struct resolver_try, udp);

	if (len < 0) {
		try_mark(t, true);
		try_dead(t);
	} else {
		/* Garbage may be a forger's: the true answer can still come. */
		(void)try_message(t, msg, (size_t)len, false);
	}
}

static void try_on_tcp(struct asktcp_ticket *ticket, uint8_t *msg, ssize_t len)
{
	struct resolver_try *t = container_of(ticket, struct resolver_try, tcp);

	if (len >= 0) {
		if (!try_message(t, msg, (size_t)len, true))
			try_dead(t);
		return;
	}
	if (t->tcp.reused && !t->retried) {
		t->retried = true;
		if (!try_tcp(t))
			return;
	}
	try_dead(t);
}

static void add_try(struct resolver_query *q, const struct resolvconf_server *s, int index)
{
	struct resolver_try *t = &q->try[q->tries++];

	memset(t, 0, sizeof(*t));
	t->query = q;
	t->server = *s;
	t->index = index;
	t->udp.done = try_on_udp;
	t->tcp.done = try_on_tcp;
}

/* The servers in the order in which they are to be asked: as in the file (or from the next one
 * on, with "rotate"), those lately silent last. */
static void choose_servers(struct resolver *r, struct resolver_query *q)
{
	struct resolvconf *c = r->conf;

	resolvconf_check(c);
	if (r->silent_generation != c->generation) {
		memset(r->silent_until, 0, sizeof(r->silent_until));
		r->silent_generation = c->generation;
	}
	unsigned first = c->rotate ? r->next++ : 0;
	double t = now();
	for (int silent = 0; silent < 2; silent++) {
		for (unsigned i = 0; i < c->servers; i++) {
			unsigned k = (first + i) % (unsigned)c->servers;
			if ((r->silent_until[k] > t) == silent)
				add_try(q, &c->server[k], (int)k);
		}
	}
}

int resolver_ask(struct resolver *r, struct resolver_query *q, uint8_t *msg, size_t len, bool whole,
	const struct addr *server, resolver_fn *done)
{
	if (dnsmsg_parse(&q->asked, msg, len) < 0 || q->asked.questions != 1)
		return -EINVAL;
	q->done = done;
	q->msg = msg;
	q->len = len;
	q->whole = whole;
	q->failure = NULL;
	q->tries = q->step = q->last = 0;
	if (server)
		add_try(q, &(struct resolvconf_server){.addr = *server}, -1);
	else
		choose_servers(r, q);
	q->patience = MIN((double)r->conf->timeout_s * r->conf->attempts * q->tries, PATIENCE_S);
	q->resolver = r;
	ev_timer_init(&q->timer, query_on_timer, 0, 0);
	r->asked++;
	int err = query_step(q);
	if (err < 0) {
		r->failed++;
		log_failure(q, r->conf);
		query_stop(q);
	}
	return err;
}
