/* SPDX-License-Identifier: MIT */
#include "host.h"

#include <assert.h>
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
#include "cage.h"
#include "child.h"
#include "control.h"
#include "drain.h"
#include "engine.h"
#include "exporter.h"
#include "follow.h"
#include "forward.h"
#include "inspect.h"
#include "log.h"
#include "logs.h"
#include "metrics.h"
#include "outlet.h"
#include "rules.h"

/* Connections by -L at a time; each takes two descriptors. */
#define FORWARD_CONNS 1024

struct host {
	const struct options *o;
	struct ev_loop *loop;
	struct cage cage;
	struct engine engine;
	struct child child;
	struct attach attach; /* instead */
	bool attached;
	struct follow follow;
	struct forwards forwards;
	struct drain drain;
	struct rules rules;
	struct control control;
	struct inspect inspect;
	struct logs logs;
	struct outlet outlet;
	uint16_t forward_ports[FORWARD_PORTS];
	struct metrics metrics;
	struct exporter exporter; /* --metrics */
	int status;
};

/* ---- the command ---- */

static size_t host_pending(void *arg, uint64_t *progress)
{
	struct host *h = arg;

	*progress = h->engine.tun.rx_packets + h->engine.tun.tx_packets;
	return conns_undelivered(&h->engine.conns) + forwards_undelivered(&h->forwards, progress);
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
	follow_stop(&h->follow); /* it reads from the socket that drain is given */
	rules_exit(&h->rules, status);
	if (drain_start(&h->drain, h->loop, child_take_diag(&h->child), host_pending,
		    host_on_drained, h) == 1)
		ev_break(h->loop, EVBREAK_ALL);
}

/* Nobody is there for whom to go on: its process has ended, or we are told to. */
static void host_on_end(void *arg)
{
	struct host *h = arg;

	rules_exit(&h->rules, 0);
	ev_break(h->loop, EVBREAK_ALL);
}

/* The device was taken away: nothing more comes from it. The command's end is reported by itself.
 */
static void host_on_gone(void *arg)
{
	struct host *h = arg;

	if (h->attached)
		host_on_end(h);
}

/* ---- rules ---- */

/* 0, or the exit status after a message. */
static int load_rules(struct host *h, struct policy *policy)
{
	return rules_load(&h->rules, h->o, h->loop, policy, &h->cage, policy->name_of,
		policy->name_arg);
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
	h->inspect = (struct inspect){.gate = &h->engine.gate,
		.name_of = h->engine.policy.name_of,
		.name_arg = h->engine.policy.name_arg};
	if (cage_allow(&h->cage, LANDLOCK_REMOVE, h->control.path) < 0)
		log_info("the control socket %s will stay when this ends", h->control.path);
	inspect_init(&h->inspect, &h->control);
	rules_control(&h->rules, &h->control);
	publish_control(&h->engine.publish, &h->control);
	metrics_control(&h->metrics, &h->control);
}

static char *expose(void *arg, size_t *len)
{
	return metrics_text(arg, len);
}

/* --metrics. 0, or the exit status after a message. */
static int open_exporter(struct host *h)
{
	const char *path = h->o->metrics;
	int rc = path
		? exporter_open(&h->exporter, h->loop, path, METRICS_TYPE, expose, &h->metrics)
		: 0;

	if (rc < 0) {
		log_error("--metrics %s: %s; give a path for a new socket", path, strerror(-rc));
		return EXIT_NO_OUTPUT;
	}
	if (path && cage_allow(&h->cage, LANDLOCK_REMOVE, h->exporter.path) < 0)
		log_info("the socket %s will stay when this ends", path);
	return 0;
}

/* ---- building ---- */

static_assert(FORWARD_PORTS == SHIM_LISTEN_MAX, "each -L is two sockets from the shim");

/* What -L opens, before the namespace is there. 0, or the exit status after a message. */
static int read_forwards(struct host *h)
{
	char why[FORWARD_WHY_MAX];

	for (size_t i = 0; i < h->o->forward.count; i++) {
		if (forwards_add(&h->forwards, h->o->forward.text[i], why) < 0) {
			log_error("%s", why);
			return EXIT_USAGE;
		}
		h->forward_ports[i] = h->forwards.specs[i].port;
	}
	return 0;
}

static int start_forwards(struct host *h, const struct shim *shim)
{
	const struct options *o = h->o;
	int rc;

	h->forwards.loop = h->loop;
	h->forwards.flows = &h->engine.flows;
	h->forwards.policy = &h->engine.policy;
	h->forwards.dial_timeout_s = o->dial_timeout_s;
	h->forwards.idle_s = o->tcp_idle_s;
	rc = forwards_start(&h->forwards, shim->listen, shim->n_listen);
	if (rc < 0)
		log_error("-L: container-shim listens at no port: install nsnet-host and "
			  "container-shim again, from one release");
	return rc;
}

static int start_child(struct host *h, const struct inherit *inherit)
{
	const struct options *o = h->o;
	char dns4[ADDR_TEXT_MAX], dns6[ADDR_TEXT_MAX];
	char dirs[CONTROL_DIRS_MAX][PATH_MAX];
	const char *hide[CONTROL_DIRS_MAX + 2] = {NULL};
	size_t hidden;
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
				.listen = h->forward_ports,
				.n_listen = h->forwards.spec_count,
				.inherit = inherit,
			},
		.linger = o->linger,
		.on_exit = host_on_exit,
		.on_signal = host_on_signal,
		.arg = h,
	};
	struct addr a = engine_dns(&h->engine, 4);
	int fd;

	c.shim.dns4 = addr_format(&a, false, dns4);
	a = engine_dns(&h->engine, 6);
	c.shim.dns6 = addr_format(&a, false, dns6);
	hidden = control_dirs(dirs, true);
	for (size_t i = 0; i < hidden; i++)
		hide[i] = dirs[i];
	if (h->exporter.loop)
		hide[hidden] = h->exporter.path;
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
				.listen = h->forward_ports,
				.n_listen = h->forwards.spec_count,
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
		int rc = publish_add(&h->engine.publish, o->publish.text[i], true, why);

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

