/* SPDX-License-Identifier: MIT */
#ifndef NSNET_INHERIT_H
#define NSNET_INHERIT_H

#include <signal.h>
#include <sys/resource.h>

/* inherit - what the command must find as the user left it, though the host
 * needs it otherwise: the signal mask, the ignored signals, RLIMIT_NOFILE.
 *
 * Embedded in the host; noted first thing in main() and valid until the end.
 */
struct inherit {
	sigset_t mask;
	sigset_t defaults; /* signals that the command gets with their default action */
	struct rlimit nofile;
};

/* Notes all of it, then sets what the host needs: SIGPIPE ignored (a broken
 * connection is an errno), SIGXFSZ ignored (so is a file at its limit), SIGTTOU
 * ignored (a line on the terminal must not stop the network), as many descriptors
 * as the hard limit allows, and /dev/null for each standard descriptor that is
 * closed, which the command finds there, too. */
void inherit_init(struct inherit *i);

#endif
