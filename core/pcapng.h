/* SPDX-License-Identifier: MIT */
#ifndef NSNET_PCAPNG_H
#define NSNET_PCAPNG_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "addr.h"

/* pcapng - the blocks of a capture file (draft-ietf-opsawg-pcapng), in this machine's byte order.
 *
 * Pure: every function writes one whole block to @out, of which @max bytes may be used, and returns
 * its length (a multiple of 4), or 0 if there is not enough room. One interface, number 0, whose
 * packets begin with an IP header (LINKTYPE_RAW), times in nanoseconds since 1970 (UTC).
 */
#define PCAPNG_SECTION 0x0a0d0d0a
#define PCAPNG_INTERFACE 1
#define PCAPNG_NAMES 4
#define PCAPNG_STATISTICS 5
#define PCAPNG_PACKET 6

/* Longer comments are cut. */
#define PCAPNG_COMMENT_MAX 1024

/* epb_flags, draft section 4.3.1: as seen by the interface, which is the command's. */
enum pcapng_direction {
	PCAPNG_INBOUND = 1, /* world to child */
	PCAPNG_OUTBOUND = 2,
};

struct pcapng_packet {
	uint64_t ns;
	enum pcapng_direction direction;
	const struct iovec *iov; /* the packet from its IP header, in @n pieces */
	int n;
	size_t len;    /* of all pieces */
	size_t kept;   /* how much of it goes into the file */
	uint64_t lost; /* packets since the one before that there was no room for */
};

struct pcapng_statistics {
	uint64_t start_ns, end_ns;
	uint64_t received, lost;
};

/* The beginning of a file: section header and interface description. */
size_t pcapng_begin(uint8_t *out, size_t max, const char *application, const char *interface,
	size_t snaplen);

size_t pcapng_packet(uint8_t *out, size_t max, const struct pcapng_packet *p);

/* Where in the block of pcapng_packet() the packet's bytes are. */
#define PCAPNG_PACKET_DATA 28

/* Adds a comment, which must be UTF-8, to the packet block at @block, which grows by
 * pcapng_comment_size(). Returns its new length. */
size_t pcapng_comment(uint8_t *block, const char *text);
size_t pcapng_comment_size(const char *text);

/* That @ip (port ignored) is called @name. */
size_t pcapng_name(uint8_t *out, size_t max, const struct addr *ip, const char *name);

size_t pcapng_statistics(uint8_t *out, size_t max, const struct pcapng_statistics *s);

/* The type and the length of the block at @block; of a packet's, how many bytes it has of it. */
uint32_t pcapng_type(const uint8_t *block);
size_t pcapng_length(const uint8_t *block);
size_t pcapng_kept(const uint8_t *packet);

#endif
