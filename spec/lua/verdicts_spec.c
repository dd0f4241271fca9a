/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lua/scripts.h"
#include "spec/lua/rig.h"
#include "spec/support/hello.h"

/* Random rules with conditions of every kind are compiled, and read beside that by somebody who
 * knows nothing of phases: he is asked what is true of a connection, with unknown for what only its
 * first bytes tell. Each connection must fare alike: the verdict at the SYN and the rule that gave
 * it, and the verdict about the first bytes and the rule of that.
 * Few different values, so that they meet often. rules_spec.c has more of ports and networks. */
#define SETS 400
#define FLOWS 250 /* a set: 100 000 cases */
#define RULES 10
#define MOST 3

enum truth {
	NO,
	YES,
	UNKNOWN
};

static const char *const names[] = {"a.test", "x.a.test", "y.x.a.test", "b.test", "xa.test",
	"test"};
static const char *const bases[] = {"a.test", "x.a.test", "b.test", "test"};
static const char *const conditions[] = {"domain", "sni", "http_host"};
static const char *const programs[] = {"curl", "wget", "python3"};

struct pattern {
	unsigned base, how; /* 0 that name, 1 "*.", 2 "." */
};

struct plain_rule {
	bool allow, ech;
	unsigned networks;  /* bits: tcp, udp, icmp; 0 = any */
	int inbound;        /* -1 = no condition */
	unsigned low, high; /* ports; low 0 = any */
	int cidrs;          /* how many; -1 = no condition */
	struct cidr cidr[MOST];
	int process; /* -1 = no condition; else of programs */
	bool by_path;
	int count[3]; /* of the conditions; -1 = no condition */
	struct pattern pattern[3][MOST];
};

enum speech {
	SPEECH_OTHER,
	SPEECH_TLS,
	SPEECH_TLS_ECH,
	SPEECH_TLS_NAMELESS,
	SPEECH_HTTP,
	SPEECHES
};

struct plain_flow {
	unsigned network;        /* one bit */
	struct addr far;         /* the destination; inbound: the caller, and the port inside */
	bool inbound, published; /* by -p: open unless the rules say no */
	int process;             /* -1 = nobody knows */
	bool has_path;
	unsigned proof; /* bits of names: what the address was said to be */
	enum speech speech;
	unsigned spoken; /* of names */
};

static uint32_t seed = 20261128;

static unsigned dice(unsigned sides)
{
	seed = seed * 1664525u + 1013904223u;
	return (seed >> 8) % sides;
}

/* Public addresses of both families, and of a private network. */
static void random_addr(struct addr *a)
{
	unsigned kind = dice(5);
	memset(a, 0, sizeof(*a));
	a->v = kind < 2 ? 6 : 4;
	if (a->v == 6)
		memcpy(a->ip, (uint8_t[]){0x20, 1, 0xd, 0xb8}, 4);
	else
		memcpy(a->ip, kind == 2 ? (uint8_t[]){10, 7, 0} : (uint8_t[]){198, 51, 100}, 3);
	a->ip[a->v == 4 ? 3 : 15] = (uint8_t)dice(4);
}

static bool is_private(const struct addr *a)
{
	return a->v == 4 && a->ip[0] == 10;
}

static void random_cidr(struct cidr *c)
{
	static const uint8_t bits4[] = {0, 7, 8, 24, 31, 32}, bits6[] = {0, 9, 10, 64, 127, 128};
	random_addr(&c->net);
	c->bits = c->net.v == 4 ? bits4[dice(6)] : bits6[dice(6)];
	for (unsigned i = c->bits; i < (c->net.v == 4 ? 32 : 128); i++)
		c->net.ip[i / 8] &= (uint8_t) ~(0x80 >> (i % 8));
}

static void random_rule(struct plain_rule *r)
{
	memset(r, 0, sizeof(*r));
	r->allow = dice(2);
	r->ech = dice(4) == 0;
	r->networks = dice(3) ? 0 : 1 + dice(7);
	r->inbound = (int)dice(6) - 1;
	if (r->inbound > 1)
		r->inbound = -1;
	if (dice(3) == 0) {
		r->low = 1 + dice(4);
		r->high = r->low + dice(3);
	}
	r->cidrs = dice(4) ? -1 : (int)(1 + dice(MOST));
	for (int i = 0; i < r->cidrs; i++)
		random_cidr(&r->cidr[i]);
	r->process = dice(5) ? -1 : (int)dice(ARRAY_LEN(programs));
	r->by_path = dice(2);
	for (int k = 0; k < 3; k++) {
		r->count[k] = dice(k ? 5 : 2) ? -1 : (int)(1 + dice(MOST));
		for (int i = 0; i < r->count[k]; i++)
			r->pattern[k][i] = (struct pattern){dice(ARRAY_LEN(bases)), dice(3)};
	}
}

