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

/* Tells on_close handlers. The flow is at its end. */
void chain_closed(struct connection *c);

#endif
