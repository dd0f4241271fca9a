/* SPDX-License-Identifier: MIT */
#include "log.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PREFIX "nsnet-host: "
#define CUT "..."

/* One line with its newline: what a pipe takes in one piece, so that two writers
 * never mix. */
#define LINE_MAX_LEN PIPE_BUF

static enum log_level threshold = LOG_LEVEL_WARN;

void log_set_level(enum log_level level)
{
	threshold = level;
}

bool log_enabled(enum log_level level)
{
	return level <= threshold;
}

/* True for the characters that a terminal obeys or that hide what a line says: C1 controls
 * (U+0080..9F), line and paragraph separators, and the marks that turn the writing direction. */
static bool deceives(uint32_t c)
{
	return c < 0xa0 || c == 0x61c || (c >= 0x200b && c <= 0x200f) ||
		(c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) || c == 0xfeff;
}

/* The length of the harmless UTF-8 character (RFC 3629) at @s, or 0 if the first
 * byte must be escaped. */
static size_t harmless(const unsigned char *s)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t n = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
	uint32_t c;

	if (s[0] < 0x80)
		return s[0] >= 0x20 && s[0] != 0x7f;
	if (s[0] < 0xc2 || s[0] > 0xf4)
		return 0;
	c = s[0] & (0xff >> (n + 1));
	for (size_t i = 1; i < n; i++) {
		/* The text's final zero ends this loop too. */
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3f);
	}
	if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff) || deceives(c))
		return 0;
	return n;
}

/* Copies @text escaped behind the @at bytes of @line; what does not fit is cut, visibly. */
static size_t escape(char *line, size_t at, const char *text, bool cut)
{
	static const char hex[] = "0123456789abcdef";
	const unsigned char *s = (const unsigned char *)text;
	const size_t end = LINE_MAX_LEN - 1 - (sizeof(CUT) - 1);

	while (*s) {
		size_t n = harmless(s);

		if (at + (n ? n : 4) > end) {
			cut = true;
			break;
		}
		if (n) {
			memcpy(line + at, s, n);
			at += n;
			s += n;
		} else {
			line[at++] = '\\';
			line[at++] = 'x';
			line[at++] = hex[*s >> 4];
			line[at++] = hex[*s & 15];
			s++;
		}
	}
	if (cut) {
		memcpy(line + at, CUT, sizeof(CUT) - 1);
		at += sizeof(CUT) - 1;
	}
	return at;
}

void log_write(enum log_level level, const char *fmt, ...)
{
	char text[LINE_MAX_LEN], line[LINE_MAX_LEN];
	int saved = errno, n;
	size_t len = sizeof(PREFIX) - 1;
	va_list ap;

	if (!log_enabled(level))
		return;
	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n < 0)
		text[0] = '\0';
	memcpy(line, PREFIX, len);
	len = escape(line, len, text, n >= (int)sizeof(text));
	line[len++] = '\n';

	/* A message that cannot be written has nobody to be told: stderr is full, closed
	 * or gone, and waiting for it would stop every connection. */
	while (write(STDERR_FILENO, line, len) == -1 && errno == EINTR)
		;
	errno = saved;
}

bool log_limit_pass(struct log_limit *l, unsigned long *dropped)
{
	struct timespec now;

	*dropped = 0;
	clock_gettime(CLOCK_MONOTONIC, &now);
	if (now.tv_sec != l->second) {
		l->second = now.tv_sec;
		l->used = 0;
	}
	if (l->used >= l->burst) {
		l->dropped++;
		return false;
	}
	l->used++;
	*dropped = l->dropped;
	l->dropped = 0;
	return true;
}
