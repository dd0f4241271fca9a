/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <lauxlib.h>

#include "core/base.h"
#include "core/log.h"
#include "lua/append.h"
#include "lua/scripts.h"
#include "lua/job.h"
#include "lua/loader.h"
#include "lua/module.h"
#include "lua/named.h"
#include "lua/modules.h"
#include "lua/persist.h"
#include "lua/sandbox.h"
#include "lua/sources.h"
#include "lua/stream.h"
#include "lua/text.h"
#include "lua/verdict.h"
#include "lua/view.h"

/* load - a rule set from the scripts: all are compiled before any runs, so that a mistake in the
 * last one shows before the first has done anything.
 */
#define EXIT_NOINPUT 66
#define EXIT_SOFTWARE 70

#define LOAD_MS 1000 /* CPU time of a script's top level */
#define START_SECONDS 10.

struct load {
	struct lua_host *h;
	struct ruleset *rs;
	int *ref;   /* of the compiled scripts */
	int status; /* exit status */
	size_t at;
};

/* Runs lua/nsnet/boot.lua, which makes coroutine, load and require. The sandbox's raw functions are
 * on the stack. */
static void load_boot(lua_State *L)
{
	const struct lua_module *m = lua_modules;
	while (m->name && strcmp(m->name, "nsnet.boot") != 0)
		m++;
	if (!m->name || sandbox_compile(L, m->text, m->len, "=nsnet.boot"))
		luaL_error(L, "the library is not whole: nsnet.boot");
	lua_insert(L, -2);
	lua_pushcfunction(L, loader_find);
	lua_pushlightuserdata(L, &vm_wait_mark);
	lua_call(L, 3, 0);
}

static int load_world(lua_State *L)
{
	struct load *load = lua_touserdata(L, 1);
	sandbox_open(L, load->h->options.env_allow);
	loader_open(L);
	loader_set_witness(L, &load->h->witness);
	module_open(L, load->rs);
	lua_setglobal(L, "nsnet");
	view_open(L, load->rs);
	load_boot(L);
	sandbox_seal(L);
	sources_open(L);
	return 0;
}

static int load_end(lua_State *L)
{
	struct vm *vm = vm_of(L);
	sources_close(L);
	/* What the scripts have now is what they are about; hooks may make so much more. */
	vm->outside_max = vm->outside + vm->mem_max;
	return 0;
}

static int load_compile(lua_State *L)
{
	struct load *load = lua_touserdata(L, 1);
	const struct script *s = &load->h->script[load->at];
	const char *text = s->text;
	size_t len = text ? strlen(text) : 0;
	if (!text) {
		text = loader_push_file(L, s->name, &len);
		if (!text) {
			log_error("%s: %s", s->name, loader_strerror(s->name, false, errno));
			load->status = EXIT_NOINPUT;
			return 0;
		}
		const char *why = load->h->options.insecure_perms ? NULL : loader_distrust(s->name);
		if (why) {
			log_error("%s %s, so it could be changed under us; mend its owner or mode, "
				  "or use "
				  "--insecure-perms",
				s->name, why);
			load->status = EXIT_SOFTWARE;
			return 0;
		}
		/* "#!" lets a script name the program; its line end stays, for the numbers. */
		if (len > 1 && text[0] == '#' && text[1] == '!') {
			const char *end = memchr(text, '\n', len);
			len -= end ? (size_t)(end - text) : len;
			text = end ? end : "";
		}
	}
	lua_pushfstring(L, s->text ? "=%s" : "@%s", s->name);
	if (sandbox_compile(L, text, len, lua_tostring(L, -1))) {
		log_error("%s", lua_tostring(L, -1));
		load->status = EXIT_SOFTWARE;
		return 0;
	}
	load->ref[load->at] = luaL_ref(L, LUA_REGISTRYINDEX);
	return 0;
}

