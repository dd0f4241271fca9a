/* SPDX-License-Identifier: MIT */
#ifndef NSNET_QUEST_H
#define NSNET_QUEST_H

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "addr.h"
#include "dnsquery.h"
#include "flow.h"
#include "list.h"
#include "synth.h"

/* quest - which addresses a name has now: asked as the child's own questions are (dnsquery.h), so
 * that policy judges them, the host's file of names comes first, and logs show them. A and AAAA are
 * asked at the same time; what comes QUEST_REST_S after the first addresses is not waited for.
 *
 *   quest_start -> QUEUED -> ASKING --------> answered: the callback of each that waits
 *                    |  QUEST_MAX at a time |
 *                    +-- quest_stop --------+-> forgotten, with the last that waits
 *
 * Those who want the same name for the same process at a time share the answer.
 */
#define QUEST_MAX 128 /* under way at a time; others wait for their turn */
#define QUEST_REST_S 0.3
#define QUEST_ADDRESSES 8 /* taken of an answer, of each version half of them if there are more */

struct quest;
struct quest_wait;

struct quest_answer {
	struct addr list[QUEST_ADDRESSES]; /* IPv6 and IPv4 in turns (RFC 8305 4), port 0 */
	size_t count;
	/* There are none: why. Policy refused the question: */
	const struct decision *denied; /* lent, or NULL */
	const char *reason;            /* static: "no such name", ... */
};

/* Called once, from the loop. @w may be freed or used again. */
typedef void quest_fn(struct quest_wait *w, const struct quest_answer *a);

struct quest_wait {
	struct list link;
	struct quest *quest; /* NULL = it does not wait */
	quest_fn *done;
};

struct quests {
	struct ev_loop *loop;
	struct dnsquery_pool *pool; /* borrowed */
	struct list all;            /* of struct quest */
	struct list queue;          /* those whose turn has not come, in their order */
	size_t under_way;
};

void quests_init(struct quests *qs, struct ev_loop *loop, struct dnsquery_pool *pool);

/* Ends all; no callback comes. */
void quests_fini(struct quests *qs);

/* Looks for the addresses of @n, which the caller holds, on behalf of @f. 0, or -ENOMEM: @done will
 * not be called. */
int quest_start(struct quests *qs, struct synth_name *n, struct flow *f, struct quest_wait *w,
	quest_fn *done);
void quest_stop(struct quest_wait *w); /* safe on one that does not wait */

#endif
