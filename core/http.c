/* SPDX-License-Identifier: MIT */
#include "http.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "base.h"

/* A machine, a byte at a time. The request line is kept in parts (method, beginning of the target,
 * last word), because only its end says whether it is HTTP; from then on a mistake is HTTP_BAD.
 *
 *   BLANK -> METHOD -> TARGET -> REST -> (line end) -> LINE -> NAME -> VALUE -> (line end) -> LINE
 *                                                        \-> (empty line): the end
 */
enum {
	BLANK, /* empty lines before the request, which servers pass over (RFC 9112 2.2) */
	METHOD,
	TARGET,
	REST,     /* of the request line */
	FIRST_CR, /* a CR in the request line */
	LINE,     /* at the beginning of a field line */
	NAME,
	VALUE,
	CR, /* in a value */
	LAST_CR,
};

void http_init(struct http *h)
{
	memset(h, 0, sizeof(*h));
}

static bool is_tchar(uint8_t c) /* RFC 9110 5.6.2 */
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		(c && strchr("!#$%&'*+-.^_`|~", c));
}

/* Not even a careless server reads these in a line. */
static bool is_control(uint8_t c)
{
	return (c < ' ' && c != '\t' && c != '\r' && c != '\n') || c == 0x7f;
}

static char lower(uint8_t c)
{
	return (char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
}

/* Methods that are HTTP's whatever stands behind them: also without a version, as in HTTP/0.9. */
static bool is_known(const struct http *h)
{
	static const char *const known[] = {"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS",
		"TRACE", "CONNECT", "PATCH"};

	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		if (!strcasecmp(h->method, known[i]))
			return true;
	}
	return false;
}

/* The word that is in h->tail so far, or one before it, is a version. */
static bool has_version(struct http *h)
{
	h->version |= h->tail_len >= 5 && strncasecmp(h->tail, "HTTP/", 5) == 0;
	return h->version;
}

/* What is no request to us may be one to a reader that takes the first three words of a line. */
static enum http_answer no_request(struct http *h)
{
	return has_version(h) || is_known(h) ? HTTP_BAD : HTTP_OTHER;
}

/* ---- hosts ---- */

/* Splits ":port" off the @n bytes at @text. The length of the host, or 0: no authority. */
static size_t host_length(const char *text, size_t n)
{
	size_t digits = 0;

	while (digits < n && text[n - 1 - digits] >= '0' && text[n - 1 - digits] <= '9')
		digits++;
	if (digits < n && text[n - 1 - digits] == ':' && digits <= 5) {
		const size_t host = n - 1 - digits;

		/* The last group of an IPv6 address is no port. */
		if (text[0] == '[' ? text[host ? host - 1 : 0] == ']' : !memchr(text, ':', host))
			return host;
	}
	return n;
}

/* Reads the authority of @n bytes; the host's normal form, or "" for an address. False: neither. */
static bool read_host(const char *text, size_t n, char host[DNAME_MAX])
{
	const size_t len = n ? host_length(text, n) : 0;
	int rc = len ? dname_normalise(host, text, len) : -EINVAL;

	if (rc == -EDOM)
		host[0] = '\0';
	return rc > 0 || rc == -EDOM;
}

static bool same_text(const char *a, size_t a_len, const char *b, size_t b_len)
{
	return a_len == b_len && strncasecmp(a, b, a_len) == 0;
}

/* The authority in the target, its length in *@n; NULL: there is none. */
static const char *target_authority(const struct http *h, size_t *n)
{
	const char *p = h->target;

	if (h->connect) {
		*n = h->target_len;
		return p;
	}
	p += strncasecmp(p, "http://", 7) == 0 ? 7 : 8;
	*n = strcspn(p, "/?#");
	return p;
}

