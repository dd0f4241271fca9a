/* SPDX-License-Identifier: MIT */
#ifndef NSNET_LUA_SCRIPTS_H
#define NSNET_LUA_SCRIPTS_H

#include <time.h>

#include "lua/api.h"
#include "lua/loader.h"
#include "lua/ruleset.h"

/* scripts - the scripts, and the rule sets that were made of them.
 */
struct script {
	char *name; /* owned: the path, or "-e" */
	char *text; /* owned: the code of -e; NULL = read the file */
};

struct lua_host {
	struct lua_options options;
	struct loader_witness witness; /* options.opened */
	struct script *script;         /* owned */
	size_t script_len;
	struct ruleset *current; /* held; NULL before the first load */
	time_t loaded;           /* when that was */
	struct hooks hooks;
};

/* Fills h->hooks for h->current (scripts.c). */
void scripts_set_hooks(struct lua_host *h);

#endif
