/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "core/base.h"
#include "core/dname.h"
#include "core/forward.h"
#include "core/guard.h"
#include "core/inside.h"
#include "core/log.h"
#include "lua/tools.h"
#include "lua/trial.h"
#include "lua/verdict.h"

#define STATUS_USAGE 2
#define STATUS_SOFTWARE 70

#define FIRST_MAX 1024

struct explain {
	const struct explain_options *o;
	struct stage stage;
	struct trial trial;
	struct flow_key key;
	struct forwards forwards;           /* only their specs */
	const struct forward_spec *forward; /* whose port is called; NULL = none */
	bool done;                          /* the step that waited */
};

static int usage(const char *what, const char *value, const char *remedy)
{
	log_error("explain: %s '%s': %s", what, value, remedy);
	return STATUS_USAGE;
}

static int read_flow(struct explain *e)
{
	const struct explain_options *o = e->o;
	const char *network = o->network;
	char name[DNAME_MAX];
	struct addr src = {0};
	bool icmp = !strcmp(network, "icmp");
	e->key.proto = icmp ? IPPROTO_ICMP : !strcmp(network, "udp") ? IPPROTO_UDP : IPPROTO_TCP;
	if (!icmp && strcmp(network, "udp") != 0 && strcmp(network, "tcp") != 0)
		return usage("network", network, "say tcp, udp or icmp");
	if (addr_parse(&e->key.dst, o->address) || icmp == (e->key.dst.port != 0))
		return usage("destination", o->address,
			icmp ? "give an IP address without a port"
			     : "give an IP address and a port, as 192.0.2.1:443 or "
			       "[2001:db8::1]:443; --name tells what it is known as");
	const char *names[] = {o->name, o->sni, o->http_host};
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (names[i] && dname_normalise(name, names[i], strlen(names[i])) < 0)
			return usage("name", names[i], "that is no host name");
	}
	if (o->inbound && (icmp || o->name || o->sni || o->http_host))
		return usage("--inbound with", icmp ? network : "a name",
			"a call from outside is of tcp or udp, and no rule knows a name of it");
	if (o->inbound && !o->src)
		return usage("--inbound without", "--src", "--src ADDR says who calls");
	if (o->src && (addr_parse(&src, o->src) || (icmp && src.port)))
		return usage("--src", o->src, "give an IP address, with or without a port");
	if (o->src && src.v != e->key.dst.v)
		return usage("--src", o->src, "it is of another family than the destination");
	e->key.src = o->inbound ? e->key.dst : src;
	if (o->inbound)
		e->key.dst = src;
	if (!e->key.src.v)
		e->key.src = inside_address(e->key.dst.v == 4 ? o->net4 : o->net6);
	if ((o->sni || o->http_host) && e->key.proto != IPPROTO_TCP)
		return usage("--sni or --http-host with", network, "only tcp has first bytes");
	return 0;
}

static bool is_loopback(const struct addr *a)
{
	static const struct addr loopback4 = {.ip = {127, 0, 0, 1}, .v = 4},
				 loopback6 = {.ip = {[15] = 1}, .v = 6};
	return addr_equal_ip(a, &loopback4) || addr_equal_ip(a, &loopback6);
}

/* Is it a call of a port of -L? Then it comes from the loopback, too. */
static int read_forwards(struct explain *e)
{
	char why[FORWARD_WHY_MAX];
	for (size_t i = 0; i < e->o->forwards; i++) {
		if (forwards_add(&e->forwards, e->o->forward[i], why)) {
			log_error("explain: %s", why);
			return STATUS_USAGE;
		}
	}
	if (e->key.proto != IPPROTO_TCP || e->o->inbound || !is_loopback(&e->key.dst))
		return 0;
	for (size_t i = 0; i < e->forwards.spec_count && !e->forward; i++) {
		if (e->forwards.specs[i].port == e->key.dst.port)
			e->forward = &e->forwards.specs[i];
	}
	if (e->forward && !e->o->src) {
		e->key.src = e->key.dst;
		e->key.src.port = 0;
	}
	return 0;
}

/* --- what the command says first ------------------------------------------------------------- */

static uint8_t *put16(uint8_t *p, size_t n)
{
	*p++ = (uint8_t)(n >> 8);
	*p++ = (uint8_t)n;
	return p;
}

