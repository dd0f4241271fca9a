/* SPDX-License-Identifier: MIT */
#ifndef NSNET_DENIAL_H
#define NSNET_DENIAL_H

#include <stdbool.h>

#include "flow.h"

/* denial - what is refused is said on stderr, even where nobody asked for a log: a line each, a few
 * in a second, the rest counted. So are drops: they are silent for the command, and who wonders why
 * it hangs is to see them. Only the guard's, of multicast, are told from -v on.
 */

/* @name: of the destination, or NULL. @logged: a log there says it, too, and only the guard's
 * refusals, which need a remedy, are said again. @would: nothing is refused (--dry-run). */
void denial_say(const struct flow *f, const char *name, bool logged, bool would);

/* Says how many were not told of, if any, before the end. */
void denial_finish(void);

#endif
