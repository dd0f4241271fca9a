/* SPDX-License-Identifier: MIT */
#include "lua/verbs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

#include "core/base.h"
#include "lua/connection.h"
#include "lua/text.h"

#define REASON_MAX 255 /* it is not in the memory of the script */

int verbs_tag(lua_State *L)
{
	struct connection *c = connection_check(L, 1, "tag");
	const char *tag = luaL_checkstring(L, 2);
	char text[256];
	if (!c)
		return luaL_error(L, "conn:tag: the connection has ended");
	int n = snprintf(text, sizeof(text), "%s%s%s", c->tags ? c->tags : "", c->tags ? "," : "",
		tag);
	if (n >= (int)sizeof(text))
		return luaL_error(L, "conn:tag: all tags together are longer than %d bytes",
			(int)sizeof(text) - 1);
	char *copy = strdup(text);
	if (!copy)
		return luaL_error(L, "not enough memory");
	free(c->tags);
	c->tags = copy;
	return 0;
}

static void connection_end(struct deferred *d)
{
	struct connection *c = container_of(d, struct connection, ending);
	free(c->flow->why);
	c->flow->why = c->reason;
	c->reason = NULL;
	c->flow->ops->abort(c->flow, FLOW_CAUSE_ABORTED); /* last: c may be gone */
}

/* Done from the loop: the flow may not end while a hook of its own runs. */
int verbs_close(lua_State *L)
{
	struct connection *c = connection_check(L, 1, "close");
	char kind[TEXT_KIND_MAX];
	if (!lua_isnoneornil(L, 2) && lua_type(L, 2) != LUA_TSTRING)
		return luaL_error(L, "conn:close takes a reason, a string, not %s",
			text_kind(L, 2, kind));
	if (lua_isstring(L, 2) && (!lua_objlen(L, 2) || lua_objlen(L, 2) > REASON_MAX))
		return luaL_error(L, "conn:close: a reason has 1 to %d bytes", REASON_MAX);
	if (!c)
		return 0;
	if (lua_isstring(L, 2)) {
		free(c->reason);
		c->reason = strdup(lua_tostring(L, 2)); /* without memory there is none */
	}
	c->ending.run = connection_end;
	vm_defer(&c->rs->vm, &c->ending);
	return 0;
}