/* A ClientHello (RFC 8446 4.1.2) that names @name (RFC 6066 3). Its length. */
static size_t client_hello(uint8_t *out, const char *name)
{
	static const uint8_t suites[] = {0, 0, 2, 0x13, 1, 1, 0}; /* no session, one suite */
	size_t n = strlen(name), hello = 2 + 32 + sizeof(suites) + 2 + 9 + n;
	uint8_t *p = out;
	*p++ = 22; /* a record: handshake */
	p = put16(p, 0x301);
	p = put16(p, 4 + hello);
	*p++ = 1; /* client_hello */
	*p++ = 0;
	p = put16(p, hello);
	p = put16(p, 0x303);
	memset(p, 'r', 32);
	p += 32;
	memcpy(p, suites, sizeof(suites));
	p += sizeof(suites);
	p = put16(p, 9 + n);
	p = put16(p, 0); /* server_name */
	p = put16(p, 5 + n);
	p = put16(p, 3 + n);
	*p++ = 0; /* host_name */
	p = put16(p, n);
	memcpy(p, name, n);
	return (size_t)(p - out) + n;
}

static size_t first_bytes(const struct explain_options *o, uint8_t *out)
{
	if (o->sni)
		return client_hello(out, o->sni);
	if (!o->http_host)
		return 0;
	return (size_t)snprintf((char *)out, FIRST_MAX, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n",
		o->http_host);
}

/* --- asking ---------------------------------------------------------------------------------- */

static void on_step(void *arg)
{
	struct explain *e = arg;
	e->done = true;
}

/* Waits for a step that returned @rc. */
static void settle(struct explain *e, int rc)
{
	if (rc == -EINPROGRESS) {
		while (!e->done)
			ev_run(e->stage.loop, EVRUN_ONCE);
	}
	e->done = false;
}

static void ask(struct explain *e)
{
	uint8_t first[FIRST_MAX];
	struct trial *t = &e->trial;
	size_t n = first_bytes(e->o, first);
	settle(e, trial_ask(t, &e->key));
	if (e->forward)
		forward_settle(e->forward, &t->flow);
	if (t->flow.decision.verdict == VERDICT_DENY)
		return;
	if (n && t->flow.state == FLOW_STATE_OPEN && t->flow.decision.first_bytes)
		settle(e, trial_say(t, first, n, true));
	/* A rule that wants more than there is gets its answer: no more comes. */
	if (n && t->flow.state == FLOW_STATE_OPEN && t->flow.decision.first_bytes)
		settle(e, trial_say(t, "", 0, false));
}

/* --- telling --------------------------------------------------------------------------------- */

static void tell_notes(const struct trial *t)
{
	static const char *const events[] = {
		[TRACE_SKIPPED] = "no match",
		[TRACE_LATER] = "depends on the first bytes",
		[TRACE_SILENT] = "no opinion",
		[TRACE_FAILED] = "error",
	};
	for (size_t i = 0; i < t->notes; i++) {
		const struct trial_note *n = &t->note[i];
		printf("%-15s %-36s %s%s%s\n", n->kind, n->where,
			n->event == TRACE_VERDICT ? verdict_word(n->verdict) : events[n->event],
			n->reason ? ": " : "", n->reason ? n->reason : "");
	}
}

/* What the guard thinks of where it would go. */
static void tell_guard(struct explain *e)
{
	const struct decision *d = &e->trial.flow.decision;
	const struct guard *g = &e->stage.guard;
	const struct addr *dst = &e->key.dst, *to = d->target.v ? &d->target : dst;
	char text[ADDR_TEXT_MAX];
	enum guard_class class = guard_classify(&e->stage.guard, to);
	const char *by = !d->named ? ", closed"
		: e->forward       ? ", opened by -L"
		: g->allow_host && (addr_equal_ip(dst, &g->host4) || addr_equal_ip(dst, &g->host6))
		? ", opened by --allow-host"
		: ", opened by the rule";
	printf("%-15s %-36s %s%s\n", "guard of host", addr_format(to, false, text),
		class == GUARD_CLASS_PUBLIC ? "open" : guard_class_name(class),
		class == GUARD_CLASS_PUBLIC ? "" : by);
}

/* Where it would go, and how. */
static int tell_way(struct explain *e, enum verdict v)
{
	const struct hooks *h = e->stage.policy.hooks;
	struct flow *f = &e->trial.flow;
	const bool direct = f->inbound || e->forward; /* dialers have no part in these */
	const bool dialers = h && h->dials && !direct;
	char text[ADDR_TEXT_MAX];
	if (dialers && f->key.proto == IPPROTO_ICMP && !f->decision.named) {
		printf("refused: an echo would go around the dialer; name its address in a rule\n");
		return EXPLAIN_DENIED;
	}
	printf("goes to %s%s\n",
		addr_format(&f->decision.target, f->key.proto != IPPROTO_ICMP, text),
		(v == VERDICT_VIA && !direct) || (dialers && h->dials(h->arg, f))
			? " through a dialer"
			: "");
	return 0;
}

