/* SPDX-License-Identifier: MIT */
#ifndef NSNET_ERRAND_H
#define NSNET_ERRAND_H

#include <ev.h>
#include <stddef.h>

#include "dnsquery.h"
#include "guise.h"
#include "policy.h"
#include "quest.h"
#include "synth.h"

/* errand - a flow of the child to a name: its destination is an address that stands for one
 * (synth.h). The name's own addresses are looked for when the flow begins, each is judged by policy
 * as if the child had gone there itself, and what was judged is what is dialed.
 *
 *   ask --> BY NAME --a dialer of the scripts takes it: it gets the name, nothing is looked for
 *             | none would
 *             v
 *           SEEKING --no address--> FAILED: the dial fails (host unreachable)
 *             | a name server's answer          the question was refused: denied
 *             v
 *      +--> JUDGING --all denied--> denied, as the first was
 *      |      | allowed
 *      |      v
 *      |    CHOSEN --UDP, echo: there is a way to it--> the flow opens its socket
 *      |      | TCP
 *      |      v
 *      +--- DIALING: the next address is judged, and dialed beside, ERRAND_STAGGER_S after the last
 *             |      or when that failed (RFC 8305)
 *             v
 *           first one that connects; the others are forgotten
 *
 * Nothing is dialed that policy has not allowed as an address; an error anywhere is a refusal.
 */
#define ERRAND_STAGGER_S 0.25

struct errands {
	struct policy *policy; /* borrowed */
	struct synth *synth;   /* borrowed */
	struct quests quests;
	struct errand_ops ops;
	double dial_timeout_s; /* 0: the kernel's; set after init */
	size_t count;
	uint64_t failed; /* names without an address */
};

/* Connects itself to @policy; to be called before the first flow. */
void errands_init(struct errands *es, struct ev_loop *loop, struct policy *policy,
	struct synth *synth, struct dnsquery_pool *pool);
/* No name's addresses are looked for from here on. Flows to names may still live, and end. */
void errands_fini(struct errands *es);

#endif
