/* SPDX-License-Identifier: MIT */
#include "summary.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "base.h"
#include "tell.h"
#include "utf8.h"

#define WHERE_MAX 256
#define SHOWN 30 /* rows; the rest is one line */

struct summary_row {
	struct summary_row *next; /* in its bucket */
	char where[WHERE_MAX];    /* "example.com:443 tcp" */
	char who[PROCESS_NAME_MAX];
	uint64_t flows, denied, dropped, would, failed, up, down;
	char *rule; /* owned: of the last denial or drop */
};

static unsigned hash(const char *where, const char *who)
{
	unsigned h = 5381;

	for (; *where; where++)
		h = h * 33 ^ (unsigned char)*where;
	for (; *who; who++)
		h = h * 33 ^ (unsigned char)*who;
	return h % SUMMARY_BUCKETS;
}

static struct summary_row *row_new(const char *where, const char *who)
{
	struct summary_row *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	snprintf(r->where, sizeof(r->where), "%s", where);
	snprintf(r->who, sizeof(r->who), "%s", who);
	return r;
}

/* The row of that pair, or the one for all others; NULL without memory. */
static struct summary_row *row_of(struct summary *s, const char *where, const char *who)
{
	struct summary_row **slot = &s->bucket[hash(where, who)], *r;

	for (r = *slot; r; r = r->next) {
		if (strcmp(r->where, where) == 0 && strcmp(r->who, who) == 0)
			return r;
	}
	r = s->count < SUMMARY_ROWS ? row_new(where, who) : NULL;
	if (r) {
		r->next = *slot;
		*slot = r;
		s->count++;
		return r;
	}
	if (!s->others)
		s->others = row_new("others", "");
	return s->others;
}

static void where_of(const struct flow *f, char *where)
{
	char text[ADDR_TEXT_MAX];

	if (f->host && f->key.dst.port && f->key.proto != IPPROTO_ICMP)
		snprintf(where, WHERE_MAX, "%s %.200s:%u", f->ops->network, f->host,
			f->key.dst.port);
	else
		snprintf(where, WHERE_MAX, "%s %.200s", f->ops->network,
			f->host ? f->host : tell_addr(&f->key.dst, f->key.proto, text));
}

static void note_dial(struct summary *s, const struct flow *f, const char *where)
{
	const bool failed = f->cause == FLOW_CAUSE_DIAL_FAILED;
	struct summary_dial d = {
		.took = (failed ? f->times.ended : f->times.opened) - f->times.dialing};
	size_t at = SUMMARY_SLOWEST;

	if (!(f->times.opened > 0 || (failed && f->times.dialing > 0)) ||
		f->key.proto != IPPROTO_TCP)
		return;
	while (at > 0 && s->slowest[at - 1].took < d.took)
		at--;
	if (at == SUMMARY_SLOWEST)
		return;
	snprintf(d.where, sizeof(d.where), "%.240s%s", where, failed ? ", failed" : "");
	memmove(&s->slowest[at + 1], &s->slowest[at],
		(SUMMARY_SLOWEST - 1 - at) * sizeof(s->slowest[0]));
	s->slowest[at] = d;
}

/* What was refused, or would have been, and by whom. */
static void note_denial(struct summary_row *r, const struct decision *d)
{
	if (d->would)
		r->would++;
	else if (d->verdict == VERDICT_DENY)
		r->denied++;
	else if (d->verdict == VERDICT_DROP)
		r->dropped++;
	else
		return;
	if (d->rule && !(r->rule && strcmp(r->rule, d->rule) == 0)) {
		free(r->rule);
		r->rule = strdup(d->rule);
	}
}

static void on_ended(struct observer *o, const struct flow *f)
{
	struct summary *s = container_of(o, struct summary, observer);
	struct summary_row *r;
	char where[WHERE_MAX];

	where_of(f, where);
	note_dial(s, f, where);
	r = row_of(s, where, f->process ? f->process->name : "");
	if (!r)
		return;
	r->flows++;
	r->up += f->bytes_up;
	r->down += f->bytes_down;
	r->failed += f->cause == FLOW_CAUSE_DIAL_FAILED;
	note_denial(r, &f->decision);
}

static void on_question(struct observer *o, const struct dnsquery *q, const uint8_t *msg,
	size_t len)
{
	struct summary *s = container_of(o, struct summary, observer);
	const struct decision *d = &q->decision;

	UNUSED(msg);
	UNUSED(len);
	s->questions++;
	s->questions_would += d->would != VERDICT_NONE;
	s->questions_denied += d->verdict == VERDICT_DENY || d->verdict == VERDICT_DROP;
}

static void on_refused(struct observer *o, const struct flow_key *key, const char *why)
{
	UNUSED(key);
	UNUSED(why);
	container_of(o, struct summary, observer)->refused++;
}

