/* SPDX-License-Identifier: MIT */
#ifndef NSNET_LUA_LINES_H
#define NSNET_LUA_LINES_H

#include <stdbool.h>
#include <stddef.h>

/* lines - where the entries of a table begin in a source text.
 *
 * A table does not know its line, and a call only the line of its first bracket. So the text is
 * read again, with no more grammar than brackets, blocks and commas: it did compile.
 */

/* Looks for the one call of @callee, or else of any function, whose argument list begins in line
 * @at and is a table written out with @n entries without a key: f { ... } or f({ ... }).
 * Fills @line with the lines in which these begin. False: there is no such call, or several. */
bool lines_of_entries(const char *text, size_t len, const char *callee, unsigned at, unsigned *line,
	size_t n);

#endif
