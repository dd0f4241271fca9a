/* SPDX-License-Identifier: MIT */
#ifndef NSNET_LOG_H
#define NSNET_LOG_H

#include <stdbool.h>
#include <stddef.h>

/* log - our own messages: one line per event on stderr, each beginning "nsnet-host: ". A line is
 * written by a single write(2), so it never mixes with another process's line on the same pipe or
 * terminal (PIPE_BUF). While the loop runs, the lines of a turn are written together (outlet).
 */
enum log_level {
	LOG_LEVEL_ERROR, /* the program or a feature does not work */
	LOG_LEVEL_WARN,  /* something was denied, lost or is not as asked: the default */
	LOG_LEVEL_INFO,  /* -v: what happens, per connection */
	LOG_LEVEL_DEBUG, /* -vv */
};

void log_set_level(enum log_level level);
bool log_enabled(enum log_level level);

/* Writes "nsnet-host: " and the formatted text as one line. Control characters
 * in the text are shown as "\xNN": names and payloads come from strangers. */
void log_write(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Gives each line to @fn instead, escaped and cut in the same way, but without the prefix and the
 * newline. NULL: stderr again. */
typedef void log_sink_fn(void *arg, enum log_level level, const char *line);
void log_set_sink(log_sink_fn *fn, void *arg);

/* The same, of @len bytes that are not formatted: a "%" is one. */
void log_text(enum log_level level, const char *text, size_t len);

/* Where whole lines go instead of standard error, prefix and newline included. */
struct log_output {
	/* @urgent: it is not to wait for others. */
	void (*line)(struct log_output *output, const char *line, size_t len, bool urgent);
	/* Writes what can be written now. */
	void (*flush)(struct log_output *output);
	/* What is not written yet, @len bytes. */
	const char *(*waiting)(const struct log_output *output, size_t *len);
};

/* Borrowed until it is set again; NULL: standard error. */
void log_set_output(struct log_output *to);

/* Before somebody else writes to standard error. */
void log_flush(void);

/* Writes to standard error what waits in the output, and waits for it; for one who ends the process
 * without another word. Safe in a handler of a signal. */
void log_rescue(void);

#define log_error(...) log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...) log_write(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...) log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)

/* A rate limit for one place in the code: at most @burst lines in each second,
 * then silence; the first line of a later second tells how many were left out. */
struct log_limit {
	unsigned burst;
	unsigned used;
	unsigned long dropped;
	long second;
};

/* True if a line may be written now; *@dropped is how many were left out since
 * the last one that was. Time is CLOCK_MONOTONIC. */
bool log_limit_pass(struct log_limit *l, unsigned long *dropped);

#endif
