/* SPDX-License-Identifier: MIT */
#ifndef NSNET_BRIDGE_H
#define NSNET_BRIDGE_H

#include <ev.h>
#include <stdbool.h>

#include "hook.h"
#include "nsnet.h"
#include "policy.h"

/* bridge - the hooks of nsnet.h, made of those of hook.h, and what nsnet.h says of flows.
 *
 * Embedded; does not move. A struct nsnet_flow is a struct flow. A mistake of a hook (a value that
 * is none, a redirect to nowhere, a wait that nobody could end) denies. */
struct bridge {
	struct ev_loop *loop;
	struct policy *policy;
	struct nsnet_hooks user;
	void *arg;
	struct hooks hooks;
	unsigned depth; /* of calls to the user: flows may end inside of one */
};

/* Sets @policy's hooks; all is borrowed. */
void bridge_init(struct bridge *b, struct ev_loop *loop, struct policy *policy,
	const struct nsnet_hooks *user, void *arg);

#endif
