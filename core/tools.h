/* SPDX-License-Identifier: MIT */
#ifndef NSNET_TOOLS_H
#define NSNET_TOOLS_H

#include "options.h"

/* tools - the subcommands for those who write rules: their command lines, and doors to lua/.
 *
 * Each takes the options as they stand when its name, o->argv[0], was found, reads on behind it,
 * and returns the exit status.
 */

/* nsnet-host test [-v] [--coverage] FILE... */
int tools_test(struct options *o);

/* nsnet-host explain [OPTION]... tcp|udp|icmp ADDRESS [OPTION]... */
int tools_explain(struct options *o);

/* nsnet-host lua-init [DIR] */
int tools_lua_init(struct options *o);

#endif
