/* SPDX-License-Identifier: MIT */
#ifndef NSNET_ASSOC_H
#define NSNET_ASSOC_H

#include <ev.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "buf.h"
#include "flow.h"
#include "list.h"
#include "packet.h"
#include "policy.h"
#include "tun.h"

/* assoc - one datagram conversation: a flow with a connected host socket. What UDP and ICMP echo
 * have in common: asking policy, holding the first datagrams, errors as ICMP, idle ends, a cap.
 *
 *   first datagram -> ASKED -> DIALING -> OPEN ----------> freed (idle, evicted, aborted)
 *                       |         |  up to ASSOC_WAITING_MAX datagrams wait until OPEN
 *                       +---------+-> ENDED: a negative entry, kept for a while so that a flood
 *                                     does not ask policy again; it answers each datagram with
 *                                     the same ICMP error (or with silence), then is freed
 *
 * A struct assoc is one allocation, made by assoc_open() and freed only by assoc_free(), which
 * runs policy_end() if it has not run. Its set (struct udp, struct ping) embeds struct assoc_set.
 */
#define ASSOC_MAX 1024           /* default of assoc_set.max */
#define ASSOC_IDLE_S 60.0        /* default of assoc_set.idle_s */
#define ASSOC_DENIED_S 5.0       /* how long a denial answers for policy */
#define ASSOC_FAILED_S 1.0       /* the same for a failed dial: networks come back */
#define ASSOC_WAITING_MAX 16     /* datagrams that wait for a verdict, per flow */
#define ASSOC_WAITING_BYTES (4 << 20) /* the same, bytes of a whole set */
#define ASSOC_BATCH 16           /* datagrams per recvmmsg(2) */

struct assoc;
struct assoc_set;

/* What differs between the kinds. Static. */
struct assoc_ops {
	struct flow_ops flow; /* .network, and the four assoc_* functions below */

	/* An ICMP error that says "no such net, no such host" is hidden from a UDP socket without
	 * IP_RECVERR. True: choose one that is not (see assoc.c). */
	bool hard_errors;
	/* The kernel delivers from anybody: compare each sender with the target. Sets
	 * want_ttl too: the TTL of what arrives is known. */
	bool check_sender;

	/* A connected, non-blocking, close-on-exec socket to a->flow.decision.target, or a
	 * negative errno. */
	int (*dial)(struct assoc *a);
	/* The transport payload of @p (borrowed) that goes to the world: sets *@data, returns its
	 * length, or -EINVAL: malformed, drop it. May write to the packet. */
	ssize_t (*outgoing)(struct assoc *a, struct packet *p, uint8_t **data);
	/* @n bytes have arrived at @data, with room for headers before it: makes the packet to
	 * the child in place. Returns the length of the headers, or 0: not for the child. *@start
	 * is where a partial checksum begins (virtio_net_hdr.csum_start), 0 if there is none. */
	size_t (*incoming)(struct assoc *a, uint8_t *data, size_t n, uint8_t ttl, uint16_t *start);
	/* The child's datagram as an ICMP error quotes it: @n bytes of what the error queue of
	 * the socket returned are at @data; writes headers before it, returns their length. */
	size_t (*quote)(struct assoc *a, uint8_t *data, size_t n);
};

enum assoc_list {
	ASSOC_LIST_FAILED, /* negative: the dial failed */
	ASSOC_LIST_DENIED, /* negative: policy said no */
	ASSOC_LIST_ACTIVE, /* all others */
	ASSOC_LIST_COUNT,
};

struct assoc {
	struct flow flow;
	struct assoc_set *set;
	ev_io io;          /* persistent while OPEN */
	int fd;            /* owned; -1 = none */
	struct list lru;   /* in set->lists[list] */
	double touched;    /* when a datagram passed last: assoc_now() */
	struct list waiting; /* owned; struct waiting, oldest first */
	unsigned waiting_count;
	double answered;   /* rate limit of answers: see assoc_may_answer() */
	int refusal;       /* ENDED: errno that each datagram is answered with; 0 = silence */
	uint8_t list;      /* enum assoc_list */
	uint8_t ttl, tos;  /* as the socket has them */
	bool own : 1;      /* our socket, not a dialer's: its options may be set */
	bool packets : 1;  /* reading 0 bytes means end, not an empty datagram (SOCK_SEQPACKET) */
	bool busy : 1;     /* in use up the stack: do not free, only mark dead */
	bool dead : 1;
};

struct assoc_set {
	const struct assoc_ops *ops;
	struct ev_loop *loop;
	struct tun *tun;           /* borrowed, like the next two */
	struct flow_table *flows;
	struct policy *policy;
	size_t max;                /* set after init: negative entries count too */
	double idle_s;             /* set after init */

	struct list lists[ASSOC_LIST_COUNT]; /* least recently used first */
	ev_timer timer;            /* due when the first entry of a list may be */
	size_t count;
	size_t waiting_bytes;
	struct buf *rx[ASSOC_BATCH]; /* owned; made at first use */
	struct assoc_rx *batch;      /* owned; the arguments of recvmmsg(2) */

	/* Counters. Datagrams unless said otherwise. */
	uint64_t opened;           /* flows */
	uint64_t evicted, expired; /* flows: cap, idle */
	uint64_t up, down;         /* forwarded */
	uint64_t up_dropped;       /* the host's socket had no room */
	uint64_t waiting_dropped;  /* too many waited for a verdict */
	uint64_t refused;          /* answered with an ICMP error, or silence, by a negative entry */
	uint64_t malformed;
	uint64_t foreign;          /* from somebody who was not asked */
	uint64_t errors;           /* ICMP errors sent to the child */
	uint64_t no_memory;        /* also: no file descriptor */
};

/* Embedded by struct udp and struct ping. @ops lives as long as the set. */
void assoc_set_init(struct assoc_set *s, const struct assoc_ops *ops, struct ev_loop *loop,
	struct tun *tun, struct flow_table *flows, struct policy *policy);
/* Ends and frees all associations. */
void assoc_set_fini(struct assoc_set *s);

/* The first datagram of an unknown flow. Takes @b. At the cap, the association that was idle for
 * longest makes room. */
void assoc_open(struct assoc_set *s, const struct flow_key *key, struct buf *b, struct packet *p);

/* The flow_ops of every kind. */
void assoc_input(struct flow *f, struct buf *b, struct packet *p);
void assoc_decided(struct flow *f);
void assoc_dialed(struct flow *f, int fd, const void *early, size_t n);
void assoc_abort(struct flow *f, enum flow_cause cause);

/* For assoc_ops.dial: a socket of @type and @protocol, with its error queue on, connected to the
 * flow's target. Returns the fd or a negative errno. */
int assoc_socket(struct assoc *a, int protocol4, int protocol6);

#endif
