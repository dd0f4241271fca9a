/* SPDX-License-Identifier: MIT */
#ifndef NSNET_ASKUDP_H
#define NSNET_ASKUDP_H

#include <ev.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "list.h"
#include "resolvconf.h"

/* askudp - DNS messages to name servers by UDP, over a bounded number of sockets.
 *
 * Each question goes out from a socket of its own, so that a forger has to guess the port and
 * the identifier (RFC 5452), until ASKUDP_SOCKETS_MAX are open; then questions to the same server
 * share one. Sockets are connected: the kernel drops what others send.
 */
#define ASKUDP_SOCKETS_MAX 64

struct askudp_socket;
struct askudp_ticket;

/* Something came for @t: a message of @len bytes (12 or more, response bit and identifier are
 * right, the rest is unchecked; borrowed, may be changed), or @len < 0: a negative errno, the
 * server cannot be reached. The callee may drop any ticket. */
typedef void askudp_fn(struct askudp_ticket *t, uint8_t *msg, ssize_t len);

struct askudp {
	struct ev_loop *loop;
	struct list sockets; /* owned struct askudp_socket */
	size_t count;
	struct askudp_socket *reading; /* being read now; NULL again if it is freed meanwhile */
	uint8_t *scratch;              /* owned: DNSMSG_MAX bytes */
	uint64_t strays;               /* messages that nobody had asked for */
};

/* One question at one server. Embedded in whoever asks; zeroed by it, with @done set. */
struct askudp_ticket {
	askudp_fn *done;
	struct list link;             /* askudp_socket.tickets */
	struct askudp_socket *socket; /* NULL = not on its way */
	uint16_t id;
};

int askudp_init(struct askudp *u, struct ev_loop *loop); /* 0 or -ENOMEM */
void askudp_fini(struct askudp *u);                      /* every ticket must be dropped */

/* Sends the @len bytes at @msg (borrowed; bytes 0 and 1 are overwritten by a new identifier) to
 * @to; again with the same @t: repeats it, from the same port with the same identifier.
 * Returns 0, or a negative errno: nothing was sent and nothing will come. */
int askudp_send(struct askudp *u, struct askudp_ticket *t, const struct resolvconf_server *to,
	uint8_t *msg, size_t len);

/* Nothing comes for @t any more. Safe on one that is not on its way. */
void askudp_drop(struct askudp *u, struct askudp_ticket *t);

#endif