static void random_flow(struct plain_flow *f)
{
	memset(f, 0, sizeof(*f));
	f->network = dice(3) ? 1 : 1u << dice(3);
	random_addr(&f->far);
	f->inbound = f->network != 4 && dice(6) == 0;
	f->published = f->inbound && dice(2);
	f->far.port = (uint16_t)(f->network == 4 ? 0 : 1 + dice(6));
	f->process = (int)dice(ARRAY_LEN(programs) + 1) - 1;
	f->has_path = dice(2);
	f->proof = dice(3) ? 1u << dice(ARRAY_LEN(names)) : dice(1u << ARRAY_LEN(names));
	f->speech = (enum speech)dice(SPEECHES);
	f->spoken = dice(ARRAY_LEN(names));
}

/* --- the plain reading ----------------------------------------------------------------------- */

static bool name_fits(const struct pattern *p, const char *name)
{
	const char *base = bases[p->base];
	size_t n = strlen(name), b = strlen(base);
	bool same = !strcmp(name, base);
	bool below = n > b && name[n - b - 1] == '.' && !strcmp(name + n - b, base);
	return (same && p->how != 1) || (below && p->how != 0);
}

static bool any_fits(const struct plain_rule *r, int condition, const char *name)
{
	for (int i = 0; i < r->count[condition]; i++) {
		if (name_fits(&r->pattern[condition][i], name))
			return true;
	}
	return false;
}

static bool has_names(const struct plain_rule *r)
{
	return r->count[0] > 0 || r->count[1] > 0 || r->count[2] > 0;
}

/* The longest of the networks that @a is in; -1 = none. */
static int best_bits(const struct plain_rule *r, const struct addr *a)
{
	int best = -1;
	for (int i = 0; i < r->cidrs; i++) {
		const struct cidr *c = &r->cidr[i];
		bool in = c->net.v == a->v;
		for (unsigned b = 0; in && b < c->bits; b++)
			in = !((c->net.ip[b / 8] ^ a->ip[b / 8]) & (0x80 >> (b % 8)));
		if (in && c->bits > best)
			best = c->bits;
	}
	return best;
}

static bool plain_conditions(const struct plain_rule *r, const struct plain_flow *f)
{
	if (r->networks && !(r->networks & f->network))
		return false;
	if (r->inbound >= 0 && r->inbound != f->inbound)
		return false;
	if (r->low && (f->network == 4 || f->far.port < r->low || f->far.port > r->high))
		return false;
	if (r->cidrs >= 0 && best_bits(r, &f->far) < 0)
		return false;
	return r->process < 0 || (r->process == f->process && (!r->by_path || f->has_path));
}

static const char *visible(const struct plain_flow *f)
{
	bool named = f->speech != SPEECH_OTHER && f->speech != SPEECH_TLS_NAMELESS;
	return named ? names[f->spoken] : NULL;
}

/* The name may be another one than it seems. */
static bool is_accepted(const struct plain_rule *r, const struct plain_flow *f)
{
	return !r->allow || f->speech != SPEECH_TLS_ECH || r->ech;
}

static enum truth plain_domain(const struct plain_rule *r, const struct plain_flow *f, bool seen)
{
	bool within = false, without = false;
	const char *name = seen ? visible(f) : NULL;
	for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
		if (f->proof & (1u << i))
			*(any_fits(r, 0, names[i]) ? &within : &without) = true;
	}
	bool fits = name && any_fits(r, 0, name);
	if (r->allow)
		return within && (!name || (fits && is_accepted(r, f))) ? YES : NO;
	if (name)
		return fits ? YES : NO;
	if (seen || f->network != 1 || (within && !without))
		return within ? YES : NO;
	return UNKNOWN;
}

static enum truth plain_visible(const struct plain_rule *r, int condition,
	const struct plain_flow *f, bool seen)
{
	bool there = condition == 2 ? f->speech == SPEECH_HTTP
				    : f->speech == SPEECH_TLS || f->speech == SPEECH_TLS_ECH;
	if (f->network != 1)
		return NO;
	if (!seen)
		return UNKNOWN;
	return there && any_fits(r, condition, visible(f)) && is_accepted(r, f) ? YES : NO;
}

