/* SPDX-License-Identifier: MIT */
#ifndef NSNET_PREFLIGHT_H
#define NSNET_PREFLIGHT_H

#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>

#include "shim.h"

/* preflight - what the machine must offer, and what to do where it does not. */

/* What the system says of itself. -1: it has no such setting. */
struct preflight_facts {
	long max_user_namespaces;
	long max_net_namespaces;
	long max_mnt_namespaces;
	long unprivileged_userns_clone; /* Debian's switch */
	long apparmor_restrict_userns;  /* Ubuntu's switch */
	long seccomp_mode;              /* of this process: 2 = filtered */
	long tun_mode;                  /* permission bits of /dev/net/tun */
	bool root;                      /* uid 0 */
};

void preflight_gather(struct preflight_facts *facts);

/* The remedy for @failure as the rest of a sentence, never empty. Pure. Static
 * text, or text in @buf. */
const char *preflight_remedy(const struct shim_failure *failure,
	const struct preflight_facts *facts, char *buf, size_t size);

/* Logs @failure as one line: what failed, why, the remedy. */
void preflight_explain(const struct shim_failure *failure);

/* Checks everything, by starting a real namespace too, and writes one line to
 * @out for each thing that is missing, with the remedy; with @verbose a line
 * for each thing that is there. @shim as in shim_options.path; @inherit may be
 * NULL. Returns how many things are missing. */
int preflight_run(FILE *out, bool verbose, const char *shim, const struct inherit *inherit);

#endif
