/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lua/scripts.h"
#include "spec/lua/rig.h"
#include "spec/support/hello.h"

/* Rules about names, asked twice: about the SYN, with what the child was told the address is
 * called, and about the first bytes, with the name that is visible in them. */

static const char *told; /* "a.test b.test": the names of every address */

static int names_of(void *arg, const struct addr *ip, int (*fn)(void *, const char *), void *fn_arg)
{
	char copy[256], *rest = copy;
	(void)arg;
	(void)ip;
	snprintf(copy, sizeof(copy), "%s", told);
	for (char *name = strsep(&rest, " "); name; name = strsep(&rest, " ")) {
		if (*name && fn(fn_arg, name))
			return 1;
	}
	return 0;
}

static void open_rules(struct rig *r, const char *code)
{
	rig_open(r);
	r->host->options.names_of = names_of;
	rig_run(r, code);
}

static uint8_t wire[4096];

/* What the child says: "tls a.test", "ech a.test", "tls", "http a.test", "other", "bad", "end". */
static size_t say(const char *what)
{
	static struct hello_maker m;
	static uint8_t message[2048];
	const char *name = strchr(what, ' ');
	if (!strncmp(what, "tls", 3) || !strncmp(what, "ech", 3)) {
		memset(&m, 0, sizeof(m));
		if (name)
			hello_sni(&m, name + 1);
		if (*what == 'e')
			hello_ext(&m, 0xfe0d, NULL, 8);
		return hello_records(wire, 22, message, hello_message(&m, message), 1000);
	}
	if (!strncmp(what, "http", 4))
		return (size_t)sprintf((char *)wire, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n",
			name + 1);
	if (!strcmp(what, "bad"))
		return (size_t)sprintf((char *)wire, "GET / HTTP/1.1\r\n\r\n");
	return (size_t)sprintf((char *)wire, "%s", !strcmp(what, "end") ? "" : "SSH-2.0-x\r\n");
}

/* The SYN's verdict is a letter: A allow, R redirect, D deny; behind it, if first bytes are asked
 * for, their verdict: + or -. */
static void judge(struct rig *r, uint32_t proto, const char *dst, const char *what, char *out)
{
	struct rig_flow f;
	if (!rig_ask(r, &f, proto, dst))
		rig_wait(r, &f);
	const struct decision *d = &f.flow.decision;
	out[0] = d->verdict == VERDICT_ALLOW ? 'A' : d->verdict == VERDICT_REDIRECT ? 'R' : 'D';
	out[1] = 0;
	if (d->first_bytes) {
		flow_set_state(&f.flow, FLOW_STATE_DIALING);
		flow_set_state(&f.flow, FLOW_STATE_OPEN);
		size_t n = say(what);
		f.decided = 0;
		enum verdict v = policy_first_bytes(&r->policy, &f.flow, wire, n, n != 0);
		if (v == VERDICT_PENDING) {
			rig_wait(r, &f);
			v = f.flow.decision.verdict;
		}
		out[1] = v == VERDICT_ALLOW ? '+' : '-';
		out[2] = 0;
	}
	rig_end(r, &f, FLOW_CAUSE_DENIED);
}

struct visible_case {
	const char *rules, *told, *what, *verdict;
};

static void check(const struct visible_case *c, size_t n, const char *before, uint32_t proto,
	const char *dst)
{
	for (size_t i = 0; i < n; i++) {
		struct rig r;
		char code[1024], got[4];
		snprintf(code, sizeof(code), "%s nsnet.rules { %s }", before, c[i].rules);
		told = c[i].told;
		open_rules(&r, code);
		judge(&r, proto, dst, c[i].what, got);
		rig_close(&r);
		if (strcmp(got, c[i].verdict) != 0)
			fail_msg("%s | told %s | %s: %s, not %s", code, c[i].told, c[i].what, got,
				c[i].verdict);
	}
}

#define A "{ domain = 'a.test', nsnet.allow }"
#define B "{ domain = 'b.test', nsnet.allow }"

