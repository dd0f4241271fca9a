/* SPDX-License-Identifier: MIT */
#include "tell.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "base.h"

const char *tell_verdict(enum verdict v)
{
	switch (v) {
	case VERDICT_ALLOW:
		return "allow";
	case VERDICT_DENY:
		return "deny";
	case VERDICT_DROP:
		return "drop";
	case VERDICT_REDIRECT:
		return "redirect";
	case VERDICT_VIA:
		return "via";
	default:
		return NULL;
	}
}

char *tell_addr(const struct addr *a, uint32_t proto, char *text)
{
	return addr_format(a, proto != IPPROTO_ICMP, text);
}

const char *tell_network(uint32_t proto, char *text)
{
	switch (proto) {
	case IPPROTO_TCP:
		return "tcp";
	case IPPROTO_UDP:
		return "udp";
	case IPPROTO_ICMP:
		return "icmp";
	default:
		snprintf(text, 16, "ip %u", (unsigned)(uint8_t)proto);
		return text;
	}
}

const struct addr *tell_target(const struct flow *f)
{
	const struct decision *d = &f->decision;

	if (d->verdict == VERDICT_DENY || d->verdict == VERDICT_DROP || !d->target.v)
		return NULL;
	return addr_equal_ip(&d->target, &f->key.dst) &&
			(d->target.port == f->key.dst.port || f->key.proto == IPPROTO_ICMP)
		? NULL
		: &d->target;
}

const char *tell_error(const struct flow *f)
{
	if (f->why)
		return f->why;
	return f->error ? strerror(f->error) : NULL;
}

const char *tell_dial_error(const struct flow *f)
{
	return f->cause == FLOW_CAUSE_ABORTED ? NULL : tell_error(f);
}

const char *tell_end(const struct flow *f)
{
	return f->cause == FLOW_CAUSE_ABORTED && f->why ? f->why : flow_cause_name(f->cause);
}

size_t tell_answers(const uint8_t *msg, size_t len, struct addr *out, size_t max)
{
	struct dnsmsg_record r;
	struct dnsmsg m;
	size_t at = 0, found = 0;
	unsigned n = 0;

	/* What breaks off is told as far as it goes. */
	if (dnsmsg_parse(&m, msg, len) == -EBADMSG)
		return 0;
	while (found < max && dnsmsg_next(&m, &at, &n, &r) == 1 && r.section == 1) {
		struct addr *a = &out[found];
		const size_t want = r.type == DNSMSG_TYPE_A ? 4 : 16;

		if ((r.type != DNSMSG_TYPE_A && r.type != DNSMSG_TYPE_AAAA) || r.data_len != want)
			continue;
		memset(a, 0, sizeof(*a));
		a->v = want == 4 ? 4 : 6;
		memcpy(a->ip, msg + r.data, want);
		found++;
	}
	return found;
}

char *tell_size(uint64_t bytes, char *text)
{
	static const char unit[] = "kMGTPE";
	double n = (double)bytes;
	size_t u = 0;

	if (bytes < 1000) {
		snprintf(text, TELL_TEXT_MAX, "%u", (unsigned)bytes);
		return text;
	}
	for (n /= 1000; n >= 999.95 && u + 1 < sizeof(unit) - 1; u++)
		n /= 1000;
	snprintf(text, TELL_TEXT_MAX, "%.1f%c", n, unit[u]);
	return text;
}

char *tell_span(double s, char *text)
{
	if (!(s > 0))
		s = 0;
	if (s < 0.9995)
		snprintf(text, TELL_TEXT_MAX, "%.*f ms", s < 0.00995 ? 1 : 0, s * 1e3);
	else if (s < 59.995)
		snprintf(text, TELL_TEXT_MAX, "%.2f s", s);
	else if (s < 1e6)
		snprintf(text, TELL_TEXT_MAX, "%um%02us", (unsigned)(s / 60) % 100000,
			(unsigned)s % 60);
	else
		snprintf(text, TELL_TEXT_MAX, "%.0f d", s < 1e12 ? s / 86400 : 0);
	return text;
}
