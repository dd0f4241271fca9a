/* SPDX-License-Identifier: MIT */
#ifndef NSNET_UTF8_H
#define NSNET_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* utf8 - what of a stranger's bytes may be shown. */

/* The length (1 to 4) of the well-formed UTF-8 character (RFC 3629) at the @n bytes @s, and the
 * character in *@c (may be NULL); 0 if there is none. */
size_t utf8_length(const char *s, size_t n, uint32_t *c);

/* True for the characters that a terminal obeys or that hide what a line says: controls, line and
 * paragraph separators, and the marks that turn the writing direction or have no width. */
bool utf8_deceives(uint32_t c);

/* Copies @text into @out of @size bytes, ended by zero: what is no UTF-8 or deceives is shown as
 * "\xNN"; what does not fit is cut. Returns the length. */
size_t utf8_escape(char *out, size_t size, const char *text);

#endif
