/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "tally.h"

#include <string.h>

static const char *tally_name(int kind)
{
	const char *name;

	switch (kind) {
	case TALLY_EOF:
		return "early end";
	case TALLY_TIMEOUT:
		return "no answer";
	case TALLY_GARBLED:
		return "wrong bytes";
	case TALLY_LOST:
		return "bytes lost";
	case TALLY_STATUS:
		return "exit status";
	default:
		name = strerrorname_np(kind);
		return name ? name : "unknown";
	}
}

void tally_add(struct tally *t, int kind)
{
	unsigned i;

	t->total++;
	for (i = 0; i < TALLY_KINDS - 1; i++) {
		if (t->by[i].count == 0)
			t->by[i].kind = kind;
		if (t->by[i].kind == kind)
			break;
	}
	t->by[i].count++;
}

const char *tally_worst(const struct tally *t)
{
	unsigned i, worst = 0;

	if (t->total == 0)
		return "";
	for (i = 1; i < TALLY_KINDS; i++)
		if (t->by[i].count > t->by[worst].count)
			worst = i;
	return tally_name(t->by[worst].kind);
}

void tally_report(const struct tally *t, struct json *j)
{
	unsigned i;

	json_count(j, "errors", t->total);
	if (t->total == 0)
		return;
	json_open(j, "error_kinds");
	for (i = 0; i < TALLY_KINDS && t->by[i].count; i++)
		json_count(j, tally_name(t->by[i].kind), t->by[i].count);
	json_close(j);
}
