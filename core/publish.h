/* SPDX-License-Identifier: MIT */
#ifndef NSNET_PUBLISH_H
#define NSNET_PUBLISH_H

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/un.h>

#include "addr.h"
#include "conn.h"
#include "control.h"
#include "list.h"
#include "visit.h"

/* publish - ports of the host that lead to servers of the command: what -p, -p auto and the control
 * socket open.
 *
 * A caller is connected to the child's own address of its family, and is seen there under its own
 * address and port. One that has none there (a unix socket), or one that would mean something else
 * there (loopback, link-local, the child's own), is seen as the host's alias. A server on the
 * namespace's loopback is not reached.
 *
 * Embedded in the engine. Every caller is asked of policy as a flow with .inbound set.
 */

/* "[ADDR:]HOSTPORT:PORT[/udp]", "PORT[/udp]", "/PATH:PORT". */
struct publish_spec {
	struct addr at; /* of the host; v = 0: a unix socket at path */
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	uint16_t port; /* of the child */
	bool udp;
};

/* Takes @text apart; the address is 127.0.0.1 if there is none. 0 or -EINVAL. Pure. */
int publish_parse(struct publish_spec *spec, const char *text);

struct publish {
	struct ev_loop *loop; /* all borrowed, and set before publish_init() */
	struct conns *conns;
	struct visits *visits;      /* UDP */
	struct addr self4, self6;   /* the child's own, without a port */
	struct addr alias4, alias6; /* the host's */

	struct list all; /* struct listener.link */
	uint16_t next_alias_port;
};

void publish_init(struct publish *p);
void publish_fini(struct publish *p); /* closes all; what is open stays so */

#define PUBLISH_WHY_MAX 256
/* Listens at what @text says. @named: callers are allowed unless a rule says no; else as the
 * default says. 0, or a negative errno with a line for the user in @why: -EINVAL, -EEXIST, what
 * bind(2) said. */
int publish_add(struct publish *p, const char *text, bool named, char why[PUBLISH_WHY_MAX]);

/* Ends what publish_add() began with this text. 0 or -ENOENT. */
int publish_remove(struct publish *p, const char *text);

/* A port of the child under the same number on the host's loopback: what -p auto publishes. */
struct publish_port {
	uint16_t port;
	uint8_t v; /* 4: 127.0.0.1, 6: ::1 */
	bool udp;
};

/* True if callers of version v already come to that port of the child, wherever they come in. */
bool publish_has(const struct publish *p, const struct publish_port *port);

/* publish_add(), for a port that nobody named; and its end, of what was begun so only. */
int publish_add_port(struct publish *p, const struct publish_port *port, char why[PUBLISH_WHY_MAX]);
void publish_remove_port(struct publish *p, const struct publish_port *port);

/* Adds the commands publish, unpublish, published to @c. */
void publish_control(struct publish *p, struct control *c);

#endif
