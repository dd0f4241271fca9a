/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lua/match.h"
#include "spec/lua/rig.h"

/* Random rules are compiled, and asked beside a plain reading of the same rules: every flow must
 * get the same first rule. Few different values, so that they meet often. */
#define SETS 250
#define FLOWS 400 /* a set: 100 000 cases */
#define RULES 12
#define MOST 4 /* ports and networks a rule */

struct plain_rule {
	unsigned networks; /* bits: tcp, udp, icmp; 0 = any */
	int ports, cidrs;  /* how many; -1 = no condition */
	unsigned low[MOST], high[MOST];
	struct cidr cidr[MOST];
};

static uint32_t seed = 20220320;

static unsigned dice(unsigned sides)
{
	seed = seed * 1664525u + 1013904223u;
	return (seed >> 8) % sides;
}

static void random_addr(struct addr *a)
{
	memset(a, 0, sizeof(*a));
	a->v = dice(2) ? 4 : 6;
	if (a->v == 4) {
		a->ip[0] = 198;
		a->ip[1] = 51;
		a->ip[2] = (uint8_t)(100 + dice(2));
		a->ip[3] = (uint8_t)dice(8);
	} else {
		memcpy(a->ip, (uint8_t[]){0x20, 1, 0xd, 0xb8}, 4);
		a->ip[5] = (uint8_t)dice(2);
		a->ip[15] = (uint8_t)dice(8);
	}
}

static void random_cidr(struct cidr *c)
{
	static const uint8_t bits4[] = {0, 8, 22, 23, 24, 29, 30, 31, 32};
	static const uint8_t bits6[] = {0, 32, 47, 48, 64, 125, 127, 128};
	random_addr(&c->net);
	c->bits = c->net.v == 4 ? bits4[dice(ARRAY_LEN(bits4))] : bits6[dice(ARRAY_LEN(bits6))];
	for (unsigned i = c->bits; i < (c->net.v == 4 ? 32 : 128); i++)
		c->net.ip[i / 8] &= (uint8_t) ~(0x80 >> (i % 8));
}

static void random_rule(struct plain_rule *r)
{
	memset(r, 0, sizeof(*r));
	r->networks = dice(2) ? 1 + dice(7) : 0;
	r->ports = dice(2) ? (int)(1 + dice(MOST)) : -1;
	r->cidrs = dice(2) ? (int)(1 + dice(MOST)) : -1;
	for (int i = 0; i < r->ports; i++) {
		r->low[i] = 1 + dice(12);
		r->high[i] = r->low[i] + dice(4);
	}
	for (int i = 0; i < r->cidrs; i++)
		random_cidr(&r->cidr[i]);
}

static char code[16384];

static void __attribute__((format(printf, 1, 2))) add(const char *fmt, ...)
{
	size_t n = strlen(code);
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(code + n, sizeof(code) - n, fmt, ap);
	va_end(ap);
}

static void print_rule(const struct plain_rule *r, int number)
{
	static const char *const names[] = {"tcp", "udp", "icmp"};
	char text[ADDR_TEXT_MAX];
	add("  { ");
	if (r->networks) {
		add("network = { ");
		for (int i = 0; i < 3; i++) {
			if (r->networks & (1u << i))
				add("'%s', ", names[i]);
		}
		add("}, ");
	}
	if (r->ports > 0) {
		add("port = { ");
		for (int i = 0; i < r->ports; i++) {
			if (r->low[i] == r->high[i])
				add("%u, ", r->low[i]);
			else
				add("'%u-%u', ", r->low[i], r->high[i]);
		}
		add("}, ");
	}
	if (r->cidrs > 0) {
		add("cidr = %s{ ", dice(2) ? "nsnet.cidrs " : "");
		for (int i = 0; i < r->cidrs; i++)
			add("'%s/%u', ", addr_format(&r->cidr[i].net, false, text),
				r->cidr[i].bits);
		add("}, ");
	}
	add("nsnet.deny '%d' },\n", number);
}

static bool plain_cidr(const struct cidr *c, const struct addr *a)
{
	if (c->net.v != a->v)
		return false;
	for (unsigned i = 0; i < c->bits; i++) {
		if ((c->net.ip[i / 8] ^ a->ip[i / 8]) & (0x80 >> (i % 8)))
			return false;
	}
	return true;
}

static bool plain_match(const struct plain_rule *r, unsigned network, const struct addr *a)
{
	bool port = r->ports < 0, cidr = r->cidrs < 0;
	if (r->networks && !(r->networks & network))
		return false;
	for (int i = 0; i < r->ports; i++)
		port |= network != 4 && a->port >= r->low[i] && a->port <= r->high[i];
	for (int i = 0; i < r->cidrs; i++)
		cidr |= plain_cidr(&r->cidr[i], a);
	return port && cidr;
}

