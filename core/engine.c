/* SPDX-License-Identifier: MIT */
#include "engine.h"

#include <errno.h>
#include <string.h>

#include "base.h"
#include "buf.h"
#include "inside.h"
#include "log.h"
#include "steady.h"

/* Descriptors that no flow uses: the loop's, the tun, netlink, scripts', a margin. */
#define FDS_RESERVED 64

static const char *engine_name_of(void *arg, const struct flow *f)
{
	struct engine *e = arg;

	if (f->inbound) /* who calls is known by its address alone */
		return NULL;
	if (f->by_name)
		return f->name;
	return names_find(&e->names, &f->key.dst, steady_now());
}

static void engine_on_answer(void *arg, const struct dnsquery *q, const uint8_t *msg, size_t len)
{
	struct engine *e = arg;

	UNUSED(q);
	names_learn_answer(&e->names, msg, len, steady_now());
}

static void engine_on_gone(void *arg)
{
	struct engine *e = container_of(arg, struct engine, gate);

	if (e->config.on_gone)
		e->config.on_gone(e->config.arg); /* last: @e may be gone */
}

/* ---- what decides ---- */

static int init_guard(struct engine *e)
{
	const struct engine_config *c = &e->config;
	int rc = guard_init(&e->guard);

	if (rc < 0) {
		log_error(
			"cannot ask the kernel which addresses are the host's own: %s; refusing to "
			"run without that guard",
			strerror(-rc));
		return rc;
	}
	e->guard.inside4 = inside_network(c->net4);
	e->guard.inside6 = inside_network(c->net6);
	e->guard.host4 = inside_self(&e->guard.inside4, INSIDE_HOST4);
	e->guard.host6 = inside_self(&e->guard.inside6, INSIDE_HOST6);
	e->guard.allow_host = c->allow_host;
	return 0;
}

/* 0 or negative errno after a message. */
static int init_synth(struct engine *e)
{
	int rc = synth_init(&e->synth);

	if (rc < 0) {
		log_error("cannot start --dns=synthetic: %s", strerror(-rc));
		return rc;
	}
	e->guard.synth4 = e->synth.net4;
	e->guard.synth6 = e->synth.net6;
	return 0;
}

int engine_init(struct engine *e, const struct engine_config *config)
{
	int rc;

	*e = (struct engine){.config = *config};
	rc = names_init(&e->names);
	if (rc < 0) {
		log_error("cannot start: %s", strerror(-rc));
		return rc;
	}
	rc = init_guard(e);
	if (rc < 0)
		goto no_guard;
	rc = config->synthetic ? init_synth(e) : 0;
	if (rc < 0)
		goto no_synth;
	e->self4 = inside_address(config->net4);
	e->self6 = inside_address(config->net6);
	e->policy.loop = config->loop;
	e->policy.name_of = engine_name_of;
	e->policy.name_arg = e;
	e->policy.names = &e->names;
	e->policy.guard = &e->guard;
	e->policy.default_deny = config->default_deny;
	e->policy.dry_run = config->dry_run;
	return 0;
no_synth:
	guard_fini(&e->guard);
no_guard:
	names_fini(&e->names);
	return rc;
}

void engine_fini(struct engine *e)
{
	if (e->config.synthetic)
		synth_fini(&e->synth);
	names_fini(&e->names);
	guard_fini(&e->guard);
	buf_pool_fini();
}

struct addr engine_dns(const struct engine *e, unsigned version)
{
	return version == 6 ? inside_self(&e->guard.inside6, INSIDE_DNS6)
			    : inside_self(&e->guard.inside4, INSIDE_DNS4);
}

/* ---- what carries ---- */

/* Each flow is a descriptor. What is asked for, or as many as there are: then connections get what
 * is left, or half, and nobody can take those that control and callers need. */
static void share_fds(struct engine *e)
{
	const struct engine_config *c = &e->config;
	const size_t fds = c->fds > 1 << 20 ? 1 << 20 : c->fds;
	const size_t others = c->max_flows + e->ping.set.max + FDS_RESERVED;
	const size_t some = fds > 2 * FDS_RESERVED ? fds - FDS_RESERVED : fds / 2;

	e->conns.max = c->max_conns;
	e->udp.set.max = e->visits.max = c->max_flows;
	if (c->max_conns + others <= fds)
		return;
	if (fds > 2 * others) {
		e->conns.max = fds - others;
	} else {
		e->conns.max = MIN(c->max_conns, some / 2);
		e->udp.set.max = e->visits.max = MIN(c->max_flows, some / 4);
		e->ping.set.max = MIN(e->ping.set.max, some / 8);
	}
	log_info("at most %zu connections and %zu UDP flows at a time: the limit of open files is "
		 "%zu (ulimit -Hn)",
		e->conns.max, e->udp.set.max, fds);
}

