/* SPDX-License-Identifier: MIT */
#include "lua/pattern.h"

#include <stdint.h>
#include <string.h>

/* Backtracking: match_here() matches the pattern from @pat on at @s, and tries the ways that an
 * item may go in the order that the manual states. Sequences are a loop; only choices recurse. */
#define DEPTH_MAX 200       /* as the stock matcher */
#define STEPS_BETWEEN 0x3ff /* between two questions to stop() */

static const char *match_here(struct pattern *p, const char *s, const char *pat);

static bool stopped(struct pattern *p)
{
	if (!p->error && !(++p->steps & STEPS_BETWEEN) && p->stop && p->stop())
		p->error = "pattern too complex: the CPU budget is spent";
	return p->error;
}

static const char *fail(struct pattern *p, const char *error)
{
	p->error = error;
	return NULL;
}

static bool in(uint8_t c, uint8_t low, uint8_t high)
{
	return c >= low && c <= high;
}

/* Is @c in the class of the letter @class, which may stand for itself? */
static bool class_has(uint8_t class, uint8_t c)
{
	uint8_t letter = in(class, 'A', 'Z') ? (uint8_t)(class + 32) : class;
	bool alpha = in(c, 'a', 'z') || in(c, 'A', 'Z'), digit = in(c, '0', '9');
	bool graph = in(c, 33, 126), has;
	switch (letter) {
	case 'a':
		has = alpha;
		break;
	case 'c':
		has = c < 32 || c == 127;
		break;
	case 'd':
		has = digit;
		break;
	case 'g':
		has = graph;
		break;
	case 'l':
		has = in(c, 'a', 'z');
		break;
	case 'p':
		has = graph && !alpha && !digit;
		break;
	case 's':
		has = c == ' ' || in(c, 9, 13);
		break;
	case 'u':
		has = in(c, 'A', 'Z');
		break;
	case 'w':
		has = alpha || digit;
		break;
	case 'x':
		has = digit || in(c, 'a', 'f') || in(c, 'A', 'F');
		break;
	case 'z':
		has = c == 0;
		break;
	default:
		return class == c;
	}
	return has != (class != letter);
}

/* The end of the set that begins at @pat ("["), or NULL. A "]" in the first place is a member. */
static const char *set_end(struct pattern *p, const char *pat)
{
	pat++;
	if (pat < p->pat_end && *pat == '^')
		pat++;
	for (bool first = true; pat < p->pat_end; first = false) {
		if (*pat == ']' && !first)
			return pat + 1;
		if (*pat++ == '%') {
			if (pat == p->pat_end)
				break;
			pat++;
		}
	}
	return fail(p, "malformed pattern (missing ']')");
}

static bool set_has(const char *set, const char *end, uint8_t c)
{
	const char *last = end - 1; /* the closing bracket */
	bool negative = set[1] == '^';
	for (const char *at = set + 1 + negative; at < last; at++) {
		if (*at == '%') {
			at++;
			if (class_has((uint8_t)*at, c))
				return !negative;
		} else if (at + 2 < last && at[1] == '-') {
			if (in(c, (uint8_t)at[0], (uint8_t)at[2]))
				return !negative;
			at += 2;
		} else if ((uint8_t)*at == c) {
			return !negative;
		}
	}
	return negative;
}

/* The end of the single-character item at @pat, or NULL. */
static const char *item_end(struct pattern *p, const char *pat)
{
	if (*pat == '[')
		return set_end(p, pat);
	if (*pat != '%')
		return pat + 1;
	if (pat + 1 == p->pat_end)
		return fail(p, "malformed pattern (ends with '%')");
	return pat + 2;
}

static bool item_has(const struct pattern *p, const char *s, const char *pat, const char *end)
{
	if (s >= p->text_end)
		return false;
	switch (*pat) {
	case '.':
		return true;
	case '[':
		return set_has(pat, end, (uint8_t)*s);
	case '%':
		return class_has((uint8_t)pat[1], (uint8_t)*s);
	default:
		return *pat == *s;
	}
}

/* "*" and "+": as many as there are, then fewer. */
static const char *match_greedy(struct pattern *p, const char *s, const char *pat, const char *end,
	size_t least)
{
	size_t n = 0;
	while (item_has(p, s + n, pat, end)) {
		n++;
		if (stopped(p))
			return NULL;
	}
	for (;; n--) {
		if (n < least)
			return NULL;
		const char *r = match_here(p, s + n, end + 1);
		if (r || p->error || !n)
			return r;
	}
}

/* "-": as few as will do. */
static const char *match_lazy(struct pattern *p, const char *s, const char *pat, const char *end)
{
	for (;; s++) {
		const char *r = match_here(p, s, end + 1);
		if (r || p->error)
			return r;
		if (!item_has(p, s, pat, end))
			return NULL;
	}
}

static const char *match_open(struct pattern *p, const char *s, const char *pat, size_t len)
{
	if (p->captures == PATTERN_CAPTURES)
		return fail(p, "too many captures");
	p->capture[p->captures].at = s;
	p->capture[p->captures].len = len;
	p->captures++;
	const char *r = match_here(p, s, pat);
	if (!r)
		p->captures--;
	return r;
}

static const char *match_close(struct pattern *p, const char *s, const char *pat)
{
	unsigned i = p->captures;
	while (i && p->capture[i - 1].len != PATTERN_OPEN)
		i--;
	if (!i)
		return fail(p, "invalid pattern capture");
	p->capture[i - 1].len = (size_t)(s - p->capture[i - 1].at);
	const char *r = match_here(p, s, pat);
	if (!r)
		p->capture[i - 1].len = PATTERN_OPEN;
	return r;
}

