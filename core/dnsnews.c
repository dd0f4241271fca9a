/* SPDX-License-Identifier: MIT */
#include "dnsnews.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base.h"
#include "dname.h"
#include "dnsmsg.h"
#include "guard.h"
#include "log.h"

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* True if the same was not said of the name within DNSNEWS_SAID_S. Two names that collide are both
 * said more often. */
static bool is_news(struct dnsnews *p, const char *name, const char *what)
{
	const char *texts[] = {name, what};
	uint32_t hash = 2166136261u;
	double t = now();

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		for (const char *c = texts[i]; *c; c++)
			hash = (hash ^ (uint8_t)*c) * 16777619u;
	}
	struct dnsnews_said *s = &p->said[hash % DNSNEWS_SAID];
	if (s->hash == hash && s->until > t)
		return false;
	s->hash = hash;
	s->until = t + DNSNEWS_SAID_S;
	return true;
}

void dnsnews_private(struct dnsnews *n, const char *name, const uint8_t *msg, size_t len)
{
	struct dnsmsg_record r;
	struct dnsmsg m;
	size_t at = 0;
	unsigned k = 0;

	if (dnsmsg_parse(&m, msg, len) < 0)
		return;
	while (dnsmsg_next(&m, &at, &k, &r) > 0) {
		struct addr a = {.v = r.type == DNSMSG_TYPE_A ? 4 : 6};
		char text[ADDR_TEXT_MAX];

		if (r.section != 1 || (r.type != DNSMSG_TYPE_A && r.type != DNSMSG_TYPE_AAAA) ||
			r.data_len != (a.v == 4 ? 4 : 16))
			continue;
		memcpy(a.ip, msg + r.data, r.data_len);
		if (!guard_is_private(&a) || !is_news(n, name, "private"))
			continue;
		log_warn("dns: %s is said to be at %s, which is no public address: no rule about "
			 "its name opens it without cidr = \"%s\"",
			name, addr_format(&a, false, text), text);
	}
}

void dnsnews_denied(struct dnsnews *n, const char *name, uint16_t type, const char *what,
	const struct decision *d)
{
	static struct log_limit limit = {.burst = 10};
	unsigned long left_out = 0;
	char text[16], more[48] = "", normal[DNAME_MAX], hint[DNAME_MAX + 64] = "";

	if (!is_news(n, name, what) || !log_limit_pass(&limit, &left_out))
		return;
	if (left_out)
		snprintf(more, sizeof(more), " (and %lu more)", left_out);
	if ((!d->rule || strcmp(d->rule, "default") == 0) &&
		dname_normalise(normal, name, strlen(name)) > 0)
		snprintf(hint, sizeof(hint),
			"; { domain = \"%s\", nsnet.allow } in a rule would allow it", normal);
	log_warn("dns: %s %s %s by %s%s%s%s%s", name, dnsmsg_type_name(type, text), what,
		d->rule ? d->rule : "default", d->reason ? ": " : "", d->reason ? d->reason : "",
		hint, more);
}