static struct ruleset *load_new(struct lua_host *h, bool reloading)
{
	struct ruleset *rs = calloc(1, sizeof(*rs));
	if (!rs)
		return NULL;
	int err = vm_init(&rs->vm, h->options.loop, h->options.memory_max);
	if (err) {
		log_error("cannot make a Lua state: %s", strerror(-err));
		free(rs);
		return NULL;
	}
	rs->refs = 1;
	rs->policy = h->options.policy;
	rs->name_of = h->options.name_of;
	rs->name_arg = h->options.name_arg;
	rs->names_of = h->options.names_of;
	rs->names_arg = h->options.names_arg;
	rs->reloading = reloading;
	lookup_init(&rs->lookup, h->options.loop);
	list_init(&rs->connections);
	list_init(&rs->own);
	list_init(&rs->timers);
	list_init(&rs->files);
	return rs;
}

/* The top level of a script. */
static int load_run(struct load *load)
{
	struct task *t = task_new(&load->rs->vm, "the script's top level");
	if (!t)
		return EXIT_SOFTWARE;
	t->budget_ms = LOAD_MS;
	lua_rawgeti(t->co, LUA_REGISTRYINDEX, load->ref[load->at]);
	if (vm_start(t, 0) != VM_DONE)
		return EXIT_SOFTWARE;
	task_recycle(t);
	return 0;
}

static int load_all(struct load *load)
{
	struct lua_host *h = load->h;
	if (vm_protect(&load->rs->vm, load_world, load))
		return EXIT_SOFTWARE;
	for (load->at = 0; load->at < h->script_len; load->at++) {
		if (vm_protect(&load->rs->vm, load_compile, load))
			return EXIT_SOFTWARE;
		if (load->status)
			return load->status;
	}
	load->rs->loading = true;
	for (load->at = 0; load->at < h->script_len; load->at++) {
		int status = load_run(load);
		if (status)
			return status;
	}
	load->rs->loading = false;
	return vm_protect(&load->rs->vm, load_end, NULL) ? EXIT_SOFTWARE : 0;
}

/* A whole new rule set in *@out, or an exit status after a message. */
static int load_set(struct lua_host *h, struct ruleset **out)
{
	struct load load = {.h = h};
	int status = EXIT_SOFTWARE;
	load.ref = calloc(h->script_len + 1, sizeof(*load.ref));
	load.rs = load.ref ? load_new(h, h->current != NULL) : NULL;
	if (load.rs) {
		char *kept = h->current ? persist_save(h->current) : NULL;
		load.rs->restored = kept;
		status = load_all(&load);
		load.rs->restored = NULL;
		free(kept);
	}
	free(load.ref);
	if (load.rs && status)
		ruleset_put(load.rs);
	*out = status ? NULL : load.rs;
	return status;
}

static void load_use(struct lua_host *h, struct ruleset *rs)
{
	struct ruleset *old = h->current;
	h->current = rs;
	rs->has_names = named_any(rs);
	rs->has_process = sandbox_saw_process(rs->vm.L);
	h->loaded = time(NULL);
	h->witness.running = true;
	scripts_set_hooks(h);
	if (!old)
		return;
	/* Its flows go on with it; what it did for itself ends. */
	job_cancel_all(old);
	stream_close_all(&old->own, "stream belongs to rules that were replaced");
	ruleset_put(old);
}

int lua_host_load(struct lua_host *h)
{
	struct ruleset *rs;
	int status = load_set(h, &rs);
	if (!status)
		load_use(h, rs);
	return status;
}

/* --- on_start, on_exit ----------------------------------------------------------------------- */

/* An on_start handler has returned: nothing, or nil and why not. */
static bool start_judge(struct ruleset *rs, const struct handler *h, struct task *t)
{
	lua_State *co = t->co;
	int n = lua_gettop(co);
	char kind[TEXT_KIND_MAX];
	bool ok = n == 0 || (n == 1 && (lua_isnil(co, 1) || lua_isboolean(co, 1)));
	if (n == 1 && lua_isboolean(co, 1) && !lua_toboolean(co, 1))
		ok = false;
	if (!ok && n == 2 && lua_isnil(co, 1) && lua_isstring(co, 2))
		log_error("%s: on_start: %s", h->where, lua_tostring(co, 2));
	else if (!ok)
		vm_complain(&rs->vm, h->where, h->name, NULL,
			"on_start returned %s; return nothing, or nil and the reason why not to "
			"start",
			n > 1 ? "several values" : text_kind(co, 1, kind));
	task_recycle(t);
	return ok;
}

