/* SPDX-License-Identifier: MIT */
#include "dnsedit.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base.h"
#include "dnsmake.h"
#include "dnsmsg.h"

#define TYPE_RRSIG 46
#define FLAG_AD 0x20 /* in byte 3 of the header, RFC 4035 3.2.3 */

enum { /* RFC 9460 14.3.2, RFC 9848 */
	KEY_MANDATORY = 0,
	KEY_IPV4HINT = 4,
	KEY_ECH = 5,
	KEY_IPV6HINT = 6,
};

static size_t get16(const uint8_t *p)
{
	return (size_t)p[0] << 8 | p[1];
}

static bool is_svcb(size_t type)
{
	return type == DNSMSG_TYPE_SVCB || type == DNSMSG_TYPE_HTTPS;
}

/* A signature over a record that is changed. */
static bool is_signature(const uint8_t *msg, const struct dnsmsg_record *r)
{
	return r->type == TYPE_RRSIG && r->data_len >= 2 && is_svcb(get16(msg + r->data));
}

static bool is_unwanted(size_t key)
{
	return key == KEY_IPV4HINT || key == KEY_ECH || key == KEY_IPV6HINT;
}

/* Copies the list of keys without those that go. Returns its length. */
static size_t copy_mandatory(uint8_t *out, const uint8_t *in, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i + 2 <= len; i += 2) {
		if (is_unwanted(get16(in + i)))
			continue;
		memcpy(out + n, in + i, 2);
		n += 2;
	}
	return n;
}

/* Copies the parameters in the @len bytes at @in. Returns their length, or -EBADMSG: not in order,
 * or they break off (RFC 9460 2.2). */
static ssize_t copy_params(uint8_t *out, const uint8_t *in, size_t len)
{
	size_t n = 0;
	int last = -1;

	for (size_t i = 0; i < len;) {
		if (len - i < 4)
			return -EBADMSG;
		size_t key = get16(in + i), size = get16(in + i + 2);
		if (size > len - i - 4 || (int)key <= last || (key == KEY_MANDATORY && size % 2))
			return -EBADMSG;
		last = (int)key;
		i += 4 + size;
		if (is_unwanted(key))
			continue;
		memcpy(out + n, in + i - 4 - size, 4 + size);
		if (key == KEY_MANDATORY) {
			size = copy_mandatory(out + n + 4, in + i - size, size);
			out[n + 2] = (uint8_t)(size >> 8);
			out[n + 3] = (uint8_t)size;
			if (!size) /* an empty list is none */
				continue;
		}
		n += 4 + size;
	}
	return (ssize_t)n;
}

/* Writes the data of the SVCB record @r, without what goes, to @out (as long as its own and a
 * name). Returns its length, or -EBADMSG. */
static ssize_t strip_svcb(uint8_t *out, const struct dnsmsg *m, const struct dnsmsg_record *r)
{
	size_t end = (size_t)r->data + r->data_len, at = 0;

	if (r->data_len < 3)
		return -EBADMSG;
	memcpy(out, m->data + r->data, 2);
	int name = dnsmsg_name(m->data, end, (size_t)r->data + 2, out + 2, &at);
	if (name < 0)
		return -EBADMSG;
	ssize_t n = copy_params(out + 2 + name, m->data + at, end - at);
	return n < 0 ? n : 2 + name + n;
}

static bool is_address(const struct dnsmsg_record *r)
{
	return r->type == DNSMSG_TYPE_A || r->type == DNSMSG_TYPE_AAAA;
}

static bool is_clean(const struct dnsmsg *m, bool addresses)
{
	struct dnsmsg_record r;
	size_t at = 0;
	unsigned n = 0;

	while (dnsmsg_next(m, &at, &n, &r) > 0) {
		if (is_svcb(r.type) || is_signature(m->data, &r) || (addresses && is_address(&r)))
			return false;
	}
	return true;
}

ssize_t dnsedit_strip(uint8_t *out, const uint8_t *msg, size_t len, bool addresses)
{
	static uint8_t data[DNSMSG_MAX + DNSMSG_WIRE_MAX];
	struct dnsmsg m;
	struct dnsmsg_record r;
	struct dnsmake k;
	size_t at = 0;
	unsigned n = 0;
	int err = dnsmsg_parse(&m, msg, len);

	if (err && !(err == -EMSGSIZE && m.truncated))
		return -EBADMSG;
	if (is_clean(&m, addresses))
		return 0;
	dnsmake_begin_copy(&k, out, DNSMSG_MAX, &m);
	out[3] &= (uint8_t)~FLAG_AD;
	while (dnsmsg_next(&m, &at, &n, &r) > 0) {
		ssize_t size = 0;
		if (is_signature(msg, &r) || (addresses && is_address(&r)))
			continue;
		if (is_svcb(r.type)) {
			size = strip_svcb(data, &m, &r);
			if (size < 0)
				continue; /* who reads it otherwise than we do reads nothing */
		}
		err = dnsmake_copy(&k, &m, &r, is_svcb(r.type) ? data : NULL, (size_t)size);
		if (err < 0)
			return err;
	}
	return k.full ? -EMSGSIZE : (ssize_t)k.len;
}
