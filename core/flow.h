/* SPDX-License-Identifier: MIT */
#ifndef NSNET_FLOW_H
#define NSNET_FLOW_H

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

#include "addr.h"
#include "base.h"
#include "buf.h"
#include "envelope.h"
#include "list.h"
#include "packet.h"
#include "process.h"
#include "shape.h"

/* flow - one conversation of the child with one destination, and the table of them.
 *
 * A struct flow is embedded in whatever carries the conversation: struct conn (TCP),
 * struct assoc (UDP), struct ping (ICMP echo), the resolver's TCP side. The table allocates
 * nothing but its bucket array. Low code knows only struct flow; it reaches its owner
 * through @ops.
 *
 *           flow_add          allowed           dialed          ended
 *   (new) ----------> ASKED ----------> DIALING ---------> OPEN ----------> ENDED
 *                       | denied, dropped  | failed                           ^
 *                       +------------------+----------------------------------+
 *
 *   ASKED    Policy has not answered; a script may be thinking. TCP: the SYN is kept, a
 *            repeated one is ignored. UDP: the first datagrams wait.
 *   DIALING  The way to the destination is being made. The child still knows nothing.
 *   OPEN     Bytes move.
 *   ENDED    Set once by flow_end(); hooks.close has run. The owner frees it soon.
 *
 * Only flow_set_state() writes the state, and asserts that the arrow exists.
 */
enum flow_state {
	FLOW_STATE_ASKED,
	FLOW_STATE_DIALING,
	FLOW_STATE_OPEN,
	FLOW_STATE_ENDED,
};

/* How a flow ended, for logs and scripts. */
enum flow_cause {
	FLOW_CAUSE_NONE,        /* not ended */
	FLOW_CAUSE_CLOSED,      /* both sides closed in order */
	FLOW_CAUSE_CHILD_RESET, /* RST from the child */
	FLOW_CAUSE_WORLD_RESET, /* RST or socket error from the destination */
	FLOW_CAUSE_DENIED,      /* by policy: decision says why */
	FLOW_CAUSE_DIAL_FAILED, /* error in flow->error */
	FLOW_CAUSE_IDLE,        /* idle limit */
	FLOW_CAUSE_EVICTED,     /* made room for another */
	FLOW_CAUSE_ABORTED,     /* by a script, or by who controls the host */
	FLOW_CAUSE_LEFT_OPEN,   /* nobody ended it before the command's or the host's end */
};

const char *flow_cause_name(enum flow_cause c); /* "closed", "child reset", ... */

struct flow_key {
	struct addr src, dst; /* the child's own and the destination as the child wrote it */
	uint32_t proto;       /* IPPROTO_TCP, _UDP, _ICMP (also for ICMPv6 echo) */
};

struct flow;

/* What the owner of a flow does for the layers below. Static, one per kind. */
struct flow_ops {
	const char *network; /* "tcp", "udp", "icmp": what scripts see */

	/* A packet of this flow from the child. Takes @b. @p borrows from @b. */
	void (*input)(struct flow *f, struct buf *b, struct packet *p);

	/* policy_ask() answered later: flow->decision is final. See policy.h. */
	void (*decided)(struct flow *f);

	/* A dialer answered: @fd is a connected non-blocking socket that the callee now
	 * owns, or a negative errno. @early are @n bytes that the dialer read beyond its own
	 * protocol (borrowed): they go to the child first. */
	void (*dialed)(struct flow *f, int fd, const void *early, size_t n);

	/* End it now: the child sees RST (TCP) or nothing. The flow may be gone afterwards. */
	void (*abort)(struct flow *f, enum flow_cause cause);
};

enum verdict {
	VERDICT_NONE, /* no opinion: ask on, then the default */
	VERDICT_ALLOW,
	VERDICT_DENY,     /* visibly, in the way of decision.style */
	VERDICT_DROP,     /* by silence */
	VERDICT_REDIRECT, /* to decision.target */
	VERDICT_VIA,      /* allowed, and the policy side makes the connection (hooks.dial) */
	VERDICT_PENDING,  /* the answer comes later */
	VERDICT_MORE,     /* first_bytes only: too few bytes to tell, ask again with more */
};

enum deny_style {
	DENY_STYLE_REFUSE,      /* TCP RST; UDP port unreachable; echo: prohibited */
	DENY_STYLE_UNREACHABLE, /* host unreachable */
	DENY_STYLE_PROHIBITED,  /* communication administratively prohibited */
	DENY_STYLE_RESET,       /* after the handshake; before it the same as REFUSE */
};

/* A verdict with what belongs to it. The strings are owned by the decision. */
struct decision {
	enum verdict verdict;
	enum deny_style style;
	bool named;       /* a rule named this very address: the guard lets it pass */
	bool first_bytes; /* TCP: allowed for now; hooks.first_bytes decides before a byte leaves */
	bool data;        /* TCP: every byte is shown to hooks.data */
	uint64_t pass;    /* of first_bytes, with ALLOW: so many, then it asks again; 0 = all */
	enum verdict would; /* DENY or DROP that --dry-run made an ALLOW; else NONE */
	struct addr target; /* REDIRECT: v != 0; else set by policy to where the dial goes */
	char *rule;         /* "rules.lua:12", "default", "guard", ... or NULL */
	char *reason;       /* for people, or NULL */
	const char *remedy; /* static: what would open what the guard closed, or NULL */
};

