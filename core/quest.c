/* SPDX-License-Identifier: MIT */
#include "quest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base.h"
#include "dnsaddr.h"

enum {
	SIX,
	FOUR,
	VERSIONS
};

struct quest {
	struct list link;  /* synth_name.seeking */
	struct list every; /* quests.all */
	struct list queue; /* quests.queue, until its turn comes */
	struct list waits;
	struct quests *all;
	const char *name;        /* borrowed: held by those who wait */
	struct flow_key key;     /* of the first that waited */
	struct process *process; /* held */
	struct dnsquery *query[VERSIONS];
	struct addr found[VERSIONS][QUEST_ADDRESSES];
	size_t count[VERSIONS];
	struct decision denied; /* owned strings */
	bool refused;
	const char *reason;
	ev_timer timer; /* the rest, or an answer that is known at once */
	bool asking;
	bool ending; /* gives its answers: may not be freed under its feet */
};

static void quest_free(struct quest *q)
{
	struct quests *qs = q->all;

	for (int i = 0; i < VERSIONS; i++)
		if (q->query[i])
			dnsquery_free(q->query[i]);
	ev_timer_stop(qs->loop, &q->timer);
	list_del(&q->link);
	list_del(&q->every);
	list_del(&q->queue);
	qs->under_way -= q->asking;
	process_put(q->process);
	decision_fini(&q->denied);
	free(q);
}

/* RFC 8305 4: versions in turns, IPv6 first. */
static void make_list(const struct quest *q, struct quest_answer *a)
{
	for (size_t i = 0; i < QUEST_ADDRESSES; i++)
		for (int v = 0; v < VERSIONS; v++)
			if (i < q->count[v] && a->count < QUEST_ADDRESSES)
				a->list[a->count++] = q->found[v][i];
}

static void quest_next(struct quests *qs);

static void quest_end(struct quest *q)
{
	struct quest_answer a = {.reason = q->reason ? q->reason : "the name has no address"};
	struct quests *qs = q->all;

	make_list(q, &a);
	if (!a.count && q->refused)
		a.denied = &q->denied;
	q->ending = true;
	list_del(&q->link); /* whoever comes from here on asks anew */
	while (!list_empty(&q->waits)) {
		struct quest_wait *w = container_of(q->waits.next, struct quest_wait, link);

		list_del(&w->link);
		w->quest = NULL;
		w->done(w, &a); /* may end others that wait */
	}
	quest_free(q);
	quest_next(qs);
}

struct finding {
	struct quest *quest;
	int version;
};

static void find(void *arg, const struct addr *ip, uint32_t ttl)
{
	const struct finding *f = arg;
	struct quest *q = f->quest;
	size_t *count = &q->count[f->version];

	UNUSED(ttl);
	if (ip->v == (f->version == SIX ? 6 : 4) && *count < QUEST_ADDRESSES)
		q->found[f->version][(*count)++] = *ip;
}

/* Why an answer without addresses has none; the worst of the two stays. */
static void note_reason(struct quest *q, const struct dnsquery *query, const struct dnsmsg *m)
{
	const struct decision *d = &query->decision;

	if (d->verdict == VERDICT_DENY || d->verdict == VERDICT_DROP) {
		q->refused = true;
		if (!q->denied.rule && d->rule)
			q->denied.rule = strdup(d->rule);
		if (!q->denied.reason && d->reason)
			q->denied.reason = strdup(d->reason);
	} else if (!m || m->rcode == DNSMSG_RCODE_SERVFAIL || m->rcode == DNSMSG_RCODE_REFUSED) {
		q->reason = "no name server tells the name's address";
	} else if (m->rcode == DNSMSG_RCODE_NXDOMAIN && !q->reason) {
		q->reason = "no such name";
	}
}

