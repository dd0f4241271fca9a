/* SPDX-License-Identifier: MIT */
#ifndef NSNET_SPEC_HELLO_H
#define NSNET_SPEC_HELLO_H

/* hello - makes TLS ClientHellos for specs: extensions are added to a message, which is then cut
 * into records.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct hello_maker {
	uint8_t ext[70000];
	size_t ext_len;
	bool no_ext;         /* leave the whole block out */
	int session, suites; /* lengths */
};

static inline void hello_u16(uint8_t *at, size_t n)
{
	at[0] = (uint8_t)(n >> 8);
	at[1] = (uint8_t)n;
}

static inline void hello_ext(struct hello_maker *m, unsigned type, const void *data, size_t n)
{
	hello_u16(m->ext + m->ext_len, type);
	hello_u16(m->ext + m->ext_len + 2, n);
	if (data)
		memcpy(m->ext + m->ext_len + 4, data, n);
	else
		memset(m->ext + m->ext_len + 4, 0x5a, n);
	m->ext_len += 4 + n;
}

/* A server_name extension with the @n bytes at @name as host_name. */
static inline void hello_sni_bytes(struct hello_maker *m, const char *name, size_t n)
{
	uint8_t data[1024];

	hello_u16(data, n + 3);
	data[2] = 0;
	hello_u16(data + 3, n);
	memcpy(data + 5, name, n);
	hello_ext(m, 0, data, n + 5);
}

static inline void hello_sni(struct hello_maker *m, const char *name)
{
	hello_sni_bytes(m, name, strlen(name));
}

/* The handshake message to @out; its length. */
static inline size_t hello_message(const struct hello_maker *m, uint8_t *out)
{
	const size_t suites = m->suites ? (size_t)m->suites : 4;
	size_t n = 4;

	out[n++] = 3;
	out[n++] = 3;
	memset(out + n, 0x77, 32);
	n += 32;
	out[n++] = (uint8_t)m->session;
	memset(out + n, 0x11, (size_t)m->session);
	n += (size_t)m->session;
	hello_u16(out + n, suites);
	memset(out + n + 2, 0x1a, suites);
	n += 2 + suites;
	out[n++] = 1;
	out[n++] = 0;
	if (!m->no_ext) {
		hello_u16(out + n, m->ext_len);
		memcpy(out + n + 2, m->ext, m->ext_len);
		n += 2 + m->ext_len;
	}
	out[0] = 1;
	out[1] = (uint8_t)((n - 4) >> 16);
	hello_u16(out + 2, (n - 4) & 0xffff);
	return n;
}

/* The @n bytes at @message in records of type @type of at most @size bytes each. */
static inline size_t hello_records(uint8_t *out, uint8_t type, const uint8_t *message, size_t n,
	size_t size)
{
	size_t len = 0;

	while (n) {
		const size_t some = n < size ? n : size;

		out[len] = type;
		out[len + 1] = 3;
		out[len + 2] = 1;
		hello_u16(out + len + 3, some);
		memcpy(out + len + 5, message, some);
		len += 5 + some;
		message += some;
		n -= some;
	}
	return len;
}

#endif