/* The target and Host must not be for two hosts. */
static bool settle_host(struct http *h)
{
	char host[DNAME_MAX];
	const size_t host_len = strlen(h->authority);
	const char *p;
	size_t n;

	if (h->hosts > 1 || (!h->hosts && !h->v10))
		return false;
	if (h->hosts && !read_host(h->authority, host_len, host))
		return false;
	h->has_host = h->hosts || h->connect || h->absolute;
	if (!h->connect && !h->absolute) {
		if (h->hosts)
			strcpy(h->host, host);
		return true;
	}
	p = target_authority(h, &n);
	if (p + n >= h->target + sizeof(h->target) - 1 || !read_host(p, n, h->host))
		return false;
	if (!h->hosts)
		return true;
	/* Addresses have many spellings; only the same one is the same. */
	return strcmp(host, h->host) == 0 &&
		(host[0] ||
			same_text(p, host_length(p, n), h->authority,
				host_length(h->authority, host_len)));
}

/* ---- fields ---- */

static bool read_length(struct http *h)
{
	if (!h->len || h->len > 18 || h->lengths++)
		return false;
	for (size_t i = 0; i < h->len; i++) {
		if (h->text[i] < '0' || h->text[i] > '9')
			return false;
		h->length = h->length * 10 + (uint64_t)(h->text[i] - '0');
	}
	return true;
}

/* A field line is complete. */
static bool take_field(struct http *h)
{
	while (h->len && (h->text[h->len - 1] == ' ' || h->text[h->len - 1] == '\t'))
		h->len--;
	h->text[h->len] = '\0';
	if (!strcmp(h->name, "host")) {
		if (h->hosts++ || h->full)
			return false;
		memcpy(h->authority, h->text, sizeof(h->authority));
	} else if (!strcmp(h->name, "content-length")) {
		return !h->full && read_length(h);
	} else if (!strcmp(h->name, "transfer-encoding")) {
		h->chunked = true;
		return !h->codings++ && !strcasecmp(h->text, "chunked");
	} else if (!strcmp(h->name, "upgrade")) {
		h->tunnel = true;
	}
	return true;
}

static enum http_answer finish(struct http *h)
{
	if (h->chunked && (h->lengths || h->v10))
		return HTTP_BAD;
	if (h->connect && (h->chunked || h->length))
		return HTTP_BAD;
	h->tunnel |= h->connect;
	return settle_host(h) ? HTTP_HEAD : HTTP_BAD;
}

/* ---- the request line ---- */

static bool good_target(struct http *h)
{
	const char *t = h->target;

	if (h->connect)
		return true;
	h->absolute = !strncasecmp(t, "http://", 7) || !strncasecmp(t, "https://", 8);
	return h->absolute || t[0] == '/' ||
		(h->target_len == 1 && t[0] == '*' && !strcmp(h->method, "OPTIONS"));
}

static enum http_answer end_of_request_line(struct http *h)
{
	h->method[h->method_len] = '\0';
	h->target[h->target_len] = '\0';
	h->tail[h->tail_len] = '\0';
	h->state = LINE;
	if (strncasecmp(h->tail, "HTTP/", 5) != 0)
		return no_request(h);
	h->v10 = !strcmp(h->tail, "HTTP/1.0");
	if (h->odd || (!h->v10 && strcmp(h->tail, "HTTP/1.1") != 0))
		return HTTP_BAD;
	h->connect = !strcmp(h->method, "CONNECT");
	return good_target(h) ? HTTP_MORE : HTTP_BAD;
}

/* A method in other letters is another method; a reader that does not care must not get through. */
static enum http_answer end_of_method(struct http *h)
{
	static const char proxy[] = "PROXY"; /* haproxy's, ahead of another protocol */

	h->method[h->method_len] = '\0';
	h->state = TARGET;
	return strcasecmp(h->method, proxy) == 0 ? HTTP_BAD : HTTP_MORE;
}

static enum http_answer take_blank(struct http *h, uint8_t c)
{
	/* Only whole CRLFs are passed over without a word. */
	h->odd |= h->cr != (c == '\n') || c == ' ' || c == '\t';
	h->cr = c == '\r';
	if (h->cr || c == '\n' || c == ' ' || c == '\t') {
		h->blanks = true;
		return HTTP_MORE;
	}
	if (!is_tchar(c)) /* NUL behind CRLF: haproxy's PROXY, version 2 */
		return h->blanks && !c ? HTTP_BAD : HTTP_OTHER;
	h->state = METHOD;
	h->method[h->method_len++] = (char)c;
	return HTTP_MORE;
}

