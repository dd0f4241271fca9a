/* SPDX-License-Identifier: MIT */
#ifndef NSNET_LOGJSON_H
#define NSNET_LOGJSON_H

#include "jsonline.h"
#include "observe.h"
#include "policy.h"
#include "writer.h"

/* logjson - the log in JSON lines, as LOG.md describes it. Embedded in the host. */
struct logjson {
	struct observer observer;
	struct policy *policy; /* borrowed */
	struct writer writer;
	struct jsonline json;
};

/* Begins to observe @policy, whose loop is set, and writes to @to (writer.h). @command is ended by
 * NULL. 0 or a negative errno. */
int logjson_open(struct logjson *l, struct policy *policy, const char *to, char *const *command);

/* The command has ended with @status. Call it when all flows have ended. Safe on a zeroed one. */
void logjson_close(struct logjson *l, int status);

#endif
