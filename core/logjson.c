/* SPDX-License-Identifier: MIT */
#include "logjson.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "base.h"
#include "tell.h"
#include "version.h"

static struct jsonline *begin(struct logjson *l, const char *type, double time)
{
	struct jsonline *j = &l->json;

	jsonline_begin(j);
	jsonline_open(j, '{');
	jsonline_pair_number(j, "v", 1);
	jsonline_pair(j, "type", type);
	jsonline_key(j, "time");
	jsonline_seconds(j, time);
	return j;
}

static void end(struct logjson *l)
{
	const char *line;
	size_t len;

	jsonline_close(&l->json, '}');
	line = jsonline_end(&l->json, &len);
	if (line)
		writer_line(&l->writer, line, len);
	else
		l->writer.lost++;
}

static void put_process(struct jsonline *j, const struct process *p)
{
	if (!p)
		return;
	jsonline_key(j, "process");
	jsonline_open(j, '{');
	jsonline_pair_number(j, "pid", (uint64_t)p->pid);
	jsonline_pair(j, "name", p->name);
	jsonline_pair(j, "exe", p->exe);
	jsonline_pair(j, "cwd", p->cwd);
	if (p->argv) {
		jsonline_key(j, "argv");
		jsonline_open(j, '[');
		for (size_t at = 0; at < p->argv_len; at += strlen(p->argv + at) + 1)
			jsonline_text(j, p->argv + at);
		jsonline_close(j, ']');
	}
	jsonline_key(j, "parents");
	jsonline_open(j, '[');
	for (size_t i = 0; i < p->parent_count; i++) {
		jsonline_open(j, '{');
		jsonline_pair_number(j, "pid", (uint64_t)p->parents[i].pid);
		jsonline_pair(j, "name", p->parents[i].name);
		jsonline_close(j, '}');
	}
	jsonline_close(j, ']');
	jsonline_close(j, '}');
}

static void put_ends(struct jsonline *j, const struct addr *src, const struct addr *dst,
	uint32_t proto)
{
	char text[ADDR_TEXT_MAX], network[16];

	jsonline_pair(j, "network", tell_network(proto, network));
	jsonline_pair(j, "src", tell_addr(src, proto, text));
	jsonline_pair(j, "dst", tell_addr(dst, proto, text));
}

static void put_decision(struct jsonline *j, const struct decision *d)
{
	jsonline_pair(j, "verdict", tell_verdict(d->verdict));
	jsonline_pair(j, "would", tell_verdict(d->would));
	jsonline_pair(j, "rule", d->rule);
	jsonline_pair(j, "reason", d->reason);
}

static void put_times(struct jsonline *j, const struct flow_times *t)
{
	const struct {
		const char *name;
		ev_tstamp at;
	} row[] = {
		{"decided", t->decided},
		{"dialing", t->dialing},
		{"opened", t->opened},
		{"judged", t->judged},
		{"first_up", t->first_up},
		{"first_down", t->first_down},
		{"ended", t->ended},
	};

	jsonline_key(j, "t");
	jsonline_open(j, '{');
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		if (!(row[i].at > 0))
			continue;
		jsonline_key(j, row[i].name);
		jsonline_seconds(j, row[i].at - t->asked);
	}
	jsonline_close(j, '}');
}

static void on_ended(struct observer *o, const struct flow *f)
{
	struct logjson *l = container_of(o, struct logjson, observer);
	struct jsonline *j = begin(l, "flow", f->times.asked);
	const struct addr *target = tell_target(f);
	char text[ADDR_TEXT_MAX];

	jsonline_pair_number(j, "id", f->id);
	put_ends(j, &f->key.src, &f->key.dst, f->key.proto);
	jsonline_pair(j, "host", f->host);
	if (f->by_name && f->dst.v)
		jsonline_pair(j, "resolved", addr_format(&f->dst, false, text));
	if (target)
		jsonline_pair(j, "target", tell_addr(target, f->key.proto, text));
	put_decision(j, &f->decision);
	jsonline_pair(j, "end", flow_cause_name(f->cause));
	jsonline_pair(j, "error", tell_error(f));
	jsonline_pair_number(j, "up", f->bytes_up);
	jsonline_pair_number(j, "down", f->bytes_down);
	put_times(j, &f->times);
	put_process(j, f->process);
	end(l);
}

