/* SPDX-License-Identifier: MIT */
#ifndef NSNET_LUA_TAMPER_H
#define NSNET_LUA_TAMPER_H

#include "lua/connection.h"

/* tamper - on_data: every byte of a connection passes through scripts, which may replace it.
 */

/* hooks.data for @c; its contract. */
int tamper_ask(struct connection *c, enum hook_dir dir, const void *bytes, size_t n, void **other,
	size_t *other_len);

#endif
