/* SPDX-License-Identifier: MIT */
#ifndef NSNET_HOST_H
#define NSNET_HOST_H

#include "inherit.h"
#include "options.h"

/* host - builds everything in order, runs the loop until the command has ended, takes everything
 * down in reverse. The only module that knows all others; it has no logic of its own. */

/* Runs @o->argv behind the stack. Returns what the process is to exit with. */
int host_run(const struct options *o, const struct inherit *inherit);

/* Loads the scripts and nothing else: 0, EXIT_NO_INPUT or EXIT_RULES. */
int host_check(const struct options *o);

#endif
