/* SPDX-License-Identifier: MIT */
#ifndef NSNET_POLICY_H
#define NSNET_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "flow.h"
#include "guard.h"
#include "hook.h"
#include "name.h"
#include "observe.h"
#include "who.h"

/* policy - asks whether a flow may be, and where it goes. One for the process' host.
 *
 * Order (fixed): hooks.connect / hooks.flow; if they have no opinion, the default, which opens no
 * way around rules about names (sidedoor.h); then the guard looks at the final destination, which
 * only a rule that names it can pass. There is no path to a dial that does not come through here.
 * An error anywhere is a deny.
 */
/* Flows to names, whose addresses are asked for on the way: errand.h fills this in. */
struct errand_ops {
	void *arg;
	/* 0: @f has an address of its own. 1: its decision is final now. -EINPROGRESS: it will be,
	 * and f->ops->decided() be called. */
	int (*ask)(void *arg, struct flow *f);
	/* A late answer to policy_judge() is f->decision. */
	void (*judged)(void *arg, struct flow *f);
	/* As hooks.dial, but that f->waiting is left alone. */
	int (*dial)(void *arg, struct flow *f);
	void (*end)(void *arg, struct flow *f);
};

/* What policy has done, for those who ask later. The first index is policy_network(). */
#define POLICY_NETWORKS 3 /* tcp, udp, icmp */
struct policy_counts {
	uint64_t verdicts[POLICY_NETWORKS][VERDICT_VIA + 1]; /* a late denial is one more */
	uint64_t ends[POLICY_NETWORKS][FLOW_CAUSE_LEFT_OPEN + 1];
	uint64_t up[POLICY_NETWORKS], down[POLICY_NETWORKS]; /* bytes of flows that have ended */
};

size_t policy_network(const struct flow *f);

struct policy {
	const struct hooks *hooks;  /* borrowed; NULL = allow all */
	struct guard *guard;        /* borrowed */
	struct observer *observers; /* NULL = nobody looks: observe.h */
	struct ev_loop *loop;       /* borrowed: gives flows their times; NULL = they have none */
	/* The best known name of a flow's destination, or NULL; may be NULL. */
	const char *(*name_of)(void *arg, const struct flow *f);
	void *name_arg;
	struct who *who;     /* borrowed; NULL = processes are unknown */
	bool logged;         /* single flows are told on stderr by an observer: not by us */
	bool identify;       /* look up the process of each flow and question at once */
	struct names *names; /* borrowed: of the addresses; NULL = none are known */
	const struct errand_ops *errands; /* borrowed; NULL = an address is an address */
	bool by_process;                  /* rules may ask for processes, see policy_process() */
	bool by_name;                     /* rules speak of names: nothing may lead around them */
	bool default_deny;
	bool dry_run; /* decide and log, but allow */
	uint64_t allowed, denied, dropped;
	struct policy_counts counts;
};

/* Asks for @f (state ASKED). Returns true if f->decision is final now: verdict ALLOW (target
 * set), DENY or DROP. False: f->ops->decided(f) will be called later, from the loop. */
bool policy_ask(struct policy *p, struct flow *f);

/* For errand.h: the same with one address of the name of @f, flow_dst(). Nobody is told of the
 * decision, which is one of several, until policy_conclude(). Pending: errand_ops.judged() will be
 * called. */
bool policy_judge(struct policy *p, struct flow *f);
/* f->decision is the one that counts: counts it and tells observers. */
void policy_conclude(struct policy *p, struct flow *f);

/* The policy side's late answer to PENDING; takes the strings of @d. Calls f->ops->decided(). */
void policy_answer(struct policy *p, struct flow *f, enum verdict v, struct decision *d);

/* Asks hooks.first_bytes for @f (state OPEN, decision.first_bytes set). The verdict is ALLOW, MORE
 * (only if @more), or DENY, with f->decision telling why; PENDING: f->ops->decided(f) will be
 * called, and f->decision.verdict is ALLOW or DENY then. */
enum verdict policy_first_bytes(struct policy *p, struct flow *f, const void *bytes, size_t n,
	bool more);

/* Asks hooks.data; its contract. If the hook is gone by a reload: -ECONNABORTED. */
int policy_data(struct policy *p, struct flow *f, enum hook_dir dir, const void *bytes, size_t n,
	void **other, size_t *other_len);

/* Offers the dial of an allowed flow to hooks.dial. Returns -ENOSYS: dial yourself;
 * -EINPROGRESS: f->ops->dialed() will come; other negative errno: failed. */
int policy_dial(struct policy *p, struct flow *f);

/* A dialer's late answer: takes @fd (or a negative errno). Calls f->ops->dialed(). */
void policy_dialed(struct policy *p, struct flow *f, int fd, const void *early, size_t n);

/* The process that @f belongs to (lent until the flow's end), or NULL. Looked up when it is asked
 * for first; not after the flow has ended. */
const struct process *policy_process(struct policy *p, const struct flow *f);

/* Asks the guard about @f once more: the host's addresses may be others than when it was allowed.
 * False: it may not be there any more; its decision is a denial now, and was reported. */
bool policy_still_allows(struct policy *p, struct flow *f);

/* The connection of @f is made: state OPEN. */
void policy_opened(struct policy *p, struct flow *f);

/* Ends @f: cancels what waits, sets state ENDED and the cause, calls hooks.close once.
 * Does not free. */
void policy_end(struct policy *p, struct flow *f, enum flow_cause cause, ev_tstamp now);

#endif
