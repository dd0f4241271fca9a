/* SPDX-License-Identifier: MIT */
#ifndef NSNET_LUA_ADDRESS_H
#define NSNET_LUA_ADDRESS_H

#include <lua.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/addr.h"
#include "core/dname.h"

/* address - "host:port" texts of scripts.
 */

/* Reads "192.0.2.1:80", "[2001:db8::1]:80" into @a, or "name:80" into @name (DNAME_MAX
 * bytes, normalized) and @port. Returns 0 for an address, 1 for a name, -EINVAL for neither. */
int address_read(const char *text, struct addr *a, char *name, uint16_t *port);

/* Sets split_address, ip_bytes and ip_text in the table on top. Raises for memory. */
void address_open(lua_State *L);

#endif
