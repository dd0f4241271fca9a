/* SPDX-License-Identifier: MIT */
#ifndef SHIM_OPTIONS_H
#define SHIM_OPTIONS_H

#include <netinet/in.h>
#include <stdbool.h>

#define OPTIONS_LIST_MAX 16
#define OPTIONS_LISTEN_MAX 31 /* two sockets each fit in HANDSHAKE_FDS_MAX */

/* An interface address: @addr is in network byte order. */
struct net4 {
	struct in_addr addr;
	unsigned prefix;
};

struct net6 {
	struct in6_addr addr;
	unsigned prefix;
};

/* options - the command line of container-shim.
 *
 * Strings are borrowed from argv.
 */
struct options {
	int fd;                           /* the handshake socket; -1: --bind-tun alone */
	bool root;                        /* map the caller to uid and gid 0 */
	bool keep_caps;                   /* cmd keeps the capabilities of its user namespace */
	bool unshare;                     /* make the namespaces; false: use those we are in */
	const char *join_user, *join_net; /* namespaces to enter, as files; NULL: none */
	bool drop; /* take cmd's privileges; false: leave everything as it is */
	bool verbose;
	unsigned mtu;
	struct net4 net4;
	struct net6 net6;
	const char *tun_name;
	const char *tun_path;
	const char *bind_tun;                /* a root that gets the node, too; NULL: none */
	const char *dns[OPTIONS_LIST_MAX];   /* nameserver lines, NULL-terminated */
	const char *hide[OPTIONS_LIST_MAX];  /* directories to cover, NULL-terminated */
	unsigned listen[OPTIONS_LISTEN_MAX]; /* ports of the loopback */
	unsigned n_listen;
	char **command; /* NULL-terminated; empty only with --join-net, or
				    --bind-tun without --fd */
};

/* Returns 0, or the exit status to leave with (2) after a message. --help and
 * --version print and exit. */
int options_parse(struct options *options, int argc, char **argv);

#endif