static void under_default_deny_all_evidence_is_needed(void **state)
{
	static const struct visible_case cases[] = {
		{A, "", "tls a.test", "D"}, /* --resolve */
		{A, "b.test", "tls a.test", "D"},
		{A, "a.test", "tls a.test", "A+"},
		{A, "a.test", "tls A.TEST.", "A+"},
		{A, "a.test", "tls b.test", "A-"}, /* another SNI */
		{A, "a.test", "tls 192.0.2.1", "A-"},
		{A, "a.test", "tls", "A+"},
		{A, "a.test", "ech a.test", "A-"},
		{"{ domain = 'a.test', ech = true, nsnet.allow }", "a.test", "ech a.test", "A+"},
		{"{ domain = 'a.test', ech = true, nsnet.allow }", "a.test", "ech b.test", "A-"},
		{A, "a.test", "http a.test", "A+"},
		{A, "a.test", "http b.test", "A-"},
		{A, "a.test", "http 192.0.2.1", "A-"},
		{A, "a.test", "bad", "A-"},
		{A, "a.test", "other", "A+"},
		{A, "a.test", "end", "A+"},
		/* two names on one address, each by a rule of its own */
		{A ", " B, "a.test b.test", "tls a.test", "A+"},
		{A ", " B, "a.test b.test", "tls b.test", "A+"},
		{A ", " B, "a.test", "tls b.test", "A-"},
		{A ", " B, "a.test b.test", "tls c.test", "A-"},
		/* a way that is made cannot be changed */
		{A ", { domain = 'b.test', nsnet.redirect '192.0.2.7' }", "a.test b.test",
			"tls b.test", "A-"},
		{"{ domain = 'a.test', nsnet.redirect '192.0.2.7' }, { domain = 'b.test', "
		 "nsnet.redirect '192.0.2.7' }",
			"a.test b.test", "tls b.test", "R+"},
		{"{ domain = 'a.test', nsnet.redirect '192.0.2.7' }", "a.test", "tls b.test", "R-"},
		/* a denial before it, and behind it */
		{"{ sni = 'x.a.test', nsnet.deny }, { domain = '.a.test', nsnet.allow }", "a.test",
			"tls x.a.test", "A-"},
		{"{ sni = 'x.a.test', nsnet.deny }, { domain = '.a.test', nsnet.allow }", "a.test",
			"tls y.a.test", "A+"},
		{A ", { port = 443, nsnet.deny }", "a.test", "tls a.test", "A+"},
		{A ", { port = 443, nsnet.deny }", "", "tls a.test", "D"},
		{A ", { port = 443, nsnet.allow }", "a.test", "tls b.test", "A+"},
		/* what is chosen by the child, alone */
		{"{ sni = 'a.test', nsnet.allow }", "", "tls a.test", "A+"},
		{"{ sni = 'a.test', nsnet.allow }", "", "tls b.test", "A-"},
		{"{ sni = 'a.test', nsnet.allow }", "", "tls", "A-"},
		{"{ sni = 'a.test', nsnet.allow }", "", "http a.test", "A-"},
		{"{ sni = 'a.test', nsnet.allow }", "", "other", "A-"},
		{"{ sni = 'a.test', nsnet.allow }", "", "end", "A-"},
		{"{ sni = 'a.test', nsnet.allow }, { port = 443, nsnet.deny }", "", "tls a.test",
			"D"},
		{"{ http_host = 'a.test', nsnet.allow }", "", "http a.test", "A+"},
		{"{ http_host = 'a.test', nsnet.allow }", "", "http b.test", "A-"},
		{"{ http_host = 'a.test', nsnet.allow }", "", "tls a.test", "A-"},
		{"{ domain = '.test', sni = 'a.test', nsnet.allow }", "b.test", "tls a.test", "A+"},
		{"{ domain = '.test', sni = 'a.test', nsnet.allow }", "", "tls a.test", "D"},
		{"{ domain = '.test', sni = 'a.test', nsnet.allow }", "b.test", "tls b.test", "A-"},
		/* when= */
		{"{ sni = 'a.test', nsnet.allow, when = function(c) return c.sni == 'a.test' end }",
			"", "tls a.test", "A+"},
		{"{ sni = 'a.test', nsnet.allow, when = function() return false end }", "",
			"tls a.test", "A-"},
		{"{ sni = 'a.test', nsnet.allow, when = function() nsnet.sleep(0.001) return true "
		 "end }",
			"", "tls a.test", "A+"},
		{"{ domain = 'a.test', nsnet.allow, when = function() nsnet.sleep(0.001) return "
		 "true end }",
			"a.test", "tls b.test", "A-"},
	};
	(void)state;
	check(cases, ARRAY_LEN(cases), "nsnet.default(nsnet.deny)", IPPROTO_TCP, "192.0.2.1:443");
	check(cases, ARRAY_LEN(cases), "nsnet.default(nsnet.deny)", IPPROTO_TCP,
		"[2001:db8::1]:443");
	check(cases, ARRAY_LEN(cases), "nsnet.default(nsnet.deny)", IPPROTO_TCP,
		"[::ffff:192.0.2.1]:443");
}

