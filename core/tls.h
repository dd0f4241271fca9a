/* SPDX-License-Identifier: MIT */
#ifndef NSNET_TLS_H
#define NSNET_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dname.h"

/* tls - reads the name out of a ClientHello as its bytes come (RFC 8446 4.1.2 and 5.1, RFC 6066 3,
 * RFC 7301 3.1). Incremental: the bytes may be split anywhere, the message over any number of
 * records, and the answer is the same.
 *
 * Strict where two readers could differ: one host_name in one server_name extension, lengths that
 * add up, nothing behind the message in its record. What a server would refuse is TLS_BAD. Values
 * that are not known (GREASE, RFC 8701) are passed over. Embedded, allocates nothing.
 *
 * A server may ask for a second ClientHello (HelloRetryRequest, RFC 8446 4.1.4), which must name
 * the same host. tls_again() looks for it in what follows the first.
 */
enum tls_answer {
	TLS_MORE,  /* not to be told yet */
	TLS_OTHER, /* no TLS; of tls_again(): no second hello will come */
	TLS_HELLO, /* it is complete: the fields are set */
	TLS_BAD,   /* TLS, but nothing that a server should accept */
};

#define TLS_ALPN_MAX 64

struct tls {
	enum tls_answer answer;
	bool has_sni;            /* a server_name is there */
	char sni[DNAME_MAX + 1]; /* in normal form, or "" if it is no name */
	bool ech;                /* another name may be hidden (or it is GREASE: no telling) */
	bool early_data;         /* 0-RTT data may follow at once */
	char alpn[TLS_ALPN_MAX]; /* "h2,http/1.1": what fits; not printable ones as '?' */

	/* Ours. */
	bool again;
	uint8_t header[5]; /* of the record */
	uint8_t header_len, skip;
	uint16_t record; /* bytes of it to come */
	uint8_t state;
	uint32_t left;  /* bytes of the field to come */
	uint32_t value; /* of it */
	uint32_t body;  /* bytes of the message to come */
	uint16_t type, ext, list;
	uint16_t sni_len, alpn_len;
	bool has_alpn;
};

void tls_init(struct tls *t);

/* @t has answered TLS_HELLO: the bytes from now on are what follows. */
void tls_again(struct tls *t);

/* Takes the next @n bytes (borrowed) as far as they are needed; returns how many. @t->answer is
 * set, and final unless it is TLS_MORE. */
size_t tls_feed(struct tls *t, const uint8_t *bytes, size_t n);

/* True if no byte of a hello is among those that were taken; of tls_again(). */
bool tls_idle(const struct tls *t);

#endif
