/* SPDX-License-Identifier: MIT */
#ifndef NSNET_LUA_TOOLS_H
#define NSNET_LUA_TOOLS_H

#include <stdbool.h>
#include <stddef.h>

/* tools - the tools for those who write rules, as core/tools.c calls them.
 */

/* nsnet-host test: runs files of tests, each in a process of its own, and sums up. A file that
 * crashes, gets stuck or ends in the middle is a failure and takes no other with it. */
struct testrun_options {
	char *const *path;
	size_t count;
	bool verbose;  /* a line for each test */
	bool coverage; /* which rules and handlers were of use */
};

/* Results go to stdout; the last line is "N passed, N failed". Returns the exit status: 0; 1: tests
 * failed; 66: a file cannot be read; 70: a file or script is wrong; the worst of all files. */
int testrun(const struct testrun_options *o);

#endif
