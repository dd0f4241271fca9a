/* SPDX-License-Identifier: MIT */
#include "host.h"

#include <errno.h>
#include <ev.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "attach.h"
#include "base.h"
#include "buf.h"
#include "cage.h"
#include "child.h"
#include "conn.h"
#include "control.h"
#include "dns.h"
#include "drain.h"
#include "frag.h"
#include "gate.h"
#include "guard.h"
#include "inside.h"
#include "inspect.h"
#include "log.h"
#include "logs.h"
#include "name.h"
#include "ping.h"
#include "policy.h"
#include "preflight.h"
#include "publish.h"
#include "rules.h"
#include "stack.h"
#include "tun.h"
#include "udp.h"
#include "vigil.h"
#include "visit.h"

/* Descriptors that no flow uses: the loop's, the tun, netlink, scripts', a margin. */
#define FDS_RESERVED 64

struct host {
	const struct options *o;
	struct ev_loop *loop;
	struct cage cage;
	struct guard guard;
	struct policy policy;
	struct vigil vigil;
	struct flow_table flows;
	struct child child;
	struct attach attach; /* instead */
	bool attached;
	struct tun tun;
	struct stack stack;
	struct frag frag;
	struct conns conns;
	struct udp udp;
	struct ping ping;
	struct visits visits;
	struct publish publish;
	struct dns dns;
	struct names names;
	struct gate gate;
	struct drain drain;
	struct rules rules;
	struct control control;
	struct inspect inspect;
	struct logs logs;
	int status;
};

/* ---- the command ---- */

static size_t host_pending(void *arg, uint64_t *progress)
{
	struct host *h = arg;

	*progress = h->tun.rx_packets + h->tun.tx_packets;
	return conns_undelivered(&h->conns);
}

static void host_on_drained(void *arg)
{
	struct host *h = arg;

	ev_break(h->loop, EVBREAK_ALL);
}

static void host_on_exit(void *arg, int status)
{
	struct host *h = arg;

	h->status = status;
	rules_exit(&h->rules, status);
	if (drain_start(&h->drain, h->loop, child_take_diag(&h->child), host_pending,
		    host_on_drained, h) == 1)
		ev_break(h->loop, EVBREAK_ALL);
}

/* The namespace has ended: nothing more comes from it. The command's end is reported by itself. */
static void host_on_gone(void *arg)
{
	struct host *h = arg;

	if (h->attached)
		ev_break(h->loop, EVBREAK_ALL);
}

/* Nobody is there for whom to go on: its process has ended, or we are told to. */
static void host_on_end(void *arg)
{
	struct host *h = arg;

	rules_exit(&h->rules, 0);
	ev_break(h->loop, EVBREAK_ALL);
}

/* ---- rules ---- */

static const char *host_name_of(void *arg, const struct flow *f)
{
	struct host *h = arg;

	if (f->inbound) /* who calls is known by its address alone */
		return NULL;
	return names_find(&h->names, &f->key.dst, ev_now(h->loop));
}

static void host_on_answer(void *arg, const struct dnsquery *q, const uint8_t *msg, size_t len)
{
	struct host *h = arg;

	UNUSED(q);
	names_learn_answer(&h->names, msg, len, ev_now(h->loop));
}

/* 0, or the exit status after a message. */
static int load_rules(struct host *h)
{
	return rules_load(&h->rules, h->o, h->loop, &h->policy, &h->cage, host_name_of, h);
}

/* SIGHUP is ours where there are scripts, SIGUSR1 where there is a summary. */
static bool host_on_signal(void *arg, int signo)
{
	struct host *h = arg;

	return (signo == SIGHUP && rules_reload(&h->rules)) || logs_signal(&h->logs, signo);
}

/* ---- the control socket ---- */

