/* SPDX-License-Identifier: MIT */
#ifndef NSNET_RESOLVCONF_H
#define NSNET_RESOLVCONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <time.h>

#include "addr.h"

/* resolvconf - the host's /etc/resolv.conf (resolv.conf(5)): which name servers it names now,
 * and which it has ever named.
 *
 * It is not watched but looked at: resolvconf_check() costs one stat(2) and is called when a
 * DNS question is there to be asked. That finds every kind of change (rewritten, renamed over,
 * a symbolic link pointed elsewhere, a mount), needs no watcher, and cannot come too late: whoever
 * read the new file and asks because of it does so after the change.
 */
#define RESOLVCONF_SERVERS_MAX 3 /* as many as libc asks: MAXNS */
#define RESOLVCONF_NAMED_MAX 64  /* addresses remembered; the oldest is forgotten */
#define RESOLVCONF_SEARCH_MAX 1024
#define RESOLVCONF_OPTIONS_MAX 128

struct resolvconf_server {
	struct addr addr; /* with port 53 */
	uint32_t scope;   /* interface index of a "%zone", or 0 */
};

struct resolvconf {
	char *path;    /* owned */
	uint16_t port; /* asked at the servers: 53, but for specs */
	struct resolvconf_server server[RESOLVCONF_SERVERS_MAX]; /* at least one: see below */
	size_t servers;
	bool by_default;    /* the file is absent or names none: server[0] is 127.0.0.1 */
	unsigned timeout_s; /* 1..30, default 5 */
	unsigned attempts;  /* 1..5, default 2 */
	bool rotate, use_vc;
	char search[RESOLVCONF_SEARCH_MAX];   /* domains with one space between, "" = none */
	char options[RESOLVCONF_OPTIONS_MAX]; /* those that the child's libc is to follow too */
	unsigned long generation;             /* grows by one when any of the above has changed */

	struct addr named[RESOLVCONF_NAMED_MAX]; /* port 0 */
	size_t named_len, named_next;

	struct stat seen; /* the file as it was read; st_ino 0 = absent */
	double seen_at;   /* monotonic seconds: when it first looked like that */
	bool racy;        /* it was so young then that a later change may look the same */
	uint64_t sum;     /* of its text */
};

/* Reads @path (copied). An absent or unreadable file is as an empty one, like in libc.
 * Returns 0 or a negative errno (no memory, no descriptors, an I/O error). */
int resolvconf_init(struct resolvconf *c, const char *path);
void resolvconf_fini(struct resolvconf *c);

/* Reads the file again if it has changed. Returns true if the contents differ. A file that cannot
 * be read for lack of resources (EMFILE, ENOMEM) leaves all as it was. */
bool resolvconf_check(struct resolvconf *c);

/* True if the file names or has named @a (port ignored) as a name server. Loopback and
 * unspecified addresses are never remembered: inside the namespace they mean the namespace. */
bool resolvconf_named(const struct resolvconf *c, const struct addr *a);

/* The address of @s for connect(), its zone included. Returns its length. */
socklen_t resolvconf_sockaddr(const struct resolvconf_server *s, struct sockaddr_storage *ss);
bool resolvconf_same_server(const struct resolvconf_server *a, const struct resolvconf_server *b);

/* Sets all values from the @len bytes of @text, as of a file. For specs and fuzzing. */
void resolvconf_parse(struct resolvconf *c, const char *text, size_t len);

/* Writes the file that the child is to see: our servers @a and @b (either may have v 0), the
 * host's search domains and the options that still have a meaning. Returns its length; @size
 * bytes suffice if it is RESOLVCONF_TEXT_MAX. */
#define RESOLVCONF_TEXT_MAX (RESOLVCONF_SEARCH_MAX + RESOLVCONF_OPTIONS_MAX + 256)
size_t resolvconf_render(const struct resolvconf *c, const struct addr *a, const struct addr *b,
	char *text, size_t size);

/* True if the child's libc may have made @name (in normal form) by itself, of fewer dots than
 * "ndots" says and a domain of the search list: only if it exists not does it go on to others. */
bool resolvconf_completes(const struct resolvconf *c, const char *name);

#endif
