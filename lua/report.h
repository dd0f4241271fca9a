/* SPDX-License-Identifier: MIT */
#ifndef NSNET_LUA_REPORT_H
#define NSNET_LUA_REPORT_H

#include <stdint.h>

/* report - what goes wrong in scripts, told without flooding: each distinct message once a
 * second, with the number of repeats left out. Embedded; all zeros is ready for use.
 */
#define REPORT_SLOTS 16

struct report_slot {
	uint64_t hash;    /* of the message; 0 = free */
	long second;      /* CLOCK_MONOTONIC, when it was last written */
	unsigned repeats; /* left out since */
};

struct report {
	struct report_slot slot[REPORT_SLOTS];
	uint64_t total; /* errors reported or left out */
};

/* Logs "@message (@context)" as an error, or counts it. @context may be NULL; it does not
 * make a message distinct. Returns 1 if the line was written, else 0. */
int report_error(struct report *r, const char *message, const char *context);

#endif
