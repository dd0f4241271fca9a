/* SPDX-License-Identifier: MIT */
#include "rules.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base.h"
#include "log.h"
#include "steady.h"

#include "lua/api.h"

static int add_scripts(struct rules *r)
{
	const struct options *o = r->options;
	int rc = 0;

	for (size_t i = 0; i < o->script_count && rc == 0; i++) {
		const struct options_script *s = &o->scripts[i];

		rc = s->code ? lua_host_add_code(r->lua, "-e", s->text)
			     : lua_host_add_file(r->lua, s->text);
	}
	return rc;
}

/* A script, a module or a list that was read: a change of it is a change of the rules. */
static void watch_file(struct rules *r, const char *path)
{
	int rc = watch_add(&r->watch, path);

	if (rc < 0)
		log_warn("cannot watch %s: %s; send SIGHUP after a change", path, strerror(-rc));
}

static void on_opened(void *arg, const char *path, bool writes)
{
	struct rules *r = arg;
	const enum landlock_access access = writes ? LANDLOCK_WRITE : LANDLOCK_READ;
	char real[PATH_MAX];
	int rc = cage_allow(r->cage, access, path);

	/* Where links lead to is what counts for Landlock. */
	if (rc == 0 && realpath(path, real))
		rc = cage_allow(r->cage, access, real);
	if (rc < 0)
		log_warn("%s cannot be opened again by a reload: %s", path, strerror(-rc));
	if (!writes && r->options->watch)
		watch_file(r, path);
}

static void on_change(void *arg)
{
	rules_reload(arg);
}

static int rules_names_of(void *arg, const struct addr *ip, int (*fn)(void *arg, const char *name),
	void *fn_arg)
{
	const struct policy *p = arg;

	return p->names ? names_each(p->names, ip, steady_now(), fn, fn_arg) : 0;
}

int rules_load(struct rules *r, const struct options *o, struct ev_loop *loop,
	struct policy *policy, struct cage *cage, rules_name_fn *name_of, void *name_arg)
{
	const struct lua_options lo = {
		.loop = loop,
		.policy = policy,
		.default_fixed = o->default_set,
		.insecure_perms = o->insecure_perms,
		.env_allow = o->env,
		.name_of = name_of,
		.name_arg = name_arg,
		.opened = on_opened,
		.opened_arg = r,
		.names_of = rules_names_of,
		.names_arg = policy,
	};
	int rc;

	r->options = o;
	r->loop = loop;
	r->cage = cage;
	if (!o->script_count)
		return 0;
	if (o->watch)
		watch_init(&r->watch, loop, on_change, r);
	r->lua = lua_host_new(&lo);
	rc = r->lua ? add_scripts(r) : -ENOMEM;
	if (rc < 0) {
		log_error("cannot make a Lua state: %s", strerror(-rc));
		return EXIT_RULES;
	}
	rc = lua_host_load(r->lua);
	if (rc == 0)
		policy->hooks = lua_host_hooks(r->lua);
	if (rc == 0 && policy->by_process)
		cage_allow_processes(cage);
	return rc;
}

static int reload(struct rules *r)
{
	const uint64_t errors = lua_host_errors(r->lua);
	int status = lua_host_reload(r->lua);

	if (status == 0) { /* else it has said what stays in force */
		r->reloads++;
		r->errors += errors;
		log_warn("the rules were loaded again");
	} else {
		r->reloads_failed++;
	}
	return status;
}

uint64_t rules_errors(const struct rules *r)
{
	return r->errors + (r->lua ? lua_host_errors(r->lua) : 0);
}

size_t rules_memory(const struct rules *r)
{
	return r->lua ? lua_host_memory(r->lua) : 0;
}

bool rules_reload(struct rules *r)
{
	if (!r->lua)
		return false;
	reload(r);
	return true;
}

/* ---- the control socket ---- */

static int no_script(cJSON *reply)
{
	cJSON_AddStringToObject(reply, "error", "there are no rules: no script was given");
	return -ENOENT;
}

static int command_reload(void *arg, const char *argument, cJSON *reply)
{
	struct rules *r = arg;

	UNUSED(argument);
	if (!r->lua)
		return no_script(reply);
	if (reload(r) == 0)
		return 0;
	cJSON_AddStringToObject(reply, "error",
		"the scripts have an error, which nsnet-host has printed: the old rules stay");
	return -EINVAL;
}

struct listing {
	cJSON *list;
	ev_tstamp now;
};

static void list_rule(void *arg, const struct lua_rule *r)
{
	struct listing *l = arg;
	cJSON *o = cJSON_CreateObject();

	cJSON_AddStringToObject(o, "kind", r->kind);
	cJSON_AddStringToObject(o, "where", r->where);
	if (r->name)
		cJSON_AddStringToObject(o, "name", r->name);
	cJSON_AddNumberToObject(o, "hits", (double)r->hits);
	if (r->last > 0)
		cJSON_AddNumberToObject(o, "ago", l->now - r->last);
	cJSON_AddItemToArray(l->list, o);
}

static int command_rules(void *arg, const char *argument, cJSON *reply)
{
	struct rules *r = arg;
	struct listing l = {.now = ev_now(r->loop)};

	UNUSED(argument);
	if (!r->lua)
		return no_script(reply);
	l.list = cJSON_AddArrayToObject(reply, "rules");
	lua_host_each_rule(r->lua, list_rule, &l);
	return 0;
}

static void add_lines(cJSON *list, char *text)
{
	for (char *line = strsep(&text, "\n"); line; line = strsep(&text, "\n"))
		cJSON_AddItemToArray(list, cJSON_CreateString(line));
}

static int command_lua(void *arg, const char *argument, cJSON *reply)
{
	struct rules *r = arg;
	char *text;
	int rc;

	if (!r->lua)
		return no_script(reply);
	if (!argument) {
		cJSON_AddStringToObject(reply, "error",
			"say what, as in: nsnet-host ctl lua 'nsnet.state'");
		return -EINVAL;
	}
	rc = lua_host_eval(r->lua, argument, &text);
	if (rc == 0 && *text)
		add_lines(cJSON_AddArrayToObject(reply, "output"), text);
	else if (rc == -EINVAL)
		cJSON_AddStringToObject(reply, "error", text);
	else if (rc == -EAGAIN)
		cJSON_AddStringToObject(reply, "error",
			"it was stopped: a line has 10 ms of CPU time, and its share of memory");
	free(text);
	return rc;
}

void rules_control(struct rules *r, struct control *c)
{
	const struct control_command all[] = {
		{"rules", "", "rules and handlers, and what they did", command_rules, r},
		{"lua", "LINE", "a line of Lua in the running rules", command_lua, r},
		{"reload", "", "load the scripts again", command_reload, r},
	};

	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		control_add(c, &all[i]);
}

int rules_start(struct rules *r)
{
	return r->lua ? lua_host_start(r->lua) : 0;
}

void rules_exit(struct rules *r, int status)
{
	if (r->lua)
		lua_host_exit(r->lua, status);
}

void rules_stop(struct rules *r)
{
	if (r->watch.loop)
		watch_fini(&r->watch);
}

void rules_free(struct rules *r)
{
	rules_stop(r);
	lua_host_free(r->lua);
	r->lua = NULL;
}