static void under_default_allow_any_evidence_denies(void **state)
{
#define DENY_A "{ domain = '.a.test', nsnet.deny }"
	static const struct visible_case cases[] = {
		{DENY_A, "a.test", "tls b.test", "D"},
		{DENY_A, "a.test b.test", "tls b.test", "A+"}, /* they share the address */
		{DENY_A, "a.test b.test", "tls x.a.test", "A-"},
		{DENY_A, "a.test b.test", "other", "A-"}, {DENY_A, "b.test", "tls a.test", "A-"},
		{DENY_A, "", "http a.test", "A-"}, {DENY_A, "", "tls b.test", "A+"},
		{DENY_A, "", "other", "A+"}, {DENY_A, "", "bad", "A-"},
		{"{ sni = 'a.test', nsnet.deny }", "a.test", "tls a.test", "A-"},
		{"{ sni = 'a.test', nsnet.deny }", "a.test", "tls b.test", "A+"},
		{"{ sni = 'a.test', port = 80, nsnet.deny }", "a.test", "tls a.test", "A"},
		{A, "a.test", "tls a.test", "A+"},
		{A, "a.test", "tls b.test", "A+"}, /* then the default's */
	};
	/* A known resolver, at an address that nobody knows. */
	static const struct visible_case resolvers[] = {
		{DENY_A, "", "tls dns.google", "A-"},
		{DENY_A, "", "tls x.dns.google", "A-"},
		{DENY_A, "", "http dns.google", "A-"},
		{DENY_A, "", "tls b.test", "A+"},
		{DENY_A ", { port = 443, nsnet.allow }", "", "tls dns.google", "A-"},
		{DENY_A ", { port = 443, nsnet.allow }", "", "tls b.test", "A+"},
		{DENY_A ", { domain = 'dns.google', nsnet.allow }", "", "tls dns.google", "A-"},
		{DENY_A ", { domain = 'dns.google', nsnet.allow }", "dns.google", "tls dns.google",
			"A+"},
		{DENY_A ", { cidr = { '192.0.2.1', '2001:db8::1' }, nsnet.allow }", "",
			"tls dns.google", "A+"},
	};
	(void)state;
	check(cases, ARRAY_LEN(cases), "", IPPROTO_TCP, "192.0.2.1:443");
	check(resolvers, ARRAY_LEN(resolvers), "", IPPROTO_TCP, "192.0.2.1:443");
	check(resolvers, ARRAY_LEN(resolvers), "", IPPROTO_TCP, "[2001:db8::1]:8443");
}

static void without_connections_only_the_proof_counts(void **state)
{
	static const struct visible_case cases[] = {
		{"{ domain = 'a.test', nsnet.allow }", "a.test", "", "D"},
		{"{ domain = 'a.test', network = 'udp', nsnet.allow }", "a.test", "", "A"},
		{"{ domain = 'a.test', network = 'udp', nsnet.allow }", "b.test", "", "D"},
		{"{ domain = 'a.test', network = { 'tcp', 'udp' }, nsnet.allow }", "a.test", "",
			"A"},
		{"{ sni = 'a.test', network = 'udp', nsnet.allow }", "a.test", "", "D"},
	};
	static const struct visible_case open[] = {
		{"{ domain = 'a.test', nsnet.deny }", "a.test", "", "D"},
		{"{ domain = 'a.test', nsnet.deny }", "b.test", "", "A"},
	};
	static const struct visible_case quic[] = {
		{"{ domain = 'a.test', nsnet.deny }", "b.test", "", "D"},
		{"{ domain = 'a.test', nsnet.allow }", "a.test", "", "D"},
		{"{ port = 443, nsnet.allow }, { sni = 'a.test', nsnet.deny }", "", "", "D"},
		{"{ network = 'udp', port = 443, nsnet.allow }, { sni = 'a.test', nsnet.deny }", "",
			"", "A"},
		{"{ port = 443, nsnet.allow }", "", "", "A"},
	};
	(void)state;
	check(cases, ARRAY_LEN(cases), "nsnet.default(nsnet.deny)", IPPROTO_UDP, "192.0.2.1:123");
	check(open, ARRAY_LEN(open), "", IPPROTO_UDP, "192.0.2.1:123");
	check(quic, ARRAY_LEN(quic), "", IPPROTO_UDP, "192.0.2.1:443");
}

