/* SPDX-License-Identifier: MIT */
#ifndef NSNET_CONTROL_H
#define NSNET_CONTROL_H

#include <ev.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#include "list.h"

/* control - the running program answers questions at a unix socket, and takes orders.
 *
 * One line of JSON asks, {"command": "close", "argument": "7"}, and one line answers:
 * {"ok": true, ...} or {"ok": false, "error": "..."}. nsnet-host ctl (ctl.c) speaks it.
 *
 * The command runs under the same uid, so a mode guards nothing from it. Two walls do: the sockets
 * lie in one directory, which the shim covers in the command's mount namespace
 * (control_hidden()), and a peer whose network or user namespace is not this process's own, or
 * cannot be told, is sent away unheard.
 *
 * Embedded in the host. Modules with something to say add commands; everything runs on the loop's
 * thread. */
#define CONTROL_CLIENTS_MAX 8   /* at a time; more are told so */
#define CONTROL_LINE_MAX 65536  /* bytes of a request */
#define CONTROL_COMMANDS_MAX 32 /* names */
#define CONTROL_DIRS_MAX 2

struct cJSON; /* <cjson/cJSON.h> */

/* A command: @argument is the request's (borrowed), or NULL if it has none; fills @reply, an
 * object. Returns 0, or a negative errno: then the answer is reply's "error", if there is one, or
 * the errno in words. May close anything but the control itself. */
typedef int control_fn(void *arg, const char *argument, struct cJSON *reply);

struct control_command {
	const char *name, *usage, *help; /* "close", "ID", "end a connection"; borrowed for good */
	control_fn *fn;
	void *arg;
};

struct control {
	struct ev_loop *loop;
	ev_io io;
	int fd;              /* owned; -1 = closed */
	char path[PATH_MAX]; /* of the socket */
	struct list clients;
	size_t count;
	struct control_command commands[CONTROL_COMMANDS_MAX];
	size_t command_count;
};

/* Makes the directory and the socket; strangers are served as soon as the loop runs. 0, or a
 * negative errno: there is none, and @c is closed; control_add() and control_close() are safe
 * then. */
int control_open(struct control *c, struct ev_loop *loop);

/* Ends it: removes the socket, closes all clients. Safe on a closed one. */
void control_close(struct control *c);

/* Adds a command. */
void control_add(struct control *c, const struct control_command *command);

/* Directories where control sockets of this user may be: $XDG_RUNTIME_DIR/nsnet-host and
 * /tmp/nsnet-host-UID, those that exist if @existing. Fills @dir with at most CONTROL_DIRS_MAX
 * paths, returns how many. */
size_t control_dirs(char dir[CONTROL_DIRS_MAX][PATH_MAX], bool existing);

/* Connects to the socket at @path. A descriptor, or a negative errno; -ECONNREFUSED: nobody is
 * there any more. */
int control_connect(const char *path);

#endif