static enum truth plain_match(const struct plain_rule *r, const struct plain_flow *f, bool seen)
{
	enum truth all = YES;
	if (!plain_conditions(r, f))
		return NO;
	if (!has_names(r))
		return YES;
	bool meant = r->cidrs > 0 && best_bits(r, &f->far) >= (f->far.v == 4 ? 8 : 10);
	if (f->inbound || (r->allow && is_private(&f->far) && !meant) ||
		(r->allow && f->network != 1 && !r->networks))
		return NO;
	for (int k = 0; k < 3; k++) {
		if (r->count[k] < 0)
			continue;
		enum truth one = k ? plain_visible(r, k, f, seen) : plain_domain(r, f, seen);
		if (one == NO)
			return NO;
		all = one == UNKNOWN ? one : all;
	}
	return all;
}

/* What must become of @f, as "allow rule 3, deny default". */
static void plain_verdict(const struct plain_rule *rules, const struct plain_flow *f,
	bool default_deny, char *out)
{
	int at = -1, noted = -1, hope = -1;
	for (int i = 0; i < RULES && at < 0; i++) {
		enum truth t = plain_match(&rules[i], f, false);
		if (f->network == 1 && noted < 0 && t != NO &&
			(t == UNKNOWN || has_names(&rules[i])))
			noted = i;
		if (t == UNKNOWN && rules[i].allow && hope < 0)
			hope = i;
		if (t == YES)
			at = i;
	}
	if (at < 0 && default_deny)
		at = hope;
	bool open = at >= 0 ? rules[at].allow : !default_deny || f->published;
	if (at >= 0)
		out += sprintf(out, "%s rule %d", open ? "allow" : "deny", at + 1);
	else
		out += sprintf(out, "%s default", open ? "allow" : "deny");
	if (!open || noted < 0)
		return;
	int late = -1;
	for (int i = noted; i < RULES && late < 0; i++) {
		if (plain_match(&rules[i], f, true) == YES)
			late = i;
	}
	if (late >= 0 ? rules[late].allow : !default_deny)
		sprintf(out, ", allow");
	else if (late >= 0)
		sprintf(out, ", deny rule %d", late + 1);
	else
		sprintf(out, ", deny default");
}

/* --- the compiled rules ---------------------------------------------------------------------- */

static char code[16384];

static void __attribute__((format(printf, 1, 2))) add(const char *fmt, ...)
{
	size_t n = strlen(code);
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(code + n, sizeof(code) - n, fmt, ap);
	va_end(ap);
}

static void print_names(const struct plain_rule *r, int condition)
{
	static const char *const how[] = {"", "*.", "."};
	if (r->count[condition] < 0)
		return;
	add("%s = %s{ ", conditions[condition], dice(2) ? "nsnet.domains " : "");
	for (int i = 0; i < r->count[condition]; i++) {
		const struct pattern *p = &r->pattern[condition][i];
		add("'%s%s', ", how[p->how], bases[p->base]);
	}
	add("}, ");
}

static void print_rule(const struct plain_rule *r)
{
	static const char *const networks[] = {"tcp", "udp", "icmp"};
	char text[ADDR_TEXT_MAX];
	add("  { ");
	if (r->networks) {
		add("network = { ");
		for (int i = 0; i < 3; i++) {
			if (r->networks & (1u << i))
				add("'%s', ", networks[i]);
		}
		add("}, ");
	}
	if (r->inbound >= 0)
		add("inbound = %s, ", r->inbound ? "true" : "false");
	if (r->low)
		add("port = '%u-%u', ", r->low, r->high);
	if (r->cidrs > 0) {
		add("cidr = { ");
		for (int i = 0; i < r->cidrs; i++)
			add("'%s/%u', ", addr_format(&r->cidr[i].net, false, text),
				r->cidr[i].bits);
		add("}, ");
	}
	if (r->process >= 0)
		add("process = '%s%s', ", r->by_path ? "/usr/bin/" : "", programs[r->process]);
	for (int k = 0; k < 3; k++)
		print_names(r, k);
	add("%snsnet.%s },\n", r->ech ? "ech = true, " : "", r->allow ? "allow" : "deny");
}

static unsigned proof; /* of the flow under way */

static int names_of(void *arg, const struct addr *ip, int (*fn)(void *, const char *), void *fn_arg)
{
	(void)arg;
	(void)ip;
	for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
		if ((proof & (1u << i)) && fn(fn_arg, names[i]))
			return 1;
	}
	return 0;
}

static size_t speak(const struct plain_flow *f, uint8_t *wire)
{
	static struct hello_maker m;
	static uint8_t message[2048];
	if (f->speech == SPEECH_OTHER)
		return (size_t)sprintf((char *)wire, "SSH-2.0-x\r\n");
	if (f->speech == SPEECH_HTTP)
		return (size_t)sprintf((char *)wire, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n",
			names[f->spoken]);
	memset(&m, 0, sizeof(m));
	if (f->speech != SPEECH_TLS_NAMELESS)
		hello_sni(&m, names[f->spoken]);
	if (f->speech == SPEECH_TLS_ECH)
		hello_ext(&m, 0xfe0d, NULL, 8);
	return hello_records(wire, 22, message, hello_message(&m, message), 1000);
}

