/* SPDX-License-Identifier: MIT */
#ifndef NSNET_LUA_API_H
#define NSNET_LUA_API_H

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>

#include "core/hook.h"
#include "core/policy.h"

/* api - the Lua host as the rest of the program sees it: scripts in, a struct hooks out.
 *
 * The program without a script makes no lua_host at all. Everything runs on the loop's thread.
 */
struct lua_host;

struct lua_options {
	struct ev_loop *loop;  /* borrowed */
	struct policy *policy; /* borrowed; default_deny is set from the scripts at each load */
	bool default_fixed;    /* --default: scripts do not change policy->default_deny */
	bool insecure_perms;   /* run scripts that others can write */
	const char *env_allow; /* "A,B": what os.getenv may read; borrowed; NULL = nothing */
	size_t memory_max;     /* bytes for the Lua state; 0 = 64 MiB */
	/* The best known name of a flow's destination, or NULL. May be NULL: names are unknown. */
	const char *(*name_of)(void *arg, const struct flow *f);
	void *name_arg;
	/* Calls @fn with each name that the child was told @ip (canonical) has, until it returns
	 * non-zero. May be NULL: then no domain= is ever proven. */
	int (*names_of)(void *arg, const struct addr *ip, int (*fn)(void *arg, const char *name),
		void *fn_arg);
	void *names_arg;
	/* Told of each file that a script or a list was read from, or that lines will be added to.
	 * May be NULL. */
	void (*opened)(void *arg, const char *path, bool writes);
	void *opened_arg;
};

/* NULL: no memory. @o is copied. */
struct lua_host *lua_host_new(const struct lua_options *o);
/* Call once nothing asks the hooks any more and every flow that was asked has ended. NULL is
 * allowed. */
void lua_host_free(struct lua_host *h);

/* -s FILE and -e CODE, in the order of the command line. Messages call the second code of the same
 * name "NAME#2". 0 or -ENOMEM. */
int lua_host_add_file(struct lua_host *h, const char *path);
int lua_host_add_code(struct lua_host *h, const char *name, const char *text);

/* Makes a new rule set from the scripts as they are now, and gives it all flows from then on; flows
 * that were asked before stay with theirs, which is freed with the last of them. 0, or the status
 * as of lua_host_load(), after its message: then nothing has changed. Not from inside a hook. */
int lua_host_reload(struct lua_host *h);

/* Compiles all, then runs all. 0, or the exit status after one message: 66 (a file cannot be
 * read), 70 (an error in a script). */
int lua_host_load(struct lua_host *h);

/* The hooks, lent for the host's life; its members change only in lua_host_load. */
const struct hooks *lua_host_hooks(struct lua_host *h);

/* Runs the on_start handlers of the first load; runs the loop for at most 10 s while they wait.
 * Before cmd is started. 0 or 70: one message was written and cmd must not run. */
int lua_host_start(struct lua_host *h);
/* Runs the on_exit handlers: cmd has ended with @status. */
void lua_host_exit(struct lua_host *h, int status);

/* One of those who decide: a handler, or a rule of a block. */
struct lua_rule {
	const char *kind;  /* "guard", "rule", "on_connect", ...: as nsnet.KIND registers it */
	const char *name;  /* of a rule: "web (rules.lua:8)", else NULL */
	const char *where; /* "rules.lua:12" */
	unsigned long long
		hits; /* a handler: how often it was called; a rule: how often it decided */
	double last;  /* a rule: when that was, ev_now(); 0 = never, or not known */
};
/* Calls @fn for each, guards first, then the chain in its order, then the others; what it is given
 * is lent for the call. */
void lua_host_each_rule(const struct lua_host *h, void (*fn)(void *arg, const struct lua_rule *r),
	void *arg);

/* Evaluates a line of Lua, an expression or statements, in the sandbox of the rules in force, with
 * the budgets of a hook; it may not wait. Not from inside a hook. 0: *@text has its results and
 * what it printed, lines of ASCII, the last without an end; -EINVAL: *@text has the message of its
 * error. Both are the caller's to free. Else *@text is NULL; -EAGAIN: it was stopped for its use of
 * CPU time or memory, and a message says so. */
int lua_host_eval(struct lua_host *h, const char *line, char **text);

/* Bytes that the Lua state in force holds. */
size_t lua_host_memory(const struct lua_host *h);

/* Errors of the scripts in force, since they were loaded. */
unsigned long long lua_host_errors(const struct lua_host *h);

#endif
