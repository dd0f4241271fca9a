/* SPDX-License-Identifier: MIT */
#include "dnsquery.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base.h"
#include "dnsaddr.h"
#include "dnsedit.h"
#include "dnslocal.h"
#include "dnsmake.h"
#include "log.h"

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

void dnsquery_pool_init(struct dnsquery_pool *p, struct ev_loop *loop, struct resolver *r,
	struct policy *policy)
{
	memset(p, 0, sizeof(*p));
	p->loop = loop;
	p->resolver = r;
	p->policy = policy;
	for (size_t i = 0; i < DNSQUERY_BUCKETS; i++)
		list_init(&p->bucket[i]);
}

void dnsquery_pool_fini(struct dnsquery_pool *p)
{
	for (size_t i = 0; i < DNSQUERY_BUCKETS; i++) {
		while (!list_empty(&p->bucket[i]))
			dnsquery_free(container_of(p->bucket[i].next, struct dnsquery, link));
	}
}

/* The policy side must not answer any more. */
static void cancel_judging(struct dnsquery *q)
{
	const struct policy *policy = q->pool->policy;

	if (q->state == DNSQUERY_STATE_JUDGING && policy && policy->hooks &&
		policy->hooks->dns_cancel)
		policy->hooks->dns_cancel(policy->hooks->arg, q);
}

/* Observers hear of each end once: of the answer, or of a child that went away. */
static void query_tell(struct dnsquery *q, const uint8_t *msg, size_t len)
{
	const struct policy *policy = q->pool->policy;

	if (q->told)
		return;
	q->told = true;
	q->took = now() - q->started;
	q->pool->verdicts[q->decision.verdict]++;
	if (policy && policy->observers)
		observe_question(policy->observers, q, msg, len);
}

void dnsquery_free(struct dnsquery *q)
{
	query_tell(q, NULL, 0);
	cancel_judging(q);
	resolver_cancel(&q->up);
	ev_timer_stop(q->pool->loop, &q->timer);
	list_del(&q->link);
	list_del(&q->mine);
	q->pool->count--;
	decision_fini(&q->decision);
	process_put(q->process);
	free(q->answer);
	free(q);
}

static void log_answer(const struct dnsquery *q, const uint8_t *msg, const char *note)
{
	char type[16], rcode[16], src[ADDR_TEXT_MAX];

	if (!log_enabled(LOG_LEVEL_INFO) || (q->pool->policy && q->pool->policy->logged))
		return;
	log_info("dns: %s %s %s, %.1f ms (%s, %s)", q->name, dnsmsg_type_name(q->m.type, type),
		msg ? dnsmsg_rcode_name(msg[3] & 15, rcode) : note, (now() - q->started) * 1e3,
		q->tcp ? "tcp" : "udp", addr_format(&q->src, true, src));
}

/* The end. @msg may be NULL: silence. */
static void query_finish(struct dnsquery *q, uint8_t *msg, size_t len)
{
	struct dnsquery_pool *p = q->pool;

	log_answer(q, msg, "no answer");
	if (msg) {
		dnsmsg_set_id(msg, q->id);
		p->answered++;
		p->rcode[msg[3] & 15]++;
		/* An address that stands for a name is known without being learnt. */
		if (p->seen && q->kind != DNSLOCAL_SYNTHETIC && !q->real)
			p->seen(p->seen_arg, q, msg, len);
	}
	query_tell(q, msg, len);
	list_del(&q->mine); /* the front may end all others that are on it */
	q->done(q, msg, len);
	dnsquery_free(q);
}

static void query_fail(struct dnsquery *q, unsigned rcode)
{
	uint8_t text[DNSMSG_ERROR_MAX];

	query_finish(q, text, dnsmsg_error(text, &q->m, rcode, false));
}

static void query_on_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct dnsquery *q = container_of(w, struct dnsquery, timer);

	UNUSED(loop);
	UNUSED(revents);
	if (q->state == DNSQUERY_STATE_READY) {
		query_finish(q, q->answer, q->answer_len);
		return;
	}
	log_warn("dns: %s: no verdict after %.0f s; answered with SERVFAIL", q->name,
		DNSQUERY_JUDGING_S);
	cancel_judging(q);
	q->state = DNSQUERY_STATE_READY;
	query_fail(q, DNSMSG_RCODE_SERVFAIL);
}

