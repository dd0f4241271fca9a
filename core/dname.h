/* SPDX-License-Identifier: MIT */
#ifndef NSNET_DNAME_H
#define NSNET_DNAME_H

#include <stdbool.h>
#include <stddef.h>

/* dname - host names as text: the one place that says what a name is. DNS questions, SNI, Host,
 * SOCKS and rules all pass here, so that no two of them can read one spelling as two names.
 *
 * A name in its normal form is lower case, without a dot at its end, 1 to 253 bytes (RFC 1035
 * 2.3.4, 3.1), its labels 1 to 63 bytes of letters, digits, '-' and '_' (RFC 1123 2.1; '_' as in
 * RFC 2782). Labels in other scripts exist only in their "xn--" form (A-labels, RFC 5890
 * 2.3.2.1), which is compared as it stands and never decoded. Pure functions.
 */
#define DNAME_MAX 254 /* with the final NUL */

/* Writes the normal form of the @n bytes at @text to @out and returns its length. -EINVAL: no host
 * name (empty, too long, an empty label, any other byte: NUL, space, '/', non-ASCII, ...).
 * -EDOM: an IP address and no name, in any spelling that inet_aton() or a URL takes:
 * "127.1", "0x7f000001", "::1", "[::1]". @out is written only on success. */
int dname_normalise(char out[DNAME_MAX], const char *text, size_t n);

/* What a pattern of a rule stands for: bits. */
enum dname_kind {
	DNAME_EXACT = 1, /* "example.com": this name */
	DNAME_BELOW = 2, /* "*.example.com": all names below it */
	DNAME_TREE = 3,  /* ".example.com": both */
};

/* Splits the pattern of @n bytes at @text into a name in normal form, whose length it returns, and
 * @kind. Errors as above. A '*' anywhere else is none. */
int dname_pattern(char out[DNAME_MAX], enum dname_kind *kind, const char *text, size_t n);

/* True if @name is what @kind of @pattern says; both in normal form. */
bool dname_match(const char *pattern, enum dname_kind kind, const char *name);

#endif
