/* SPDX-License-Identifier: MIT */
#include "dnsmsg.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base.h"

#define FLAG_QR 0x80 /* in byte 2 of the header */
#define FLAG_TC 0x02
#define FLAG_RD 0x01
#define FLAG_RA 0x80 /* in byte 3 */
#define FLAG_CD 0x10
#define EDNS_DO 0x80 /* in the OPT record's TTL, third byte */
#define OPT_FIXED 11 /* root name, type, class, TTL, length */
#define LABEL_MAX 63

/* What the longest question leaves of the smallest answer. */
#define OPT_ROOM (DNSMSG_UDP_PLAIN - DNSMSG_HEADER - DNSMSG_WIRE_MAX - 4)

/* What we say we take ourselves: what fits every path unfragmented (DNS flag day 2020). */
#define UDP_SIZE_OURS 1232

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static void put16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static uint8_t lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c;
}

int dnsmsg_name(const uint8_t *data, size_t len, size_t at, uint8_t *wire, size_t *next)
{
	size_t start = at; /* of the present run of labels; pointers must go before it */
	size_t n = 0;
	bool jumped = false;

	for (;;) {
		if (at >= len)
			return -EBADMSG;
		uint8_t c = data[at];
		if (c > LABEL_MAX) {
			/* RFC 1035 4.1.4. "A prior occurrence": each jump goes strictly back, so
			 * that there is an end, and not into the header, which holds no names. */
			if (c < 0xc0 || at + 2 > len)
				return -EBADMSG;
			size_t to = get16(data + at) & 0x3fff;
			if (to >= start || to < DNSMSG_HEADER)
				return -EBADMSG;
			if (!jumped && next)
				*next = at + 2;
			jumped = true;
			at = start = to;
			continue;
		}
		if (at + 1 + c > len || n + 1 + c > DNSMSG_WIRE_MAX)
			return -EBADMSG;
		memcpy(wire + n, data + at, 1 + (size_t)c);
		n += 1 + (size_t)c;
		at += 1 + (size_t)c;
		if (!c)
			break;
	}
	if (!jumped && next)
		*next = at;
	return (int)n;
}

/* The offset behind the name at @at, or 0. Pointers are checked, not followed: a message of
 * many records would cost its length squared. */
static size_t name_skip(const uint8_t *data, size_t len, size_t at)
{
	size_t start = at;

	for (;;) {
		if (at >= len || at - start >= DNSMSG_WIRE_MAX)
			return 0;
		uint8_t c = data[at];
		if (!c)
			return at + 1;
		if (c >= 0xc0) {
			if (at + 2 > len)
				return 0;
			size_t to = get16(data + at) & 0x3fff;
			return to < start && to >= DNSMSG_HEADER ? at + 2 : 0;
		}
		if (c > LABEL_MAX)
			return 0;
		at += 1 + (size_t)c;
	}
}

int dnsmsg_next(const struct dnsmsg *m, size_t *at, unsigned *n, struct dnsmsg_record *r)
{
	const uint8_t *d = m->data;

	if (*at == 0)
		*at = m->question_end;
	if (*n >= (unsigned)m->answers + m->authorities + m->additionals)
		return 0;
	size_t fixed = name_skip(d, m->len, *at);
	if (!fixed || fixed + 10 > m->len)
		return -EBADMSG;
	r->owner = (uint16_t)*at;
	r->type = get16(d + fixed);
	r->class = get16(d + fixed + 2);
	r->ttl_at = (uint16_t)(fixed + 4);
	r->ttl = (uint32_t)get16(d + fixed + 4) << 16 | get16(d + fixed + 6);
	r->data_len = get16(d + fixed + 8);
	if (fixed + 10 + r->data_len > m->len)
		return -EBADMSG;
	r->data = (uint16_t)(fixed + 10);
	if (*n < m->answers)
		r->section = 1;
	else
		r->section = *n < (unsigned)m->answers + m->authorities ? 2 : 3;
	*at = (size_t)r->data + r->data_len;
	++*n;
	return 1;
}

/* An OPT record as RFC 6891 6.1.1 wants it: additional section, owned by the root. */
static bool is_opt(const struct dnsmsg *m, const struct dnsmsg_record *r)
{
	uint8_t wire[DNSMSG_WIRE_MAX];

	return r->type == DNSMSG_TYPE_OPT && r->section == 3 &&
		dnsmsg_name(m->data, m->len, r->owner, wire, NULL) == 1;
}

static int parse_records(struct dnsmsg *m)
{
	struct dnsmsg_record r;
	size_t at = 0;
	unsigned n = 0;
	int err;

	while ((err = dnsmsg_next(m, &at, &n, &r)) > 0) {
		if (!is_opt(m, &r)) {
			m->end = at;
			continue;
		}
		/* A pointer to a root elsewhere: 6.1.2 wants a zero byte. */
		if (m->opt || m->data[r.owner])
			return -ENOTUNIQ;
		m->end = at;
		m->opt = r.owner;
		m->udp_size = MAX(r.class, DNSMSG_UDP_PLAIN);
	}
	if (err < 0)
		return -EMSGSIZE;
	m->whole = true;
	return 0;
}