static void query_timer(struct dnsquery *q, double after)
{
	ev_timer_stop(q->pool->loop, &q->timer);
	ev_timer_set(&q->timer, after, 0);
	ev_timer_start(q->pool->loop, &q->timer);
}

/* What q->answer holds is the answer. It is known now, so it comes from the loop. */
static void query_ready(struct dnsquery *q)
{
	q->state = DNSQUERY_STATE_READY;
	query_timer(q, 0);
}

static void query_ready_error(struct dnsquery *q, unsigned rcode)
{
	uint8_t text[DNSMSG_ERROR_MAX];
	size_t len = dnsmsg_error(text, &q->m, rcode, false);

	free(q->answer);
	q->answer_len = 0;
	q->answer = malloc(len); /* without memory: silence, and the child asks again */
	if (q->answer) {
		memcpy(q->answer, text, len);
		q->answer_len = len;
	}
	query_ready(q);
}

/* Where rules speak of names, or addresses stand for them: what the child gets instead of the
 * answer, or NULL. */
static uint8_t *answer_by_name(struct dnsquery *q, uint8_t *msg, size_t *len)
{
	static uint8_t stripped[DNSMSG_MAX];
	/* A script that sends a question elsewhere wants the addresses from there. */
	const bool hide = q->pool->synth && !q->real && q->decision.verdict != VERDICT_REDIRECT;
	const bool by_name = q->pool->policy && q->pool->policy->by_name;
	ssize_t n = hide || by_name ? dnsedit_strip(stripped, msg, *len, hide) : 0;

	if (by_name)
		dnsnews_private(&q->pool->news, q->name, msg, *len);
	if (n == 0)
		return msg;
	*len = n > 0 ? (size_t)n : 0;
	return n > 0 ? stripped : NULL;
}

/* What q->answer is to be, if we know it by ourselves. Without memory a name server is asked, but
 * for what it is not to hear of. */
static void keep_answer(struct dnsquery *q, const uint8_t *text, size_t len)
{
	q->answer = len ? malloc(len) : NULL;
	if (!q->answer)
		return;
	memcpy(q->answer, text, len);
	q->answer_len = len;
}

static struct dnslocal local_of(const struct dnsquery *q)
{
	const struct dnsquery_pool *p = q->pool;

	return (struct dnslocal){p->hosts, p->synth, p->resolver ? p->resolver->conf : NULL};
}

static void ask_local(struct dnsquery *q, enum dnslocal_for whom)
{
	const struct dnslocal local = local_of(q);
	uint8_t text[DNSLOCAL_MAX];

	keep_answer(q, text, dnslocal_answer(&local, text, &q->m, whom, now(), &q->kind));
}

/* True if the child may know the answer whatever policy says, and it is on its way. */
static bool query_is_known(struct dnsquery *q)
{
	const struct dnslocal local = local_of(q);
	uint8_t text[DNSLOCAL_MAX];
	size_t len = dnslocal_known(&local, text, &q->m);

	if (!len)
		return false;
	q->decision.verdict = VERDICT_ALLOW;
	keep_answer(q, text, len);
	query_ready(q);
	return true;
}

/* A name that libc may have made turns out to exist, or not. */
static uint8_t *answer_tentative(struct dnsquery *q, uint8_t *msg, size_t *len)
{
	struct dnsmsg m;

	if (dnsmsg_parse(&m, msg, *len) < 0 || !dnsaddr_count(&m))
		return msg;
	ask_local(q, DNSLOCAL_FOR_CHILD_IT_EXISTS);
	*len = q->answer_len;
	return q->answer;
}

static void query_on_resolved(struct resolver_query *up, uint8_t *msg, size_t len)
{
	struct dnsquery *q = container_of(up, struct dnsquery, up);

	if (msg && q->kind == DNSLOCAL_TENTATIVE)
		msg = answer_tentative(q, msg, &len);
	if (msg && q->kind != DNSLOCAL_SYNTHETIC)
		msg = answer_by_name(q, msg, &len);
	if (msg) {
		query_finish(q, msg, len);
	} else {
		q->pool->failed++;
		query_fail(q, DNSMSG_RCODE_SERVFAIL);
	}
}

