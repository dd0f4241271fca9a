/* SPDX-License-Identifier: MIT */
#ifndef NSNET_RULES_H
#define NSNET_RULES_H

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cage.h"
#include "control.h"
#include "flow.h"
#include "options.h"
#include "policy.h"
#include "watch.h"

/* rules - the scripts of the command line and the Lua host that runs them: the one place of core/
 * that knows lua/api.h. Without a script there is no Lua host, and all of this does nothing. */
struct lua_host;

struct rules {
	const struct options *options; /* borrowed */
	struct ev_loop *loop;
	struct lua_host *lua; /* owned; NULL: no script */
	struct cage *cage;    /* borrowed */
	struct watch watch;
	uint64_t reloads, reloads_failed;
	uint64_t errors; /* of scripts that were loaded before */
};

/* The best known name of a flow's destination, or NULL. */
typedef const char *rules_name_fn(void *arg, const struct flow *f);

/* Loads the scripts of @o, watches (--watch) what they are read from, sets @policy's hooks, and
 * leaves the files that were read open to a reload from inside @cage. 0, or the exit status after a
 * message; rules_free() is due in both cases. @r is zeroed. */
int rules_load(struct rules *r, const struct options *o, struct ev_loop *loop,
	struct policy *policy, struct cage *cage, rules_name_fn *name_of, void *name_arg);

/* Runs the on_start handlers. 0 or the exit status. */
int rules_start(struct rules *r);

/* Loads the scripts again, and says whether the new rules or the old are in force. False: there is
 * no script. */
bool rules_reload(struct rules *r);

/* Errors of scripts since the start, and bytes that the Lua state holds; 0 without a script. */
uint64_t rules_errors(const struct rules *r);
size_t rules_memory(const struct rules *r);

/* Adds the commands rules, lua and reload to @c. */
void rules_control(struct rules *r, struct control *c);

/* The command has ended with @status: runs the on_exit handlers. */
void rules_exit(struct rules *r, int status);
void rules_stop(struct rules *r);
void rules_free(struct rules *r);

#endif
