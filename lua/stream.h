/* SPDX-License-Identifier: MIT */
#ifndef NSNET_LUA_STREAM_H
#define NSNET_LUA_STREAM_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

#include "core/list.h"
#include "lua/vm.h"

/* stream - a connected socket of the host in a script's hands. Reads and writes wait on the loop.
 *
 * It belongs to the connection or job whose task opened it, and is closed with it; a forgotten one
 * is closed by the collector. A dialer gives its stream away: then the fd and what was read
 * too much are the relay's, and every later use raises.
 */
struct stream;

/* Makes the class known. Raises for memory. */
void stream_open(lua_State *L);

/* Pushes a stream without a socket, owned by @owned. Raises: too many, no memory. */
struct stream *stream_new(lua_State *L, struct list *owned);
/* Gives it its socket, connected and non-blocking; takes @fd. */
void stream_attach(struct stream *s, int fd, bool datagram);

/* The stream at @i, or NULL. Does not raise. */
struct stream *stream_test(lua_State *L, int i);

/* Takes the socket out of an open stream for the relay: returns it, with the bytes read ahead in
 * *@early (malloc'd, *@len bytes, or NULL); both are the caller's then. -1 and *@why: there is
 * nothing to take. */
int stream_take(struct stream *s, char **early, size_t *len, const char **why);

/* Closes @s. @why is what a later use is told, copied. */
void stream_close(struct stream *s, const char *why);
/* The owner has ended: closes all streams on @owned, likewise. */
void stream_close_all(struct list *owned, const char *why);

/* Streams that are open, in all states. */
size_t stream_count(void);

#endif