static void handlers_are_asked_on_the_syn_and_no_more(void **state)
{
#define ON "nsnet.default(nsnet.deny) nsnet.state.n = 0 "
	static const struct visible_case cases[] = {
		{ON "nsnet.on_connect({ domain = 'a.test' }, function() return nsnet.allow end)",
			"a.test", "tls a.test", "A+"},
		{ON "nsnet.on_connect({ domain = 'a.test' }, function() return nsnet.allow end)",
			"a.test", "tls b.test", "A-"},
		{ON "nsnet.on_connect({ domain = 'a.test' }, function() nsnet.sleep(0.001) return "
		    "nsnet.allow end)",
			"a.test", "tls b.test", "A-"},
		{ON "nsnet.on_connect(function() nsnet.state.n = nsnet.state.n + 1 assert(nsnet."
		    "state.n == 1) end) nsnet.rules { " A " }",
			"a.test", "tls a.test", "A+"},
		/* one behind the rule was not asked, and cannot be */
		{ON "nsnet.rules { " A " } nsnet.on_connect(function() error 'no' end) "
		    "nsnet.rules { " B " }",
			"a.test b.test", "tls b.test", "A-"},
		{ON "nsnet.rules { " A " } nsnet.on_connect({ observe = true }, function() end) "
		    "nsnet.rules { " B " }",
			"a.test b.test", "tls b.test", "A+"},
		{ON "nsnet.rules { " A " } nsnet.on_first_bytes({ sni = 'a.test' }, function(c) "
		    "assert(c.sni == 'a.test') return nsnet.deny end)",
			"a.test", "tls a.test", "A-"},
		{"nsnet.on_first_bytes({ sni = 'a.test' }, function() return nsnet.deny end)", "",
			"tls b.test", "A+"},
		{"nsnet.on_first_bytes({ sni = 'a.test' }, function() return nsnet.deny end)", "",
			"tls a.test", "A-"},
		{"nsnet.on_first_bytes({ http_host = 'a.test' }, function(c) nsnet.sleep(0.001) "
		 "assert(c.http_host == 'a.test') return nsnet.allow end)",
			"", "http a.test", "A+"},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct rig r;
		char got[4];
		told = cases[i].told;
		open_rules(&r, cases[i].rules);
		judge(&r, IPPROTO_TCP, "192.0.2.1:443", cases[i].what, got);
		if (strcmp(got, cases[i].verdict) != 0)
			print_error("%s", rig_log(&r));
		rig_close(&r);
		if (strcmp(got, cases[i].verdict) != 0)
			fail_msg("%s: %s", cases[i].rules, got);
	}
}

/* A kept-alive connection: each request's name is judged, each body goes unread. */
static void each_request_is_judged(void **state)
{
	struct rig r;
	struct rig_flow f;
	(void)state;
	told = "a.test b.test";
	open_rules(&r, "nsnet.default(nsnet.deny) nsnet.rules { " A ", " B " }");
	assert_true(rig_ask(&r, &f, IPPROTO_TCP, "192.0.2.1:80"));
	assert_true(f.flow.decision.first_bytes);
	flow_set_state(&f.flow, FLOW_STATE_DIALING);
	flow_set_state(&f.flow, FLOW_STATE_OPEN);
	static const char post[] = "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 100\r\n\r\n";
	assert_int_equal(policy_first_bytes(&r.policy, &f.flow, post, 10, true), VERDICT_MORE);
	assert_int_equal(policy_first_bytes(&r.policy, &f.flow, post, sizeof(post) - 1, true),
		VERDICT_ALLOW);
	assert_true(f.flow.decision.first_bytes);
	assert_int_equal(f.flow.decision.pass, sizeof(post) - 1 + 100);
	size_t n = say("http b.test");
	assert_int_equal(policy_first_bytes(&r.policy, &f.flow, wire, n, true), VERDICT_ALLOW);
	assert_int_equal(f.flow.decision.pass, n);
	n = say("http c.test");
	assert_int_equal(policy_first_bytes(&r.policy, &f.flow, wire, n, true), VERDICT_DENY);
	assert_has(f.flow.decision.reason, "c.test");
	rig_end(&r, &f, FLOW_CAUSE_DENIED);
	rig_close(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		rig_test(under_default_deny_all_evidence_is_needed),
		rig_test(under_default_allow_any_evidence_denies),
		rig_test(without_connections_only_the_proof_counts),
		rig_test(handlers_are_asked_on_the_syn_and_no_more),
		rig_test(each_request_is_judged),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
