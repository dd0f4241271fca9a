/* SPDX-License-Identifier: MIT */
#include "metrics.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base.h"
#include "buf.h"
#include "tell.h"
#include "version.h"

static const char *const networks[POLICY_NETWORKS] = {"tcp", "udp", "icmp"};

/* Names and labels are constants of ours without a character that would need an escape. */
static void family(FILE *to, const char *name, const char *type, const char *unit, const char *help)
{
	fprintf(to, "# TYPE nsnet_%s %s\n", name, type);
	if (unit)
		fprintf(to, "# UNIT nsnet_%s %s\n", name, unit);
	fprintf(to, "# HELP nsnet_%s %s\n", name, help);
}

static void single(FILE *to, const char *name, const char *suffix, uint64_t value)
{
	fprintf(to, "nsnet_%s%s %" PRIu64 "\n", name, suffix, value);
}

static void labeled(FILE *to, const char *name, const char *suffix, const char *key,
	const char *label, uint64_t value)
{
	fprintf(to, "nsnet_%s%s{%s=\"%s\"} %" PRIu64 "\n", name, suffix, key, label, value);
}

static void network(FILE *to, const char *name, size_t n, const char *key, const char *label,
	uint64_t value)
{
	fprintf(to, "nsnet_%s_total{network=\"%s\",%s=\"%s\"} %" PRIu64 "\n", name, networks[n],
		key, label, value);
}

/* ---- flows ---- */

struct live {
	uint64_t open[POLICY_NETWORKS], up[POLICY_NETWORKS], down[POLICY_NETWORKS];
};

/* What the counters of policy do not know yet. */
static struct live count_live(const struct flow_table *t)
{
	struct live live = {0};

	for (const struct list *e = t->all.next; e != &t->all; e = e->next) {
		const struct flow *f = container_of(e, struct flow, all);
		const size_t n = policy_network(f);

		if (f->state == FLOW_STATE_ENDED)
			continue;
		live.open[n]++;
		live.up[n] += f->bytes_up;
		live.down[n] += f->bytes_down;
	}
	return live;
}

static void write_verdicts(FILE *to, const struct policy_counts *c)
{
	family(to, "verdicts", "counter", NULL,
		"Verdicts about TCP connections, UDP flows and ICMP echoes. A connection that is "
		"denied by its first bytes was allowed before.");
	for (size_t n = 0; n < POLICY_NETWORKS; n++) {
		for (size_t v = 0; v < ARRAY_LEN(c->verdicts[n]); v++) {
			const char *verdict = tell_verdict((enum verdict)v);

			if (verdict)
				network(to, "verdicts", n, "verdict", verdict, c->verdicts[n][v]);
		}
	}
}

static void write_ends(FILE *to, const struct policy_counts *c)
{
	family(to, "flows_ended", "counter", NULL, "Flows that have ended, by how.");
	for (size_t n = 0; n < POLICY_NETWORKS; n++)
		for (size_t e = FLOW_CAUSE_NONE + 1; e < ARRAY_LEN(c->ends[n]); e++)
			network(to, "flows_ended", n, "cause", flow_cause_name((enum flow_cause)e),
				c->ends[n][e]);
	family(to, "dial_failures", "counter", NULL,
		"Allowed flows whose destination could not be reached.");
	for (size_t n = 0; n < POLICY_NETWORKS; n++)
		labeled(to, "dial_failures", "_total", "network", networks[n],
			c->ends[n][FLOW_CAUSE_DIAL_FAILED]);
}

static void write_flows(FILE *to, const struct gate *g)
{
	const struct policy_counts *c = &g->policy->counts;
	const struct live live = count_live(g->flows);
	const uint64_t refused[POLICY_NETWORKS] = {g->conns->refused, g->udp->set.refused,
		g->ping->set.refused};

	write_verdicts(to, c);
	family(to, "flows_open", "gauge", NULL, "Flows that are held now.");
	for (size_t n = 0; n < POLICY_NETWORKS; n++)
		labeled(to, "flows_open", "", "network", networks[n], live.open[n]);
	write_ends(to, c);
	family(to, "refusals", "counter", NULL, "Flows turned away before any rule, by a limit.");
	for (size_t n = 0; n < POLICY_NETWORKS; n++)
		labeled(to, "refusals", "_total", "network", networks[n], refused[n]);
	family(to, "payload_bytes", "counter", "bytes",
		"Payload delivered; up is from the command to the world.");
	for (size_t n = 0; n < POLICY_NETWORKS; n++) {
		network(to, "payload_bytes", n, "direction", "up", c->up[n] + live.up[n]);
		network(to, "payload_bytes", n, "direction", "down", c->down[n] + live.down[n]);
	}
}

/* ---- names ---- */

static void write_dns(FILE *to, const struct dnsquery_pool *p)
{
	char text[16];

	family(to, "dns_questions", "counter", NULL,
		"Questions to the resolver that have ended, by verdict.");
	for (size_t v = 0; v < ARRAY_LEN(p->verdicts); v++) {
		const char *verdict = v ? tell_verdict((enum verdict)v) : "none";

		/* A question has no dialer. */
		if (verdict && v != VERDICT_VIA)
			labeled(to, "dns_questions", "_total", "verdict", verdict, p->verdicts[v]);
	}
	family(to, "dns_answers", "counter", NULL, "Answers to the command, by what they say.");
	for (size_t r = 0; r < ARRAY_LEN(p->rcode); r++)
		if (r < 6 || p->rcode[r])
			labeled(to, "dns_answers", "_total", "rcode",
				dnsmsg_rcode_name((unsigned)r, text), p->rcode[r]);
	family(to, "dns_failures", "counter", NULL, "Questions that no name server answered.");
	single(to, "dns_failures", "_total", p->failed);
}

