/* SPDX-License-Identifier: MIT */
#include "tls.h"

#include <string.h>

#include "base.h"

/* Two machines, a byte at a time: the outer one takes records apart, the inner one reads the
 * handshake message that they carry, field by field. A field has a length that is known when it
 * begins; when it is complete, step() says what comes next.
 */
#define RECORD_CCS 20
#define RECORD_HANDSHAKE 22
#define RECORD_DATA 23
#define RECORD_MAX 16384 /* RFC 8446 5.1 */
#define CLIENT_HELLO 1
/* version, random, three empty vectors but for one suite and one compression method */
#define HELLO_MIN (2 + 32 + 1 + 2 + 2 + 1 + 1)
#define HELLO_MAX 65535

#define EXT_SERVER_NAME 0
#define EXT_ALPN 16
#define EXT_EARLY_DATA 42
#define EXT_ECH 0xfe0d        /* RFC 9849 */
#define EXT_ECH_DRAFTS 0xfe08 /* to 0xfe0c */
#define EXT_ESNI 0xffce

enum {
	TYPE,
	LENGTH,
	VERSION,
	RANDOM,
	SESSION_LEN,
	SESSION,
	SUITES_LEN,
	SUITES,
	METHODS_LEN,
	METHODS,
	EXTS_LEN,
	EXT_TYPE,
	EXT_LEN,
	EXT,
	SNI_LIST,
	SNI_KIND,
	SNI_LEN,
	SNI_NAME,
	ALPN_LIST,
	ALPN_LEN,
	ALPN_NAME,
	END,
};

static void go(struct tls *t, int state, uint32_t left)
{
	t->state = (uint8_t)state;
	t->left = left;
	t->value = 0;
}

void tls_init(struct tls *t)
{
	memset(t, 0, sizeof(*t));
	go(t, TYPE, 1);
}

void tls_again(struct tls *t)
{
	const bool early = t->early_data;

	tls_init(t);
	t->again = true;
	t->early_data = early;
}

/* ---- the message ---- */

/* An extension, or all of them, are complete. */
static void next_ext(struct tls *t)
{
	if (t->body)
		go(t, EXT_TYPE, 2);
	else
		go(t, END, 0);
}

static bool begin_ext(struct tls *t)
{
	t->ext = (uint16_t)t->value;
	if (t->ext > t->body)
		return false;
	switch (t->type) {
	case EXT_SERVER_NAME:
		if (t->has_sni || t->ext < 6)
			return false;
		t->has_sni = true;
		go(t, SNI_LIST, 2);
		return true;
	case EXT_ALPN:
		if (t->has_alpn || t->ext < 4)
			return false;
		t->has_alpn = true;
		go(t, ALPN_LIST, 2);
		return true;
	case EXT_EARLY_DATA:
		t->early_data = true;
		break;
	case EXT_ESNI:
		t->ech = true;
		break;
	default:
		t->ech |= t->type >= EXT_ECH_DRAFTS && t->type <= EXT_ECH;
	}
	go(t, EXT, t->ext);
	return true;
}

static bool step_ext(struct tls *t)
{
	switch (t->state) {
	case EXT_TYPE:
		t->type = (uint16_t)t->value;
		go(t, EXT_LEN, 2);
		return true;
	case EXT_LEN:
		return begin_ext(t);
	case SNI_NAME:
		if (t->sni_len > DNAME_MAX || dname_normalise(t->sni, t->sni, t->sni_len) < 0)
			t->sni[0] = '\0';
		break;
	case ALPN_NAME:
		if (t->list) {
			go(t, ALPN_LEN, 1);
			return true;
		}
		break;
	default:
		break;
	}
	next_ext(t);
	return true;
}

/* The lengths inside of extensions, each against what is around it. */
static bool step_list(struct tls *t)
{
	const uint32_t value = t->value;

	switch (t->state) {
	case SNI_LIST:
		go(t, SNI_KIND, 1);
		return value == t->ext - 2u;
	case SNI_KIND:
		go(t, SNI_LEN, 2);
		return value == 0;
	case SNI_LEN:
		go(t, SNI_NAME, value);
		return value == t->ext - 5u;
	case ALPN_LIST:
		t->list = (uint16_t)value;
		go(t, ALPN_LEN, 1);
		return value == t->ext - 2u;
	default: /* ALPN_LEN */
		if (!value || value + 1 > t->list)
			return false;
		t->list = (uint16_t)(t->list - value - 1);
		if (t->alpn_len && t->alpn_len + 1u < TLS_ALPN_MAX)
			t->alpn[t->alpn_len++] = ',';
		go(t, ALPN_NAME, value);
		return true;
	}
}

