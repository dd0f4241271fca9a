/* SPDX-License-Identifier: MIT */
#include "logtext.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

#include "base.h"
#include "tell.h"
#include "utf8.h"

/* Columns, as wide as what is usual in them. */
#define WHO_WIDTH 20
#define WHERE_WIDTH 44
#define VERDICT_WIDTH 24

#define LINE_SIZE 2048

enum paint {
	PAINT_NONE,
	PAINT_DIM,
	PAINT_RED,
	PAINT_YELLOW,
	PAINT_BOLD,
};

struct line {
	const struct logtext *log;
	char text[LINE_SIZE];
	size_t len;
};

/* ---- a line ---- */

static void put(struct line *l, const char *text, size_t n)
{
	n = MIN(n, sizeof(l->text) - 1 - l->len); /* one is for the newline */
	memcpy(l->text + l->len, text, n);
	l->len += n;
}

static void paint(struct line *l, enum paint p)
{
	static const char *const code[] = {"\033[0m", "\033[2m", "\033[31m", "\033[33m", "\033[1m"};

	if (l->log->color)
		put(l, code[p], strlen(code[p]));
}

/* The number of characters: bytes that do not go on with another's. */
static size_t width(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += (*text & 0xc0) != 0x80;
	return n;
}

/* @text, which is harmless, in @p and filled up to @least characters and a gap. */
static void column(struct line *l, enum paint p, size_t least, const char *text)
{
	static const char spaces[] = "                                                          ";
	size_t w = width(text);

	if (p)
		paint(l, p);
	put(l, text, strlen(text));
	if (p)
		paint(l, PAINT_NONE);
	put(l, spaces, (w < least ? least - w : 0) + 1);
}

static void begin(struct line *l, const struct logtext *log, double at, const struct process *who)
{
	char text[64], name[4 * PROCESS_NAME_MAX];
	time_t s = (time_t)at;
	struct tm tm;

	l->log = log;
	l->len = 0;
	localtime_r(&s, &tm);
	snprintf(text, sizeof(text), "%02d:%02d:%02d.%03d", tm.tm_hour, tm.tm_min, tm.tm_sec,
		(int)((at - (double)s) * 1000) % 1000);
	column(l, PAINT_DIM, 0, text);
	text[0] = '\0';
	if (who) {
		utf8_escape(name, sizeof(name), who->name);
		snprintf(text, sizeof(text), "%.40s[%d]", name, (int)who->pid);
	}
	column(l, PAINT_NONE, WHO_WIDTH, who ? text : "-");
}

static void end(struct logtext *log, struct line *l)
{
	while (l->len && l->text[l->len - 1] == ' ')
		l->len--;
	l->text[l->len++] = '\n';
	writer_line(&log->writer, l->text, l->len);
}

/* "deny by rules.lua:12: why" */
static void put_decision(struct line *l, const struct decision *d)
{
	char text[512], rule[160], reason[256];
	const char *verdict = tell_verdict(d->verdict);
	enum paint p = d->verdict == VERDICT_DENY || d->verdict == VERDICT_DROP ? PAINT_RED
		: d->would                                                      ? PAINT_YELLOW
										: PAINT_NONE;

	utf8_escape(rule, sizeof(rule), d->rule ? d->rule : "");
	utf8_escape(reason, sizeof(reason), d->reason ? d->reason : "");
	snprintf(text, sizeof(text), "%s%s%s%s%s%s%s%s", verdict ? verdict : "undecided",
		d->would ? " (would " : "", d->would ? tell_verdict(d->would) : "",
		d->would ? ")" : "", *rule ? " by " : "", rule, *reason ? ": " : "", reason);
	column(l, p, VERDICT_WIDTH, text);
}

/* ---- flows ---- */

static void put_flow(struct line *l, const struct flow *f)
{
	char text[1200], host[1024], dst[ADDR_TEXT_MAX], to[ADDR_TEXT_MAX];
	const struct addr *target = tell_target(f);

	column(l, PAINT_NONE, 4, f->ops->network);
	utf8_escape(host, sizeof(host), f->host ? f->host : "");
	snprintf(text, sizeof(text), "%s%s%s%s%s", host, *host ? " " : "",
		tell_addr(&f->key.dst, f->key.proto, dst), target ? " -> " : "",
		target ? tell_addr(target, f->key.proto, to) : "");
	column(l, PAINT_BOLD, WHERE_WIDTH, text);
	put_decision(l, &f->decision);
}

static bool is_denied(const struct flow *f)
{
	return f->decision.verdict == VERDICT_DENY || f->decision.verdict == VERDICT_DROP;
}

