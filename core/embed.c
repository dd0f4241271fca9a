/* SPDX-License-Identifier: MIT */
#include "nsnet.h"

#include <errno.h>
#include <ev.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base.h"
#include "bridge.h"
#include "buf.h"
#include "cage.h"
#include "control.h"
#include "drain.h"
#include "engine.h"
#include "inherit.h"
#include "log.h"
#include "options.h"
#include "rules.h"
#include "settings.h"
#include "tenant.h"
#include "thread.h"
#include "who.h"

struct nsnet {
	struct nsnet_options o;
	struct inherit inherit;
	struct thread thread; /* if there is no o.loop */
	struct ev_loop *loop;
	struct engine engine;
	struct bridge bridge;
	struct tenant tenant;
	struct drain drain;
	struct who who;

	struct options options; /* what rules.h wants to know */
	struct options_script script;
	struct rules rules;
	struct cage cage; /* never entered */

	bool running; /* the engine has a device */
	bool used, over;
	int status;
	pthread_mutex_t lock; /* of what follows, for nsnet_wait() */
	pthread_cond_t end;
	bool ended;
};

/* The stack and the pool of buffers are global. */
static atomic_flag taken = ATOMIC_FLAG_INIT;

static void on_line(void *arg, enum log_level level, const char *line)
{
	const struct nsnet *n = arg;

	if (n->o.log)
		n->o.log(n->o.arg, (enum nsnet_level)level, line);
}

int nsnet_call(struct nsnet *n, int (*fn)(void *arg), void *arg)
{
	return n->o.loop ? fn(arg) : thread_call(&n->thread, fn, arg);
}

/* ---- the end of the process ---- */

static void finish(struct nsnet *n, int status)
{
	const bool may_wait = !n->o.loop;

	if (n->over)
		return;
	n->over = true;
	n->status = status;
	if (n->o.ended)
		n->o.ended(n->o.arg, status); /* with a loop of the caller's, @n may be gone */
	if (!may_wait)
		return;
	pthread_mutex_lock(&n->lock);
	n->ended = true;
	pthread_cond_broadcast(&n->end);
	pthread_mutex_unlock(&n->lock);
}

static size_t pending(void *arg, uint64_t *progress)
{
	struct nsnet *n = arg;

	*progress = n->engine.tun.rx_packets + n->engine.tun.tx_packets;
	return conns_undelivered(&n->engine.conns);
}

static void on_drained(void *arg)
{
	struct nsnet *n = arg;

	finish(n, n->status); /* last: @n may be gone */
}