static void quest_on_answer(struct dnsquery *query, uint8_t *msg, size_t len)
{
	struct quest *q = query->owner;
	struct finding f = {q, query == q->query[SIX] ? SIX : FOUR};
	struct dnsmsg m;
	int err = msg ? dnsmsg_parse(&m, msg, len) : -EBADMSG;

	q->query[f.version] = NULL;
	if (!err)
		dnsaddr_each(&m, find, &f);
	if (!q->count[f.version])
		note_reason(q, query, err ? NULL : &m);
	ev_timer_stop(q->all->loop, &q->timer);
	if (!q->query[SIX] && !q->query[FOUR])
		ev_timer_set(&q->timer, 0, 0);
	else if (q->count[SIX] || q->count[FOUR])
		ev_timer_set(&q->timer, QUEST_REST_S, 0);
	else
		return;
	ev_timer_start(q->all->loop, &q->timer);
}

static void quest_on_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
	UNUSED(loop);
	UNUSED(revents);
	quest_end(container_of(w, struct quest, timer)); /* last: it is gone */
}

/* Its turn has come. */
static void quest_ask(struct quest *q)
{
	static const uint16_t type[VERSIONS] = {DNSMSG_TYPE_AAAA, DNSMSG_TYPE_A};
	struct quests *qs = q->all;

	list_del(&q->queue);
	q->asking = true;
	qs->under_way++;
	for (int i = 0; i < VERSIONS; i++)
		if (dnsquery_seek(qs->pool, &q->key, q->process, q->name, type[i], quest_on_answer,
			    q, &q->query[i]) < 0)
			q->query[i] = NULL;
	if (q->query[SIX] || q->query[FOUR])
		return;
	q->reason = "out of memory";
	ev_timer_set(&q->timer, 0, 0);
	ev_timer_start(qs->loop, &q->timer);
}

static void quest_next(struct quests *qs)
{
	while (qs->under_way < QUEST_MAX && !list_empty(&qs->queue))
		quest_ask(container_of(qs->queue.next, struct quest, queue));
}

static struct quest *quest_make(struct quests *qs, struct synth_name *n, struct flow *f)
{
	struct quest *q = calloc(1, sizeof(*q));

	if (!q)
		return NULL;
	q->all = qs;
	q->name = n->text;
	q->key = f->key;
	q->process = process_hold(f->process);
	list_init(&q->waits);
	list_init(&q->link);
	list_init(&q->queue);
	list_init(&q->every);
	list_add_tail(&n->seeking, &q->link);
	list_add_tail(&qs->all, &q->every);
	list_add_tail(&qs->queue, &q->queue);
	ev_timer_init(&q->timer, quest_on_timer, 0, 0);
	return q;
}

void quests_init(struct quests *qs, struct ev_loop *loop, struct dnsquery_pool *pool)
{
	qs->loop = loop;
	qs->pool = pool;
	list_init(&qs->all);
	list_init(&qs->queue);
	qs->under_way = 0;
}

void quests_fini(struct quests *qs)
{
	while (!list_empty(&qs->all)) {
		struct quest *q = container_of(qs->all.next, struct quest, every);

		while (!list_empty(&q->waits)) {
			struct quest_wait *w = container_of(q->waits.next, struct quest_wait, link);

			list_del(&w->link);
			w->quest = NULL;
		}
		quest_free(q);
	}
}

int quest_start(struct quests *qs, struct synth_name *n, struct flow *f, struct quest_wait *w,
	quest_fn *done)
{
	struct quest *q = NULL;
	struct list *e, *tmp;

	list_foreach (e, tmp, &n->seeking) {
		struct quest *one = container_of(e, struct quest, link);

		/* A rule may give each process names of its own. */
		if (one->process == f->process)
			q = one;
	}
	if (!q)
		q = quest_make(qs, n, f);
	if (!q)
		return -ENOMEM;
	w->done = done;
	w->quest = q;
	list_init(&w->link);
	list_add_tail(&q->waits, &w->link);
	quest_next(qs);
	return 0;
}

void quest_stop(struct quest_wait *w)
{
	struct quest *q = w->quest;
	struct quests *qs;

	if (!q)
		return;
	qs = q->all;
	list_del(&w->link);
	w->quest = NULL;
	if (!list_empty(&q->waits) || q->ending)
		return;
	quest_free(q);
	quest_next(qs);
}