static void on_question(struct observer *o, const struct dnsquery *q, const uint8_t *msg,
	size_t len)
{
	struct logjson *l = container_of(o, struct logjson, observer);
	struct jsonline *j = begin(l, "dns", q->asked_at);
	struct addr answer[16];
	char text[ADDR_TEXT_MAX];
	size_t n = msg ? tell_answers(msg, len, answer, ARRAY_LEN(answer)) : 0;

	put_ends(j, &q->src, &q->dst, q->tcp ? IPPROTO_TCP : IPPROTO_UDP);
	if (q->real)
		jsonline_pair(j, "by", "dial");
	jsonline_pair(j, "name", q->name);
	jsonline_pair(j, "qtype", dnsmsg_type_name(q->m.type, text));
	put_decision(j, &q->decision);
	if (msg)
		jsonline_pair(j, "rcode", dnsmsg_rcode_name(msg[3] & 15, text));
	if (n) {
		jsonline_key(j, "answers");
		jsonline_open(j, '[');
		for (size_t i = 0; i < n; i++)
			jsonline_text(j, addr_format(&answer[i], false, text));
		jsonline_close(j, ']');
	}
	jsonline_key(j, "took");
	jsonline_seconds(j, q->took);
	put_process(j, q->process);
	end(l);
}

static void on_refused(struct observer *o, const struct flow_key *key, const char *why)
{
	struct logjson *l = container_of(o, struct logjson, observer);
	struct jsonline *j = begin(l, "refused", ev_now(l->writer.loop));

	put_ends(j, &key->src, &key->dst, key->proto);
	jsonline_pair(j, "why", why);
	end(l);
}

static size_t gap(char *line, uint64_t lost)
{
	struct timeval now;

	gettimeofday(&now, NULL);
	return (size_t)snprintf(line, 256,
		"{\"v\":1,\"type\":\"lost\",\"time\":%lld.%06ld,\"lines\":%llu}\n",
		(long long)now.tv_sec, (long)now.tv_usec, (unsigned long long)lost);
}

int logjson_open(struct logjson *l, struct policy *policy, const char *to, char *const *command)
{
	struct jsonline *j;
	int rc;

	memset(l, 0, sizeof(*l));
	rc = writer_open(&l->writer, policy->loop, to);
	if (rc < 0)
		return rc;
	l->writer.delay_s = WRITER_DELAY_S;
	l->writer.gap = gap;
	l->policy = policy;
	l->observer = (struct observer){
		.ended = on_ended,
		.question = on_question,
		.refused = on_refused,
	};
	observe_add(&policy->observers, &l->observer);
	j = begin(l, "start", ev_now(policy->loop));
	jsonline_pair(j, "version", NSNET_VERSION);
	jsonline_key(j, "command");
	jsonline_open(j, '[');
	for (; *command; command++)
		jsonline_text(j, *command);
	jsonline_close(j, ']');
	jsonline_pair_number(j, "pid", (uint64_t)getpid());
	end(l);
	return 0;
}

void logjson_close(struct logjson *l, int status)
{
	struct jsonline *j;

	if (!l->policy)
		return;
	observe_remove(&l->policy->observers, &l->observer);
	ev_now_update(l->writer.loop);
	j = begin(l, "end", ev_now(l->writer.loop));
	jsonline_pair_number(j, "status", (uint64_t)status);
	jsonline_pair_number(j, "lines", l->writer.lines);
	jsonline_pair_number(j, "lost", l->writer.lost);
	end(l);
	writer_close(&l->writer);
	jsonline_fini(&l->json);
	l->policy = NULL;
}
