/* SPDX-License-Identifier: MIT */
#ifndef NSNET_GUISE_H
#define NSNET_GUISE_H

#include <stddef.h>

#include "addr.h"
#include "flow.h"
#include "policy.h"

/* guise - a flow to a name, as each of the name's addresses.
 *
 * Policy has one opinion of a flow: its decision, and what the policy side keeps at f->policy. Here
 * it has one for each address. The flow wears one of them at a time, or none; the others are put
 * away.
 */
struct guise {
	struct addr to;           /* with the flow's port */
	struct decision decision; /* while it is put away, */
	void *policy;             /* the same */
};

struct guises {
	struct policy *policy; /* borrowed */
	struct flow *flow;     /* borrowed */
	struct guise *list;    /* owned */
	size_t count;
	size_t face; /* the one worn; count = none: what the flow has then is nobody's */
};

/* @count addresses (not 0; their ports do not matter); the flow wears none. 0 or -ENOMEM. */
int guises_init(struct guises *g, struct policy *policy, struct flow *f, const struct addr *list,
	size_t count);
void guises_wear(struct guises *g, size_t i);
void guises_put_away(struct guises *g); /* the flow wears none then */

/* Forgets the opinion that the flow has, or is being made: it wears none then. */
void guises_forget_face(struct guises *g);
/* Forgets all others. */
void guises_keep_face(struct guises *g);

/* The memory; the opinion that the flow has stays. Safe on a zeroed one. */
void guises_fini(struct guises *g);

#endif
