/* SPDX-License-Identifier: MIT */
#include "lua/address.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

int address_read(const char *text, struct addr *a, char *name, uint16_t *port)
{
	if (!addr_parse(a, text)) {
		*port = a->port;
		return a->port ? 0 : -EINVAL;
	}
	const char *colon = strrchr(text, ':');
	if (!colon || colon[1] < '1' || colon[1] > '9')
		return -EINVAL;
	char *end;
	unsigned long n = strtoul(colon + 1, &end, 10);
	if (*end || n > 65535 || dname_normalise(name, text, (size_t)(colon - text)) < 0)
		return -EINVAL;
	*port = (uint16_t)n;
	return 1;
}

/* nsnet.split_address(text): host (an address without brackets, or a name) and port. */
static int l_split_address(lua_State *L)
{
	const char *text = luaL_checkstring(L, 1);
	char name[DNAME_MAX], ip[ADDR_TEXT_MAX];
	struct addr a;
	uint16_t port;
	int kind = address_read(text, &a, name, &port);
	if (kind < 0)
		return luaL_error(L,
			"nsnet.split_address: \"%s\" is no address or name with a port", text);
	lua_pushstring(L, kind ? name : addr_format(&a, false, ip));
	lua_pushinteger(L, port);
	return 2;
}

/* nsnet.ip_bytes(text): the 4 or 16 bytes of an IP address, or nil if it is none. */
static int l_ip_bytes(lua_State *L)
{
	struct addr a;
	if (addr_parse(&a, luaL_checkstring(L, 1)) || a.port)
		lua_pushnil(L);
	else
		lua_pushlstring(L, (const char *)a.ip, a.v == 4 ? 4 : 16);
	return 1;
}

/* nsnet.ip_text(bytes): the address that 4 or 16 bytes are, or nil. */
static int l_ip_text(lua_State *L)
{
	size_t len;
	char text[ADDR_TEXT_MAX];
	const char *bytes = luaL_checklstring(L, 1, &len);
	struct addr a = {.v = len == 4 ? 4 : 6};
	if (len != 4 && len != 16) {
		lua_pushnil(L);
		return 1;
	}
	memcpy(a.ip, bytes, len);
	lua_pushstring(L, addr_format(&a, false, text));
	return 1;
}

void address_open(lua_State *L)
{
	lua_pushcfunction(L, l_split_address);
	lua_setfield(L, -2, "split_address");
	lua_pushcfunction(L, l_ip_bytes);
	lua_setfield(L, -2, "ip_bytes");
	lua_pushcfunction(L, l_ip_text);
	lua_setfield(L, -2, "ip_text");
}
