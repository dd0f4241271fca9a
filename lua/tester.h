/* SPDX-License-Identifier: MIT */
#ifndef NSNET_LUA_TESTER_H
#define NSNET_LUA_TESTER_H

#include <ev.h>
#include <lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "core/dnsquery.h"
#include "core/list.h"
#include "lua/peers.h"
#include "lua/trial.h"
#include "lua/vm.h"

/* tester - one test file at work: its own Lua state, the rule sets it loads, the network it plays.
 *
 * The file is a script like any other, in a rule set of its own whose tasks may wait. Whatever
 * it asks of the rules under test is done from the loop, in an op, while its task waits: two
 * rule sets never call each other. Rule sets and flows are known to Lua by number.
 */
#define TESTER_BUDGET_MS 2000 /* CPU time of a test between two waits */
#define TESTER_LIMIT_S 20.    /* real time of a test */

/* A rule set under test. */
struct play {
	struct list link;
	int id;
	struct tester *tester;
	struct stage stage;
	struct list flows;              /* struct testflow */
	char *env;                      /* owned, or NULL */
	struct dnsquery_pool questions; /* loop NULL = none yet */
	struct list asking;             /* struct dnsquery.mine */
};

struct op;

struct testflow {
	struct list link;
	int id;
	struct play *play;
	struct trial trial;
	struct op *op;     /* waits for the trial, or NULL */
	struct op *queued; /* begins in the next turn of the loop, or NULL */
};

struct tester {
	struct ev_loop *loop;
	struct lua_host *host; /* the test file's */
	struct ruleset *rs;    /* its one rule set */
	struct policy policy;  /* of nobody */
	struct peers peers;
	struct list plays;
	struct list tasks; /* struct playing: those of peers */
	int next_id;
	int main_ref;        /* registry: what runs the file */
	struct op *running;  /* native.run: a test at work */
	double started;      /* its real time */
	double started_v;    /* and virtual */
	struct addr own[16]; /* what counts as the host's own */
	size_t owns;
	int log; /* a memory file: what was written to stderr */
	off_t log_at;
	void (*report)(struct tester *t, const struct lua_rule *r); /* coverage; NULL = nobody */
	int out;                                                    /* where coverage goes */
	bool finished, verbose;
	unsigned passed, failed;
	int status;
	const char *path; /* of the file */
	char *events;     /* owned: "dialed tcp 192.0.2.1:80\n", "missed ...", not yet read */
	size_t events_len;
};

/* An op: what a function of the test's asks of the rules, done from the loop. */
struct op {
	struct deferred later;
	struct tester *t;
	struct task *task;             /* waits */
	void (*run)(struct op *op);    /* ends with op_end(), at once or later */
	vm_push_fn *push;              /* what the function returns; its argument is the op */
	void (*cancel)(struct op *op); /* nobody waits any more; may be NULL */
	struct play *play;
	struct testflow *flow;
	struct task *child; /* of native.run */
	char *bytes;        /* owned */
	size_t len;
	int number;
	bool flag;
};

/* An op of the running task, to be filled. Raises: not in a task that may wait, no memory. */
struct op *op_new(lua_State *L, const char *what, void (*run)(struct op *op), vm_push_fn *push);
/* Last in a C function. */
int op_wait(lua_State *L, struct op *op);
/* From the loop: the test goes on. */
void op_end(struct op *op);

struct tester *tester_of(lua_State *L);
void tester_set(lua_State *L, struct tester *t); /* raises for memory */

/* A note of what the scripts did: "dialed tcp 192.0.2.1:80". */
void tester_event(struct tester *t, const char *kind, const char *network, const char *address);

#endif