static void query_ask(struct dnsquery *q, const struct addr *server)
{
	int err = 0;

	if (!q->answer && !server)
		ask_local(q, q->real ? DNSLOCAL_FOR_US : DNSLOCAL_FOR_CHILD);
	/* Without memory: silence rather than a question that was not to be asked. */
	if (q->answer || q->kind == DNSLOCAL_SYNTHETIC || !q->pool->resolver) {
		query_ready(q);
		return;
	}
	q->state = DNSQUERY_STATE_ASKING;
	q->up.rule = q->decision.rule;
	err = resolver_ask(q->pool->resolver, &q->up, q->msg, q->len, q->tcp, server,
		query_on_resolved);
	if (err < 0) {
		q->pool->failed++;
		query_ready_error(q, DNSMSG_RCODE_SERVFAIL);
	}
}

static void query_deny(struct dnsquery *q, const struct decision *d)
{
	unsigned rcode = d->style == DENY_STYLE_UNREACHABLE ? DNSMSG_RCODE_NXDOMAIN
		: d->style == DENY_STYLE_RESET              ? DNSMSG_RCODE_SERVFAIL
							    : DNSMSG_RCODE_REFUSED;
	char text[16], what[32];

	q->pool->denied++;
	snprintf(what, sizeof(what), "denied (%s)", dnsmsg_rcode_name(rcode, text));
	dnsnews_denied(&q->pool->news, q->name, q->m.type, what, d);
	query_ready_error(q, rcode);
}

/* The verdict @v about @q becomes final. Takes the strings of @from, and clears it. */
static void query_settle(struct dnsquery *q, enum verdict v, struct decision *from)
{
	const struct policy *policy = q->pool->policy;
	struct decision *d = &q->decision;

	*d = *from;
	memset(from, 0, sizeof(*from));
	if (v == VERDICT_NONE) {
		v = policy && policy->default_deny ? VERDICT_DENY : VERDICT_ALLOW;
		if (v == VERDICT_DENY && !d->rule)
			d->rule = strdup("default");
	}
	if (policy && policy->dry_run && (v == VERDICT_DENY || v == VERDICT_DROP)) {
		dnsnews_denied(&q->pool->news, q->name, q->m.type, "would be denied", d);
		d->would = v;
		v = VERDICT_ALLOW;
	}
	/* Whatever makes no sense here is no permission. */
	if (v != VERDICT_ALLOW && v != VERDICT_DROP && v != VERDICT_DENY &&
		!(v == VERDICT_REDIRECT && d->target.v)) {
		v = VERDICT_DENY;
		d->style = DENY_STYLE_REFUSE;
	}
	if (v == VERDICT_REDIRECT && !d->target.port)
		d->target.port = 53;
	d->verdict = v;
}

/* Takes the strings of @from, and clears it. */
static void query_apply(struct dnsquery *q, enum verdict v, struct decision *from)
{
	const struct decision *d = &q->decision;

	query_settle(q, v, from);
	switch (d->verdict) {
	case VERDICT_ALLOW:
		query_ask(q, NULL);
		return;
	case VERDICT_REDIRECT:
		query_ask(q, &d->target);
		return;
	case VERDICT_DROP:
		q->pool->dropped++;
		dnsnews_denied(&q->pool->news, q->name, q->m.type, "dropped", d);
		free(q->answer);
		q->answer = NULL;
		query_ready(q);
		return;
	default:
		break;
	}
	query_deny(q, d);
}

/* The one place where policy says what may be asked: what comes here goes on only through
 * query_apply(). */
static void query_judge(struct dnsquery *q)
{
	const struct policy *policy = q->pool->policy;
	const struct hooks *hooks = policy ? policy->hooks : NULL;
	struct decision d = {0};
	enum verdict v = VERDICT_NONE;

	if (hooks && hooks->dns)
		v = hooks->dns(hooks->arg, q, &d);
	if (v == VERDICT_PENDING)
		query_timer(q, DNSQUERY_JUDGING_S);
	else
		query_apply(q, v, &d);
	decision_fini(&d);
}

void dnsquery_decide(struct dnsquery *q, enum verdict v, struct decision *d)
{
	assert(q->state == DNSQUERY_STATE_JUDGING && v != VERDICT_PENDING);
	ev_timer_stop(q->pool->loop, &q->timer);
	query_apply(q, v, d);
}

