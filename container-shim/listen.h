/* SPDX-License-Identifier: MIT */
#ifndef SHIM_LISTEN_H
#define SHIM_LISTEN_H

/* listen - sockets on the namespace's loopback that somebody outside will serve.
 *
 * Low ports need a capability in the namespace, which the shim has and the command has not.
 */

/* A TCP socket that listens at 127.0.0.1 (@family AF_INET) or ::1 (AF_INET6), close-on-exec and
 * non-blocking. Returns it or -errno. */
int listen_loopback(int family, unsigned port);

#endif