struct starting {
	struct ruleset *rs;
	const struct handler *h;
	bool done, ok;
};

static void start_done(void *arg, struct task *t)
{
	struct starting *s = arg;
	s->done = true;
	s->ok = t && start_judge(s->rs, s->h, t);
}

static void start_on_timeout(struct ev_loop *loop, ev_timer *w, int revents)
{
	UNUSED(revents);
	bool *late = w->data;
	*late = true;
	ev_break(loop, EVBREAK_ONE);
}

/* @limit NULL: it may not wait. */
static bool start_one(struct ruleset *rs, const struct handler *h, ev_timer *limit,
	const bool *late)
{
	struct starting s = {.rs = rs, .h = h};
	struct task *t = task_new(&rs->vm, h->name);
	if (!t)
		return false;
	++*h->hits;
	t->blocking = limit;
	t->where = h->where;
	t->owned = &rs->own;
	t->done = start_done;
	t->arg = &s;
	lua_rawgeti(t->co, LUA_REGISTRYINDEX, h->ref);
	switch (vm_start(t, 0)) {
	case VM_DONE:
		return start_judge(rs, h, t);
	case VM_FAILED:
		return false;
	case VM_PENDING:
		break;
	}
	while (limit && !s.done && !*late && ev_is_active(limit))
		ev_run(rs->vm.loop, EVRUN_ONCE);
	if (s.done)
		return s.ok;
	vm_complain(&rs->vm, h->where, h->name, NULL, "on_start did not end within %.0f s",
		START_SECONDS);
	task_discard(t);
	return false;
}

int lua_host_start(struct lua_host *h)
{
	struct ruleset *rs = h->current;
	bool late = false, ok = !append_start(rs);
	ev_timer limit;
	ev_timer_init(&limit, start_on_timeout, START_SECONDS, 0.);
	limit.data = &late;
	ev_timer_start(h->options.loop, &limit);
	for (size_t i = 0; ok && i < rs->starters.len; i++)
		ok = start_one(rs, &rs->starters.v[i], &limit, &late);
	ev_timer_stop(h->options.loop, &limit);
	return ok ? 0 : EXIT_SOFTWARE;
}

int lua_host_reload(struct lua_host *h)
{
	struct ruleset *rs;
	char when[16];
	struct tm tm;
	int status = load_set(h, &rs);
	if (!status && append_start(rs))
		status = EXIT_SOFTWARE;
	for (size_t i = 0; !status && i < rs->starters.len; i++) {
		if (!start_one(rs, &rs->starters.v[i], NULL, NULL))
			status = EXIT_SOFTWARE;
	}
	if (!status) {
		load_use(h, rs);
		return 0;
	}
	if (rs)
		ruleset_put(rs);
	strftime(when, sizeof(when), "%H:%M:%S", localtime_r(&h->loaded, &tm));
	log_error("the scripts were not loaded again; keeping the rules loaded at %s", when);
	return status;
}

void lua_host_exit(struct lua_host *h, int status)
{
	struct ruleset *rs = h->current;
	for (size_t i = 0; i < rs->exits.len; i++) {
		struct task *t = task_new(&rs->vm, "on_exit");
		if (!t)
			return;
		++*rs->exits.v[i].hits;
		t->where = rs->exits.v[i].where;
		lua_rawgeti(t->co, LUA_REGISTRYINDEX, rs->exits.v[i].ref);
		lua_pushinteger(t->co, status);
		if (vm_start(t, 1) == VM_DONE)
			task_recycle(t);
	}
}
