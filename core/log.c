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

#include "base.h"
#include "utf8.h"

#define PREFIX "nsnet-host: "
#define CUT "..."

/* One line with its newline: what a pipe takes in one piece, so that two writers
 * never mix. */
#define LINE_MAX_LEN PIPE_BUF

static enum log_level threshold = LOG_LEVEL_WARN;
static log_sink_fn *sink;
static void *sink_arg;
static struct log_output *output;

void log_set_sink(log_sink_fn *fn, void *arg)
{
	sink = fn;
	sink_arg = arg;
}

void log_set_level(enum log_level level)
{
	threshold = level;
}

bool log_enabled(enum log_level level)
{
	return level <= threshold;
}

/* The length of the harmless character at the @n bytes @s, or 0: the first byte must be escaped. */
static size_t harmless(const char *s, size_t n)
{
	uint32_t c;
	size_t k = utf8_length(s, n, &c);

	/* A tab only moves on, within the line: what print() puts between values. */
	return k && (c == '\t' || !utf8_deceives(c)) ? k : 0;
}

/* How many of the @n bytes @s are plain ASCII to look at: nearly all of nearly every line. */
static size_t plain(const char *s, size_t n)
{
	size_t i = 0;

	while (i < n && s[i] >= ' ' && s[i] < 0x7f)
		i++;
	return i;
}

/* Copies @text of @left bytes escaped behind the @at bytes of @line; what does not fit is cut,
 * visibly. */
static size_t escape(char *line, size_t at, const char *text, size_t left, bool cut)
{
	static const char hex[] = "0123456789abcdef";
	const size_t end = LINE_MAX_LEN - 1 - (sizeof(CUT) - 1);

	for (const char *s = text; left;) {
		size_t n = plain(s, MIN(left, end - at));

		if (n == 0)
			n = harmless(s, left);

		if (at + (n ? n : 4) > end) {
			cut = true;
			break;
		}
		if (n) {
			memcpy(line + at, s, n);
			at += n;
		} else {
			line[at++] = '\\';
			line[at++] = 'x';
			line[at++] = hex[(unsigned char)*s >> 4];
			line[at++] = hex[*s & 15];
			n = 1;
		}
		s += n;
		left -= n;
	}
	if (cut) {
		memcpy(line + at, CUT, sizeof(CUT) - 1);
		at += sizeof(CUT) - 1;
	}
	return at;
}

/* Writes @len bytes to standard error. A message that cannot be written has nobody to be told:
 * it is full, closed or gone. */
static void put(const char *text, size_t len)
{
	while (len) {
		ssize_t n = write(STDERR_FILENO, text, len);

		if (n == -1 && errno == EINTR)
			continue;
		if (n <= 0)
			return;
		text += n;
		len -= (size_t)n;
	}
}

/* @cut: there was more of @text. */
static void emit(enum log_level level, const char *text, size_t n, bool cut)
{
	char line[LINE_MAX_LEN];
	size_t len = sink ? 0 : sizeof(PREFIX) - 1;

	memcpy(line, PREFIX, len);
	len = escape(line, len, text, n, cut);
	if (sink) {
		line[len] = '\0';
		sink(sink_arg, level, line);
		return;
	}
	line[len++] = '\n';
	if (output)
		output->line(output, line, len, level == LOG_LEVEL_ERROR);
	else
		put(line, len);
}

void log_write(enum log_level level, const char *fmt, ...)
{
	char text[LINE_MAX_LEN];
	int saved = errno, n;
	va_list ap;

	if (!log_enabled(level))
		return;
	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	emit(level, text, n < 0 ? 0 : MIN((size_t)n, sizeof(text) - 1), n >= (int)sizeof(text));
	errno = saved;
}

void log_text(enum log_level level, const char *text, size_t len)
{
	int saved = errno;

	if (log_enabled(level))
		emit(level, text, len, false);
	errno = saved;
}

void log_set_output(struct log_output *to)
{
	output = to;
}

void log_flush(void)
{
	if (output)
		output->flush(output);
}

void log_rescue(void)
{
	const char *text;
	size_t len;

	if (!output)
		return;
	text = output->waiting(output, &len);
	put(text, len);
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
