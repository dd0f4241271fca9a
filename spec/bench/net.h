/* SPDX-License-Identifier: MIT */
#ifndef NSNET_BENCH_NET_H
#define NSNET_BENCH_NET_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "option.h"
#include "wire.h"

/* net - the socket calls that all modes share. Every function returns 0 or more, or a negative
 * errno; sockets are close-on-exec and, where they are TCP, have Nagle's algorithm off. */

/* A non-blocking TCP socket whose connect() has begun, to server port number @port_index. */
int net_connect_start(const struct option_set *o, unsigned port_index);
/* The error of a socket that became writable or failed: 0 if it is connected. */
int net_connect_error(int fd);
/* A blocking TCP socket, connected within @timeout_ms, whose reads and writes time out after
 * the same time with -EAGAIN. */
int net_connect(const struct option_set *o, unsigned port_index, unsigned timeout_ms);
int net_listen(const struct option_set *o, unsigned port_index);
/* UDP sockets: bound to the first port (non-blocking), or connected to it (blocking). */
int net_datagram_listen(const struct option_set *o);
int net_datagram_connect(const struct option_set *o, unsigned timeout_ms);
/* Sends the ask as the connection's first bytes; the socket buffer is empty, so all fits. */
int net_ask(int fd, const struct wire_ask *ask);
/* Blocking read of exactly @len bytes; -EPIPE on an early end. */
int net_read_all(int fd, void *buf, size_t len);
/* Raises the soft limit of open files to the hard one; returns the limit. */
unsigned net_raise_files(void);

#endif
