/* SPDX-License-Identifier: MIT */
#ifndef NSNET_HELLO_H
#define NSNET_HELLO_H

#include <stdbool.h>
#include <stddef.h>

#include "container-shim/handshake.h"

/* hello - the shim's message, taken apart. A pure function: bytes in, struct out.
 *
 * The sender may be the shim that this host has started, or, stand-alone, a
 * process in somebody's container: nothing in it is trusted.
 */
struct hello {
	int error; /* 0, or a positive errno: then step says which step failed */
	char step[HANDSHAKE_STEP_MAX]; /* printable, NUL-terminated */
	bool has_ipv6;
	bool has_resolv;
	unsigned mtu;
	int tun;  /* index into the message's descriptors, or -1 */
	int diag; /* the same */
	struct {
		int index;
		uint16_t port;
	} listen[HANDSHAKE_FDS_MAX]; /* listening sockets */
	size_t n_listen;
};

/* Reads the message @buf of @len bytes that came with @n_fds descriptors.
 * Returns 0; -EPROTONOSUPPORT and *@version if it speaks another version;
 * -EBADMSG if it is no such message, or claims other descriptors than came, or
 * claims success without a tun device. */
int hello_parse(const void *buf, size_t len, size_t n_fds, struct hello *hello, unsigned *version);

#endif
