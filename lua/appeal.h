/* SPDX-License-Identifier: MIT */
#ifndef NSNET_LUA_APPEAL_H
#define NSNET_LUA_APPEAL_H

#include "lua/connection.h"

/* appeal - the second asking of a chain, about the name in the first bytes. The connection stands
 * by then, so it must come to what was decided on the SYN, or end it.
 */

/* True if an on_first_bytes handler for this flow asks for names. */
bool appeal_wanted(const struct connection *c);

/* Takes the name of c->preface for a fact and sets the chain back to the first who could not tell
 * without it. False: there was none. */
bool appeal_begin(struct connection *c);

/* The chain has come to @v, @d: ALLOW if it leads where the connection has been made to, else
 * DENY. */
enum verdict appeal_end(struct connection *c, enum verdict v, struct decision *d);

/* The bytes are such that no name can be trusted: DENY. */
enum verdict appeal_refuse(struct connection *c, struct decision *d);

#endif
