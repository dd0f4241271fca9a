/* SPDX-License-Identifier: MIT */
#ifndef NSNET_ARGTABLE_H
#define NSNET_ARGTABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* argtable - a command line read by a table: one row an option, from which the parser, --help and
 * messages take what they need. What the options mean is its owner's. */

#define EXIT_USAGE 2 /* the status of a wrong command line */

#define ARGTABLE_MAX 80 /* rows of a table, headings included */

enum argtable_kind {
	ARGTABLE_FLAG,   /* bool: given or not */
	ARGTABLE_COUNT,  /* int: how often */
	ARGTABLE_TEXT,   /* const char *, borrowed from argv */
	ARGTABLE_WHOLE,  /* size_t, between least and most */
	ARGTABLE_NUMBER, /* double, between least and most */
	ARGTABLE_TAKEN,  /* by take() */
};

struct argtable_row {
	const char *heading; /* a line of help instead of an option */
	char letter;         /* 0: none */
	const char *name;
	const char *value; /* what help calls it; NULL: the option has none */
	const char *help;
	enum argtable_kind kind;
	size_t field; /* offset in what is filled */
	double least, most;
	/* 0, or EXIT_USAGE after argtable_wrong(). @text is NULL if the option has no value. */
	int (*take)(void *to, const struct argtable_row *row, const char *text);
};

/* Fills @to from argv, argv[0] aside, up to the first word that is no option, and sets given[i]
 * for each row that was there. Returns the index of what follows the options, or -EXIT_USAGE after
 * one line on stderr. @count is at most ARGTABLE_MAX. */
int argtable_parse(const struct argtable_row *rows, size_t count, void *to, bool *given, int argc,
	char **argv);

/* The options under their headings. */
void argtable_print(const struct argtable_row *rows, size_t count, FILE *to);

/* One line on stderr about a word of the command line; returns EXIT_USAGE. @value may be NULL. */
int argtable_usage(const char *what, const char *value, const char *remedy);

/* The same about an option, which it names as it is written. */
int argtable_wrong(const struct argtable_row *row, const char *text, const char *remedy);

#endif