int dnsmsg_parse(struct dnsmsg *m, const uint8_t *data, size_t len)
{
	memset(m, 0, offsetof(struct dnsmsg, name));
	m->name_len = 0;
	m->type = m->class = 0;
	m->end = m->question_end = 0;
	m->whole = false;
	m->opt = 0;
	m->udp_size = DNSMSG_UDP_PLAIN;
	if (len < DNSMSG_HEADER || len > DNSMSG_MAX)
		return -EBADMSG;
	m->data = data;
	m->len = len;
	m->id = get16(data);
	m->response = data[2] & FLAG_QR;
	m->truncated = data[2] & FLAG_TC;
	m->opcode = data[2] >> 3 & 15;
	m->rcode = data[3] & 15;
	m->questions = get16(data + 4);
	m->answers = get16(data + 6);
	m->authorities = get16(data + 8);
	m->additionals = get16(data + 10);
	m->end = m->question_end = DNSMSG_HEADER;
	if (m->questions) {
		size_t at = 0;
		int n = dnsmsg_name(data, len, DNSMSG_HEADER, m->name, &at);
		if (n < 0 || at + 4 > len)
			return -EBADMSG;
		m->name_len = (uint8_t)n;
		m->type = get16(data + at);
		m->class = get16(data + at + 2);
		m->end = m->question_end = (uint16_t)(at + 4);
	}
	if (m->questions > 1)
		return -ENOTUNIQ;
	return parse_records(m);
}

char *dnsmsg_text(const uint8_t *wire, char *text)
{
	char *out = text;

	while (*wire) {
		if (out != text)
			*out++ = '.';
		for (unsigned n = *wire++; n > 0; n--) {
			uint8_t c = lower(*wire++);
			if (c <= ' ' || c >= 0x7f) {
				out += sprintf(out, "\\%03u", (unsigned)c);
				continue;
			}
			if (c == '.' || c == '\\')
				*out++ = '\\';
			*out++ = (char)c;
		}
	}
	if (out == text)
		*out++ = '.';
	*out = '\0';
	return text;
}

/* One byte of a name's text at *@text, escapes undone; -1 at a dot or the end, -2 on an error. */
static int text_byte(const char **text)
{
	const char *p = *text;
	int c = (unsigned char)*p;

	if (!c || c == '.')
		return -1;
	if (c != '\\') {
		*text = p + 1;
		return c;
	}
	if (p[1] < '0' || p[1] > '9') {
		*text = p + 2;
		return p[1] ? (unsigned char)p[1] : -2;
	}
	if (p[2] < '0' || p[2] > '9' || p[3] < '0' || p[3] > '9')
		return -2;
	c = (p[1] - '0') * 100 + (p[2] - '0') * 10 + (p[3] - '0');
	*text = p + 4;
	return c <= 255 ? c : -2;
}

int dnsmsg_wire(const char *text, uint8_t *wire)
{
	size_t n = 0;

	if (text[0] == '.' && !text[1]) {
		wire[0] = 0;
		return 1;
	}
	do {
		size_t label = n++;
		int c;
		while ((c = text_byte(&text)) >= 0) {
			if (n >= DNSMSG_WIRE_MAX - 1 || n - label > LABEL_MAX)
				return -EINVAL;
			wire[n++] = (uint8_t)c;
		}
		if (c == -2 || n - label == 1)
			return -EINVAL;
		wire[label] = (uint8_t)(n - label - 1);
		if (*text == '.')
			text++;
	} while (*text);
	wire[n++] = 0;
	return (int)n;
}

bool dnsmsg_same_question(const struct dnsmsg *a, const struct dnsmsg *b)
{
	if (!a->name_len || a->name_len != b->name_len || a->type != b->type ||
		a->class != b->class)
		return false;
	/* A length byte is at most 63 and so no letter: the whole name folds alike. */
	for (unsigned i = 0; i < a->name_len; i++) {
		if (lower(a->name[i]) != lower(b->name[i]))
			return false;
	}
	return true;
}

void dnsmsg_set_id(uint8_t *data, uint16_t id)
{
	put16(data, id);
}

