/* SPDX-License-Identifier: MIT */
#include "lua/stage.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/inside.h"
#include "lua/scripts.h"

static const char *stage_name_of(void *arg, const struct flow *f)
{
	const struct stage *s = arg;
	return s->watch->name_of(f);
}

static int stage_names_of(void *arg, const struct addr *ip, int (*fn)(void *arg, const char *name),
	void *fn_arg)
{
	const struct stage *s = arg;
	int rc = 0;
	for (size_t i = 0; !rc && i < s->names; i++) {
		if (addr_equal_ip(&s->name[i].ip, ip))
			rc = fn(fn_arg, s->name[i].name);
	}
	return rc;
}

int stage_learn(struct stage *s, const struct addr *ip, const char *name)
{
	struct stage_name one = {.ip = guard_canonical(ip)};
	if (dname_normalise(one.name, name, strlen(name)) < 0)
		return -EINVAL;
	struct stage_name *grown = realloc(s->name, (s->names + 1) * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	s->name = grown;
	s->name[s->names++] = one;
	return 0;
}

static void stage_on_trace(void *arg, const struct flow *f, const struct handler *h,
	const struct rule *r, enum trace_event e, enum verdict v, const struct decision *d)
{
	const struct stage *s = arg;
	s->watch->note(f, h, r, e, v, d);
}

int stage_init(struct stage *s, const struct lua_options *o, const struct stage_watch *watch)
{
	struct lua_options mine = *o;
	memset(s, 0, sizeof(*s));
	s->loop = o->loop;
	s->watch = watch;
	s->port = 40000;
	s->trace = (struct trace){.fn = stage_on_trace, .arg = s};
	int err = guard_init(&s->guard);
	if (err)
		return err;
	s->guard.inside4 = inside_network(INSIDE_NET4);
	s->guard.inside6 = inside_network(INSIDE_NET6);
	s->guard.host4 = inside_self(&s->guard.inside4, INSIDE_HOST4);
	s->guard.host6 = inside_self(&s->guard.inside6, INSIDE_HOST6);
	s->policy.guard = &s->guard;
	s->policy.loop = o->loop;
	mine.policy = &s->policy;
	mine.name_of = stage_name_of;
	mine.name_arg = s;
	mine.names_of = stage_names_of;
	mine.names_arg = s;
	err = flow_table_init(&s->flows);
	if (!err) {
		s->host = lua_host_new(&mine);
		if (s->host)
			return 0;
		err = -ENOMEM;
		flow_table_fini(&s->flows);
	}
	guard_fini(&s->guard);
	return err;
}

void stage_fini(struct stage *s)
{
	lua_host_free(s->host);
	flow_table_fini(&s->flows);
	guard_fini(&s->guard);
	free(s->name);
}

static void stage_watch(struct stage *s)
{
	s->policy.hooks = lua_host_hooks(s->host);
	s->host->current->trace = &s->trace;
	s->host->current->world = s->world;
}

int stage_load(struct stage *s)
{
	int status = lua_host_load(s->host);
	if (!status)
		stage_watch(s);
	return status;
}

int stage_reload(struct stage *s)
{
	int status = lua_host_reload(s->host);
	if (!status)
		stage_watch(s);
	return status;
}
