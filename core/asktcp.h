/* SPDX-License-Identifier: MIT */
#ifndef NSNET_ASKTCP_H
#define NSNET_ASKTCP_H

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "list.h"
#include "resolvconf.h"

/* asktcp - DNS messages to name servers by TCP (RFC 7766): a bounded number of connections,
 * each carrying several questions, closed when idle.
 */
#define ASKTCP_STREAMS_MAX 16
#define ASKTCP_TICKETS_MAX 32 /* questions under way on one connection */

struct asktcp_stream;
struct asktcp_ticket;

/* What came for @t, once: a message as in askudp.h, or a negative errno, -ECONNRESET if the server
 * closed the connection. It may do so at any time: if @t->reused, the connection was not made
 * for this question, and asking once more is sensible. @t is not on its way any more.
 * The callee may drop and send any ticket. */
typedef void asktcp_fn(struct asktcp_ticket *t, uint8_t *msg, ssize_t len);

struct asktcp {
	struct ev_loop *loop;
	struct asktcp_stream *reading; /* being read now: it is freed afterwards */
	struct list streams;           /* owned struct asktcp_stream */
	size_t count;
	uint64_t strays;
};

struct asktcp_ticket {
	asktcp_fn *done;
	struct list link;             /* asktcp_stream.tickets */
	struct asktcp_stream *stream; /* NULL = not on its way */
	uint16_t id;
	bool reused; /* the connection was not made for this question */
};

void asktcp_init(struct asktcp *a, struct ev_loop *loop);
void asktcp_fini(struct asktcp *a); /* every ticket must be dropped */

/* Asks the @len bytes at @msg (copied; the identifier is replaced) at @to. Returns 0: @t->done
 * comes, never from inside; or a negative errno: it does not. -EBUSY: too many connections. */
int asktcp_send(struct asktcp *a, struct asktcp_ticket *t, const struct resolvconf_server *to,
	const uint8_t *msg, size_t len);

/* Nothing comes for @t any more. Safe on one that is not on its way. */
void asktcp_drop(struct asktcp *a, struct asktcp_ticket *t);

#endif