size_t dnsmsg_error(uint8_t *out, const struct dnsmsg *q, unsigned rcode, bool truncated)
{
	size_t n = DNSMSG_HEADER;

	memset(out, 0, DNSMSG_HEADER);
	put16(out, q->id);
	out[2] = (uint8_t)(FLAG_QR | q->opcode << 3 | (q->data[2] & FLAG_RD) |
		(truncated ? FLAG_TC : 0));
	out[3] = (uint8_t)(FLAG_RA | (q->data[3] & FLAG_CD) | (rcode & 15));
	if (q->name_len) {
		out[5] = 1;
		memcpy(out + n, q->name, q->name_len);
		n += q->name_len;
		put16(out + n, q->type);
		put16(out + n + 2, q->class);
		n += 4;
	}
	if (q->opt) {
		/* RFC 6891 7: who asked with EDNS is answered with it. */
		out[11] = 1;
		memset(out + n, 0, OPT_FIXED);
		put16(out + n + 1, DNSMSG_TYPE_OPT);
		put16(out + n + 3, UDP_SIZE_OURS);
		out[n + 7] = q->data[q->opt + 7] & EDNS_DO;
		n += OPT_FIXED;
	}
	return n;
}

size_t dnsmsg_truncate(uint8_t *data, size_t len, size_t max)
{
	struct dnsmsg m;
	struct dnsmsg_record r;
	unsigned kept[4] = {0};
	size_t at = 0;
	unsigned n = 0;
	int err = dnsmsg_parse(&m, data, len);

	if (!err && len <= max)
		return len;
	if (!err && m.end <= max)
		return m.end;
	if (len < DNSMSG_HEADER)
		return len;
	size_t end = err == -EBADMSG ? DNSMSG_HEADER : m.question_end;
	size_t opt = 0;
	if (m.opt) {
		/* Its options must not crowd out the rest; who loses one learns by TCP. */
		opt = OPT_FIXED + (size_t)get16(data + m.opt + 9);
		if (opt > OPT_ROOM)
			opt = OPT_FIXED;
	}
	while (err != -EBADMSG && m.questions <= 1 && dnsmsg_next(&m, &at, &n, &r) > 0) {
		if (at > m.end || at + opt > max || r.owner == m.opt)
			break;
		kept[r.section]++;
		end = at;
	}
	if (opt) {
		memmove(data + end, data + m.opt, opt);
		put16(data + end + 9, (uint16_t)(opt - OPT_FIXED));
		end += opt;
		kept[3]++;
	}
	data[2] |= FLAG_TC;
	put16(data + 4, err != -EBADMSG && m.questions);
	for (int i = 1; i <= 3; i++)
		put16(data + 4 + 2 * i, (uint16_t)kept[i]);
	return end;
}

static const struct {
	uint16_t type;
	const char *name;
} type_names[] = {
	{DNSMSG_TYPE_A, "A"},
	{DNSMSG_TYPE_NS, "NS"},
	{DNSMSG_TYPE_CNAME, "CNAME"},
	{DNSMSG_TYPE_SOA, "SOA"},
	{DNSMSG_TYPE_PTR, "PTR"},
	{13, "HINFO"},
	{15, "MX"},
	{DNSMSG_TYPE_TXT, "TXT"},
	{DNSMSG_TYPE_AAAA, "AAAA"},
	{29, "LOC"},
	{DNSMSG_TYPE_SRV, "SRV"},
	{35, "NAPTR"},
	{39, "DNAME"},
	{DNSMSG_TYPE_OPT, "OPT"},
	{43, "DS"},
	{44, "SSHFP"},
	{46, "RRSIG"},
	{47, "NSEC"},
	{48, "DNSKEY"},
	{50, "NSEC3"},
	{52, "TLSA"},
	{61, "OPENPGPKEY"},
	{DNSMSG_TYPE_SVCB, "SVCB"},
	{DNSMSG_TYPE_HTTPS, "HTTPS"},
	{DNSMSG_TYPE_IXFR, "IXFR"},
	{DNSMSG_TYPE_AXFR, "AXFR"},
	{255, "ANY"},
	{256, "URI"},
	{257, "CAA"},
};

const char *dnsmsg_type_name(uint16_t type, char *text)
{
	for (size_t i = 0; i < ARRAY_LEN(type_names); i++) {
		if (type_names[i].type == type)
			return type_names[i].name;
	}
	snprintf(text, 16, "TYPE%u", (unsigned)type);
	return text;
}

int dnsmsg_type_of(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(type_names); i++) {
		if (!strcasecmp(type_names[i].name, name))
			return type_names[i].type;
	}
	size_t digits = strncasecmp(name, "TYPE", 4) ? 0 : strspn(name + 4, "0123456789");
	long n = digits >= 1 && digits <= 5 && !name[4 + digits] ? strtol(name + 4, NULL, 10) : -1;
	return n >= 0 && n <= 0xffff ? (int)n : -EINVAL;
}

const char *dnsmsg_rcode_name(unsigned rcode, char *text)
{
	static const char *const names[] = {"NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP",
		"REFUSED", "YXDOMAIN", "YXRRSET", "NXRRSET", "NOTAUTH", "NOTZONE"};

	if (rcode < ARRAY_LEN(names))
		return names[rcode];
	snprintf(text, 16, "RCODE%u", rcode);
	return text;
}