static void tell_verdict(struct explain *e, enum verdict v)
{
	static const char *const styles[] = {
		[DENY_STYLE_REFUSE] = " (refuse)",
		[DENY_STYLE_UNREACHABLE] = " (unreachable)",
		[DENY_STYLE_PROHIBITED] = " (prohibited)",
		[DENY_STYLE_RESET] = " (reset)",
	};
	const struct decision *d = &e->trial.flow.decision;
	/* What the user has opened on the command line does not ask the default. */
	const char *open = e->forward ? "-L" : e->trial.flow.named ? "-p" : "default";
	const enum verdict said = d->would ? d->would : v;
	/* There a kernel has accepted before anybody is asked. */
	const bool accepted =
		e->forward || (e->o->inbound && e->trial.flow.key.proto == IPPROTO_TCP);
	const enum deny_style style = accepted ? DENY_STYLE_RESET : d->style;
	printf("%s%s by %s%s%s%s\n", verdict_word(said), said == VERDICT_DENY ? styles[style] : "",
		d->rule ? d->rule : open, d->reason ? ": " : "", d->reason ? d->reason : "",
		d->would ? ", but --dry-run allows it" : "");
	if (d->remedy)
		printf("remedy: %s\n", d->remedy);
}

static int tell(struct explain *e)
{
	struct flow *f = &e->trial.flow;
	enum verdict v = trial_verdict(&e->trial);
	tell_notes(&e->trial);
	if (!e->o->inbound)
		tell_guard(e);
	tell_verdict(e, v);
	if (!e->o->inbound && !e->forward && is_loopback(&e->key.dst))
		printf("note: the command's own loopback stays in its namespace and asks nobody, "
		       "but for ports of -L\n");
	if (v == VERDICT_DENY || v == VERDICT_DROP)
		return EXPLAIN_DENIED;
	if (tell_way(e, v) == EXPLAIN_DENIED)
		return EXPLAIN_DENIED;
	if (!f->decision.first_bytes)
		return 0;
	printf("for now: the first bytes decide; give --sni NAME or --http-host NAME\n");
	return EXPLAIN_UNDECIDED;
}

static int load(struct explain *e)
{
	const struct explain_options *o = e->o;
	int err = 0;
	for (size_t i = 0; i < o->count && !err; i++)
		err = o->code[i] ? lua_host_add_code(e->stage.host, "-e", o->script[i])
				 : lua_host_add_file(e->stage.host, o->script[i]);
	e->stage.no_dial = true;
	e->stage.guard.allow_host = o->allow_host;
	e->stage.guard.inside4 = inside_network(o->net4);
	e->stage.guard.inside6 = inside_network(o->net6);
	e->stage.guard.host4 = inside_self(&e->stage.guard.inside4, INSIDE_HOST4);
	e->stage.guard.host6 = inside_self(&e->stage.guard.inside6, INSIDE_HOST6);
	e->stage.policy.default_deny = o->default_deny;
	e->stage.policy.dry_run = o->dry_run;
	if (!err && o->name)
		err = stage_learn(&e->stage, &e->key.dst, o->name);
	if (err) {
		log_error("explain: %s", strerror(-err));
		return STATUS_SOFTWARE;
	}
	int status = stage_load(&e->stage);
	return status ? status : lua_host_start(e->stage.host);
}

int explain(const struct explain_options *o)
{
	struct explain e = {.o = o};
	int status = read_flow(&e);
	if (!status)
		status = read_forwards(&e);
	if (status)
		return status;
	struct lua_options lo = {.loop = ev_default_loop(EVFLAG_AUTO),
		.env_allow = o->env,
		.insecure_perms = o->insecure_perms,
		.default_fixed = o->default_set};
	int err = lo.loop ? stage_init(&e.stage, &lo, &trial_watch) : -ENOMEM;
	if (err) {
		log_error("explain: cannot start: %s", strerror(-err));
		return STATUS_SOFTWARE;
	}
	status = load(&e);
	if (!status) {
		trial_init(&e.trial, &e.stage, on_step, &e);
		e.trial.name = o->name ? strdup(o->name) : NULL;
		e.trial.flow.inbound = o->inbound;
		e.trial.flow.named = e.forward || (o->inbound && !o->unnamed);
		if (o->process && trial_process(&e.trial, o->process)) {
			status = usage("--process", o->process,
				"give a short name of at most 15 bytes, or an executable's path");
		} else {
			ask(&e);
			status = tell(&e);
		}
		trial_fini(&e.trial);
	}
	stage_fini(&e.stage);
	return status;
}
