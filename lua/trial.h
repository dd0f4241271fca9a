/* SPDX-License-Identifier: MIT */
#ifndef NSNET_LUA_TRIAL_H
#define NSNET_LUA_TRIAL_H

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/flow.h"
#include "lua/stage.h"

/* trial - one flow on a stage: asked about, decided, dialed, its bytes shown to the scripts, ended;
 * as conn.c and udp.c would, with nobody at either end.
 *
 * Each step ends at once (0) or later (-EINPROGRESS: the callback of trial_init() runs once, from
 * the loop). One step at a time.
 */
typedef void trial_fn(void *arg);

/* A note of what the chain said. */
struct trial_note {
	const char *kind; /* "on_connect", "rule", ...: static */
	char *where;      /* owned: "rules.lua:12", or a rule's "web (rules.lua:8)" */
	enum trace_event event;
	enum verdict verdict;
	char *reason; /* owned, or NULL */
};

struct trial {
	struct flow flow;
	struct stage *stage;
	char *name;        /* owned: what the destination is known as; NULL = nothing */
	char *tags;        /* owned: what scripts said, as of the end; or NULL */
	enum verdict said; /* likewise */
	trial_fn *fn;
	void *arg;
	ev_timer soon;           /* calls fn */
	struct trial_note *note; /* owned */
	size_t notes;
	bool asked;  /* the chain was asked: flow is in the table */
	int fd;      /* owned: the way to the destination; -1 = nobody plays it */
	char *early; /* owned: what a dialer had read too much, for the child */
	size_t early_len;
	char *held; /* owned: bytes of the child that wait for their verdict */
	size_t held_len;
	uint64_t may;     /* so many go without a question; UINT64_MAX = all */
	bool begun, more; /* the child has spoken; it may say more */
	char *out;        /* owned: what the last step let through */
	size_t out_len;
	ev_io readable; /* trial_read() waits for */
	ev_timer limit;
};

#define TRIAL_HELD_MAX 65536 /* = HOOK_FIRST_BYTES_MAX */
#define TRIAL_READ_SECONDS 30.
#define TRIAL_PID 4711 /* of the process that a trial has */

/* A flow on @s that was not asked about yet. @fn is called at the end of steps that wait. */
void trial_init(struct trial *t, struct stage *s, trial_fn *fn, void *arg);
/* Ends the flow if it lives (on_close runs), and frees what the trial owns. */
void trial_fini(struct trial *t);

/* Before trial_ask(): the flow is of the program @text, a short name or the path of an executable,
 * as in process=. 0; -EINVAL: it is neither; -ENOMEM. */
int trial_process(struct trial *t, const char *text);

/* Lets the flow appear: proto, dst, src (v 0: the child's usual; port 0: another each time). If
 * t->flow.inbound was set before, it is a call from outside: dst is the caller, src whom he calls
 * inside; with flow.named through a port that was published by name. Afterwards t->flow has the
 * decision and, if it was let through, is OPEN or ENDED with flow.error. */
int trial_ask(struct trial *t, const struct flow_key *key);

/* The child says @n bytes; @more: it may say more. What goes on is in t->out. If the scripts reset
 * the connection the flow is ENDED afterwards. */
int trial_say(struct trial *t, const void *bytes, size_t n, bool more);
/* The destination says @n bytes: t->out is what the child gets. Does not wait. */
void trial_hear(struct trial *t, const void *bytes, size_t n);
/* Waits for what is played at the other end: t->out is what the child gets, or nothing at its end
 * or after TRIAL_READ_SECONDS. */
int trial_read(struct trial *t);

/* What became of it, in the words of the scripts: a redirect is an allow for the core. */
enum verdict trial_verdict(const struct trial *t);

/* It ends. Does not wait. */
void trial_end(struct trial *t, enum flow_cause cause);

/* For stage_init(). */
extern const struct stage_watch trial_watch;

#endif
