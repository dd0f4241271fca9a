/* SPDX-License-Identifier: MIT */
#ifndef NSNET_LUA_DIALER_H
#define NSNET_LUA_DIALER_H

#include <stdbool.h>

#include "lua/connection.h"

/* dialer - connections made by scripts: nsnet.dialer and nsnet.via.
 *
 * A dialer is called with (network, address, conn) and returns a stream, which becomes the relay's,
 * or nil and why not. Anything else, and any error, is a failed connect.
 */

/* hooks.dials: would one of nsnet.dialer's take @c, as far as is known of it? */
bool dialer_would(const struct connection *c);

/* hooks.dial for @c: -EINPROGRESS, -ENOSYS (no dialer wants it), or another negative errno. */
int dialer_dial(struct connection *c);

#endif
