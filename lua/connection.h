/* SPDX-License-Identifier: MIT */
#ifndef NSNET_LUA_CONNECTION_H
#define NSNET_LUA_CONNECTION_H

#include <ev.h>
#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>

#include "core/flow.h"
#include "core/preface.h"
#include "lua/ruleset.h"
#include "lua/tether.h"

/* connection - a flow as scripts see it: `conn`. One per flow that was asked about; it is
 * flow->policy from the first question to hooks.close.
 *
 * The Lua object is made when the first script looks. It outlives the flow: its fields then keep
 * their last values, and its verbs raise.
 */
struct connection_object; /* the userdata */

struct connection {
	struct list link;   /* ruleset.connections */
	struct ruleset *rs; /* held */
	struct flow *flow;
	struct facts facts;
	struct connection_object *object; /* NULL until made */
	int ref;                          /* registry reference of the object */
	struct task *task; /* waits for this flow: a chain or a dialer; NULL = none */
	ev_timer deadline; /* of that */
	unsigned spent;    /* CPU time of all of it, task.spent */
	size_t next, rule; /* chain: the handler to ask next; in a block of rules, which of them */
	const struct handler *asked; /* whose answer is awaited */
	bool asked_named;            /* a cidr= of its filter named the address */
	/* Names: the chain is asked a second time when the first bytes are there, from the first
	 * handler or rule on that could not tell for sure, and must come to the same. */
	bool noted;
	size_t noted_next, noted_rule;
	const struct rule *hope;   /* opens, if the first bytes say so; NULL = none */
	size_t syn_next, syn_rule; /* who gave the verdict; syn_rule: behind it */
	bool judging;              /* the second time; answers go to judged */
	bool at_door;              /* the visible name is a known resolver's */
	bool says_udp;             /* the verdict's conditions speak of UDP by name */
	struct decision syn;       /* what it came to (no strings), */
	int syn_via;               /* and the dialer */
	struct preface *preface;   /* owned; NULL = nobody asks for names in the first bytes */
	void (*judged)(struct connection *c, enum verdict v, struct decision *d);
	uint64_t pass;          /* bytes that may go once the handlers have been asked */
	bool greeted;           /* they have */
	enum verdict said;      /* the scripts' verdict; NONE = the default's */
	bool failed;            /* the verdict is the price of an error */
	int via_ref;            /* registry: the dialer of VIA, ours to free; or LUA_NOREF */
	int rule_via;           /* the same of the rule that hit, the rule's */
	struct list streams;    /* struct stream.owner, opened for this flow */
	struct deferred ending; /* conn:close() */
	char *reason;           /* owned: of that, or NULL */
	struct deferred dialed; /* a dialer that answered at once */
	int dialed_fd;          /* owned while dialed is waiting, or negative errno */
	struct tether tether;   /* ends the flow with a socket that is not its own */
	char *early;            /* owned: what the dialer had read too much */
	size_t early_len;
	/* on_first_bytes: what the child sent first, the handler to ask next, peek */
	char *first; /* owned */
	size_t first_len;
	bool first_more; /* more will be waited for */
	size_t greeter;
	bool peeking;                /* c->task waits for */
	size_t peek_want;            /* so many bytes */
	bool in_greeting;            /* inside hooks.first_bytes: answers go to */
	enum verdict greeting;       /* this verdict and */
	struct decision *greeting_d; /* this decision */
	char *tags;                  /* owned: "a,b" */
};

/* Makes the class known; @methods (NULL-ended) are those of higher modules. Raises for memory. */
void connection_open(lua_State *L, const luaL_Reg *methods);

/* The connection of @f, made if it is new; NULL: no memory. */
struct connection *connection_get(struct ruleset *rs, struct flow *f);

/* Makes the object, unless it is there. 0, or -1: reported. */
int connection_expose(struct connection *c);

/* Pushes the object, made if it is not there. For C functions that Lua called: raises for
 * memory. */
void connection_make(lua_State *L, struct connection *c);

/* Pushes the object, which is there. Does not raise. */
void connection_push(lua_State *L, struct connection *c);

/* True if @h is for this flow. *@named as in filter_match. */
bool connection_wants(const struct connection *c, const struct handler *h, bool *named);
/* True if one of @hs is, or may be once the first bytes are there. */
bool connection_wanted(const struct connection *c, const struct handlers *hs);

/* Forgets what waits. */
void connection_cancel(struct connection *c);

/* The flow has ended: keeps its last values in the object, frees @c and the reference to its rule
 * set. */
void connection_free(struct connection *c);

/* The connection of the object at @i: raises if it is none, NULL if it has ended. */
struct connection *connection_check(lua_State *L, int i, const char *verb);
/* True if the value at @i is one, ended or not. */
bool connection_is(lua_State *L, int i);

#endif