void decision_fini(struct decision *d); /* frees the strings and clears */

/* When a flow came to its phases: ev_now() of the loop, seconds since 1970. 0: it never came there,
 * or nobody knows. They are in this order but for the first bytes, which may come either way round,
 * and, if the verdict needed them, before @judged. */
struct flow_times {
	ev_tstamp asked;                /* the child's first packet */
	ev_tstamp decided;              /* policy's verdict */
	ev_tstamp dialing;              /* the host's connection was begun */
	ev_tstamp opened;               /* and made: bytes may move */
	ev_tstamp judged;               /* the verdict about the first bytes */
	ev_tstamp first_up, first_down; /* the first payload to the world, to the child */
	ev_tstamp ended;
};

struct flow {
	struct flow_key key;
	const struct flow_ops *ops;
	struct flow *bucket; /* hash chain */
	struct list all;     /* flow_table.all */
	struct flow_table *table;
	uint64_t id; /* 1, 2, ...: unique in a run */
	uint32_t hash;
	enum flow_state state : 8;
	enum flow_cause cause : 8;
	bool asked : 1;   /* hooks saw it, so hooks.close will too */
	bool waiting : 1; /* a hook owes an answer: hooks.cancel if the flow ends first */
	bool sought : 1;  /* process has been asked for */
	bool inbound : 1; /* the world called: key.src is inside, key.dst the caller, seen there */
	bool named : 1;   /* the user named it (-p, -L): allowed unless a rule says no */
	bool retired : 1; /* its key belongs to a newer flow: see flow_retire() */
	bool by_name : 1; /* key.dst stands for a name: see flow_dst() and errand.h */
	int error;        /* errno of a failed dial */
	char *why; /* owned: what a dialer said of its failure, or a script of ending it; or NULL */
	struct flow_times times;
	double began;        /* steady_now(): what its age is measured by */
	uint64_t bytes_up;   /* child to world, payload: see flow_count_up() */
	uint64_t bytes_down; /* world to child */
	struct decision decision;
	/* Owned: the destination's name when it was decided, then the one that the first bytes were
	 * judged by; if somebody observes. */
	char *host;
	struct process *process;   /* held; NULL: unknown. See policy_process() */
	struct shape *shape;       /* owned; NULL = none; to be set before the flow is OPEN */
	struct envelope *envelope; /* UDP: the same */
	void *policy;              /* the policy side's own; NULL until it sets it */
	struct names_host *names;  /* core/policy's: keeps the names of dst; NULL = none */
	/* by_name: the address that it is judged by and goes to, version 0 while nobody knows it;
	 * what for, until it ends (both core/errand's, the name being lent). */
	struct addr dst;
	const char *name;
	struct errand *errand;
};

/* Where @f means to go: to the address that the child wrote, or one that its name has. */
static inline const struct addr *flow_dst(const struct flow *f)
{
	return f->by_name ? &f->dst : &f->key.dst;
}

struct flow_table {
	struct flow **bucket; /* owned */
	uint32_t mask;
	uint64_t seed; /* keeps a hostile child from choosing collisions */
	size_t count, peak;
	uint64_t next_id;
	struct list all; /* oldest first */
};

int flow_table_init(struct flow_table *t);
void flow_table_fini(struct flow_table *t); /* the table must be empty */

/* Enters @f (zeroed by its owner, ops set) under @key: state ASKED, id, times.asked = @now.
 * The key must not be in the table. */
void flow_add(struct flow_table *t, struct flow *f, const struct flow_key *key, ev_tstamp now);

/* Takes @f out of the table and frees what it owns; the owner frees its struct.
 * flow_end() must have run if the flow was asked. */
void flow_remove(struct flow *f);

/* Gives up the key of @f, which the child uses anew, while @f still has bytes to deliver: it can
 * no longer be found, but lives on until flow_remove(). */
void flow_retire(struct flow *f);

struct flow *flow_find(struct flow_table *t, const struct flow_key *key);

void flow_set_state(struct flow *f, enum flow_state s);

/* Counts @n payload bytes that were delivered. */
static inline void flow_count_up(struct flow *f, size_t n, struct ev_loop *loop)
{
	if (unlikely(!f->bytes_up && n))
		f->times.first_up = ev_now(loop);
	f->bytes_up += n;
}

static inline void flow_count_down(struct flow *f, size_t n, struct ev_loop *loop)
{
	if (unlikely(!f->bytes_down && n))
		f->times.first_down = ev_now(loop);
	f->bytes_down += n;
}

/* "tcp 10.0.0.1:40000 -> 203.0.113.1:80", who called first, into @text (FLOW_TEXT_MAX). Returns
 * @text. */
#define FLOW_TEXT_MAX (2 * ADDR_TEXT_MAX + 16)
char *flow_format(const struct flow *f, char *text);

#endif
