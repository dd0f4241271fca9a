/* SPDX-License-Identifier: MIT */

/* What rules with 100 000 names cost a connection, in nanoseconds of this thread's CPU time: `make
 * bench` prints it. The memory of names is full, as in the running program, and each connection
 * goes to another address of it, so nothing is in the cache by accident. */
#include <arpa/inet.h>
#include <ev.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/base.h"
#include "core/flow.h"
#include "core/guard.h"
#include "core/name.h"
#include "core/policy.h"
#include "lua/api.h"
#include "spec/support/hello.h"

#define ROUNDS 15
#define CALLS 4000
#define LISTED 100000

enum kind {
	KIND_PROVEN,  /* its name is known, and in the list */
	KIND_STRANGE, /* no name is known for its address */
	KIND_SAID,    /* and the same name is in its ClientHello */
};

enum rules {
	RULES_NONE,
	RULES_ONE,  /* the name that all addresses have */
	RULES_MANY, /* and all others */
	RULES_COUNT,
};

struct bench {
	const char *title;
	enum kind kind;
	enum rules rules;
	double ns[ROUNDS];
};

static struct bench cases[] = {
	{.title = "no rules", .rules = RULES_NONE},
	{.title = "1 name, allowed", .rules = RULES_ONE},
	{.title = "100 000 names, allowed", .rules = RULES_MANY},
	{.title = "1 name, refused", .kind = KIND_STRANGE, .rules = RULES_ONE},
	{.title = "100 000 names, refused", .kind = KIND_STRANGE, .rules = RULES_MANY},
	{.title = "1 name, allowed, its TLS heard", .kind = KIND_SAID, .rules = RULES_ONE},
	{.title = "100 000 names, allowed, its TLS heard", .kind = KIND_SAID, .rules = RULES_MANY},
};

static struct policy policies[RULES_COUNT];
static struct lua_host *hosts[RULES_COUNT];
static struct guard guard;
static struct flow_table table;
static struct names names;
static struct addr src;
static double now;
static uint8_t hello[4096];
static size_t hello_len;

static void ignore(struct flow *f, enum flow_cause cause)
{
	UNUSED(f);
	UNUSED(cause);
}

static const struct flow_ops tcp = {.network = "tcp", .abort = ignore};

static void die(const char *what)
{
	fprintf(stderr, "name_bench: %s\n", what);
	exit(1);
}

static double cpu_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* The address of the @i-th pair; with @strange one that nobody was told. */
static struct addr address(unsigned i, bool strange)
{
	uint32_t n = htonl(i);
	struct addr a = {.v = 6, .port = 443, .ip = {0x20, 0x01, 0x0d, 0xb8, [5] = strange}};
	memcpy(a.ip + 12, &n, 4);
	return a;
}

static int names_of(void *arg, const struct addr *ip, int (*fn)(void *, const char *), void *fn_arg)
{
	return names_each(arg, ip, now, fn, fn_arg);
}

/* Each address has a name of its own, and newer than it one that all have. */
static void remember(void)
{
	if (names_init(&names))
		die("no memory");
	for (unsigned i = 0; i < NAMES_MAX / 2; i++) {
		char text[64];
		struct addr a = address(i, false);
		snprintf(text, sizeof(text), "host%u.example.com", i * 11);
		names_learn(&names, &a, text, 3600, now);
		names_learn(&names, &a, "host7.example.com", 3600, now);
	}
}

static void load(struct ev_loop *loop, enum rules which)
{
	struct lua_options o = {.loop = loop,
		.policy = &policies[which],
		.names_of = names_of,
		.names_arg = &names};
	char code[512];
	struct lua_host *host = hosts[which] = lua_host_new(&o);
	double from = cpu_ns();
	int count = which == RULES_MANY ? LISTED : 1;
	snprintf(code, sizeof(code),
		"local t = { 'host7.example.com' }\n"
		"for i = 2, %d do t[i] = ('host%%d.example.com'):format(i * 11 %% 100000) end\n"
		"nsnet.default(nsnet.deny) nsnet.rules { { domain = nsnet.domains(t), nsnet.allow "
		"} }",
		count);
	if (!host || lua_host_add_code(host, "-e", code) || lua_host_load(host))
		die("the rules do not load");
	if (count > 1)
		printf("%d names loaded in %.0f ms\n", count, (cpu_ns() - from) / 1e6);
	policies[which].hooks = lua_host_hooks(host);
}

static void say_hello(void)
{
	static struct hello_maker m;
	static uint8_t message[2048];
	hello_sni(&m, "host7.example.com");
	hello_ext(&m, 51, NULL, 300);
	hello_len = hello_records(hello, 22, message, hello_message(&m, message), 16384);
}

static void ask(const struct bench *b, unsigned i)
{
	struct policy *p = &policies[b->rules];
	struct flow f = {.ops = &tcp};
	struct flow_key key = {.proto = IPPROTO_TCP, .src = src};
	bool strange = b->kind == KIND_STRANGE;
	key.dst = address(i * 7919u % (NAMES_MAX / 2), strange);
	flow_add(&table, &f, &key, 0);
	if (!policy_ask(p, &f) || (f.decision.verdict == VERDICT_ALLOW) == strange)
		die(b->title);
	if (b->kind == KIND_SAID) {
		flow_set_state(&f, FLOW_STATE_DIALING);
		flow_set_state(&f, FLOW_STATE_OPEN);
		if (policy_first_bytes(p, &f, hello, hello_len, true) != VERDICT_ALLOW)
			die("the ClientHello was refused");
	}
	policy_end(p, &f, strange ? FLOW_CAUSE_DENIED : FLOW_CAUSE_CLOSED, 0);
	flow_remove(&f);
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static void measure(void)
{
	for (unsigned round = 0; round < ROUNDS; round++) {
		for (size_t c = 0; c < ARRAY_LEN(cases); c++) {
			struct bench *b = &cases[(c + round) % ARRAY_LEN(cases)];
			double from = cpu_ns();
			for (unsigned i = 0; i < CALLS; i++)
				ask(b, round * CALLS + i);
			b->ns[round] = (cpu_ns() - from) / CALLS;
		}
	}
}

int main(void)
{
	struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
	if (!loop || guard_init(&guard) || flow_table_init(&table))
		die("cannot begin");
	addr_parse(&src, "10.255.0.1:40000");
	now = ev_now(loop);
	remember();
	for (int i = 0; i < RULES_COUNT; i++) {
		policies[i] = (struct policy){.guard = &guard,
			.loop = loop,
			.names = &names,
			.logged = true};
		if (i != RULES_NONE)
			load(loop, i);
	}
	say_hello();
	measure();
	printf("%-40s %8s %8s\n", "CPU time of a connection, ns", "median", "fastest");
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		qsort(cases[i].ns, ROUNDS, sizeof(double), by_size);
		printf("%-40s %8.0f %8.0f\n", cases[i].title, cases[i].ns[ROUNDS / 2],
			cases[i].ns[0]);
	}
	printf("%-40s %8.0f\n", "99 999 names more",
		cases[2].ns[ROUNDS / 2] - cases[1].ns[ROUNDS / 2]);
	for (int i = 0; i < RULES_COUNT; i++)
		lua_host_free(hosts[i]);
	names_fini(&names);
	flow_table_fini(&table);
	guard_fini(&guard);
	ev_loop_destroy(loop);
	return 0;
}
