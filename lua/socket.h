/* SPDX-License-Identifier: MIT */
#ifndef NSNET_LUA_SOCKET_H
#define NSNET_LUA_SOCKET_H

#include <ev.h>
#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

#include "core/envelope.h"
#include "core/list.h"
#include "lua/failure.h"
#include "lua/udata.h"
#include "lua/vm.h"

/* socket - what is inside of a stream: shared by stream.c, reader.c and writer.c, private to them.
 */
#define SOCKET_READ_MAX 65536 /* the most a read may ask for, and is read ahead */

enum want {
	WANT_SOME,
	WANT_EXACT,
	WANT_UNTIL
};

/* A wait of one direction. */
struct pending {
	struct task *task; /* NULL = nobody waits */
	ev_io io;
	ev_timer timer;
	enum failure failure; /* of the wait that ended */
	bool failed;
	int error;
};

struct stream {
	struct list owner;
	struct vm *vm;
	int fd; /* -1: none yet, or no more */
	bool datagram, eof, gone;
	char why[64]; /* gone: what a use is told */
	double timeout;
	int anchor; /* registry, while something waits */
	char *in;   /* owned: what was read ahead, at start .. start + len */
	size_t start, len, cap;
	struct pending rd, wr;
	enum want want;
	size_t want_n;
	char *mark; /* owned: what read_until looks for */
	size_t mark_len;
	bool strip;      /* read_line: without the line's end */
	const char *out; /* what write has still to send: the Lua string at out_ref */
	int out_ref;     /* registry, or LUA_NOREF */
	size_t out_len, out_sent;
	struct deferred wake;      /* closed under a waiting reader or writer */
	struct envelope *envelope; /* owned: for the relay, see stream:enclose */
	int tied;                  /* owned, -1 = none: the socket that it lives with */
};

extern const struct udata_class stream_class; /* stream.c */

/* The open stream at 1, or raises. */
struct stream *socket_check(lua_State *L, const char *verb);

/* Ends all use; whoever waits is told from the loop. @why is copied. */
void socket_end(struct stream *s, const char *why);

/* Keeps the stream at 1 of @L until both directions wait for nothing. Raises for memory. */
void socket_anchor(lua_State *L, struct stream *s);
/* Pushes an anchored stream, for the time of a push function that ends its wait: what is pushed
 * after it may make the collector run. */
void socket_hold(lua_State *L, struct stream *s);
void socket_unanchor(struct stream *s);

/* A wait: begin (last in a C function), end with a push function, note a failure. */
int pending_wait(lua_State *L, struct stream *s, struct pending *p, struct task *t,
	task_cancel_fn *cancel);
void pending_end(struct stream *s, struct pending *p, vm_push_fn *push); /* last: @s may be gone */
void pending_stop(struct stream *s, struct pending *p);
void pending_fail(struct pending *p, enum failure f, int error);

/* The two directions: methods, and waking one whose stream was closed. */
extern const luaL_Reg reader_methods[], writer_methods[];
void reader_init(struct stream *s);
void writer_init(struct stream *s);
void reader_closed(struct stream *s);
void writer_closed(struct stream *s);

#endif