/* ---- packets ---- */

static uint64_t datagrams_dropped(const struct assoc_set *s)
{
	return s->up_dropped + s->waiting_dropped + s->unfit + s->no_memory;
}

static void write_packets(FILE *to, const struct gate *g)
{
	const struct tun *t = g->tun;
	const struct {
		const char *reason;
		uint64_t count;
	} dropped[] = {
		{"malformed", g->malformed},
		{"unsupported", g->unsupported},
		{"multicast", g->multicast},
		{"filtered", g->filtered},
		{"device", t->tx_dropped},
		{"fragment",
			g->frag->malformed + g->frag->spoiled + g->frag->expired +
				g->frag->evicted},
	};

	family(to, "packets", "counter", NULL, "Packets of the command's device.");
	labeled(to, "packets", "_total", "direction", "up", t->rx_packets);
	labeled(to, "packets", "_total", "direction", "down", t->tx_packets);
	family(to, "packets_dropped", "counter", NULL,
		"Packets that went nowhere; of incomplete fragments the packets they belong to.");
	for (size_t i = 0; i < ARRAY_LEN(dropped); i++)
		labeled(to, "packets_dropped", "_total", "reason", dropped[i].reason,
			dropped[i].count);
	family(to, "datagrams_dropped", "counter", NULL,
		"Datagrams of the command that its flow could not send.");
	labeled(to, "datagrams_dropped", "_total", "network", "udp",
		datagrams_dropped(&g->udp->set));
	labeled(to, "datagrams_dropped", "_total", "network", "icmp",
		datagrams_dropped(&g->ping->set));
}

/* ---- the program ---- */

static void write_logs(FILE *to, const struct logs *l)
{
	const struct writer *const text = &l->text.writer, *const json = &l->json.writer;

	family(to, "log_lines", "counter", NULL, "Lines taken by --log and --log-json.");
	labeled(to, "log_lines", "_total", "log", "text", text->lines);
	labeled(to, "log_lines", "_total", "log", "json", json->lines);
	family(to, "log_lines_dropped", "counter", NULL, "Lines lost to a slow reader.");
	labeled(to, "log_lines_dropped", "_total", "log", "text", text->lost);
	labeled(to, "log_lines_dropped", "_total", "log", "json", json->lost);
	family(to, "capture_packets_dropped", "counter", NULL,
		"Packets that --pcap had to leave out.");
	single(to, "capture_packets_dropped", "_total", l->capture.lost);
}

static void write_rules(FILE *to, const struct rules *r)
{
	family(to, "script_errors", "counter", NULL, "Errors of scripts.");
	single(to, "script_errors", "_total", rules_errors(r));
	family(to, "reloads", "counter", NULL,
		"Loads of the scripts after the first; a failed one leaves the old rules.");
	labeled(to, "reloads", "_total", "result", "ok", r->reloads);
	labeled(to, "reloads", "_total", "result", "failed", r->reloads_failed);
	family(to, "lua_memory_bytes", "gauge", "bytes", "Memory that the scripts hold.");
	single(to, "lua_memory_bytes", "", rules_memory(r));
}

static void write_all(FILE *to, const struct metrics *m)
{
	family(to, "build", "info", NULL, "The program.");
	fprintf(to, "nsnet_build_info{version=\"%s\"} 1\n", NSNET_VERSION);
	family(to, "start_time_seconds", "gauge", "seconds", "When it was started, since 1970.");
	fprintf(to, "nsnet_start_time_seconds %.3f\n", m->started);
	write_flows(to, m->gate);
	write_dns(to, &m->gate->dns->pool);
	write_packets(to, m->gate);
	if (m->logs)
		write_logs(to, m->logs);
	if (m->rules)
		write_rules(to, m->rules);
	family(to, "buffer_bytes", "gauge", "bytes",
		"Buffers that hold packets and data in flight.");
	single(to, "buffer_bytes", "", buf_used());
	family(to, "buffer_limit_bytes", "gauge", "bytes", "What --memory allows of it.");
	single(to, "buffer_limit_bytes", "", buf_limit());
	fputs("# EOF\n", to);
}

char *metrics_text(const struct metrics *m, size_t *len)
{
	char *text = NULL;
	FILE *to = open_memstream(&text, len);

	if (!to)
		return NULL;
	write_all(to, m);
	if (fclose(to) == EOF) {
		free(text);
		return NULL;
	}
	return text;
}

static int openmetrics(void *arg, const char *argument, cJSON *reply)
{
	size_t len;
	char *text = metrics_text(arg, &len), *at = text, *line;
	cJSON *list;

	UNUSED(argument);
	if (!text)
		return -ENOMEM;
	list = cJSON_AddArrayToObject(reply, "lines");
	while ((line = strsep(&at, "\n")) && at)
		cJSON_AddItemToArray(list, cJSON_CreateString(line));
	free(text);
	return 0;
}

void metrics_control(struct metrics *m, struct control *c)
{
	control_add(c,
		&(struct control_command){"openmetrics", "",
			"counters as OpenMetrics text, for Prometheus", openmetrics, m});
}