static char *describe(char *out, const struct decision *d, enum verdict v)
{
	const char *rule = d->rule ? d->rule : "default";
	size_t n = strcspn(rule, "(");
	while (n && rule[n - 1] == ' ')
		n--;
	return out + sprintf(out, "%s %.*s", v == VERDICT_ALLOW ? "allow" : "deny", (int)n, rule);
}

static void real_verdict(struct rig *r, const struct plain_flow *p, char *out)
{
	static const uint32_t protos[] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP};
	static const struct flow_ops *const ops[] = {&rig_tcp, &rig_udp, &rig_icmp};
	unsigned kind = p->network >> 1;
	struct flow_key key = {.proto = protos[kind], .dst = p->far};
	char path[32];
	struct process who = {.holds = 1000, .pid = 1};
	struct rig_flow f = {.rig = r, .fd = -1};
	assert_int_equal(addr_parse(&key.src, p->far.v == 4 ? "10.0.0.1" : "fd6e::1"), 0);
	key.src.port = r->port++;
	if (p->inbound) {
		key.src.port = p->far.port;
		key.dst.port = r->port++;
	}
	f.flow.ops = ops[kind];
	f.flow.inbound = p->inbound;
	f.flow.named = p->published;
	if (p->process >= 0) {
		snprintf(who.name, sizeof(who.name), "%s", programs[p->process]);
		snprintf(path, sizeof(path), "/usr/bin/%s", programs[p->process]);
		who.exe = p->has_path ? path : NULL;
		f.flow.process = &who;
	}
	proof = p->proof;
	flow_add(&r->table, &f.flow, &key, ev_now(r->loop));
	assert_true(policy_ask(&r->policy, &f.flow));
	const struct decision *d = &f.flow.decision;
	out = describe(out, d, d->verdict);
	if (d->verdict == VERDICT_ALLOW && d->first_bytes) {
		uint8_t wire[4096];
		flow_set_state(&f.flow, FLOW_STATE_DIALING);
		flow_set_state(&f.flow, FLOW_STATE_OPEN);
		size_t n = speak(p, wire);
		enum verdict v = policy_first_bytes(&r->policy, &f.flow, wire, n, true);
		if (v == VERDICT_ALLOW)
			sprintf(out, ", allow");
		else
			describe(out + sprintf(out, ", "), d, v);
	}
	policy_end(&r->policy, &f.flow, FLOW_CAUSE_DENIED, ev_now(r->loop));
	flow_remove(&f.flow);
}

static void explain_flow(const struct plain_flow *f)
{
	static const char *const speeches[] = {"other", "tls", "ech", "tls without a name", "http"};
	char text[ADDR_TEXT_MAX];
	print_error("network %u, %s %s, process %s (%s), proof", f->network,
		f->inbound ? "from" : "to", addr_format(&f->far, true, text),
		f->process < 0 ? "?" : programs[f->process], f->has_path ? "path" : "no path");
	for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
		if (f->proof & (1u << i))
			print_error(" %s", names[i]);
	}
	print_error(", says %s %s\n", speeches[f->speech], names[f->spoken]);
}

static void every_connection_fares_as_the_rules_read(void **state)
{
	(void)state;
	unsigned late = 0, refused = 0;
	for (int set = 0; set < SETS; set++) {
		struct plain_rule rules[RULES];
		bool deny = dice(2);
		struct rig r;
		code[0] = 0;
		add("nsnet.default(nsnet.%s)\nnsnet.rules {\n", deny ? "deny" : "allow");
		for (int i = 0; i < RULES; i++) {
			random_rule(&rules[i]);
			print_rule(&rules[i]);
		}
		add("}\n");
		rig_open(&r);
		r.host->options.names_of = names_of;
		rig_run(&r, code);
		for (int i = 0; i < FLOWS; i++) {
			struct plain_flow f;
			char want[128], got[128];
			random_flow(&f);
			plain_verdict(rules, &f, deny, want);
			real_verdict(&r, &f, got);
			late += strchr(got, ',') != NULL;
			refused += strstr(got, ", deny") != NULL;
			if (strcmp(got, want) != 0) {
				rig_close(&r);
				explain_flow(&f);
				fail_msg("set %d: '%s', plain '%s'\n%s", set, got, want, code);
			}
		}
		rig_close(&r);
	}
	/* Both phases were at work. */
	assert_true(late > SETS * FLOWS / 20);
	assert_true(refused > SETS * FLOWS / 50);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		rig_test(every_connection_fares_as_the_rules_read),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
