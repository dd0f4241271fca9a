/* SPDX-License-Identifier: MIT */
#include "lua/failure.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "core/base.h"

static const struct {
	const char *code;
	int err; /* what connect() in the child fails with */
} kinds[] = {
	[FAILURE_TIMEOUT] = {"timeout", ETIMEDOUT},
	[FAILURE_CLOSED] = {"closed", ECONNREFUSED},
	[FAILURE_REFUSED] = {"refused", ECONNREFUSED},
	[FAILURE_UNREACHABLE] = {"unreachable", EHOSTUNREACH},
	[FAILURE_RESET] = {"reset", ECONNREFUSED},
	[FAILURE_RESOLVE] = {"resolve", EHOSTUNREACH},
	[FAILURE_DENIED] = {"denied", EACCES},
	[FAILURE_BUSY] = {"busy", ECONNREFUSED},
	[FAILURE_LIMIT] = {"limit", ECONNREFUSED},
	[FAILURE_CANCELLED] = {"cancelled", ECONNREFUSED},
	[FAILURE_PROTO] = {"proto", ECONNREFUSED},
};

const char *failure_code(enum failure f)
{
	return kinds[f].code;
}

int failure_push(lua_State *L, enum failure f, const char *text)
{
	lua_pushnil(L);
	lua_pushstring(L, text ? text : kinds[f].code);
	lua_pushstring(L, kinds[f].code);
	return 3;
}

enum failure failure_of_errno(int err)
{
	switch (err) {
	case ETIMEDOUT:
		return FAILURE_TIMEOUT;
	case ECONNREFUSED:
		return FAILURE_REFUSED;
	case EHOSTUNREACH:
	case ENETUNREACH:
	case EHOSTDOWN:
	case ENETDOWN:
	case EADDRNOTAVAIL:
	case ENOENT:
		return FAILURE_UNREACHABLE;
	case ECONNRESET:
	case EPIPE:
		return FAILURE_RESET;
	case EACCES:
	case EPERM:
		return FAILURE_DENIED;
	case EMFILE:
	case ENFILE:
	case ENOMEM:
	case ENOBUFS:
	case EAGAIN:
		return FAILURE_LIMIT;
	case ECANCELED:
		return FAILURE_CANCELLED;
	default:
		return FAILURE_PROTO;
	}
}

int failure_to_errno(lua_State *L, int i)
{
	const char *code = lua_type(L, i) == LUA_TSTRING ? lua_tostring(L, i) : "";
	for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
		if (!strcmp(kinds[k].code, code))
			return kinds[k].err;
	}
	return ECONNREFUSED;
}