static void set_limits(struct engine *e)
{
	const struct engine_config *c = &e->config;

	share_fds(e);
	e->conns.idle_s = c->tcp_idle_s;
	e->conns.dial_timeout_s = c->dial_timeout_s;
	e->conns.keepalive_s = (int)c->keepalive_s;
	e->udp.set.idle_s = c->udp_idle_s;
	e->visits.idle_s = c->udp_idle_s;
	buf_set_limit(c->memory);
}

static int start_dns(struct engine *e)
{
	const struct dns_config c = {
		.loop = e->config.loop,
		.tun = &e->tun,
		.stack = &e->stack,
		.flows = &e->flows,
		.policy = &e->policy,
		.self4 = engine_dns(e, 4),
		.self6 = engine_dns(e, 6),
		.synth = e->config.synthetic ? &e->synth : NULL,
		.seen = engine_on_answer,
		.seen_arg = e,
	};
	int rc = dns_init(&e->dns, &c);

	if (rc < 0)
		return rc;
	e->names.file = &e->dns.hosts;
	if (e->config.synthetic) {
		errands_init(&e->errands, c.loop, &e->policy, &e->synth, &e->dns.pool);
		e->errands.dial_timeout_s = e->config.dial_timeout_s;
	}
	return 0;
}

static void start_publish(struct engine *e)
{
	e->publish = (struct publish){
		.loop = e->config.loop,
		.conns = &e->conns,
		.visits = &e->visits,
		.self4 = e->self4,
		.self6 = e->self6,
		.alias4 = e->guard.host4,
		.alias6 = e->guard.host6,
	};
	publish_init(&e->publish);
}

static void start_gate(struct engine *e)
{
	e->gate = (struct gate){
		.tun = &e->tun,
		.stack = &e->stack,
		.flows = &e->flows,
		.policy = &e->policy,
		.frag = &e->frag,
		.conns = &e->conns,
		.udp = &e->udp,
		.ping = &e->ping,
		.dns = &e->dns,
	};
	e->tun.on_gone = engine_on_gone;
	gate_start(&e->gate);
}

/* All that carries something, in reverse. */
static void stop_carriers(struct engine *e)
{
	publish_fini(&e->publish);
	visits_fini(&e->visits);
	ping_fini(&e->ping);
	udp_fini(&e->udp);
	conns_fini(&e->conns);
	frag_fini(&e->frag);
	stack_fini(&e->stack);
}

int engine_start(struct engine *e, int tun_fd)
{
	struct ev_loop *loop = e->config.loop;
	const char *step = "the table of flows";
	int rc;

	tun_init(&e->tun, loop, tun_fd, e->config.mtu);
	rc = flow_table_init(&e->flows);
	if (rc < 0)
		goto no_flows;
	step = "lwIP";
	rc = stack_init(&e->stack, loop, &e->tun);
	if (rc < 0)
		goto no_stack;
	frag_init(&e->frag, loop);
	conns_init(&e->conns, loop, &e->tun, &e->stack, &e->flows, &e->policy);
	udp_init(&e->udp, loop, &e->tun, &e->flows, &e->policy);
	ping_init(&e->ping, loop, &e->tun, &e->flows, &e->policy);
	visits_init(&e->visits, loop, &e->tun, &e->flows, &e->policy);
	start_publish(e);
	set_limits(e);
	step = "the resolver";
	rc = start_dns(e);
	if (rc < 0)
		goto no_dns;
	start_gate(e);
	vigil_start(&e->vigil, loop, &e->policy, &e->flows);
	return 0;
no_dns:
	stop_carriers(e);
no_stack:
	flow_table_fini(&e->flows);
no_flows:
	tun_fini(&e->tun);
	log_error("cannot start %s: %s", step, strerror(-rc));
	return rc;
}

void engine_stop(struct engine *e)
{
	vigil_stop(&e->vigil);
	tun_stop(&e->tun);
	e->names.file = NULL;
	if (e->config.synthetic)
		errands_fini(&e->errands);
	dns_fini(&e->dns);
	stop_carriers(e);
	flow_table_fini(&e->flows);
	tun_fini(&e->tun);
}
