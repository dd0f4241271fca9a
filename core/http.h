/* SPDX-License-Identifier: MIT */
#ifndef NSNET_HTTP_H
#define NSNET_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dname.h"

/* http - reads the head of an HTTP/1 request as its bytes come (RFC 9112): which host it is for,
 * and where its body ends, so that the next head is found. Incremental: the bytes may be split
 * anywhere, the answer is the same.
 *
 * Strict where two readers could differ, since the server behind is not known: one Host, the same
 * as in an absolute-form target; CRLF and nothing else; no folded line, no space before a colon;
 * one Content-Length or "chunked", never both. What is not is HTTP_BAD. What nobody would take for
 * HTTP is HTTP_OTHER. Embedded, allocates nothing.
 */
enum http_answer {
	HTTP_MORE,  /* not to be told yet */
	HTTP_OTHER, /* no HTTP/1 request */
	HTTP_HEAD,  /* it is complete: the fields are set */
	HTTP_BAD,   /* a request, but one that two readers could read as two */
};

#define HTTP_FIELD_MAX 320 /* of a target's authority and of the values that are read */

struct http {
	enum http_answer answer;
	bool has_host;        /* a host is named */
	char host[DNAME_MAX]; /* in normal form, or "" if it is no name: an address */
	bool tunnel;          /* CONNECT or Upgrade: what follows may be of any protocol */
	bool chunked;         /* the body is in chunks (chunked.h) */
	uint64_t length;      /* of the body, if it is not */

	/* Ours. */
	uint8_t state;
	bool odd;      /* not as it should be, which matters once it is known to be HTTP */
	bool v10;      /* HTTP/1.0 */
	bool connect;  /* the method */
	bool absolute; /* the target's form */
	uint8_t hosts, lengths, codings;
	bool full;    /* text[] was too short */
	bool cr;      /* the last blank byte was a CR */
	bool blanks;  /* there were any */
	bool word;    /* the next byte begins a word */
	bool version; /* a word of the request line was a version */
	uint16_t len;
	char method[24];
	char name[24]; /* of the field, lower case; cut off */
	char tail[12]; /* of the request line: its last word */
	char target[HTTP_FIELD_MAX];
	char text[HTTP_FIELD_MAX]; /* the field's value, or the Host's */
	uint8_t method_len, name_len, tail_len;
	uint16_t target_len;
	char authority[HTTP_FIELD_MAX]; /* of Host, as written */
};

void http_init(struct http *h);

/* Takes the next @n bytes (borrowed) as far as they are needed; returns how many. @h->answer is
 * set, and final unless it is HTTP_MORE. */
size_t http_feed(struct http *h, const uint8_t *bytes, size_t n);

/* True if nothing was fed yet that could be the beginning of a request. */
bool http_blank(const struct http *h);
/* True if what was fed so far could still be something else. */
bool http_unsure(const struct http *h);

#endif