void summary_init(struct summary *s, struct policy *policy)
{
	memset(s, 0, sizeof(*s));
	s->policy = policy;
	s->observer = (struct observer){
		.ended = on_ended,
		.question = on_question,
		.refused = on_refused,
	};
	observe_add(&policy->observers, &s->observer);
}

static void row_free(struct summary_row *r)
{
	if (r)
		free(r->rule);
	free(r);
}

void summary_fini(struct summary *s)
{
	if (!s->policy)
		return;
	observe_remove(&s->policy->observers, &s->observer);
	for (size_t i = 0; i < SUMMARY_BUCKETS; i++) {
		while (s->bucket[i]) {
			struct summary_row *r = s->bucket[i];

			s->bucket[i] = r->next;
			row_free(r);
		}
	}
	row_free(s->others);
	memset(s, 0, sizeof(*s));
}

/* ---- writing ---- */

/* Who moved most comes first, then who tried most. */
static int compare(const void *a, const void *b)
{
	const struct summary_row *x = *(struct summary_row *const *)a;
	const struct summary_row *y = *(struct summary_row *const *)b;
	const uint64_t n = x->up + x->down, m = y->up + y->down;

	if (n != m)
		return n < m ? 1 : -1;
	if (x->flows != y->flows)
		return x->flows < y->flows ? 1 : -1;
	return strcmp(x->where, y->where);
}

static void add(struct summary_row *sum, const struct summary_row *r)
{
	sum->flows += r->flows;
	sum->denied += r->denied;
	sum->dropped += r->dropped;
	sum->would += r->would;
	sum->failed += r->failed;
	sum->up += r->up;
	sum->down += r->down;
}

static void write_count(uint64_t n, const char *of_what, FILE *to)
{
	if (n)
		fprintf(to, "  %llu %s", (unsigned long long)n, of_what);
}

static void write_row(const struct summary_row *r, FILE *to)
{
	char up[TELL_TEXT_MAX], down[TELL_TEXT_MAX], where[WHERE_MAX], who[4 * PROCESS_NAME_MAX];
	char rule[160];

	utf8_escape(where, sizeof(where), r->where);
	utf8_escape(who, sizeof(who), r->who);
	fprintf(to, "  %-44s %-15s %7llu %8s %8s", where, *who ? who : "-",
		(unsigned long long)r->flows, tell_size(r->up, up), tell_size(r->down, down));
	write_count(r->failed, "failed", to);
	write_count(r->denied, "denied", to);
	write_count(r->dropped, "dropped", to);
	write_count(r->would, "would be denied", to);
	utf8_escape(rule, sizeof(rule), r->rule ? r->rule : "");
	fprintf(to, "%s%s\n", *rule ? " by " : "", rule);
}

/* The first SHOWN, then as many of those that were denied something, which moved nothing and so
 * come late; the rest in one. */
static void write_rows(struct summary_row **row, size_t n, FILE *to)
{
	struct summary_row total = {.where = "all together"}, rest = {.where = "others"};
	size_t left = SHOWN;

	qsort(row, n, sizeof(struct summary_row *), compare);
	for (size_t i = 0; i < n; i++) {
		const struct summary_row *r = row[i];

		add(&total, r);
		if (i < SHOWN) {
			write_row(r, to);
		} else if (left && (r->denied || r->dropped || r->would)) {
			write_row(r, to);
			left--;
		} else {
			add(&rest, r);
		}
	}
	if (rest.flows)
		write_row(&rest, to);
	write_row(&total, to);
}

void summary_write(const struct summary *s, FILE *to)
{
	struct summary_row **row = malloc((s->count + 1) * sizeof(struct summary_row *));
	char text[TELL_TEXT_MAX], where[WHERE_MAX];
	size_t n = 0;

	if (!row)
		return;
	for (size_t i = 0; i < SUMMARY_BUCKETS; i++) {
		for (struct summary_row *r = s->bucket[i]; r; r = r->next)
			row[n++] = r;
	}
	if (s->others)
		row[n++] = s->others;
	fprintf(to, "nsnet-host: summary\n  %-44s %-15s %7s %8s %8s\n", "destination", "process",
		"flows", "up", "down");
	write_rows(row, n, to);
	free(row);
	for (size_t i = 0; i < SUMMARY_SLOWEST && s->slowest[i].where[0]; i++) {
		utf8_escape(where, sizeof(where), s->slowest[i].where);
		fprintf(to, "%s  %8s to %s\n", i ? "" : "  slowest to connect:\n",
			tell_span(s->slowest[i].took, text), where);
	}
	if (s->questions)
		fprintf(to, "  %llu questions for names, %llu of them denied",
			(unsigned long long)s->questions, (unsigned long long)s->questions_denied);
	if (s->questions_would)
		fprintf(to, ", %llu would be", (unsigned long long)s->questions_would);
	if (s->questions)
		fputc('\n', to);
	if (s->refused)
		fprintf(to, "  %llu refused for want of room or by protocol\n",
			(unsigned long long)s->refused);
}