static void one_flow(struct rig *r, const struct plain_rule *rules)
{
	static const uint32_t protos[] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP};
	unsigned kind = dice(3);
	struct rig_flow f;
	struct addr a;
	char text[ADDR_TEXT_MAX], dst[ADDR_TEXT_MAX + 16], want[16] = "";
	random_addr(&a);
	a.port = (uint16_t)(kind == 2 ? 0 : 1 + dice(16));
	for (int i = 0; i < RULES && !want[0]; i++) {
		if (plain_match(&rules[i], 1u << kind, &a))
			snprintf(want, sizeof(want), "%d", i);
	}
	addr_format(&a, true, text);
	/* The same address in another spelling has the same rule. */
	if (a.v == 4 && dice(4) == 0 && a.port)
		snprintf(dst, sizeof(dst), "[::ffff:%u.%u.%u.%u]:%u", a.ip[0], a.ip[1], a.ip[2],
			a.ip[3], a.port);
	else
		snprintf(dst, sizeof(dst), "%s", text);
	assert_true(rig_ask(r, &f, protos[kind], dst));
	const char *got = f.flow.decision.reason ? f.flow.decision.reason : "";
	if (strcmp(got, want) != 0)
		print_error("%s (%u): rule '%s', plain '%s'\n%s", dst, kind, got, want, code);
	assert_string_equal(got, want);
	rig_end(r, &f, FLOW_CAUSE_DENIED);
}

static void compiled_rules_are_the_rules(void **state)
{
	(void)state;
	for (int set = 0; set < SETS; set++) {
		struct plain_rule rules[RULES];
		struct rig r;
		code[0] = 0;
		add("nsnet.rules {\n");
		for (int i = 0; i < RULES; i++) {
			random_rule(&rules[i]);
			print_rule(&rules[i], i);
		}
		add("}\n");
		rig_open(&r);
		rig_run(&r, code);
		for (int i = 0; i < FLOWS; i++)
			one_flow(&r, rules);
		rig_close(&r);
	}
}

static void names_match_at_their_labels(void **state)
{
	(void)state;
	static const struct {
		const char *pattern, *name;
		bool has;
	} cases[] = {
		{"example.com", "example.com", true},
		{"example.com", "EXAMPLE.com.", true},
		{"example.com", "a.example.com", false},
		{"example.com", "badexample.com", false},
		{"Example.COM.", "example.com", true},
		{".example.com", "example.com", true},
		{".example.com", "a.b.example.com", true},
		{".example.com", "badexample.com", false},
		{"*.example.com", "example.com", false},
		{"*.example.com", "a.example.com", true},
		{"*.example.com", "a.b.example.com", true},
		{"*.example.com", ".example.com", false},
		{"example.com", "example.com..", false},
		{"example.com", "", false},
		{"example.com", "example.com/x", false},
		{"xn--bcher-kva.example", "XN--bcher-kva.example", true},
		{"a_b.example", "a_b.example", true},
	};
	static const char *const bad[] = {"", ".", "*", "*.", "..", "a..b", ".a..b", "a b", "a/b",
		"b\xc3\xbc"
		"cher.example",
		"a.b..", "*.*.a",
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.b"};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct name_set s = {0};
		assert_int_equal(name_set_add(&s, cases[i].pattern, strlen(cases[i].pattern)), 0);
		assert_int_equal(name_set_has(&s, cases[i].name, strlen(cases[i].name)),
			cases[i].has);
		name_set_fini(&s);
	}
	struct name_set s = {0};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(name_set_add(&s, bad[i], strlen(bad[i])), -EINVAL);
	/* A NUL inside is no end: "evil\0.example.com" is no name below example.com. */
	assert_int_equal(name_set_add(&s, ".example.com", strlen(".example.com")), 0);
	assert_false(name_set_has(&s, "evil\0.example.com", 17));
	name_set_fini(&s);
}

static void large_sets_are_whole(void **state)
{
	(void)state;
	struct name_set names = {0};
	struct cidr_set nets = {0};
	char text[64];
	struct cidr c;
	for (int i = 0; i < 100000; i++) {
		snprintf(text, sizeof(text), "%sh%d.example%d.test", i % 3 ? "" : ".", i, i % 7);
		assert_int_equal(name_set_add(&names, text, strlen(text)), 0);
	}
	for (int i = 0; i < 10000; i++) {
		snprintf(text, sizeof(text), "10.%d.%d.0/24", i / 256, i % 256);
		assert_int_equal(cidr_parse(&c, text), 0);
		assert_int_equal(cidr_set_add(&nets, &c), 0);
	}
	for (int i = 0; i < 100000; i++) {
		snprintf(text, sizeof(text), "h%d.example%d.test", i, i % 7);
		assert_true(name_set_has(&names, text, strlen(text)));
		snprintf(text, sizeof(text), "a.h%d.example%d.test", i, i % 7);
		assert_int_equal(name_set_has(&names, text, strlen(text)), i % 3 == 0);
		snprintf(text, sizeof(text), "h%d.example%d.test", i, (i + 1) % 7);
		assert_false(name_set_has(&names, text, strlen(text)));
	}
	for (int i = 0; i < 20000; i++) {
		struct addr a = {.v = 4, .ip = {10, (uint8_t)(i / 256), (uint8_t)i, 77}};
		assert_int_equal(cidr_set_find(&nets, &a), i < 10000 ? 24 : -1);
	}
	name_set_fini(&names);
	cidr_set_fini(&nets);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		rig_test(compiled_rules_are_the_rules),
		rig_test(names_match_at_their_labels),
		rig_test(large_sets_are_whole),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
