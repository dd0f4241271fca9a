/* SPDX-License-Identifier: MIT */
#ifndef NSNET_LUA_TESTFILE_H
#define NSNET_LUA_TESTFILE_H

#include <stdbool.h>

#include "lua/api.h"

/* testfile - runs one file of tests in this process, whose clocks it stops for good and whose
 * stderr becomes the file's log.
 */
struct testfile {
	const char *path;
	bool verbose; /* a line for each test, not only for those that failed */
	int log;      /* a file for what goes to stderr; borrowed */
	/* Called for each rule and handler of each rule set; may be NULL. */
	void (*cover)(void *arg, const struct lua_rule *r);
	void *arg;
	/* How it ended. */
	unsigned passed, failed;
	int status; /* 0, 1: tests failed, 66: a file cannot be read, 70: a script is wrong */
};

/* Runs it; results go to stdout. True: it came to its end. False: something is broken, which its
 * log tells. */
bool testfile_run(struct testfile *f);

#endif