/* As nsnet-host would exit. */
static int exit_status(int status)
{
	if (status == -1)
		return 0;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void on_end(void *arg, int status)
{
	struct nsnet *n = arg;
	int diag = n->tenant.shim.diag;

	rules_exit(&n->rules, exit_status(status));
	n->status = status;
	n->tenant.shim.diag = -1;
	if (!n->tenant.ours && diag >= 0)
		close(diag);
	if (!n->tenant.ours || drain_start(&n->drain, n->loop, diag, pending, on_drained, n) == 1)
		finish(n, status); /* last: @n may be gone */
}

/* The namespace has ended. Whose process is known, that one's end says more. */
static void on_gone(void *arg)
{
	struct nsnet *n = arg;

	if (!n->tenant.ours)
		finish(n, -1); /* last: @n may be gone */
}

/* ---- making ---- */

static int load_rules(struct nsnet *n)
{
	struct policy *p = &n->engine.policy;
	int status;

	n->script.text = n->o.rules;
	n->options = (struct options){.scripts = &n->script,
		.script_count = 1,
		.default_set = n->o.default_deny};
	status = rules_load(&n->rules, &n->options, n->loop, p, &n->cage, p->name_of, p->name_arg);
	if (status == 0)
		return 0;
	rules_free(&n->rules);
	return status == EXIT_NO_INPUT ? -ENOENT : -EINVAL;
}

static int init(void *arg)
{
	struct nsnet *n = arg;
	const struct nsnet_options *o = &n->o;
	const struct engine_config c = {
		.loop = n->loop,
		.net4 = o->net4,
		.net6 = o->net6,
		.mtu = o->mtu,
		.default_deny = o->default_deny,
		.allow_host = o->allow_host,
		.fds = n->inherit.nofile.rlim_cur,
		.max_conns = o->max_connections,
		.max_flows = o->max_flows,
		.memory = o->memory,
		.udp_idle_s = o->udp_idle_s,
		.tcp_idle_s = o->tcp_idle_s,
		.dial_timeout_s = o->dial_timeout_s,
		.keepalive_s = 60,
		.on_gone = on_gone,
		.arg = n,
	};
	int rc = engine_init(&n->engine, &c);

	if (rc < 0)
		return rc;
	if (o->rules)
		rc = load_rules(n);
	else
		bridge_init(&n->bridge, n->loop, &n->engine.policy, &o->hooks, o->arg);
	if (rc < 0)
		engine_fini(&n->engine);
	return rc;
}

/* What a new process is to find as it is here, whatever thread it is started on. */
static void note_inheritance(struct inherit *i)
{
	pthread_sigmask(SIG_SETMASK, NULL, &i->mask);
	sigemptyset(&i->defaults);
	getrlimit(RLIMIT_NOFILE, &i->nofile);
}

static void discard(struct nsnet *n)
{
	if (!n->o.loop && n->loop)
		thread_stop(&n->thread);
	pthread_cond_destroy(&n->end);
	pthread_mutex_destroy(&n->lock);
	cage_fini(&n->cage);
	log_set_sink(NULL, NULL);
	free(n);
	atomic_flag_clear(&taken);
}

int nsnet_create(struct nsnet **out, const struct nsnet_options *o)
{
	struct nsnet *n;
	int rc;

	*out = NULL;
	if (atomic_flag_test_and_set(&taken)) {
		if (o->log)
			o->log(o->arg, NSNET_ERROR,
				"there is one in this process already: its TCP stack is global");
		return -EBUSY;
	}
	n = calloc(1, sizeof(*n));
	if (!n) {
		atomic_flag_clear(&taken);
		return -ENOMEM;
	}
	pthread_mutex_init(&n->lock, NULL);
	pthread_cond_init(&n->end, NULL);
	note_inheritance(&n->inherit);
	n->o = *o;
	log_set_sink(on_line, n);
	log_set_level(o->level < NSNET_WARNING ? LOG_LEVEL_WARN : (enum log_level)o->level);
	rc = settings_complete(&n->o);
	if (rc == 0 && !o->loop)
		rc = thread_start(&n->thread);
	if (rc == 0) {
		n->loop = o->loop ? o->loop : n->thread.loop;
		rc = nsnet_call(n, init, n);
	}
	if (rc < 0)
		discard(n);
	else
		*out = n;
	return rc;
}

static int fini(void *arg)
{
	struct nsnet *n = arg;

	rules_stop(&n->rules);
	drain_stop(&n->drain);
	if (n->running)
		engine_stop(&n->engine);
	tenant_stop(&n->tenant);
	n->engine.policy.who = NULL;
	who_fini(&n->who);
	rules_free(&n->rules);
	engine_fini(&n->engine);
	return 0;
}

int nsnet_close(struct nsnet *n)
{
	if (!n)
		return 0;
	if (n->bridge.depth || (!n->o.loop && thread_is_self(&n->thread)))
		return -EDEADLK;
	nsnet_call(n, fini, n);
	discard(n);
	return 0;
}

/* ---- the process ---- */

struct start {
	struct nsnet *n;
	char *const *argv;
	pid_t pid;
	int tun;
};

/* What rules of the command's process want, if the namespace can be asked. */
static void identify(struct nsnet *n)
{
	int rc = who_init(&n->who, n->tenant.shim.diag, n->tenant.pid, n->loop);

	if (rc == 0)
		n->engine.policy.who = &n->who;
	else
		log_info("processes are not told apart: %s", strerror(-rc));
}

/* @tun is there: takes it, and lets the process go. */
static int serve(struct nsnet *n, int tun)
{
	int rc = engine_start(&n->engine, tun);

	if (rc < 0) {
		tenant_stop(&n->tenant);
		return rc;
	}
	n->running = n->used = true;
	if (n->tenant.loop)
		identify(n);
	rc = rules_start(&n->rules) ? -EINVAL : 0;
	if (rc == 0 && n->tenant.loop)
		rc = tenant_go(&n->tenant, on_end, n);
	if (rc == 0)
		return 0;
	engine_stop(&n->engine);
	n->running = false;
	tenant_stop(&n->tenant);
	return rc;
}

static int make_tenant(struct nsnet *n, struct start *s)
{
	char dns4[ADDR_TEXT_MAX], dns6[ADDR_TEXT_MAX];
	char dirs[CONTROL_DIRS_MAX][PATH_MAX];
	const char *hide[CONTROL_DIRS_MAX + 1] = {NULL};
	struct addr a4 = engine_dns(&n->engine, 4), a6 = engine_dns(&n->engine, 6);
	struct shim_options shim = {
		.path = n->o.shim,
		.net4 = n->o.net4,
		.net6 = n->o.net6,
		.mtu = n->o.mtu,
		.inherit = &n->inherit,
	};

	if (!s->argv)
		return tenant_attach(&n->tenant, n->loop, &shim, s->pid);
	shim.argv = s->argv;
	shim.root = n->o.root;
	shim.dns4 = addr_format(&a4, false, dns4);
	shim.dns6 = addr_format(&a6, false, dns6);
	shim.hide = hide; /* those of other programs: they are not for the child */
	for (size_t i = control_dirs(dirs, true); i-- > 0;)
		hide[i] = dirs[i];
	return tenant_spawn(&n->tenant, n->loop, &shim);
}

static int start(void *arg)
{
	struct start *s = arg;
	struct nsnet *n = s->n;
	int rc;

	if (n->used) {
		log_error("it has a process already");
		if (s->tun >= 0)
			close(s->tun);
		return -EALREADY;
	}
	if (s->tun >= 0)
		return serve(n, s->tun);
	rc = make_tenant(n, s);
	if (rc >= 0)
		rc = serve(n, rc);
	if (rc == 0)
		s->pid = n->tenant.pid;
	return rc;
}

int nsnet_spawn(struct nsnet *n, char *const argv[], pid_t *pid)
{
	struct start s = {.n = n, .argv = argv, .tun = -1};
	int rc = argv && argv[0] ? nsnet_call(n, start, &s) : -EINVAL;

	if (rc == 0 && pid)
		*pid = s.pid;
	return rc;
}

int nsnet_attach(struct nsnet *n, pid_t pid)
{
	struct start s = {.n = n, .pid = pid, .tun = -1};

	return pid > 0 ? nsnet_call(n, start, &s) : -EINVAL;
}

int nsnet_attach_tun(struct nsnet *n, int fd)
{
	struct start s = {.n = n, .tun = fd};
	int rc = fd < 0 ? -EBADF : shim_check_tun(fd);

	if (rc == 0)
		return nsnet_call(n, start, &s);
	if (fd >= 0)
		close(fd);
	return rc;
}

int nsnet_wait(struct nsnet *n, int *status)
{
	if (n->o.loop || thread_is_self(&n->thread))
		return -EDEADLK;
	pthread_mutex_lock(&n->lock);
	while (!n->ended)
		pthread_cond_wait(&n->end, &n->lock);
	if (status)
		*status = n->status;
	pthread_mutex_unlock(&n->lock);
	return 0;
}

/* ---- while it runs ---- */

struct port {
	struct nsnet *n;
	const char *what;
	bool remove;
};

static int change_port(void *arg)
{
	struct port *p = arg;
	char why[PUBLISH_WHY_MAX];
	int rc;

	if (!p->n->running)
		return -ENOTCONN;
	if (p->remove)
		return publish_remove(&p->n->engine.publish, p->what);
	rc = publish_add(&p->n->engine.publish, p->what, true, why);
	if (rc < 0)
		log_error("%s", why);
	return rc;
}

int nsnet_publish(struct nsnet *n, const char *what)
{
	return nsnet_call(n, change_port, &(struct port){n, what, false});
}

int nsnet_unpublish(struct nsnet *n, const char *what)
{
	return nsnet_call(n, change_port, &(struct port){n, what, true});
}

struct count {
	struct nsnet *n;
	struct nsnet_stats *s;
};

static int count(void *arg)
{
	struct count *c = arg;
	const struct engine *e = &c->n->engine;

	*c->s = (struct nsnet_stats){
		.packets_out = e->tun.rx_packets,
		.bytes_out = e->tun.rx_bytes,
		.packets_in = e->tun.tx_packets,
		.bytes_in = e->tun.tx_bytes,
		.dropped = e->tun.tx_dropped,
		.allowed = e->policy.allowed,
		.denied = e->policy.denied,
		.silent = e->policy.dropped,
		.refused = e->conns.refused,
		.connections = e->conns.count,
		.flows = e->flows.count,
		.memory = buf_used(),
	};
	return 0;
}

int nsnet_stats(struct nsnet *n, struct nsnet_stats *s)
{
	return nsnet_call(n, count, &(struct count){n, s});
}