/* -p auto. 0, or negative errno after a message. */
static int follow(struct host *h)
{
	const int diag = h->attached ? h->attach.shim.diag : h->child.shim.diag;
	int rc = h->o->publish_auto ? follow_start(&h->follow, h->loop, &h->engine.publish, diag)
				    : 0;

	if (rc < 0)
		log_error("-p auto: cannot ask the kernel who listens: %s", strerror(-rc));
	return rc;
}

static int init_engine(struct host *h, const struct inherit *inherit)
{
	const struct options *o = h->o;
	const rlim_t files = inherit->nofile.rlim_max;
	const rlim_t spare = h->forwards.spec_count ? MIN(files / 2, 2 * FORWARD_CONNS) : 0;
	const struct engine_config c = {
		.loop = h->loop,
		.net4 = o->net4,
		.net6 = o->net6,
		.mtu = (unsigned)o->mtu,
		.default_deny = o->default_deny,
		.synthetic = o->synthetic,
		.dry_run = o->dry_run,
		.allow_host = o->allow_host,
		.fds = files - spare,
		.max_conns = o->max_conns,
		.max_flows = o->max_flows,
		.memory = o->memory_mb << 20,
		.udp_idle_s = o->udp_idle_s,
		.tcp_idle_s = o->tcp_idle_s,
		.dial_timeout_s = o->dial_timeout_s,
		.keepalive_s = o->keepalive_s,
		.on_gone = host_on_gone,
		.arg = h,
	};

	h->forwards.max = spare / 2;
	return engine_init(&h->engine, &c);
}

/* The engine has the device: lets the command begin, and serves it to its end. */
static void serve(struct host *h)
{
	int rc = start_forwards(h, h->attached ? &h->attach.shim : &h->child.shim);

	h->status = rc < 0 ? EXIT_PREFLIGHT : publish_ports(h);
	if (h->status == 0)
		h->status = rules_start(&h->rules);
	if (h->status == 0)
		rc = follow(h);
	if (h->status == 0 && rc == 0) {
		rc = h->attached ? attach_go(&h->attach) : child_go(&h->child);
		if (rc < 0)
			log_error("cannot start the command: %s", strerror(-rc));
	}
	if (h->status == 0 && rc == 0 && outlet_start(&h->outlet, h->loop) < 0)
		log_info("messages are written one by one");
	if (h->status == 0 && rc == 0)
		rc = lock_up(h);
	if (h->status == 0 && rc == 0)
		ev_run(h->loop, 0);
	outlet_stop(&h->outlet);
	if (rc < 0)
		h->status = EXIT_PREFLIGHT;
	follow_stop(&h->follow);
	forwards_stop(&h->forwards);
	rules_stop(&h->rules);
	drain_stop(&h->drain);
}

/* From the namespace up to the loop, and down again. */
static void run(struct host *h, const struct inherit *inherit)
{
	int tun_fd;

	h->metrics = (struct metrics){.gate = &h->engine.gate,
		.logs = &h->logs,
		.rules = &h->rules,
		.started = ev_now(h->loop)};
	open_control(h); /* before the child: its directory is hidden from there */
	h->status = open_exporter(h);
	if (h->status)
		return;
	tun_fd = h->attached ? attach(h, inherit) : start_child(h, inherit);
	if (tun_fd < 0) {
		h->status = EXIT_PREFLIGHT;
		return;
	}
	if (engine_start(&h->engine, tun_fd) == 0) {
		logs_watch(&h->logs, &h->engine.tun);
		serve(h);
		engine_stop(&h->engine);
	} else {
		h->status = EXIT_PREFLIGHT;
	}
	if (h->attached)
		attach_stop(&h->attach);
	else
		child_stop(&h->child);
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

	h.status = init_loop(&h);
	if (h.status)
		return h.status;
	h.status = read_forwards(&h);
	if (h.status) {
		ev_loop_destroy(h.loop);
		return h.status;
	}
	if (init_engine(&h, inherit) == 0) {
		h.status = load_rules(&h, &h.engine.policy);
		if (h.status == 0)
			h.status = logs_open(&h.logs, o, &h.engine.policy, &h.cage);
		if (h.status == 0)
			run(&h, inherit);
		logs_close(&h.logs, h.status);
		exporter_close(&h.exporter);
		control_close(&h.control);
		rules_free(&h.rules);
		cage_fini(&h.cage);
		engine_fini(&h.engine);
	} else {
		h.status = EXIT_PREFLIGHT;
	}
	ev_loop_destroy(h.loop);
	return h.status;
}

int host_check(const struct options *o)
{
	struct host h = {.o = o};
	struct policy policy = {0}; /* nobody is asked */
	int status = init_loop(&h);

	if (status)
		return status;
	status = load_rules(&h, &policy);
	rules_free(&h.rules);
	cage_fini(&h.cage);
	ev_loop_destroy(h.loop);
	return status;
}