static bool step_head(struct tls *t)
{
	const uint32_t value = t->value;

	switch (t->state) {
	case TYPE:
		go(t, LENGTH, 3);
		return value == CLIENT_HELLO;
	case LENGTH:
		t->body = value;
		go(t, VERSION, 2);
		return value >= HELLO_MIN && value <= HELLO_MAX;
	case VERSION:
		go(t, RANDOM, 32);
		return value >> 8 == 3;
	case RANDOM:
		go(t, SESSION_LEN, 1);
		return true;
	case SESSION_LEN:
		go(t, SESSION, value);
		return value <= 32;
	case SESSION:
		go(t, SUITES_LEN, 2);
		return true;
	case SUITES_LEN:
		go(t, SUITES, value);
		return value >= 2 && value % 2 == 0;
	case SUITES:
		go(t, METHODS_LEN, 1);
		return true;
	case METHODS_LEN:
		go(t, METHODS, value);
		return value >= 1;
	case METHODS:
		if (t->body)
			go(t, EXTS_LEN, 2);
		else
			go(t, END, 0);
		return true;
	default: /* EXTS_LEN */
		next_ext(t);
		return value == t->body;
	}
}

/* The field is complete: to the next one. False: this is no good hello. */
static bool step(struct tls *t)
{
	if (t->state <= EXTS_LEN)
		return step_head(t);
	if (t->state >= SNI_LIST && t->state != SNI_NAME && t->state != ALPN_NAME)
		return step_list(t);
	return step_ext(t);
}

static void keep(struct tls *t, uint8_t b)
{
	if (t->state == SNI_NAME) {
		if (t->sni_len < DNAME_MAX)
			t->sni[t->sni_len] = (char)b;
		if (t->sni_len <= DNAME_MAX)
			t->sni_len++;
	} else if (t->state == ALPN_NAME && t->alpn_len + 1 < TLS_ALPN_MAX) {
		t->alpn[t->alpn_len++] = (char)(b > ' ' && b < 0x7f && b != ',' ? b : '?');
	}
}

static enum tls_answer take_byte(struct tls *t, uint8_t b)
{
	if (t->state > LENGTH) {
		if (!t->body)
			return TLS_BAD;
		t->body--;
	}
	t->value = t->value << 8 | b;
	keep(t, b);
	t->left--;
	while (!t->left) {
		if (t->state == END)
			return TLS_HELLO;
		if (!step(t)) {
			/* Behind the first hello come encrypted bytes, whose beginning may look
			 * like a message, but hardly for six bytes. */
			return t->again && t->state <= RANDOM ? TLS_OTHER : TLS_BAD;
		}
	}
	return TLS_MORE;
}

/* ---- records ---- */

/* The header of a record is complete, and its type and version are TLS'. */
static enum tls_answer begin_record(struct tls *t)
{
	const uint8_t type = t->header[0];

	t->record = (uint16_t)(t->header[3] << 8 | t->header[4]);
	t->skip = false;
	t->header_len = 0;
	if (!t->again || t->state != TYPE)
		return type == RECORD_HANDSHAKE && t->record && t->record <= RECORD_MAX ? TLS_MORE
											: TLS_BAD;
	/* Before a second hello may stand a change_cipher_spec for old middleboxes, and 0-RTT
	 * data. */
	t->skip = type == RECORD_CCS || (type == RECORD_DATA && t->early_data);
	return t->skip || type == RECORD_HANDSHAKE ? TLS_MORE : TLS_OTHER;
}

static enum tls_answer take_header(struct tls *t, uint8_t b)
{
	const bool first = !t->again && t->state == TYPE;

	t->header[t->header_len++] = b;
	switch (t->header_len) {
	case 1:
		return first && b != RECORD_HANDSHAKE ? TLS_OTHER : TLS_MORE;
	case 2:
		if (b == 3)
			return TLS_MORE;
		return t->state == TYPE ? TLS_OTHER : TLS_BAD;
	case 5:
		return begin_record(t);
	default:
		return TLS_MORE;
	}
}

size_t tls_feed(struct tls *t, const uint8_t *bytes, size_t n)
{
	size_t at = 0;

	while (at < n && t->answer == TLS_MORE) {
		if (!t->record) {
			t->answer = take_header(t, bytes[at++]);
		} else if (t->skip) {
			const size_t some = MIN(n - at, (size_t)t->record);

			t->record = (uint16_t)(t->record - some);
			at += some;
		} else {
			t->record--;
			t->answer = take_byte(t, bytes[at++]);
			/* Whoever sends more behind the hello means to be read differently. */
			if (t->answer == TLS_HELLO && t->record)
				t->answer = TLS_BAD;
		}
	}
	return at;
}

bool tls_idle(const struct tls *t)
{
	return t->state == TYPE && !t->header_len && (!t->record || t->skip);
}