int dnsquery_supply(struct dnsquery *q, const uint8_t *msg, size_t len)
{
	struct dnsmsg m;

	if (dnsmsg_parse(&m, msg, len) < 0 || !m.response || !dnsmsg_same_question(&m, &q->m))
		return -EBADMSG;
	uint8_t *copy = malloc(len);
	if (!copy)
		return -ENOMEM;
	memcpy(copy, msg, len);
	free(q->answer);
	q->answer = copy;
	q->answer_len = len;
	return 0;
}

/* UDP clients repeat what they asked from the same socket with the same identifier. */
static bool is_repeated(const struct dnsquery_pool *p, const struct list *bucket, uint16_t id,
	const struct addr *src, const struct addr *dst, const uint8_t *msg, size_t len)
{
	struct list *e, *tmp;

	if (!p->count)
		return false;
	list_foreach (e, tmp, bucket) {
		const struct dnsquery *q = container_of(e, struct dnsquery, link);
		if (q->id == id && !q->tcp && addr_equal(&q->src, src) &&
			addr_equal(&q->dst, dst) && len >= q->len &&
			!memcmp(q->msg + 2, msg + 2, q->len - 2))
			return true;
	}
	return false;
}

static struct dnsquery *query_alloc(struct dnsquery_pool *p, const struct dnsmsg *m)
{
	/* Bytes behind the message proper belong to nobody: cut. */
	size_t len = m->whole ? m->end : m->len;
	struct dnsquery *q = calloc(1, sizeof(*q) + len);

	if (!q)
		return NULL;
	q->pool = p;
	q->m = *m;
	q->m.data = q->msg;
	q->m.len = len;
	q->id = m->id;
	q->len = len;
	memcpy(q->msg, m->data, len);
	if (m->name_len)
		dnsmsg_text(m->name, q->name);
	q->started = now();
	q->asked_at = ev_now(p->loop);
	list_init(&q->mine);
	list_add_tail(&p->bucket[m->id % DNSQUERY_BUCKETS], &q->link);
	p->count++;
	ev_timer_init(&q->timer, query_on_timer, 0, 0);
	return q;
}

/* Finds out what becomes of a new question, which dnsmsg_parse() left with @err. */
static void query_begin(struct dnsquery *q, int err)
{
	unsigned rcode = dnslocal_refuses(&q->m, err);

	q->pool->asked++;
	if (rcode)
		query_ready_error(q, rcode);
	else if (!query_is_known(q))
		query_judge(q);
}

int dnsquery_new(struct dnsquery_pool *p, const struct addr *src, const struct addr *dst, bool tcp,
	const uint8_t *msg, size_t len, dnsquery_fn *done, void *owner, struct dnsquery **out)
{
	struct dnsmsg m;
	int err = dnsmsg_parse(&m, msg, len);

	if (!m.data || m.response || len > DNSQUERY_LEN_MAX) {
		p->malformed++;
		return -EBADMSG;
	}
	if (!tcp && is_repeated(p, &p->bucket[m.id % DNSQUERY_BUCKETS], m.id, src, dst, msg, len)) {
		p->repeated++;
		return -EALREADY;
	}
	if (p->count >= DNSQUERY_MAX) {
		p->overflow++;
		return -EBUSY;
	}
	struct dnsquery *q = query_alloc(p, &m);
	if (!q)
		return -ENOMEM;
	q->src = *src;
	q->dst = *dst;
	q->tcp = tcp;
	q->done = done;
	q->owner = owner;
	if (p->policy && p->policy->identify && p->policy->who)
		q->process = who_find(p->policy->who, tcp ? IPPROTO_TCP : IPPROTO_UDP, src, dst);
	query_begin(q, err);
	*out = q;
	return 0;
}

int dnsquery_seek(struct dnsquery_pool *p, const struct flow_key *key, struct process *process,
	const char *name, uint16_t type, dnsquery_fn *done, void *owner, struct dnsquery **out)
{
	uint8_t msg[DNSMAKE_QUESTION_MAX];
	int n = dnsmake_question(msg, name, type);
	struct dnsmsg m;

	if (n < 0)
		return n;
	int err = dnsmsg_parse(&m, msg, (size_t)n);
	struct dnsquery *q = query_alloc(p, &m);
	if (!q)
		return -ENOMEM;
	q->src = key->src;
	q->dst = key->dst;
	q->tcp = q->real = true; /* a truncated answer is of no use */
	q->done = done;
	q->owner = owner;
	q->process = process_hold(process);
	query_begin(q, err);
	*out = q;
	return 0;
}
