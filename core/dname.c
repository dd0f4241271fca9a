/* SPDX-License-Identifier: MIT */
#include "dname.h"

#include <errno.h>
#include <string.h>

#define LABEL_MAX 63

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_hex(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'f');
}

/* The byte of a name that @c stands for, or 0. */
static char fold(char c)
{
	if (c >= 'A' && c <= 'Z')
		return (char)(c - 'A' + 'a');
	if ((c >= 'a' && c <= 'z') || is_digit(c) || c == '-' || c == '_')
		return c;
	return 0;
}

/* No top-level domain is a number, and whoever parses a host (inet_aton(), the "ends in a number"
 * check of URLs) takes one whose last label is a number for an address. */
static bool is_number(const char *label)
{
	size_t n = strlen(label);

	if (label[0] == '0' && label[1] == 'x')
		return strspn(label + 2, "0123456789abcdef") == n - 2;
	return strspn(label, "0123456789") == n;
}

/* "::1", "[2001:db8::1]", "fe80::1%eth0": by its colons, since no name has any. */
static bool is_ipv6(const char *text, size_t n)
{
	size_t colons = 0, at = 0;

	if (n && text[0] == '[')
		at++;
	for (; at < n && text[at] != '%' && text[at] != ']'; at++) {
		char c = text[at] >= 'A' && text[at] <= 'F' ? (char)(text[at] | 0x20) : text[at];

		if (c == ':')
			colons++;
		else if (!is_hex(c) && c != '.')
			return false;
	}
	return colons >= 2;
}

int dname_normalise(char out[DNAME_MAX], const char *text, size_t n)
{
	char name[DNAME_MAX];
	const char *last = name;
	size_t label = 0;

	if (is_ipv6(text, n))
		return -EDOM;
	if (n && text[n - 1] == '.')
		n--;
	if (!n || n >= DNAME_MAX)
		return -EINVAL;
	for (size_t i = 0; i < n; i++) {
		if (text[i] == '.') {
			if (!label)
				return -EINVAL;
			label = 0;
			name[i] = '.';
			last = &name[i + 1];
			continue;
		}
		name[i] = fold(text[i]);
		if (!name[i] || ++label > LABEL_MAX)
			return -EINVAL;
	}
	if (!label)
		return -EINVAL;
	name[n] = '\0';
	if (is_number(last))
		return -EDOM;
	memcpy(out, name, n + 1);
	return (int)n;
}

int dname_pattern(char out[DNAME_MAX], enum dname_kind *kind, const char *text, size_t n)
{
	*kind = DNAME_EXACT;
	if (n > 2 && text[0] == '*' && text[1] == '.') {
		*kind = DNAME_BELOW;
		text += 2;
		n -= 2;
	} else if (n > 1 && text[0] == '.') {
		*kind = DNAME_TREE;
		text++;
		n--;
	}
	return dname_normalise(out, text, n);
}

bool dname_match(const char *pattern, enum dname_kind kind, const char *name)
{
	const size_t p = strlen(pattern), n = strlen(name);

	if (n == p)
		return kind & DNAME_EXACT && memcmp(name, pattern, n) == 0;
	return kind & DNAME_BELOW && n > p + 1 && name[n - p - 1] == '.' &&
		memcmp(name + n - p, pattern, p) == 0;
}
