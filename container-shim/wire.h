/* SPDX-License-Identifier: MIT */
#ifndef SHIM_WIRE_H
#define SHIM_WIRE_H

#include "handshake.h"

/* wire - the shim's end of the handshake socket. */

/* Sends @hello with hello->n_fds descriptors of @fds, which the caller still
 * owns. 0 or -errno. */
int wire_send(int socket, const struct handshake_hello *hello, const int *fds);

/* Waits for the go. 0; -ECONNRESET if the host is gone; -EPROTO if it said
 * something else. */
int wire_wait(int socket);

#endif
