/* SPDX-License-Identifier: MIT */
#ifndef NSNET_ASSOC_H
#define NSNET_ASSOC_H

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "backlog.h"
#include "buf.h"
#include "dgram.h"
#include "expiry.h"
#include "flow.h"
#include "notice.h"
#include "packet.h"
#include "policy.h"
#include "tun.h"
#include "volley.h"

/* assoc - one datagram conversation: a flow with a connected host socket. What UDP and ICMP echo
 * have in common: asking policy, holding the first datagrams, errors as ICMP, idle ends, a cap.
 *
 *   first datagram -> ASKED -> DIALING -> OPEN ----------> freed (idle, evicted, aborted)
 *                       |         |  up to BACKLOG_MAX datagrams wait until OPEN
 *                       +---------+-> ENDED: a negative entry, kept for a while so that a flood
 *                                     does not ask policy again; it answers each datagram with
 *                                     the same ICMP error (or with silence), then is freed
 *
 * A struct assoc is one allocation, made by assoc_open() and freed only by assoc_free(), which
 * runs policy_end() if it has not run. Its set (struct udp, struct ping) embeds struct assoc_set.
 */
#define ASSOC_MAX 1024     /* default of assoc_set.max */
#define ASSOC_IDLE_S 60.0  /* default of assoc_set.idle_s */
#define ASSOC_DENIED_S 5.0 /* how long a denial answers for policy */
#define ASSOC_FAILED_S 1.0 /* the same for a failed dial: networks come back */

struct assoc;
struct assoc_set;

/* What differs between the kinds. Static. */
struct assoc_ops {
	struct flow_ops flow; /* .network, and the four assoc_* functions below */

	bool ping; /* see dgram.h */
	/* See icmperr.h. */
	bool hard_errors;
	/* The errno of a denial in DENY_STYLE_REFUSE. */
	int refuse_error;
	/* Bytes of what the socket carries that are no payload: for the counters. */
	size_t header;

	/* Told that the dial failed, or NULL. May log. */
	void (*dial_failed)(struct assoc *a, int error);
	/* What the socket has to send for @p (borrowed, may be changed): sets *@data, returns
	 * its length. */
	size_t (*outgoing)(struct assoc *a, struct packet *p, uint8_t **data);
	/* @n have arrived (dgram.h): makes the packets to the child in place and hands them to
	 * assoc_write(). Counts in set->unfit what is not for the child. @a is held: it may be dead
	 * after a write, and nothing more is to be written then. */
	void (*received)(struct assoc *a, const struct dgram_in *in, unsigned n);
	/* The child's datagram as an ICMP error quotes it: the first *@n bytes that the socket
	 * had sent are at @data, with as many as @header more behind, if *@n is too small. Writes
	 * headers before it, returns their length. */
	size_t (*quote)(struct assoc *a, uint8_t *data, size_t *n);
};

struct assoc {
	struct flow flow;
	struct assoc_set *set;
	struct dgram dgram;         /* the socket; its fd is -1 unless OPEN */
	struct expiry_entry expiry; /* in one of the set's three */
	struct backlog backlog;     /* waits until OPEN */
	struct notice_limit answers;
	uint64_t turn; /* assoc_set.turn when it last sent */
	int refusal;   /* ENDED: errno that each datagram is answered with; 0 = silence */
	bool busy : 1; /* in use up the stack: do not free, only mark dead */
	bool dead : 1;
};

struct assoc_set {
	const struct assoc_ops *ops;
	struct ev_loop *loop;
	struct tun *tun; /* borrowed, like the next two */
	struct flow_table *flows;
	struct policy *policy;
	size_t max;    /* set after init: negative entries count too */
	double idle_s; /* set after init */

	struct expiry active; /* all but the negative entries: idle_s */
	struct expiry denied; /* negative: policy said no */
	struct expiry failed; /* negative: the dial failed */
	size_t count;
	size_t waiting_bytes; /* budget of all backlogs */
	struct dgram_rx rx;
	struct volley volley; /* datagrams of the tun's present batch */
	uint64_t turn;        /* number of that batch */

	/* Counters. Datagrams unless said otherwise. */
	uint64_t opened;           /* flows */
	uint64_t evicted, expired; /* flows: cap, idle */
	uint64_t up, down;         /* forwarded */
	uint64_t up_dropped;       /* the host's socket had no room */
	uint64_t waiting_dropped;  /* too many waited for a verdict */
	uint64_t refused;   /* answered with an ICMP error, or silence, by a negative entry */
	uint64_t unfit;     /* from the world, and no packet can carry them */
	uint64_t errors;    /* ICMP errors sent to the child */
	uint64_t no_memory; /* also: no file descriptor */
};

/* Embedded by struct udp and struct ping. @ops lives as long as the set. */
void assoc_set_init(struct assoc_set *s, const struct assoc_ops *ops, struct ev_loop *loop,
	struct tun *tun, struct flow_table *flows, struct policy *policy);
/* Ends and frees all associations. */
void assoc_set_fini(struct assoc_set *s);

/* The first datagram of an unknown flow. Takes @b. At the cap, the association that was idle for
 * longest makes room. */
void assoc_open(struct assoc_set *s, const struct flow_key *key, struct buf *b, struct packet *p);

/* Writes a packet as tun_writev() does, and counts. It carries @datagrams with @payload bytes. */
int assoc_write(struct assoc *a, const struct virtio_net_hdr *vh, struct iovec *iov, int n,
	unsigned datagrams, size_t payload);

/* The tun's batch is over: sends what was put off. To be called after each. */
void assoc_flush(struct assoc_set *s);

/* The flow_ops of every kind. */
void assoc_input(struct flow *f, struct buf *b, struct packet *p);
void assoc_decided(struct flow *f);
void assoc_dialed(struct flow *f, int fd, const void *early, size_t n);
void assoc_abort(struct flow *f, enum flow_cause cause);

#endif
