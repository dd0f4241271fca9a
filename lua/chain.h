/* SPDX-License-Identifier: MIT */
#ifndef NSNET_LUA_CHAIN_H
#define NSNET_LUA_CHAIN_H

#include "lua/connection.h"

/* chain - asks guards, rules and handlers about a flow, in their order, until one has a verdict.
 *
 * An error of any kind is a verdict: deny (of a UDP or ICMP flow: drop).
 */
#define CHAIN_SECONDS 30. /* for all of a chain's waiting */

/* A verdict, NONE if nobody has an opinion, or PENDING: policy_answer() follows. */
enum verdict chain_ask(struct connection *c, struct decision *d);

/* The one answer on the stack of @co: a verdict that @h may give, with its parts in @d; NONE; or an
 * error, told to the user, with its price. @named: a cidr= of its filter named the address. */
enum verdict chain_judge(struct connection *c, const struct handler *h, bool named, lua_State *co,
	struct decision *d);
/* What it costs that @h failed (its error is told already). */
enum verdict chain_failed(struct connection *c, const struct handler *h, struct decision *d);
/* The name in c->preface is new: asks those again who could not tell without it. ALLOW: it is as
 * was decided on the SYN; DENY; or PENDING: c->judged() follows. */
enum verdict chain_judge_name(struct connection *c, struct decision *d);
/* Starts the deadline of what waits for @c. */
void chain_wait(struct connection *c);

/* Tells on_close handlers. The flow is at its end. */
void chain_closed(struct connection *c);

#endif