static void on_decided(struct observer *o, const struct flow *f)
{
	struct logtext *log = container_of(o, struct logtext, observer);
	struct line l;

	if (is_denied(f)) /* its end comes now */
		return;
	begin(&l, log, f->times.asked, f->process);
	put_flow(&l, f);
	column(&l, PAINT_DIM, 0, "begins");
	end(log, &l);
}

static void on_ended(struct observer *o, const struct flow *f)
{
	struct logtext *log = container_of(o, struct logtext, observer);
	const bool bad = f->cause != FLOW_CAUSE_CLOSED && f->cause != FLOW_CAUSE_IDLE;
	char text[TELL_TEXT_MAX + 8], n[TELL_TEXT_MAX], why[256];
	struct line l;

	begin(&l, log, f->times.asked, f->process);
	put_flow(&l, f);
	if (f->cause == FLOW_CAUSE_DENIED && !f->times.opened) {
		end(log, &l);
		return;
	}
	if (f->times.opened > 0) {
		snprintf(text, sizeof(text), "%6s up", tell_size(f->bytes_up, n));
		column(&l, PAINT_NONE, 9, text);
		snprintf(text, sizeof(text), "%6s down", tell_size(f->bytes_down, n));
		column(&l, PAINT_NONE, 11, text);
	}
	column(&l, PAINT_NONE, 7, tell_span(f->times.ended - f->times.asked, n));
	column(&l, bad ? PAINT_YELLOW : PAINT_NONE, 0, flow_cause_name(f->cause));
	if (tell_error(f)) {
		utf8_escape(why, sizeof(why), tell_error(f));
		column(&l, PAINT_YELLOW, 0, why);
	}
	end(log, &l);
}

/* ---- others ---- */

static void on_question(struct observer *o, const struct dnsquery *q, const uint8_t *msg,
	size_t len)
{
	struct logtext *log = container_of(o, struct logtext, observer);
	char text[DNSMSG_TEXT_MAX + 32], type[16];
	struct addr answer[4];
	size_t n = msg ? tell_answers(msg, len, answer, ARRAY_LEN(answer)) : 0;
	struct line l;

	begin(&l, log, q->asked_at, q->process);
	column(&l, PAINT_NONE, 4, "dns");
	snprintf(text, sizeof(text), "%s %s", q->name, dnsmsg_type_name(q->m.type, type));
	column(&l, PAINT_BOLD, WHERE_WIDTH, text);
	put_decision(&l, &q->decision);
	column(&l, PAINT_NONE, 7, tell_span(q->took, text));
	column(&l, PAINT_NONE, 0, msg ? dnsmsg_rcode_name(msg[3] & 15, type) : "no answer");
	for (size_t i = 0; i < n; i++)
		column(&l, PAINT_NONE, 0, addr_format(&answer[i], false, text));
	end(log, &l);
}

static void on_refused(struct observer *o, const struct flow_key *key, const char *why)
{
	struct logtext *log = container_of(o, struct logtext, observer);
	char text[ADDR_TEXT_MAX];
	struct line l;

	begin(&l, log, ev_now(log->writer.loop), NULL);
	column(&l, PAINT_NONE, 4, tell_network(key->proto, text));
	column(&l, PAINT_BOLD, WHERE_WIDTH, tell_addr(&key->dst, key->proto, text));
	column(&l, PAINT_RED, 0, "refused:");
	column(&l, PAINT_RED, 0, why);
	end(log, &l);
}

static size_t gap(char *line, uint64_t lost)
{
	return (size_t)snprintf(line, 256, "(%llu lines are missing here: too slow a reader)\n",
		(unsigned long long)lost);
}

static bool wants_color(const struct writer *w)
{
	const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

	return w->terminal && !(no && *no) && !(term && strcmp(term, "dumb") == 0);
}

int logtext_open(struct logtext *l, struct policy *policy, const char *to, bool starts)
{
	int rc;

	memset(l, 0, sizeof(*l));
	rc = writer_open(&l->writer, policy->loop, to);
	if (rc < 0)
		return rc;
	/* On standard error the lines stand among the command's. */
	if (l->writer.regular && strcmp(to, "-") != 0 && strncmp(to, "fd:", 3) != 0)
		l->writer.delay_s = WRITER_DELAY_S;
	l->writer.gap = gap;
	l->policy = policy;
	l->color = wants_color(&l->writer);
	l->observer = (struct observer){
		.decided = starts ? on_decided : NULL,
		.ended = on_ended,
		.question = on_question,
		.refused = on_refused,
	};
	observe_add(&policy->observers, &l->observer);
	return 0;
}

void logtext_close(struct logtext *l)
{
	if (!l->policy)
		return;
	observe_remove(&l->policy->observers, &l->observer);
	writer_close(&l->writer);
	l->policy = NULL;
}