/* "%bxy": from x to the y that belongs to it. Returns the end of that in the text, or NULL. */
static const char *match_balance(struct pattern *p, const char *s, const char *pat)
{
	if (pat + 2 > p->pat_end || pat + 1 >= p->pat_end)
		return fail(p, "unbalanced pattern");
	if (s >= p->text_end || *s != pat[0])
		return NULL;
	size_t open = 1;
	for (s++; s < p->text_end; s++) {
		if (stopped(p))
			return NULL;
		if (*s == pat[1]) {
			if (!--open)
				return s + 1;
		} else if (*s == pat[0]) {
			open++;
		}
	}
	return NULL;
}

/* "%1": the same bytes as that capture. Returns their end in the text, or NULL. */
static const char *match_again(struct pattern *p, const char *s, char digit)
{
	unsigned i = (unsigned)(digit - '1');
	if (digit == '0' || i >= p->captures || p->capture[i].len == PATTERN_OPEN)
		return fail(p, "invalid capture index");
	/* A position has no bytes to compare; the stock matcher never finds it either. */
	size_t len = p->capture[i].len;
	if (len == PATTERN_POSITION || (size_t)(p->text_end - s) < len ||
		memcmp(s, p->capture[i].at, len) != 0)
		return NULL;
	return s + len;
}

/* "%f[set]": between a character that is not in the set and one that is. 1, 0, or -1: error. */
static int match_frontier(struct pattern *p, const char *s, const char *set, const char **end)
{
	if (set >= p->pat_end || *set != '[') {
		fail(p, "missing '[' after '%f' in pattern");
		return -1;
	}
	*end = set_end(p, set);
	if (!*end)
		return -1;
	uint8_t before = s == p->text ? 0 : (uint8_t)s[-1];
	uint8_t after = s == p->text_end ? 0 : (uint8_t)*s;
	return !set_has(set, *end, before) && set_has(set, *end, after);
}

/* The items that begin with "%" and are no single character: moves *@s and *@pat on and returns 1;
 * 0 = no match; -1 = it is no such item. */
static int match_special(struct pattern *p, const char **s, const char **pat)
{
	const char *at = *pat, *next;
	char kind = at + 1 < p->pat_end ? at[1] : 0;
	int found;
	if (kind == 'b') {
		next = match_balance(p, *s, at + 2);
		*pat = at + 4;
	} else if (kind == 'f') {
		found = match_frontier(p, *s, at + 2, pat);
		return found > 0;
	} else if (kind >= '0' && kind <= '9') {
		next = match_again(p, *s, kind);
		*pat = at + 2;
	} else {
		return -1;
	}
	*s = next ? next : *s;
	return next != NULL;
}

/* A single-character item and what follows it. Returns true to go on in the loop with *@s and
 * *@pat; else *@answer is the answer. */
static bool match_item(struct pattern *p, const char **s, const char **pat, const char **answer)
{
	const char *end = item_end(p, *pat);
	char times = end && end < p->pat_end ? *end : 0;
	*answer = NULL;
	if (!end)
		return false;
	switch (times) {
	case '*':
		*answer = match_greedy(p, *s, *pat, end, 0);
		return false;
	case '+':
		*answer = match_greedy(p, *s, *pat, end, 1);
		return false;
	case '-':
		*answer = match_lazy(p, *s, *pat, end);
		return false;
	case '?':
		if (item_has(p, *s, *pat, end)) {
			*answer = match_here(p, *s + 1, end + 1);
			if (*answer || p->error)
				return false;
		}
		*pat = end + 1;
		return true;
	default:
		if (!item_has(p, *s, *pat, end))
			return false;
		++*s;
		*pat = end;
		return true;
	}
}

static const char *match_loop(struct pattern *p, const char *s, const char *pat)
{
	const char *answer;
	while (pat < p->pat_end) {
		if (stopped(p))
			return NULL;
		if (*pat == '(') {
			bool position = pat + 1 < p->pat_end && pat[1] == ')';
			return match_open(p, s, pat + 1 + position,
				position ? PATTERN_POSITION : PATTERN_OPEN);
		}
		if (*pat == ')')
			return match_close(p, s, pat + 1);
		if (*pat == '$' && pat + 1 == p->pat_end)
			return s == p->text_end ? s : NULL;
		int special = *pat == '%' ? match_special(p, &s, &pat) : -1;
		if (special > 0)
			continue;
		if (special == 0)
			return NULL;
		if (!match_item(p, &s, &pat, &answer))
			return answer;
	}
	return s;
}

static const char *match_here(struct pattern *p, const char *s, const char *pat)
{
	if (p->depth == DEPTH_MAX)
		return fail(p, "pattern too complex");
	p->depth++;
	const char *r = match_loop(p, s, pat);
	p->depth--;
	return r;
}

const char *pattern_match(struct pattern *p, const char *from)
{
	p->captures = 0;
	p->depth = 0;
	p->error = NULL;
	const char *end = match_here(p, from, p->pat);
	if (!end)
		return NULL;
	for (unsigned i = 0; i < p->captures; i++) {
		if (p->capture[i].len == PATTERN_OPEN)
			return fail(p, "unfinished capture");
	}
	return end;
}

bool pattern_is_plain(const char *pat, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (pat[i] && strchr("^$*+?.([%-", pat[i]))
			return false;
	}
	return true;
}
