/* SPDX-License-Identifier: MIT */
#ifndef NSNET_LUA_NAMED_H
#define NSNET_LUA_NAMED_H

#include "lua/rules.h"
#include "lua/ruleset.h"

/* named - what a rule set says of a name alone, before there is any connection: whether a question
 * about it may leave for a name server.
 *
 * Rules are read in the order of the chain, the first that is about the name decides:
 *   a rule with network="dns"  about the names of its domain=, without one about all: its verdict;
 *   a rule with domain=        that opens; or that denies without any other condition, since a
 *                              name that is denied on one port may be needed for another;
 *   a rule without conditions  about all names;
 *   a handler with domain=     opens: it may allow.
 */
enum named {
	NAMED_NOT,    /* no rule is about it: the default's */
	NAMED_OPEN,   /* some connection to it may be allowed */
	NAMED_CLOSED, /* all are denied */
};

/* What one link of the chain says of @name, in normal form. *@rule: the rule that does; NULL with
 * NAMED_NOT, and for a handler. */
enum named named_by(const struct handler *h, const char *name, struct rule **rule);

/* @name in normal form (dname.h). *@rule: its label, lent by the rule set; NULL with NAMED_NOT. */
enum named named_ask(const struct ruleset *rs, const char *name, const char **rule);

/* True if any rule or filter has a condition on names. */
bool named_any(const struct ruleset *rs);

#endif
