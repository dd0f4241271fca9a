/* SPDX-License-Identifier: MIT */
#ifndef NSNET_BENCH_WIRE_H
#define NSNET_BENCH_WIRE_H

#include <stdint.h>

/* wire - what the load client and the load server say to each other.
 *
 * Both ends are this program on one machine, so integers are in host order. A TCP connection
 * begins with one struct wire_ask from the client; what follows depends on its op:
 *
 *   ECHO     every later byte comes back
 *   ANSWER   @size bytes come back; the client closes, or the server if WIRE_SERVER_CLOSES
 *   SINK     the client sends pattern bytes and half-closes; a struct wire_sum comes back
 *   SOURCE   pattern bytes come for @ms milliseconds, then FIN
 *   SUM      a struct wire_sum of the SOURCE stream named @id comes back
 *
 * A UDP datagram comes back as it is.
 */
#define WIRE_MAGIC 0x6e736e74u

enum wire_op {
	WIRE_ECHO = 1,
	WIRE_ANSWER,
	WIRE_SINK,
	WIRE_SOURCE,
	WIRE_SUM,
};

enum wire_flag {
	WIRE_SERVER_CLOSES = 1,
	WIRE_VERIFY = 2, /* the receiver compares every byte with the pattern */
};

struct wire_ask {
	uint32_t magic;
	uint16_t op;
	uint16_t flags;
	uint32_t size; /* bytes */
	uint32_t ms;
	uint64_t id; /* of a stream; unique for the life of the server */
	uint64_t reserved;
};

struct wire_sum {
	uint64_t id;
	uint64_t bytes;
	uint64_t bad;   /* bytes that differed from the pattern */
	uint64_t known; /* 0 if the server has no such stream */
};

#endif
