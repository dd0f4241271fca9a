/* SPDX-License-Identifier: MIT */
#ifndef NSNET_LOGTEXT_H
#define NSNET_LOGTEXT_H

#include "observe.h"
#include "policy.h"
#include "writer.h"

/* logtext - the log for people: a line for each connection, flow, question and refusal at its end,
 * and on demand at its start.
 *
 *   14:03:22.123 curl[4712]   tcp  example.com 203.0.113.9:443  allow by rules.lua:12
 *       517 up  34.1k down  51 ms  closed     (all in one line)
 *
 * Colors only on a terminal, and not where NO_COLOR is set (no-color.org) or TERM is dumb. What
 * strangers can choose is escaped. Embedded in the host.
 */
struct logtext {
	struct observer observer;
	struct policy *policy; /* borrowed */
	struct writer writer;
	bool color;
};

/* Begins to observe @policy, whose loop is set, and writes to @to (writer.h). @starts: a line at
 * the start of each flow, too. 0 or a negative errno. */
int logtext_open(struct logtext *l, struct policy *policy, const char *to, bool starts);

/* Call it when all flows have ended. Safe on a zeroed one. */
void logtext_close(struct logtext *l);

#endif