/* A program without one runs, too: control_open() has said why. */
static void open_control(struct host *h)
{
	if (control_open(&h->control, h->loop) < 0)
		return;
	h->inspect = (struct inspect){.gate = &h->gate, .name_of = host_name_of, .name_arg = h};
	if (cage_allow(&h->cage, LANDLOCK_REMOVE, h->control.path) < 0)
		log_info("the control socket %s will stay when this ends", h->control.path);
	inspect_init(&h->inspect, &h->control);
	rules_control(&h->rules, &h->control);
	publish_control(&h->publish, &h->control);
}

/* ---- building ---- */

static int start_child(struct host *h, const struct inherit *inherit)
{
	const struct options *o = h->o;
	char dns4[ADDR_TEXT_MAX], dns6[ADDR_TEXT_MAX];
	char dirs[CONTROL_DIRS_MAX][PATH_MAX];
	const char *hide[CONTROL_DIRS_MAX + 1] = {NULL};
	struct child_options c = {
		.shim =
			{
				.argv = o->argv,
				.net4 = o->net4,
				.net6 = o->net6,
				.mtu = (unsigned)o->mtu,
				.root = o->root,
				.keep_caps = o->keep_caps,
				.verbose = o->verbose > 0,
				.hide = hide,
				.inherit = inherit,
			},
		.linger = o->linger,
		.on_exit = host_on_exit,
		.on_signal = host_on_signal,
		.arg = h,
	};
	struct addr a = inside_self(&h->guard.inside4, INSIDE_DNS4);
	int fd;

	c.shim.dns4 = addr_format(&a, false, dns4);
	a = inside_self(&h->guard.inside6, INSIDE_DNS6);
	c.shim.dns6 = addr_format(&a, false, dns6);
	for (size_t i = control_dirs(dirs, true); i-- > 0;)
		hide[i] = dirs[i];
	fd = child_start(&h->child, h->loop, &c);
	if (fd >= 0)
		logs_identify(&h->logs, h->child.shim.diag, h->child.shim.pid);
	return fd;
}

static int attach(struct host *h, const struct inherit *inherit)
{
	const struct options *o = h->o;
	const struct attach_options a = {
		.shim =
			{
				.net4 = o->net4,
				.net6 = o->net6,
				.mtu = (unsigned)o->mtu,
				.verbose = o->verbose > 0,
				.inherit = inherit,
				.join_net = o->netns,
				.join_user = o->userns,
			},
		.pid = (pid_t)o->pid,
		.ready_fd = o->ready_fd == SIZE_MAX ? -1 : (int)o->ready_fd,
		.exit_fd = o->exit_fd == SIZE_MAX ? -1 : (int)o->exit_fd,
		.on_end = host_on_end,
		.on_signal = host_on_signal,
		.arg = h,
	};
	int fd = attach_start(&h->attach, h->loop, &a);

	if (fd >= 0)
		logs_identify(&h->logs, h->attach.shim.diag, a.pid ? a.pid : -1);
	else
		attach_stop(&h->attach);
	return fd;
}

static void set_limits(struct host *h, const struct inherit *inherit)
{
	const struct options *o = h->o;
	const size_t fds = inherit->nofile.rlim_max > 1 << 20 ? 1 << 20 : inherit->nofile.rlim_max;
	const size_t others = o->max_flows + h->ping.set.max + FDS_RESERVED;

	h->conns.max = o->max_conns;
	if (o->max_conns + others > fds) {
		h->conns.max = fds > 2 * others ? fds - others : fds / 2;
		log_info("at most %zu connections at a time: the hard limit of open files is %zu "
			 "(ulimit -Hn)",
			h->conns.max, fds);
	}
	h->conns.idle_s = o->tcp_idle_s;
	h->conns.dial_timeout_s = o->dial_timeout_s;
	h->conns.keepalive_s = (int)o->keepalive_s;
	h->udp.set.max = o->max_flows;
	h->udp.set.idle_s = o->udp_idle_s;
	h->visits.max = o->max_flows;
	h->visits.idle_s = o->udp_idle_s;
	buf_set_limit(o->memory_mb << 20);
}

