/* SPDX-License-Identifier: MIT */
#include "argtable.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "nearest.h"

#define HELP_COLUMN 26

void argtable_print(const struct argtable_row *rows, size_t count, FILE *to)
{
	for (size_t i = 0; i < count; i++) {
		const struct argtable_row *r = &rows[i];
		char name[64];
		int n;

		if (r->heading) {
			fprintf(to, "\n%s\n", r->heading);
			continue;
		}
		n = snprintf(name, sizeof(name), "  %c%c%c --%s%s%s", r->letter ? '-' : ' ',
			r->letter ? r->letter : ' ', r->letter ? ',' : ' ', r->name,
			r->value ? " " : "", r->value ? r->value : "");
		fprintf(to, "%-*s%s%s\n", HELP_COLUMN - 1, name, n < HELP_COLUMN - 1 ? "" : " ",
			r->help);
	}
}

int argtable_usage(const char *what, const char *value, const char *remedy)
{
	if (value)
		log_error("%s '%s': %s", what, value, remedy);
	else
		log_error("%s: %s", what, remedy);
	return EXIT_USAGE;
}

int argtable_wrong(const struct argtable_row *row, const char *text, const char *remedy)
{
	char name[64];

	snprintf(name, sizeof(name), "--%s", row->name);
	return argtable_usage(name, text, remedy);
}

static int take_number(const struct argtable_row *row, const char *text, double *out)
{
	char range[80], *end;
	double n;

	errno = 0;
	n = strtod(text, &end);
	if (!*text || *end || errno || !isfinite(n) || n < row->least || n > row->most) {
		snprintf(range, sizeof(range), "give a number from %.6g to %.0f", row->least,
			row->most);
		return argtable_wrong(row, text, range);
	}
	*out = n;
	return 0;
}

static int take_whole(const struct argtable_row *row, const char *text, size_t *out)
{
	double n;
	int rc = take_number(row, text, &n);

	if (rc)
		return rc;
	if (n != floor(n))
		return argtable_wrong(row, text, "give a whole number");
	*out = (size_t)n;
	return 0;
}

static int take(void *to, const struct argtable_row *row, const char *text)
{
	void *field = (char *)to + row->field;

	switch (row->kind) {
	case ARGTABLE_FLAG:
		*(bool *)field = true;
		return 0;
	case ARGTABLE_COUNT:
		(*(int *)field)++;
		return 0;
	case ARGTABLE_TEXT:
		*(const char **)field = text;
		return 0;
	case ARGTABLE_WHOLE:
		return take_whole(row, text, field);
	case ARGTABLE_NUMBER:
		return take_number(row, text, field);
	case ARGTABLE_TAKEN:
		return row->take(to, row, text);
	}
	return EXIT_USAGE;
}

/* getopt_long(3) reads our rows in its own form; row i is told by LONG_BASE + i. */
#define LONG_BASE 256

static void make_getopt(const struct argtable_row *rows, size_t count, char *letters,
	struct option *longs)
{
	size_t n = 0, l = 0;

	letters[l++] = '+'; /* stop at the first word that is no option */
	letters[l++] = ':'; /* tell a missing value from an unknown option */
	for (size_t i = 0; i < count; i++) {
		const struct argtable_row *r = &rows[i];

		if (r->heading)
			continue;
		longs[n++] = (struct option){r->name, r->value ? required_argument : no_argument,
			NULL, LONG_BASE + (int)i};
		if (r->letter)
			letters[l++] = r->letter;
		if (r->letter && r->value)
			letters[l++] = ':';
	}
	letters[l] = '\0';
	longs[n] = (struct option){0};
}

static const struct argtable_row *row_of(const struct argtable_row *rows, size_t count, int opt)
{
	if (opt >= LONG_BASE)
		return &rows[opt - LONG_BASE];
	for (size_t i = 0; i < count; i++)
		if (rows[i].letter == opt && opt)
			return &rows[i];
	return NULL;
}

/* The reason and the remedy, in @text where that is needed. */
static const char *none_of_this_name(const struct argtable_row *rows, size_t count,
	const char *word, char text[96])
{
	char name[NEAREST_MAX + 4]; /* of more it is near to none */
	struct nearest n = nearest_to(name + 2);

	snprintf(name, sizeof(name), "%.*s", (int)strcspn(word, "="), word);
	for (size_t i = 0; i < count && strncmp(name, "--", 2) == 0; i++) {
		if (rows[i].name)
			nearest_try(&n, rows[i].name);
	}
	if (!n.best)
		return "there is none of this name; see nsnet-host --help";
	snprintf(text, 96, "there is none of this name; did you mean --%s?", n.best);
	return text;
}

static int unknown(const struct argtable_row *rows, size_t count, int argc, char **argv, int opt)
{
	const char *word = optind <= argc ? argv[optind - 1] : "";
	char letter[3] = {'-', (char)optopt, '\0'}, text[96];

	if (optopt && optopt < LONG_BASE && word[0] == '-' && word[1] != '-')
		word = letter;
	return argtable_usage("option", word,
		opt == ':'                    ? "needs a value; see nsnet-host --help"
			: optopt >= LONG_BASE ? "takes no value"
					      : none_of_this_name(rows, count, word, text));
}

int argtable_parse(const struct argtable_row *rows, size_t count, void *to, bool *given, int argc,
	char **argv)
{
	char letters[2 * ARGTABLE_MAX + 3];
	struct option longs[ARGTABLE_MAX + 1];
	const struct argtable_row *row;
	int opt, rc;

	make_getopt(rows, count, letters, longs);
	optind = 0; /* 0 and not 1: glibc forgets its place in an earlier argv */
	opterr = 0;
	while ((opt = getopt_long(argc, argv, letters, longs, NULL)) != -1) {
		row = opt == '?' || opt == ':' ? NULL : row_of(rows, count, opt);
		if (!row)
			rc = unknown(rows, count, argc, argv, opt);
		else if (row->value && strcmp(optarg, "--") == 0)
			rc = argtable_wrong(row, optarg,
				"that ends the options: the value is missing");
		else
			rc = take(to, row, optarg);
		if (rc)
			return -EXIT_USAGE;
		given[row - rows] = true;
	}
	return optind;
}
