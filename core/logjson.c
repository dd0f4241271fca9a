/* SPDX-License-Identifier: MIT */
#include "logjson.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "base.h"
#include "options.h"
#include "tell.h"

/* How long a line may wait for others, so that one write(2) takes many. */
#define DELAY_S 0.1

static struct json *begin(struct logjson *l, const char *type, double time)
{
	struct json *j = &l->json;

	json_begin(j);
	json_open(j, '{');
	json_pair_number(j, "v", 1);
	json_pair(j, "type", type);
	json_key(j, "time");
	json_seconds(j, time);
	return j;
}

static void end(struct logjson *l)
{
	const char *line;
	size_t len;

	json_close(&l->json, '}');
	line = json_end(&l->json, &len);
	if (line)
		writer_line(&l->writer, line, len);
	else
		l->writer.lost++;
}

static void put_process(struct json *j, const struct process *p)
{
	if (!p)
		return;
	json_key(j, "process");
	json_open(j, '{');
	json_pair_number(j, "pid", (uint64_t)p->pid);
	json_pair(j, "name", p->name);
	json_pair(j, "exe", p->exe);
	json_pair(j, "cwd", p->cwd);
	if (p->argv) {
		json_key(j, "argv");
		json_open(j, '[');
		for (size_t at = 0; at < p->argv_len; at += strlen(p->argv + at) + 1)
			json_text(j, p->argv + at);
		json_close(j, ']');
	}
	json_key(j, "parents");
	json_open(j, '[');
	for (size_t i = 0; i < p->parent_count; i++) {
		json_open(j, '{');
		json_pair_number(j, "pid", (uint64_t)p->parents[i].pid);
		json_pair(j, "name", p->parents[i].name);
		json_close(j, '}');
	}
	json_close(j, ']');
	json_close(j, '}');
}

static void put_ends(struct json *j, const struct addr *src, const struct addr *dst, uint32_t proto)
{
	char text[ADDR_TEXT_MAX], network[16];

	json_pair(j, "network", tell_network(proto, network));
	json_pair(j, "src", tell_addr(src, proto, text));
	json_pair(j, "dst", tell_addr(dst, proto, text));
}

static void put_decision(struct json *j, const struct decision *d)
{
	json_pair(j, "verdict", tell_verdict(d->verdict));
	json_pair(j, "would", tell_verdict(d->would));
	json_pair(j, "rule", d->rule);
	json_pair(j, "reason", d->reason);
}

static void put_times(struct json *j, const struct flow_times *t)
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

	json_key(j, "t");
	json_open(j, '{');
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		if (!(row[i].at > 0))
			continue;
		json_key(j, row[i].name);
		json_seconds(j, row[i].at - t->asked);
	}
	json_close(j, '}');
}

static void on_ended(struct observer *o, const struct flow *f)
{
	struct logjson *l = container_of(o, struct logjson, observer);
	struct json *j = begin(l, "flow", f->times.asked);
	const struct addr *target = tell_target(f);
	char text[ADDR_TEXT_MAX];

	json_pair_number(j, "id", f->id);
	put_ends(j, &f->key.src, &f->key.dst, f->key.proto);
	json_pair(j, "host", f->host);
	if (target)
		json_pair(j, "target", tell_addr(target, f->key.proto, text));
	put_decision(j, &f->decision);
	json_pair(j, "end", flow_cause_name(f->cause));
	if (f->error)
		json_pair(j, "error", strerror(f->error));
	json_pair_number(j, "up", f->bytes_up);
	json_pair_number(j, "down", f->bytes_down);
	put_times(j, &f->times);
	put_process(j, f->process);
	end(l);
}

static void on_question(struct observer *o, const struct dnsquery *q, const uint8_t *msg,
	size_t len)
{
	struct logjson *l = container_of(o, struct logjson, observer);
	struct json *j = begin(l, "dns", q->asked_at);
	struct addr answer[16];
	char text[ADDR_TEXT_MAX];
	size_t n = msg ? tell_answers(msg, len, answer, ARRAY_LEN(answer)) : 0;

	put_ends(j, &q->src, &q->dst, q->tcp ? IPPROTO_TCP : IPPROTO_UDP);
	json_pair(j, "name", q->name);
	json_pair(j, "qtype", dnsmsg_type_name(q->m.type, text));
	put_decision(j, &q->decision);
	if (msg)
		json_pair(j, "rcode", dnsmsg_rcode_name(msg[3] & 15, text));
	if (n) {
		json_key(j, "answers");
		json_open(j, '[');
		for (size_t i = 0; i < n; i++)
			json_text(j, addr_format(&answer[i], false, text));
		json_close(j, ']');
	}
	json_key(j, "took");
	json_seconds(j, q->took);
	put_process(j, q->process);
	end(l);
}

static void on_refused(struct observer *o, const struct flow_key *key, const char *why)
{
	struct logjson *l = container_of(o, struct logjson, observer);
	struct json *j = begin(l, "refused", ev_now(l->writer.loop));

	put_ends(j, &key->src, &key->dst, key->proto);
	json_pair(j, "why", why);
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
	struct json *j;
	int rc;

	memset(l, 0, sizeof(*l));
	rc = writer_open(&l->writer, policy->loop, to);
	if (rc < 0)
		return rc;
	l->writer.delay_s = DELAY_S;
	l->writer.gap = gap;
	l->policy = policy;
	l->observer = (struct observer){
		.ended = on_ended,
		.question = on_question,
		.refused = on_refused,
	};
	observe_add(&policy->observers, &l->observer);
	j = begin(l, "start", ev_now(policy->loop));
	json_pair(j, "version", NSNET_VERSION);
	json_key(j, "command");
	json_open(j, '[');
	for (; *command; command++)
		json_text(j, *command);
	json_close(j, ']');
	json_pair_number(j, "pid", (uint64_t)getpid());
	end(l);
	return 0;
}

void logjson_close(struct logjson *l, int status)
{
	struct json *j;

	if (!l->policy)
		return;
	observe_remove(&l->policy->observers, &l->observer);
	ev_now_update(l->writer.loop);
	j = begin(l, "end", ev_now(l->writer.loop));
	json_pair_number(j, "status", (uint64_t)status);
	json_pair_number(j, "lines", l->writer.lines);
	json_pair_number(j, "lost", l->writer.lost);
	end(l);
	writer_close(&l->writer);
	json_fini(&l->json);
	l->policy = NULL;
}