static int init_policy(struct host *h)
{
	const struct options *o = h->o;
	int rc = guard_init(&h->guard);

	if (rc < 0) {
		log_error(
			"cannot ask the kernel which addresses are the host's own: %s; refusing to "
			"run without that guard",
			strerror(-rc));
		return rc;
	}
	h->guard.inside4 = inside_network(o->net4);
	h->guard.inside6 = inside_network(o->net6);
	h->guard.host4 = inside_self(&h->guard.inside4, INSIDE_HOST4);
	h->guard.host6 = inside_self(&h->guard.inside6, INSIDE_HOST6);
	h->guard.allow_host = o->allow_host;
	h->policy.loop = h->loop;
	h->policy.name_of = host_name_of;
	h->policy.name_arg = h;
	h->policy.names = &h->names;
	h->policy.guard = &h->guard;
	h->policy.default_deny = o->default_deny;
	h->policy.dry_run = o->dry_run;
	return 0;
}

static int init_dns(struct host *h)
{
	const struct dns_config c = {
		.loop = h->loop,
		.tun = &h->tun,
		.stack = &h->stack,
		.flows = &h->flows,
		.policy = &h->policy,
		.self4 = inside_self(&h->guard.inside4, INSIDE_DNS4),
		.self6 = inside_self(&h->guard.inside6, INSIDE_DNS6),
		.seen = host_on_answer,
		.seen_arg = h,
	};

	return dns_init(&h->dns, &c);
}

static void connect_gate(struct host *h)
{
	h->gate = (struct gate){
		.tun = &h->tun,
		.stack = &h->stack,
		.flows = &h->flows,
		.policy = &h->policy,
		.frag = &h->frag,
		.conns = &h->conns,
		.udp = &h->udp,
		.ping = &h->ping,
		.dns = &h->dns,
	};
	h->tun.on_gone = host_on_gone;
	gate_start(&h->gate);
}

/* The command runs, and nothing of what it sends has been read yet: from here on this process may
 * do little. What is opened later was named before (cage_allow). 0 or negative errno. */
static int lock_up(struct host *h)
{
	const char *step;
	int rc;

	if (h->o->no_sandbox) {
		log_warn("--no-sandbox: whoever takes over this process through a packet has all "
			 "rights of its user");
		return 0;
	}
	rc = cage_enter(&h->cage, h->attached ? -1 : h->child.pid, &step);
	if (rc < 0)
		log_error("cannot lock up the program (%s): %s; --no-sandbox goes on without", step,
			strerror(-rc));
	return rc;
}

/* What -p opens. 0, or the exit status after a message. */
static int publish_ports(struct host *h)
{
	const struct options *o = h->o;
	char why[PUBLISH_WHY_MAX];

	for (size_t i = 0; i < o->publish.count; i++) {
		int rc = publish_add(&h->publish, o->publish.text[i], true, why);

		if (rc < 0) {
			log_error("%s", why);
			return rc == -EINVAL ? EXIT_USAGE : EXIT_PREFLIGHT;
		}
		if (o->publish.text[i][0] == '/' && /* it takes the socket away at the end */
			cage_allow(&h->cage, LANDLOCK_REMOVE, o->publish.text[i]) < 0)
			log_info("the socket of -p %s will stay when this ends",
				o->publish.text[i]);
	}
	return 0;
}

static void init_publish(struct host *h)
{
	h->publish = (struct publish){
		.loop = h->loop,
		.conns = &h->conns,
		.visits = &h->visits,
		.self4 = inside_address(h->o->net4),
		.self6 = inside_address(h->o->net6),
		.alias4 = h->guard.host4,
		.alias6 = h->guard.host6,
	};
	publish_init(&h->publish);
}

