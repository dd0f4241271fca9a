/* SPDX-License-Identifier: MIT */
#include "dnsptr.h"

#include <string.h>

#include "base.h"
#include "dnsmsg.h"

#define ZONE4 ".in-addr.arpa"
#define ZONE6 ".ip6.arpa"

/* A number from 0 to 255 without zeros in front; @text is behind it then. */
static int read_byte(const char **text)
{
	const char *p = *text;
	int n = 0, digits = 0;

	for (; *p >= '0' && *p <= '9' && digits < 3; digits++)
		n = 10 * n + (*p++ - '0');
	if (!digits || n > 255 || (digits > 1 && **text == '0'))
		return -1;
	*text = p;
	return n;
}

static bool read4(const char *p, struct addr *a)
{
	for (int i = 3; i >= 0; i--) {
		int n = read_byte(&p);

		if (n < 0 || (i && *p++ != '.'))
			return false;
		a->ip[i] = (uint8_t)n;
	}
	a->v = 4;
	return strcmp(p, ZONE4) == 0;
}

static bool read6(const char *p, struct addr *a)
{
	static const char digits[] = "0123456789abcdef";

	for (int i = 31; i >= 0; i--) {
		const char *d = *p ? strchr(digits, *p) : NULL;

		if (!d || (i && p[1] != '.'))
			return false;
		a->ip[i / 2] |= (uint8_t)((d - digits) << (i % 2 ? 0 : 4));
		p += i ? 2 : 1;
	}
	a->v = 6;
	return strcmp(p, ZONE6) == 0;
}

bool dnsptr_read(const uint8_t *wire, struct addr *a)
{
	char text[DNSMSG_TEXT_MAX];
	const char *name = dnsmsg_text(wire, text);

	*a = (struct addr){0};
	if (read4(name, a))
		return true;
	*a = (struct addr){0};
	return read6(name, a);
}
