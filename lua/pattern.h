/* SPDX-License-Identifier: MIT */
#ifndef NSNET_LUA_PATTERN_H
#define NSNET_LUA_PATTERN_H

#include <stdbool.h>
#include <stddef.h>

/* pattern - matches Lua patterns (Lua 5.1 reference manual, section 5.4.1; %f and %g as LuaJIT has
 * them), and can be stopped. The stock matcher cannot: one call with a pattern like
 * ".-.-.-.-b" may take minutes, and no hook interrupts a C function.
 *
 * Pure but for @stop. Classes are those of ASCII.
 */
#define PATTERN_CAPTURES 32
#define PATTERN_POSITION ((size_t)-1) /* length of a position capture: () */
#define PATTERN_OPEN ((size_t)-2)     /* internal: not closed yet */

struct pattern {
	const char *text, *text_end; /* the subject, borrowed */
	const char *pat, *pat_end;   /* the pattern, borrowed, without a leading ^ */
	bool (*stop)(void);          /* asked now and then: true ends the match; NULL = never */
	const char *error;           /* set: the pattern is malformed, or it was stopped; static */
	unsigned steps, depth;
	unsigned captures;
	struct {
		const char *at;
		size_t len;
	} capture[PATTERN_CAPTURES];
};

/* Matches at @from exactly. Returns the end of the match, or NULL: no match, or p->error. The
 * captures are those of this match. */
const char *pattern_match(struct pattern *p, const char *from);

/* True if the bytes mean only themselves in a pattern. */
bool pattern_is_plain(const char *pat, size_t len);

#endif
