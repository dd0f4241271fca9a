/* SPDX-License-Identifier: MIT */
#include "lua/lines.h"

#include <ctype.h>
#include <string.h>

#include "core/base.h"

/* Source: the Lua 5.1 reference manual, 2.1 (lexical conventions) and 2.5.7 (tables); LuaJIT counts
 * \r\n and \n\r as one line end. */
enum kind {
	KIND_END,
	KIND_NAME, /* keywords, too */
	KIND_TEXT, /* strings and numbers */
	KIND_SIGN, /* anything else: its first character tells, "==" excepted */
	KIND_EQUALS,
};

struct token {
	enum kind kind;
	unsigned line; /* in which it begins */
	const char *start;
	size_t len;
};

struct reader {
	const char *at, *end;
	unsigned line;
};

static void step(struct reader *r)
{
	char c = *r->at++;
	if (c != '\n' && c != '\r')
		return;
	if (r->at < r->end && *r->at != c && (*r->at == '\n' || *r->at == '\r'))
		r->at++;
	r->line++;
}

static bool looks_at(const struct reader *r, char c)
{
	return r->at < r->end && *r->at == c;
}

/* The reader stands at "[": skips a long bracket, or returns false if it is none. */
static bool skip_long(struct reader *r)
{
	const char *p = r->at + 1;
	while (p < r->end && *p == '=')
		p++;
	if (p == r->end || *p != '[')
		return false;
	size_t level = (size_t)(p - r->at) - 1;
	while (r->at <= p)
		step(r);
	for (; r->at < r->end; step(r)) {
		if (*r->at != ']')
			continue;
		p = r->at + 1;
		while (p < r->end && *p == '=')
			p++;
		if ((size_t)(p - r->at) - 1 == level && p < r->end && *p == ']') {
			r->at = p + 1;
			break;
		}
	}
	return true;
}

static void skip_quoted(struct reader *r)
{
	char quote = *r->at;
	step(r);
	while (r->at < r->end && *r->at != quote) {
		if (*r->at == '\\' && r->at + 1 < r->end)
			step(r);
		step(r);
	}
	if (r->at < r->end)
		step(r);
}

static void skip_blanks(struct reader *r)
{
	while (r->at < r->end) {
		if (isspace((unsigned char)*r->at)) {
			step(r);
		} else if (r->end - r->at > 1 && r->at[0] == '-' && r->at[1] == '-') {
			r->at += 2;
			if (looks_at(r, '[') && skip_long(r))
				continue;
			while (r->at < r->end && *r->at != '\n' && *r->at != '\r')
				step(r);
		} else {
			return;
		}
	}
}

/* Bytes beyond ASCII are letters to LuaJIT. */
static bool is_word(char c)
{
	return isalnum((unsigned char)c) || c == '_' || (unsigned char)c >= 0x80;
}

static struct token next(struct reader *r)
{
	skip_blanks(r);
	struct token t = {.kind = KIND_END, .line = r->line, .start = r->at};
	if (r->at == r->end)
		return t;
	char c = *r->at;
	if (c == '"' || c == '\'') {
		t.kind = KIND_TEXT;
		skip_quoted(r);
	} else if (c == '[' && skip_long(r)) {
		t.kind = KIND_TEXT;
	} else if (is_word(c)) {
		t.kind = isdigit((unsigned char)c) ? KIND_TEXT : KIND_NAME;
		while (r->at < r->end && is_word(*r->at))
			step(r);
	} else {
		t.kind = KIND_SIGN;
		step(r);
		if (strchr("=~<>", c) && looks_at(r, '='))
			step(r);
		else if (c == '=')
			t.kind = KIND_EQUALS;
	}
	t.len = (size_t)(r->at - t.start);
	return t;
}

static bool is_sign(const struct token *t, char c)
{
	return t->kind == KIND_SIGN && t->start[0] == c;
}

static bool is_name(const struct token *t, const char *name)
{
	return t->kind == KIND_NAME && strlen(name) == t->len && !memcmp(t->start, name, t->len);
}

static bool is_one_of(const struct token *t, const char *const *names, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (is_name(t, names[i]))
			return true;
	}
	return false;
}

/* How @t changes the depth of brackets and blocks. "for" and "while" have a "do". */
static int nesting(const struct token *t)
{
	static const char *const in[] = {"function", "if", "do", "repeat"};
	static const char *const out[] = {"end", "until"};
	if (t->kind == KIND_SIGN && strchr("({[", t->start[0]))
		return 1;
	if (t->kind == KIND_SIGN && strchr(")}]", t->start[0]))
		return -1;
	return is_one_of(t, in, ARRAY_LEN(in)) - is_one_of(t, out, ARRAY_LEN(out));
}

/* Reads the table behind its "{". True if it has @n entries without a key. */
static bool read_entries(struct reader r, unsigned *line, size_t n)
{
	size_t found = 0;
	for (;;) {
		struct token t = next(&r);
		struct reader ahead = r;
		struct token second = next(&ahead);
		bool keyed =
			is_sign(&t, '[') || (t.kind == KIND_NAME && second.kind == KIND_EQUALS);
		if (t.kind == KIND_END || is_sign(&t, '}'))
			return t.kind != KIND_END && found == n;
		if (!keyed && found++ < n)
			line[found - 1] = t.line;
		for (int depth = nesting(&t); depth >= 0; depth += nesting(&t)) {
			t = next(&r);
			if (t.kind == KIND_END)
				return false;
			if (!depth && (is_sign(&t, ',') || is_sign(&t, ';')))
				break;
			if (!depth && is_sign(&t, '}'))
				return found == n;
		}
	}
}

/* Names after which a bracket opens no list of arguments. */
static bool may_be_called(const struct token *t)
{
	static const char *const words[] = {"and", "do", "else", "elseif", "end", "for", "function",
		"if", "in", "local", "not", "or", "repeat", "return", "then", "until", "while"};
	if (t->kind == KIND_NAME)
		return !is_one_of(t, words, ARRAY_LEN(words));
	return is_sign(t, ')') || is_sign(t, ']');
}

bool lines_of_entries(const char *text, size_t len, const char *callee, unsigned at, unsigned *line,
	size_t n)
{
	struct reader r = {.at = text, .end = text + len, .line = 1}, best = r;
	struct token before = {.kind = KIND_END};
	size_t named = 0, other = 0;
	for (;;) {
		struct token t = next(&r);
		if (t.kind == KIND_END || t.line > at)
			break;
		struct reader inside = r;
		bool opens = t.line == at && may_be_called(&before);
		bool table = is_sign(&t, '{');
		if (opens && is_sign(&t, '(')) {
			struct token second = next(&inside);
			table = is_sign(&second, '{');
		}
		if (opens && table && read_entries(inside, line, n)) {
			bool is_callee = is_name(&before, callee);
			if (is_callee || !named)
				best = inside;
			*(is_callee ? &named : &other) += 1;
		}
		before = t;
	}
	return (named == 1 || (!named && other == 1)) && read_entries(best, line, n);
}
