/* SPDX-License-Identifier: MIT */
#include "preface.h"

#include <string.h>

#include "base.h"

enum {
	START, /* the first bytes, of any protocol */
	HELLO,
	AGAIN,      /* behind a hello: perhaps a second one */
	FIRST_HEAD, /* HTTP, or something else */
	HEAD,       /* behind a request: nothing but another one */
	CHUNKS,
	ALL,
};

/* What one stage leads to; GO: look further. */
enum step {
	STEP_MORE,
	STEP_GO,
	STEP_NAME,
	STEP_BAD,
};

/* What is visible now; @name NULL: no name. The one that was told last is not told again. */
static enum step tell(struct preface *p, const char *name, bool tls, bool http, bool hidden)
{
	const bool again = p->begun && name && *name && p->named && !strcmp(p->name, name) &&
		p->tls == tls && p->http == http && p->hidden == hidden;

	p->begun = true;
	p->tls = tls;
	p->http = http;
	p->hidden = hidden;
	p->named = name != NULL;
	if (name)
		strcpy(p->name, name);
	return again ? STEP_GO : STEP_NAME;
}

static enum step bad(struct preface *p, const char *why)
{
	p->why = why;
	return STEP_BAD;
}

/* Bytes that name nobody; in a tunnel they stand under the tunnel's name. */
static enum step nameless(struct preface *p)
{
	p->stage = ALL;
	return p->begun ? STEP_GO : tell(p, NULL, false, false, false);
}

static enum step on_start(struct preface *p, const uint8_t *bytes, size_t n)
{
	if (bytes[p->fed] == 0x16 && n - p->fed < 2)
		return STEP_MORE;
	if (bytes[p->fed] == 0x16 && bytes[p->fed + 1] == 3) {
		tls_init(&p->hello);
		p->stage = HELLO;
	} else {
		http_init(&p->head);
		p->stage = FIRST_HEAD;
	}
	return STEP_GO;
}

static enum step on_hello(struct preface *p, const uint8_t *bytes, size_t n)
{
	enum step s;

	p->fed += tls_feed(&p->hello, bytes + p->fed, n - p->fed);
	if (p->hello.answer == TLS_MORE)
		return STEP_MORE;
	if (p->hello.answer != TLS_HELLO)
		return bad(p, "a malformed TLS ClientHello");
	p->free = p->fed;
	p->stage = AGAIN;
	s = tell(p, p->hello.has_sni ? p->hello.sni : NULL, true, false, p->hello.ech);
	tls_again(&p->hello);
	return s;
}

/* RFC 8446 4.1.2: the second hello differs in a few extensions, none of which is the name. */
static enum step on_again(struct preface *p, const uint8_t *bytes, size_t n)
{
	const struct tls *t = &p->hello;

	p->fed += tls_feed(&p->hello, bytes + p->fed, n - p->fed);
	if (t->answer == TLS_MORE) {
		if (tls_idle(t))
			p->free = p->fed;
		return STEP_MORE;
	}
	if (t->answer == TLS_BAD)
		return bad(p, "a malformed second TLS ClientHello");
	if (t->answer == TLS_HELLO &&
		(t->has_sni != p->named || (p->named && strcmp(t->sni, p->name) != 0) ||
			(t->ech && !p->hidden)))
		return bad(p, "a second TLS ClientHello for another host");
	p->stage = ALL;
	return STEP_GO;
}

static enum step on_head(struct preface *p, const uint8_t *bytes, size_t n)
{
	const struct http *h = &p->head;

	p->fed += http_feed(&p->head, bytes + p->fed, n - p->fed);
	switch (h->answer) {
	case HTTP_MORE:
		return STEP_MORE;
	case HTTP_BAD:
		return bad(p, "an ambiguous HTTP request");
	case HTTP_OTHER:
		if (p->stage == HEAD)
			return bad(p, "something else behind an HTTP request");
		return nameless(p);
	default:
		break;
	}
	p->free = p->fed;
	p->body = h->length;
	p->stage = h->chunked ? CHUNKS : h->tunnel ? START : HEAD;
	memset(&p->chunks, 0, sizeof(p->chunks));
	const enum step s = tell(p, h->has_host ? h->host : NULL, false, true, false);
	const bool tunnel = h->tunnel;
	http_init(&p->head);
	p->head.tunnel = tunnel;
	return s;
}

static enum step on_chunks(struct preface *p, const uint8_t *bytes, size_t n)
{
	p->fed += chunked_feed(&p->chunks, bytes + p->fed, n - p->fed);
	if (p->chunks.answer == CHUNKED_BAD)
		return bad(p, "an ambiguous body of an HTTP request");
	p->free = p->fed;
	if (p->chunks.answer == CHUNKED_MORE) {
		p->body = chunked_skip(&p->chunks);
		return p->body ? STEP_GO : STEP_MORE;
	}
	p->stage = p->head.tunnel ? START : HEAD;
	http_init(&p->head);
	return STEP_GO;
}

static enum step on_bytes(struct preface *p, const uint8_t *bytes, size_t n)
{
	switch (p->stage) {
	case START:
		return on_start(p, bytes, n);
	case HELLO:
		return on_hello(p, bytes, n);
	case AGAIN:
		return on_again(p, bytes, n);
	case CHUNKS:
		return on_chunks(p, bytes, n);
	default:
		return on_head(p, bytes, n);
	}
}

/* No more bytes come, and what is held is not enough. */
static enum step on_end(struct preface *p)
{
	switch (p->stage) {
	case START:
		return nameless(p);
	case HELLO:
		return bad(p, "a TLS ClientHello without an end");
	case AGAIN:
		if (p->hello.state)
			return bad(p, "a TLS ClientHello without an end");
		break;
	case FIRST_HEAD:
		if (http_unsure(&p->head))
			return nameless(p);
		return bad(p, "an HTTP request without an end");
	case HEAD:
		if (!http_blank(&p->head))
			return bad(p, "an HTTP request without an end");
		break;
	default:
		break;
	}
	p->stage = ALL;
	return STEP_GO;
}

/* ---- all of them ---- */

/* @n held bytes may go as far as they are free, and @beyond that will come behind them. */
static enum preface_answer let_go(struct preface *p, uint64_t beyond, uint64_t *pass)
{
	if (!p->free)
		return PREFACE_MORE;
	*pass = p->free + beyond;
	p->fed -= p->free;
	p->free = 0;
	return PREFACE_PASS;
}

enum preface_answer preface_look(struct preface *p, const uint8_t *bytes, size_t n, bool more,
	uint64_t *pass)
{
	enum step s;

	do {
		if (p->stage == ALL) {
			*pass = PREFACE_ALL;
			return PREFACE_PASS;
		}
		if (p->body) {
			const size_t some = p->body < n - p->fed ? (size_t)p->body : n - p->fed;
			const uint64_t beyond = p->body - some;

			p->free = p->fed += some;
			p->body = 0;
			if (beyond)
				return let_go(p, beyond, pass);
		}
		s = p->fed < n ? on_bytes(p, bytes, n) : STEP_MORE;
		if (s == STEP_MORE && !more && !p->free)
			s = on_end(p);
	} while (s == STEP_GO);
	if (s == STEP_MORE)
		return let_go(p, 0, pass);
	return s == STEP_NAME ? PREFACE_NAME : PREFACE_BAD;
}