/* From the tun device up to the loop, and down again. */
static int serve(struct host *h, const struct inherit *inherit, int tun_fd)
{
	const char *step = "the table of flows";
	int rc;

	tun_init(&h->tun, h->loop, tun_fd, (unsigned)h->o->mtu);
	logs_watch(&h->logs, &h->tun);
	rc = flow_table_init(&h->flows);
	if (rc < 0)
		goto no_flows;
	step = "lwIP";
	rc = stack_init(&h->stack, h->loop, &h->tun);
	if (rc < 0)
		goto no_stack;
	frag_init(&h->frag, h->loop);
	conns_init(&h->conns, h->loop, &h->tun, &h->stack, &h->flows, &h->policy);
	udp_init(&h->udp, h->loop, &h->tun, &h->flows, &h->policy);
	ping_init(&h->ping, h->loop, &h->tun, &h->flows, &h->policy);
	visits_init(&h->visits, h->loop, &h->tun, &h->flows, &h->policy);
	init_publish(h);
	set_limits(h, inherit);
	step = "the resolver";
	rc = init_dns(h);
	if (rc < 0)
		goto no_dns;
	h->names.file = &h->dns.hosts;
	connect_gate(h);
	vigil_start(&h->vigil, h->loop, &h->policy, &h->flows);
	step = "the command";
	h->status = publish_ports(h);
	if (h->status == 0)
		h->status = rules_start(&h->rules);
	if (h->status == 0)
		rc = h->attached ? attach_go(&h->attach) : child_go(&h->child);
	if (h->status == 0 && rc == 0) {
		step = "to serve";
		rc = lock_up(h);
	}
	if (h->status == 0 && rc == 0)
		ev_run(h->loop, 0);
	rules_stop(&h->rules);
	drain_stop(&h->drain);
	vigil_stop(&h->vigil);
	tun_stop(&h->tun);
	h->names.file = NULL;
	dns_fini(&h->dns);
no_dns:
	publish_fini(&h->publish);
	visits_fini(&h->visits);
	ping_fini(&h->ping);
	udp_fini(&h->udp);
	conns_fini(&h->conns);
	frag_fini(&h->frag);
	stack_fini(&h->stack);
no_stack:
	flow_table_fini(&h->flows);
no_flows:
	tun_fini(&h->tun);
	if (rc < 0)
		log_error("cannot start %s: %s", step, strerror(-rc));
	return rc;
}

static int init_loop(struct host *h)
{
	h->loop = ev_default_loop(EVFLAG_AUTO);
	if (h->loop)
		return 0;
	log_error("cannot make an event loop: epoll is missing");
	return EXIT_PREFLIGHT;
}

int host_run(const struct options *o, const struct inherit *inherit)
{
	struct host h = {.o = o, .attached = o->pid || o->netns};
	int tun_fd;

	h.status = init_loop(&h);
	if (h.status)
		return h.status;
	if (names_init(&h.names) < 0) {
		log_error("cannot start: out of memory");
		return EXIT_PREFLIGHT;
	}
	h.status = init_policy(&h) < 0 ? EXIT_PREFLIGHT : load_rules(&h);
	if (h.status == 0)
		h.status = logs_open(&h.logs, o, &h.policy, &h.cage);
	if (h.status == 0) {
		h.status = EXIT_PREFLIGHT;
		open_control(&h); /* before the child: its directory is hidden from there */
		tun_fd = h.attached ? attach(&h, inherit) : start_child(&h, inherit);
		if (tun_fd >= 0) {
			if (serve(&h, inherit, tun_fd) < 0)
				h.status = EXIT_PREFLIGHT;
			if (h.attached)
				attach_stop(&h.attach);
			else
				child_stop(&h.child);
		}
	}
	logs_close(&h.logs, h.status);
	control_close(&h.control);
	rules_free(&h.rules);
	cage_fini(&h.cage);
	names_fini(&h.names);
	guard_fini(&h.guard);
	buf_pool_fini();
	ev_loop_destroy(h.loop);
	return h.status;
}

int host_check(const struct options *o)
{
	struct host h = {.o = o};
	int status = init_loop(&h);

	if (status)
		return status;
	status = load_rules(&h);
	rules_free(&h.rules);
	cage_fini(&h.cage);
	ev_loop_destroy(h.loop);
	return status;
}
