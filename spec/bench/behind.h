/* SPDX-License-Identifier: MIT */
#ifndef NSNET_BENCH_BEHIND_H
#define NSNET_BENCH_BEHIND_H

#include "option.h"

/* behind - runs the command where a peer wants it, with no shell in the measured time:
 * with @slirp in a new user and network namespace behind slirp4netns, else where it already is
 * (inside pasta's namespace). @cc, if any, becomes the namespace's congestion control first.
 * Returns the command's exit status. */
int behind_run(const struct option_set *o);

#endif
