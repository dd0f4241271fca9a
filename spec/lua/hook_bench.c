/* SPDX-License-Identifier: MIT */

/* What one call of a hook costs, in nanoseconds of this thread's CPU time: `make bench` prints it.
 * The cases take turns, so that a machine which is busy with something else is so for all. */
#include <arpa/inet.h>
#include <ev.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/base.h"
#include "core/craft.h"
#include "core/flow.h"
#include "core/guard.h"
#include "core/packet.h"
#include "core/policy.h"
#include "lua/api.h"

#define ROUNDS 15
#define CALLS 20000

/* One state for each case: what a script does must not weigh on another's heap. */
struct bench {
	const char *title, *code;
	bool flow; /* asks for a flow instead of showing a packet */
	struct policy policy;
	struct guard guard;
	struct flow_table table;
	struct lua_host *host;
	double ns[ROUNDS];
};

enum {
	CASE_ONE = 5, /* one handler */
	CASE_MORE,    /* and MORE more of the same */
	MORE = 10
};

static struct bench cases[] = {
	{.title = "no script: packet", .code = ""},
	{.title = "on_packet, not asked (filter)", .code = "nsnet.on_packet({ port = 1 }, print)"},
	{.title = "on_packet, empty", .code = "nsnet.on_packet(function() end)"},
	{.title = "on_packet, count one port",
		.code = "local n = 0 nsnet.on_packet(function(p) if p.dst_port == 443 then n = n + "
			"1 end end)"},
	{.title = "no script: flow asked and ended", .code = "", .flow = true},
	[CASE_ONE] = {.title = "on_connect, empty",
		.code = "nsnet.on_connect(function() end)",
		.flow = true},
	[CASE_MORE] = {.title = "on_connect, eleven empty ones",
		.code = "for _ = 1, 11 do nsnet.on_connect(function() end) end",
		.flow = true},
	{.title = "on_connect and on_close, empty",
		.code = "nsnet.on_connect(function() end) nsnet.on_close(function() end)",
		.flow = true},
	{.title = "10 000 networks, compiled",
		.code = "local t = {} for i = 0, 9999 do t[i + 1] = ('10.%d.%d.0/24'):format(i / "
			"256, i % 256) end\n"
			"nsnet.rules { { cidr = nsnet.cidrs(t), nsnet.deny } }",
		.flow = true},
};

static void ignore(struct flow *f, enum flow_cause cause)
{
	UNUSED(f);
	UNUSED(cause);
}

static const struct flow_ops tcp = {.network = "tcp", .abort = ignore};

static void die(const char *what)
{
	fprintf(stderr, "hook_bench: %s\n", what);
	exit(1);
}

static void bench_open(struct bench *b, struct ev_loop *loop)
{
	struct lua_options o = {.loop = loop, .policy = &b->policy};
	if (guard_init(&b->guard) || flow_table_init(&b->table))
		die("cannot begin");
	b->policy.guard = &b->guard;
	b->policy.loop = loop;
	if (!b->code[0])
		return;
	b->host = lua_host_new(&o);
	if (!b->host || lua_host_add_code(b->host, "-e", b->code) || lua_host_load(b->host))
		die(b->title);
	b->policy.hooks = lua_host_hooks(b->host);
}

static void bench_close(struct bench *b)
{
	lua_host_free(b->host);
	flow_table_fini(&b->table);
	guard_fini(&b->guard);
}

static double cpu_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void show_packets(struct bench *b, struct packet *p)
{
	const struct hooks *volatile *hooks = (const struct hooks *volatile *)&b->policy.hooks;
	for (int i = 0; i < CALLS; i++) {
		const struct hooks *h = *hooks;
		if (h && h->packet && !h->packet(h->arg, HOOK_DIR_OUT, p))
			die("a packet was dropped");
	}
}

static void ask_flows(struct bench *b)
{
	for (int i = 0; i < CALLS / 10; i++) {
		struct flow f = {.ops = &tcp};
		struct flow_key key = {.proto = IPPROTO_TCP};
		addr_parse(&key.dst, "198.51.100.7:443");
		addr_parse(&key.src, "10.0.0.1:40000");
		flow_add(&b->table, &f, &key, 0);
		if (!policy_ask(&b->policy, &f) || f.decision.verdict != VERDICT_ALLOW)
			die("a flow was not allowed");
		policy_end(&b->policy, &f, FLOW_CAUSE_CLOSED, 0);
		flow_remove(&f);
	}
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static void measure(struct bench *b, struct packet *p, int round)
{
	double from = cpu_ns();
	if (b->flow)
		ask_flows(b);
	else
		show_packets(b, p);
	b->ns[round] = (cpu_ns() - from) / (b->flow ? CALLS / 10 : CALLS);
}

int main(void)
{
	static uint8_t bytes[256 + 1480];
	struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
	struct addr src, dst;
	struct packet p;
	addr_parse(&src, "10.0.0.1:40000");
	addr_parse(&dst, "198.51.100.7:443");
	size_t n = craft_udp(bytes + 256, 1472, &src, &dst);
	if (!loop || packet_parse(&p, bytes + 256 - n, n + 1472))
		die("no packet");
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		bench_open(&cases[i], loop);
	for (int round = 0; round < ROUNDS; round++) {
		for (size_t i = 0; i < ARRAY_LEN(cases); i++)
			measure(&cases[(i + (size_t)round) % ARRAY_LEN(cases)], &p, round);
	}
	printf("%-36s %10s %10s\n", "CPU time of a hook call, ns", "median", "fastest");
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		qsort(cases[i].ns, ROUNDS, sizeof(double), by_size);
		printf("%-36s %10.0f %10.0f\n", cases[i].title, cases[i].ns[ROUNDS / 2],
			cases[i].ns[0]);
	}
	/* The first handler of a flow also pays for the object that shows it. */
	printf("%-36s %10.0f\n", "on_connect, each more handler",
		(cases[CASE_MORE].ns[ROUNDS / 2] - cases[CASE_ONE].ns[ROUNDS / 2]) / MORE);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		bench_close(&cases[i]);
	ev_loop_destroy(loop);
	return 0;
}
