/* SPDX-License-Identifier: MIT */
#ifndef NSNET_DGRAM_H
#define NSNET_DGRAM_H

#include <ev.h>
#include <time.h> /* <linux/errqueue.h> needs it first */
#include <linux/errqueue.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "addr.h"
#include "buf.h"
#include "bundle.h"
#include "envelope.h"

/* dgram - a connected datagram socket of the host: sends, receives in batches, reads the error
 * queue.
 *
 * Embedded in an association. It begins with dgram_start() and ends with dgram_close(), which any
 * event may call; the struct may be freed at once after it.
 */
#define DGRAM_BATCH 16 /* datagrams per recvmmsg(2) */

struct dgram;

/* What arrived: @len bytes at @data, with BUF_HEADROOM free bytes before. */
struct dgram_in {
	uint8_t *data;
	size_t len;
	size_t segment; /* less than len: a series of datagrams of this size each (UDP_GRO) */
	uint8_t ttl;    /* 0 = unknown */
};

struct dgram_ops {
	/* @n have arrived (1..DGRAM_BATCH; borrowed, writable). */
	void (*received)(struct dgram *d, const struct dgram_in *in, unsigned n);
	/* An entry of the error queue. @from is who sent the ICMP error (v = 0: unknown);
	 * @n bytes of the datagram it is about, as the protocol quotes it, are at @data
	 * (borrowed, writable; BUF_HEADROOM bytes before and 8 behind are free). */
	void (*error)(struct dgram *d, const struct sock_extended_err *ee, const struct addr *from,
		uint8_t *data, size_t n);
	/* An error without details, or (a dialer's socket only) its end. */
	void (*failed)(struct dgram *d, int error, bool ended);
};

/* Where datagrams arrive: shared by many sockets, since one is read at a time. */
struct dgram_rx {
	struct dgram_batch *batch; /* owned; NULL until first used */
	uint64_t foreign;          /* datagrams and errors of strangers, dropped; also what
				    * carries no envelope where it should */
	uint64_t lost;             /* no memory to read them into */
};

void dgram_rx_init(struct dgram_rx *rx);
void dgram_rx_fini(struct dgram_rx *rx);

struct dgram {
	const struct dgram_ops *ops;
	struct ev_loop *loop;
	struct dgram_rx *rx;
	ev_io io;                        /* runs from start to close */
	int fd;                          /* owned; -1 = none */
	struct addr peer;                /* v = 0: a dialer's socket, whose options are not ours */
	const struct envelope *envelope; /* borrowed; set before the start; NULL = none */
	bool *gone;                      /* told by dgram_close() while an event runs */
	uint8_t ttl, tos;                /* as the socket has them */
	uint8_t fruitless;               /* wake-ups in a row that brought nothing */
	bool packets; /* reading 0 bytes is the end, no empty datagram (SOCK_SEQPACKET) */
	bool ping;    /* a ping socket: senders are checked, replies have their TTL */
	bool bundles; /* UDP_SEGMENT worked, or was not tried */
};

/* A non-blocking, close-on-exec socket connected to @to, its error queue on: UDP, or with @ping an
 * ICMP echo socket. Returns the fd or a negative errno. */
int dgram_open(const struct addr *to, bool ping);

/* Starts @d (zeroed) on @fd, which it takes: one of dgram_open(), connected to *@peer; or with
 * @peer NULL one of a dialer. */
void dgram_start(struct dgram *d, const struct dgram_ops *ops, struct ev_loop *loop,
	struct dgram_rx *rx, int fd, const struct addr *peer, bool ping);

/* No event comes any more. Safe on a closed one whose fd is -1. */
void dgram_close(struct dgram *d);

/* TTL and service class of what is sent next. ECN bits are left out: nobody carries the marks of
 * the replies back. */
void dgram_mark(struct dgram *d, uint8_t ttl, uint8_t tos);
/* True if dgram_mark() would change nothing. */
bool dgram_is_marked(const struct dgram *d, uint8_t ttl, uint8_t tos);

/* Sends one datagram. Returns 0; -EAGAIN, -ENOBUFS or -ENOMEM: there was no room, it is lost;
 * -ECANCELED: @d was closed by an event; or another negative errno: this datagram failed. Errors
 * of earlier ones, which send(2) would report here, become events. */
int dgram_send(struct dgram *d, const void *data, size_t n);

/* Sends all payloads of @b with one call. A negative errno: none was sent, send each by itself
 * (which also tells what the matter is). */
int dgram_send_bundle(struct dgram *d, const struct bundle *b);

/* The path MTU, or 0. */
uint32_t dgram_mtu(const struct dgram *d);

/* True if @error (positive) says that the host, not the destination, had no room. */
bool dgram_is_shortage(int error);

#endif
