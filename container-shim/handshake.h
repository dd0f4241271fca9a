/* SPDX-License-Identifier: MIT */
#ifndef NSNET_HANDSHAKE_H
#define NSNET_HANDSHAKE_H

#include <stdint.h>

/* handshake - the wire between the host and container-shim.
 *
 * A SOCK_SEQPACKET unix socket, both ends on one machine, so numbers are in
 * host byte order. Exactly two messages:
 *
 *   shim -> host   struct handshake_hello with n_fds descriptors (SCM_RIGHTS,
 *                  in the order of fd[]), once the namespace is complete or a
 *                  step of it has failed;
 *   host -> shim   struct handshake_go, when the host is ready to carry traffic.
 *
 * End of file instead of a go means that the host is gone: the shim exits and
 * never runs the command. The shim's end is close-on-exec, so that the host
 * reads end of file when the command has been executed.
 *
 * magic and version keep their places in every version; anything else may
 * change with the version, and the two sides refuse a version not their own.
 */

#define HANDSHAKE_MAGIC 0x6d68736eu /* "nshm" in memory on a little-endian machine */
#define HANDSHAKE_VERSION 2u
#define HANDSHAKE_FDS_MAX 64
#define HANDSHAKE_STEP_MAX 64

enum handshake_tag {
	HANDSHAKE_TUN = 1,  /* the tun device: IFF_TUN|IFF_NO_PI|IFF_VNET_HDR, header of 10 bytes */
	HANDSHAKE_DIAG = 2, /* a NETLINK_SOCK_DIAG socket of the namespace */
	HANDSHAKE_LISTEN =
		3, /* a listening TCP socket of the namespace's loopback; value: its port */
};

/* Bits of handshake_hello.has: what the namespace really got. */
#define HANDSHAKE_HAS_IPV6 1u   /* an IPv6 address and default route */
#define HANDSHAKE_HAS_RESOLV 2u /* resolv.conf names the addresses given by --dns */

struct handshake_fd {
	uint32_t tag;   /* enum handshake_tag */
	uint32_t value; /* meaning depends on the tag; 0 if it has none */
};

struct handshake_hello {
	uint32_t magic;
	uint32_t version;
	uint32_t status; /* 0, or the errno of the step that failed; then n_fds is 0 */
	uint32_t has;
	uint32_t mtu;   /* of the tun device, bytes */
	uint32_t n_fds; /* entries of fd[] in use */
	struct handshake_fd fd[HANDSHAKE_FDS_MAX];
	char step[HANDSHAKE_STEP_MAX]; /* name of the failed step, NUL-terminated, or "" */
};

struct handshake_go {
	uint32_t magic;
	uint32_t version;
};

/* Names of the steps, as they travel in hello.step. */
#define HANDSHAKE_STEP_UNSHARE "unshare"         /* user, network and mount namespace */
#define HANDSHAKE_STEP_JOIN "join the namespace" /* --join-user, --join-net */
#define HANDSHAKE_STEP_MAPS "uid and gid maps"   /* /proc/self/{setgroups,uid_map,gid_map} */
#define HANDSHAKE_STEP_PRIVATE "private mounts"  /* MS_PRIVATE on / */
#define HANDSHAKE_STEP_BIND "bind the tun node"  /* --bind-tun */
#define HANDSHAKE_STEP_TUN_OPEN "open tun"       /* /dev/net/tun */
#define HANDSHAKE_STEP_TUN_CREATE "create tun"   /* TUNSETIFF and its options */
#define HANDSHAKE_STEP_NETLINK "netlink"         /* the sockets themselves */
#define HANDSHAKE_STEP_LINK "bring the links up" /* lo, tun, MTU */
#define HANDSHAKE_STEP_ADDRESS "IPv4 address"    /* and default route */
#define HANDSHAKE_STEP_LISTEN "listen"           /* --listen */
#define HANDSHAKE_STEP_HIDE "hide a directory"   /* --hide */

#endif
