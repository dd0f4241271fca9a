/* SPDX-License-Identifier: MIT */
#ifndef NSNET_DNSMSG_H
#define NSNET_DNSMSG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* dnsmsg - DNS messages (RFC 1035 section 4, RFC 6891): a checked view, an iterator over
 * records, and small answers of our own. Pure: bytes in, bytes out; nothing is allocated.
 * Every message is from a stranger. All offsets are in bytes from the message's start.
 */
#define DNSMSG_MAX 65535
#define DNSMSG_HEADER 12
#define DNSMSG_WIRE_MAX 255           /* a name on the wire, RFC 1035 2.3.4 */
#define DNSMSG_TEXT_MAX (4 * 255 + 1) /* a name as text, each byte at worst "\ddd" */
#define DNSMSG_UDP_PLAIN 512          /* what a client without EDNS takes, RFC 1035 4.2.1 */
#define DNSMSG_ERROR_MAX (DNSMSG_HEADER + DNSMSG_WIRE_MAX + 4 + 11)

enum {
	DNSMSG_RCODE_NOERROR = 0,
	DNSMSG_RCODE_FORMERR = 1,
	DNSMSG_RCODE_SERVFAIL = 2,
	DNSMSG_RCODE_NXDOMAIN = 3,
	DNSMSG_RCODE_NOTIMP = 4,
	DNSMSG_RCODE_REFUSED = 5,
};

enum {
	DNSMSG_TYPE_A = 1,
	DNSMSG_TYPE_NS = 2,
	DNSMSG_TYPE_CNAME = 5,
	DNSMSG_TYPE_SOA = 6,
	DNSMSG_TYPE_PTR = 12,
	DNSMSG_TYPE_TXT = 16,
	DNSMSG_TYPE_AAAA = 28,
	DNSMSG_TYPE_SRV = 33,
	DNSMSG_TYPE_OPT = 41,
	DNSMSG_TYPE_SVCB = 64,
	DNSMSG_TYPE_HTTPS = 65,
	DNSMSG_TYPE_IXFR = 251,
	DNSMSG_TYPE_AXFR = 252,
};

/* A message's header, its only question, and its EDNS record. */
struct dnsmsg {
	const uint8_t *data; /* borrowed */
	size_t len;
	uint16_t id;
	bool response, truncated;
	uint8_t opcode, rcode; /* the header's 4 bits */
	uint16_t questions, answers, authorities, additionals;

	uint8_t name[DNSMSG_WIRE_MAX]; /* the question's name, uncompressed, as written */
	uint8_t name_len;              /* with the root's zero byte; 0 if there is no question */
	uint16_t type, class;
	uint16_t question_end; /* offset of the first record */

	size_t end;        /* offset behind the last record that the counts promise */
	bool whole;        /* all of those are there: @end <= @len */
	uint16_t opt;      /* offset of the OPT record, 0 = none */
	uint16_t udp_size; /* from it, at least 512; 512 without one */
};

/* Fills @m. Returns 0, or
 *   -EBADMSG    shorter than a header, or the question cannot be read: @m is unset but for
 *               id, response and opcode if there is a header
 *   -EMSGSIZE   the records break off or cannot be read: all but @end, @opt and @udp_size is
 *               right, and @whole is false; those cover what could be read
 *   -ENOTUNIQ   two questions, two OPT records, or one whose owner is a pointer to the root: as for
 *               -EMSGSIZE */
int dnsmsg_parse(struct dnsmsg *m, const uint8_t *data, size_t len);

/* One record. Everything is in the message; names are read with dnsmsg_name(). */
struct dnsmsg_record {
	uint16_t owner; /* offset of its name */
	uint16_t type, class;
	uint32_t ttl;
	uint16_t ttl_at; /* offset of the TTL, to rewrite it */
	uint16_t data;   /* offset and length of RDATA */
	uint16_t data_len;
	uint8_t section; /* 1 answer, 2 authority, 3 additional */
};

/* Walks the records: begin with *@at = 0 and *@n = 0. Returns 1 and fills @r, 0 at the end, or
 * -EBADMSG. */
int dnsmsg_next(const struct dnsmsg *m, size_t *at, unsigned *n, struct dnsmsg_record *r);

/* Reads the name at offset @at of the @len bytes at @data, following compression, into @wire
 * (DNSMSG_WIRE_MAX). Returns its uncompressed length; *@next (may be NULL) is the offset behind it.
 * -EBADMSG if it breaks off, loops, points forward, or is too long. */
int dnsmsg_name(const uint8_t *data, size_t len, size_t at, uint8_t *wire, size_t *next);

/* The text of a name on the wire: "www.example.com", "." for the root; lower case; a dot or
 * backslash inside a label and what is not printable ASCII are escaped as in RFC 1035 5.1, so
 * that two names have one text only if they are equal. @text has DNSMSG_TEXT_MAX bytes. Returns
 * @text. */
char *dnsmsg_text(const uint8_t *wire, char *text);

/* The wire form of "www.example.com" or "www.example.com.", escapes allowed, into @wire.
 * Returns its length or -EINVAL (empty label, label over 63, name over 255). */
int dnsmsg_wire(const char *text, uint8_t *wire);

/* True if both ask the same: name (ASCII case ignored), type and class. */
bool dnsmsg_same_question(const struct dnsmsg *a, const struct dnsmsg *b);

void dnsmsg_set_id(uint8_t *data, uint16_t id);

/* Writes an answer to @q that says only @rcode (and, if @truncated, TC), with its question and,
 * if @q had one, an OPT record. @out has DNSMSG_ERROR_MAX bytes. Works for any @q that has a header
 * (@q->data is set), dnsmsg_parse() failed or not. Returns the length. */
size_t dnsmsg_error(uint8_t *out, const struct dnsmsg *q, unsigned rcode, bool truncated);

/* Shortens the answer of @len bytes at @data to @max bytes (at least 512): whole records
 * from the front, TC set, the OPT record kept. One that breaks off is cut where it can still be
 * read. Returns the new length; @len, and nothing is changed, if it is well-formed and fits;
 * without TC if only bytes behind the last record were too many. */
size_t dnsmsg_truncate(uint8_t *data, size_t len, size_t max);

/* For logs: "A", "HTTPS", "TYPE4711"; "NOERROR", "RCODE11". Into @text (16 bytes) if there is no
 * name for it. */
const char *dnsmsg_type_name(uint16_t type, char *text);
const char *dnsmsg_rcode_name(unsigned rcode, char *text);

/* The type that a name of dnsmsg_type_name() stands for, in any case, or -EINVAL. */
int dnsmsg_type_of(const char *name);

#endif
