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

/* nsnet-host explain: how the rules come to a verdict about one flow. Nothing is dialed for it,
 * but handlers that ask somebody do ask. */
struct explain_options {
	const char *const *script; /* paths, or code where code[i] */
	const bool *code;
	size_t count;
	const char *env;
	bool default_set, default_deny, insecure_perms, allow_host;
	const char *network, *address; /* "tcp", "192.0.2.1:443" */
	const char *name;      /* what the command was told the address is of; NULL = nothing */
	const char *sni;       /* NULL = nothing is said */
	const char *http_host; /* likewise */
	const char *process;   /* who asks, "curl" or "/usr/bin/curl"; NULL = not known */
	const char *src;       /* who asks, "10.0.0.1:4000" or without a port; NULL = the command */
	bool inbound;          /* @src, outside, calls @address, inside, as with -p */
	bool unnamed;          /* likewise, as with -p auto: the default has a say */
	bool dry_run;
	const char *net4, *net6;    /* of the namespace: "10.0.0.1/24" */
	const char *const *forward; /* each -L: its ports of the loopback lead to the host */
	size_t forwards;
};

#define EXPLAIN_DENIED 1
#define EXPLAIN_UNDECIDED 3 /* only the first bytes can tell, and they were not given */

/* Returns the exit status: 0 (let through), one of the above, 2 (usage), 66, 70. */
int explain(const struct explain_options *o);

/* nsnet-host lua-init: writes definitions and settings for LuaLS and luacheck into @directory, and
 * tells of each on stdout. A file that is there and is another stays, with a message. Returns the
 * exit status: 0; EDITOR_KEPT; 73: a file cannot be written; the worst of all. */
#define EDITOR_KEPT 1
int editor_init(const char *directory);

#endif
