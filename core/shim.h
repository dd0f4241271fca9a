/* SPDX-License-Identifier: MIT */
#ifndef NSNET_SHIM_H
#define NSNET_SHIM_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "hello.h"
#include "inherit.h"

/* shim - starts container-shim and shakes hands with it (container-shim/handshake.h).
 *
 * Embedded. It ends by shim_go(), after which the process is the command, or
 * by shim_abort(). It waits by itself and belongs before the loop runs.
 */
#define SHIM_LISTEN_MAX ((HANDSHAKE_FDS_MAX - 2) / 2) /* 127.0.0.1 and ::1 */

struct shim_options {
	char *const *argv; /* the command, NULL-terminated, looked up in PATH; NULL: none */
	/* Namespaces to set up instead of new ones, as files; then the shim ends after the go. */
	const char *join_net, *join_user;
	const char *path;        /* of container-shim; NULL: shim_find() */
	const char *net4, *net6; /* "10.0.0.1/24"; NULL: the shim's defaults */
	const char *dns4, *dns6; /* for resolv.conf; both NULL: the host's file stays */
	const char *const *hide; /* directories to cover, NULL-terminated; or NULL */
	const uint16_t *listen;  /* ports of the namespace's loopback to listen at; or NULL */
	size_t n_listen;         /* at most SHIM_LISTEN_MAX */
	unsigned mtu;            /* 0: the shim's default, 65520 */
	bool root;               /* appear as root inside */
	bool keep_caps;          /* implies root */
	bool verbose;
	const struct inherit *inherit; /* borrowed; NULL: the command inherits as it is */
};

struct shim {
	pid_t pid;
	int socket; /* owned, -1 after shim_go() */
	struct hello hello;
	int tun;  /* owned by the caller after success: non-blocking, close-on-exec */
	int diag; /* the same, or -1 */
	int listen[2 * SHIM_LISTEN_MAX]; /* the same: at the ports that were asked for, listening */
	size_t n_listen;
};

/* What went wrong, for preflight_explain(). */
struct shim_failure {
	int error; /* positive errno */
	char step[HANDSHAKE_STEP_MAX];
	char detail[PATH_MAX]; /* more for the user, or "" */
};

/* Names of the host's own steps, beside those in handshake.h. */
#define SHIM_STEP_FIND "find container-shim"
#define SHIM_STEP_START "start container-shim"
#define SHIM_STEP_HANDSHAKE "talk to container-shim"

/* Looks for the binary: @given if it is not NULL; beside the running program;
 * ../libexec/nsnet-host/ from there; PATH. 0 or -errno, with the place that was
 * tried last in @path. */
int shim_find(const char *given, char path[PATH_MAX]);

/* Is @fd a tun device as handshake.h promises, and not some other file? Makes it non-blocking. 0,
 * -EBADMSG or -errno. */
int shim_check_tun(int fd);

/* Starts it and waits, at most @wait_ms, until the namespace is complete. 0, or
 * -errno with *@failure filled and nothing left behind. */
int shim_start(struct shim *s, const struct shim_options *o, int wait_ms,
	struct shim_failure *failure);

/* Lets it run the command. 0 or -errno. */
int shim_go(struct shim *s);

/* Ends a shim that has not been told to go, and waits for its end. The caller
 * still owns tun, diag and listen. */
void shim_abort(struct shim *s);

#endif
