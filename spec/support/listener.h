/* SPDX-License-Identifier: MIT */
#ifndef NSNET_SPEC_LISTENER_H
#define NSNET_SPEC_LISTENER_H

/* listener - holds a child's bytes as a connection does, shows them to a preface, and writes down
 * what came of it: each name that was told, then "all", "bad", or nothing if it still listens.
 */

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/preface.h"

struct listener {
	struct preface p;
	uint8_t held[1 << 17];
	size_t n;
	uint64_t may;    /* bytes that go without being held */
	uint64_t passed; /* bytes that went */
	bool over;
	char said[4096]; /* "tls a.test; http b.test; all" */
};

static inline void listener_say(struct listener *l, const char *what, const char *name)
{
	size_t n = strlen(l->said);

	snprintf(l->said + n, sizeof(l->said) - n, "%s%s%s", n ? "; " : "", what, name);
}

static inline void listener_name(struct listener *l)
{
	const struct preface *p = &l->p;

	listener_say(l,
		p->tls            ? p->hidden ? "tls+ech " : "tls "
			: p->http ? "http "
				  : "other ",
		!p->named            ? "none"
			: p->name[0] ? p->name
				     : "?");
}

static inline void listener_go(struct listener *l, uint64_t pass)
{
	const size_t some = pass < l->n ? (size_t)pass : l->n;

	l->may = pass == PREFACE_ALL ? PREFACE_ALL : pass - some;
	l->passed += some;
	memmove(l->held, l->held + some, l->n - some);
	l->n -= some;
}

/* Looks as long as there is something to see. */
static inline void listener_look(struct listener *l, bool end)
{
	uint64_t pass;

	while (!l->over && !l->may && (l->n || end)) {
		/* Of its exact size, so that a byte read beyond it is seen. */
		uint8_t *copy = malloc(l->n + !l->n);

		memcpy(copy, l->held, l->n);
		const enum preface_answer a =
			preface_look(&l->p, copy, l->n, !end && l->n < 65536, &pass);
		free(copy);
		switch (a) {
		case PREFACE_MORE:
			return;
		case PREFACE_NAME:
			listener_name(l);
			break;
		case PREFACE_PASS:
			listener_go(l, pass);
			if (pass == PREFACE_ALL) {
				listener_say(l, "all", "");
				l->over = true;
			}
			break;
		default:
			listener_say(l, "bad", "");
			l->over = true;
		}
	}
}

/* @bytes in pieces of @piece; then the end, if @end. */
static inline const char *listen_to(struct listener *l, const uint8_t *bytes, size_t n,
	size_t piece, bool end)
{
	memset(l, 0, sizeof(*l));
	while (n && !l->over) {
		size_t some = n < piece ? n : piece, free;

		if (l->may) {
			free = l->may < some ? (size_t)l->may : some;
			l->may -= free;
			l->passed += free;
		} else {
			free = some < 65536 - l->n ? some : 65536 - l->n;
			memcpy(l->held + l->n, bytes, free);
			l->n += free;
		}
		bytes += free;
		n -= free;
		listener_look(l, false);
	}
	if (end && l->may && !l->over) {
		l->may = 0;
		l->over = true; /* in a body */
	}
	if (end)
		listener_look(l, true);
	return l->said;
}

#endif
