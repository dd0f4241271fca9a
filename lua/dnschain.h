/* SPDX-License-Identifier: MIT */
#ifndef NSNET_LUA_DNSCHAIN_H
#define NSNET_LUA_DNSCHAIN_H

#include "lua/query.h"

/* dnschain - asks rules and on_dns handlers about a question of the command, in the order of the
 * chain, until one has a verdict. An error of any kind is SERVFAIL. What rules for connections mean
 * for questions is in named.h.
 */
#define DNSCHAIN_SECONDS 5. /* for all of a question's waiting */

/* The contract of hooks.dns, for the rule set @rs. */
enum verdict dnschain_ask(struct ruleset *rs, struct dnsquery *q, struct decision *d);

/* The contract of hooks.dns_cancel. */
void dnschain_cancel(struct dnsquery *q);

#endif
