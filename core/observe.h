/* SPDX-License-Identifier: MIT */
#ifndef NSNET_OBSERVE_H
#define NSNET_OBSERVE_H

#include <stddef.h>
#include <stdint.h>

#include "flow.h"

/* observe - the seam to those who only look: logs, summaries, counters, live views.
 *
 * struct policy holds a list of observers, empty by default; each event then costs one test. An
 * observer is embedded in whatever wants to know, and is added and removed by observe_add() and
 * observe_remove(), not from inside a callback. A callback that is not wanted is NULL. All run on
 * the loop's thread, and must not block, end a flow, or keep what they are given: it is borrowed.
 *
 * Of each flow that policy was asked about (TCP, UDP, ICMP echo; not the child's connections to our
 * own resolver), in this order:
 *
 *   pending   0 or 1 times: a script thinks about it
 *   decided   0 or 1 times: the decision is final, or provisional if decision.first_bytes
 *   judged    0 or 1 times: it was provisional, and the first bytes have been judged
 *   opened    0 or 1 times: connected, bytes may move
 *   ended     exactly once: state ENDED, the counters, times, cause and error are final
 *
 * "judged" comes after "opened". A flow whose client gives up while a script thinks is ended
 * without having been decided. What happened when is in the flow (flow.h: struct flow_times).
 */
struct dnsquery;

struct observer {
	struct observer *next;

	void (*pending)(struct observer *o, const struct flow *f);
	void (*decided)(struct observer *o, const struct flow *f);
	void (*judged)(struct observer *o, const struct flow *f);
	void (*opened)(struct observer *o, const struct flow *f);
	void (*ended)(struct observer *o, const struct flow *f);

	/* A question to our resolver has ended, exactly once for each that was taken up: q->name,
	 * q->m.type, q->decision, q->asked_at and q->took are set. The answer is the @len bytes at
	 * @msg; NULL: none was given (dropped by policy, or the child went away). */
	void (*question)(struct observer *o, const struct dnsquery *q, const uint8_t *msg,
		size_t len);

	/* Something that never became a flow was turned away: the first packet of @key was. @why is
	 * a constant text for people, e.g. "too many connections". */
	void (*refused)(struct observer *o, const struct flow_key *key, const char *why);
};

/* @list: the head, e.g. &policy->observers. The last added is told last. */
void observe_add(struct observer **list, struct observer *o);
void observe_remove(struct observer **list, struct observer *o); /* safe if it is not in */

/* For those who make the events. @o may be NULL. */
void observe_pending(struct observer *o, const struct flow *f);
void observe_decided(struct observer *o, const struct flow *f);
void observe_judged(struct observer *o, const struct flow *f);
void observe_opened(struct observer *o, const struct flow *f);
void observe_ended(struct observer *o, const struct flow *f);
void observe_question(struct observer *o, const struct dnsquery *q, const uint8_t *msg, size_t len);
void observe_refused(struct observer *o, const struct flow_key *key, const char *why);

#endif
