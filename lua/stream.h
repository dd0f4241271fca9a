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

/* What a relay needs of a stream; all of it is the relay's then. */
struct stream_taken {
	int fd;
	char *early; /* malloc'd: what was read ahead, or NULL */
	size_t early_len;
	struct envelope *envelope; /* malloc'd, or NULL */
	int tied;                  /* fd of a socket that lives as long, or -1 */
};

/* Takes the socket out of an open stream. NULL, or why there is nothing to take (lent until the
 * next use of @s). */
const char *stream_take(struct stream *s, struct stream_taken *taken);

/* True if what it carries are datagrams. */
bool stream_is_datagram(const struct stream *s);

/* Closes @s. @why is what a later use is told, copied. */
void stream_close(struct stream *s, const char *why);
/* The owner has ended: closes all streams on @owned, likewise. */
void stream_close_all(struct list *owned, const char *why);

/* Streams that are open, in all states. */
size_t stream_count(void);

#endif