static enum http_answer take_method(struct http *h, uint8_t c)
{
	if (c == '\t')
		h->odd = true;
	if (c == ' ' || c == '\t')
		return end_of_method(h);
	if (!is_tchar(c))
		return HTTP_OTHER;
	if (h->method_len < sizeof(h->method) - 1)
		h->method[h->method_len++] = (char)c;
	return HTTP_MORE;
}

/* A byte of the target or behind it. */
static enum http_answer take_rest(struct http *h, uint8_t c)
{
	if (c == '\n') {
		h->odd = true;
		return end_of_request_line(h);
	}
	if (c == '\r') {
		h->state = FIRST_CR;
		return HTTP_MORE;
	}
	if (is_control(c))
		return no_request(h);
	if (c == ' ' || c == '\t') {
		/* One space ends the target; any other is too many. */
		h->odd |= h->state == REST || !h->target_len || c == '\t';
		h->state = REST;
		h->word = true; /* the next byte begins a word */
		return HTTP_MORE;
	}
	if (h->state == TARGET) {
		if (h->target_len < sizeof(h->target) - 1)
			h->target[h->target_len++] = (char)c;
		return HTTP_MORE;
	}
	if (h->word) {
		has_version(h);
		h->tail_len = 0;
	}
	h->word = false;
	if (h->tail_len < sizeof(h->tail) - 1)
		h->tail[h->tail_len++] = (char)c;
	return HTTP_MORE;
}

static enum http_answer take_first_cr(struct http *h, uint8_t c)
{
	if (c == '\n')
		return end_of_request_line(h);
	/* Somebody may take a lone CR for a space, or for the end. */
	h->odd = true;
	h->state = REST;
	h->word = true;
	return take_rest(h, c);
}

/* ---- field lines ---- */

static enum http_answer take_line(struct http *h, uint8_t c)
{
	if (c == '\r') {
		h->state = LAST_CR;
		return HTTP_MORE;
	}
	if (!is_tchar(c)) /* a space: the line before is continued (obs-fold) */
		return HTTP_BAD;
	h->state = NAME;
	h->name[0] = lower(c);
	h->name_len = 1;
	h->len = 0;
	h->full = false;
	return HTTP_MORE;
}

static enum http_answer take_name(struct http *h, uint8_t c)
{
	if (c == ':') {
		h->name[h->name_len] = '\0';
		h->state = VALUE;
		return HTTP_MORE;
	}
	if (!is_tchar(c))
		return HTTP_BAD;
	/* Cut off, a longer name is still none of those that are read. */
	if (h->name_len < sizeof(h->name) - 1)
		h->name[h->name_len++] = lower(c);
	return HTTP_MORE;
}

static enum http_answer take_value(struct http *h, uint8_t c)
{
	if (c == '\r') {
		h->state = CR;
		return HTTP_MORE;
	}
	if (c == '\n' || is_control(c))
		return HTTP_BAD;
	if (!h->len && (c == ' ' || c == '\t'))
		return HTTP_MORE;
	if (h->len < sizeof(h->text) - 1)
		h->text[h->len++] = (char)c;
	else
		h->full = true;
	return HTTP_MORE;
}

static enum http_answer take_byte(struct http *h, uint8_t c)
{
	switch (h->state) {
	case BLANK:
		return take_blank(h, c);
	case METHOD:
		return take_method(h, c);
	case TARGET:
	case REST:
		return take_rest(h, c);
	case FIRST_CR:
		return take_first_cr(h, c);
	case LINE:
		return take_line(h, c);
	case NAME:
		return take_name(h, c);
	case VALUE:
		return take_value(h, c);
	case CR:
		h->state = LINE;
		return c == '\n' && take_field(h) ? HTTP_MORE : HTTP_BAD;
	default: /* LAST_CR */
		return c == '\n' ? finish(h) : HTTP_BAD;
	}
}

size_t http_feed(struct http *h, const uint8_t *bytes, size_t n)
{
	size_t at = 0;

	while (at < n && h->answer == HTTP_MORE)
		h->answer = take_byte(h, bytes[at++]);
	return at;
}

bool http_blank(const struct http *h)
{
	return h->state == BLANK;
}

bool http_unsure(const struct http *h)
{
	return h->state < LINE && !(h->state > METHOD && is_known(h));
}
