/* SPDX-License-Identifier: MIT */
#ifndef NSNET_PREFACE_H
#define NSNET_PREFACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chunked.h"
#include "dname.h"
#include "http.h"
#include "tls.h"

/* preface - listens to what the child says on a connection for as long as it can name a host: the
 * ClientHello and a second one, the head of each HTTP request. It holds bytes back until the name
 * in them is known and the owner has judged it; between the names bytes go freely.
 *
 *   first bytes --+-- TLS ------> hello: NAME --> no second hello ----------------> all may go
 *                 +-- HTTP/1 ---> head: NAME ---> body, not looked at --> next head: ...
 *                 |                              \-> CONNECT, Upgrade: first bytes again
 *                 +-- other ----> no name: NAME --------------------------------> all may go
 *
 * A name that was judged before is not told again. Allocates nothing; zeroed = at the beginning.
 */
enum preface_answer {
	PREFACE_MORE, /* what is held must stay: more is needed to tell */
	PREFACE_NAME, /* the fields are set: judge them; if they may pass, look again */
	PREFACE_PASS, /* *pass bytes may go; the rest is to be shown again, from its first byte */
	PREFACE_BAD,  /* why says what is wrong: it must not go */
};

#define PREFACE_ALL UINT64_MAX

struct preface {
	/* What is visible. */
	bool tls, http;       /* where */
	bool named;           /* there is a name: */
	char name[DNAME_MAX]; /* its normal form, or "" if it is none (an address) */
	bool hidden;          /* another one may be behind it (tls.h: ech) */
	const char *why;      /* of BAD; static */

	/* Ours. */
	uint8_t stage;
	bool begun;    /* a name, or that there is none, was told */
	size_t fed;    /* how many of the held bytes were looked at */
	uint64_t body; /* bytes behind those that need no look */
	size_t free;   /* how many of the held ones, from the first, may go */
	struct tls hello;
	struct http head;
	struct chunked chunks;
};

/* @bytes are all @n that are held (borrowed): those of the last call which did not pass, and new
 * ones behind them. @more: others may follow. *@pass is set for PASS: more than 0, perhaps more
 * than @n, or PREFACE_ALL, after which nothing needs to be shown any more. */
enum preface_answer preface_look(struct preface *p, const uint8_t *bytes, size_t n, bool more,
	uint64_t *pass);

#endif
