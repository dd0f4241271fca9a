/* SPDX-License-Identifier: MIT */
#ifndef NSNET_LUA_TESTLIB_H
#define NSNET_LUA_TESTLIB_H

#include <lua.h>

#include "lua/tester.h"

/* testlib - the functions in C behind the module nsnet.test: rule sets, peers, time, the log, and
 * running a test.
 */

/* Pushes their table. Raises for memory. */
void testlib_open(lua_State *L);

/* Ends all rule sets under test, and what plays peers; their coverage is reported. From the
 * loop. */
void testlib_clear(struct tester *t);

/* For struct peers. */
void testlib_serve(void *arg, const struct peer *p, int fd, bool datagram);

/* The test that runs has had its time: it fails with @why. */
void testlib_expire(struct tester *t, const char *why);

#endif
