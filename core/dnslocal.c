/* SPDX-License-Identifier: MIT */
#include "dnslocal.h"

#include <errno.h>
#include <string.h>

#include "base.h"
#include "dname.h"
#include "dnsmake.h"
#include "dnsptr.h"
#include "sidedoor.h"

#define CLASS_IN 1
#define CLASS_ANY 255
#define TYPE_ANY 255

static bool wants_addresses(const struct dnsmsg *q)
{
	return (q->class == CLASS_IN || q->class == CLASS_ANY) &&
		(q->type == DNSMSG_TYPE_A || q->type == DNSMSG_TYPE_AAAA || q->type == TYPE_ANY);
}

static size_t answer_code(uint8_t *out, const struct dnsmsg *q, unsigned rcode)
{
	struct dnsmake k;

	dnsmake_begin(&k, out, DNSLOCAL_MAX, q, rcode);
	return dnsmake_end(&k, q);
}

static size_t answer_name(uint8_t *out, const struct dnsmsg *q, const struct synth_name *n)
{
	uint8_t wire[DNSMSG_WIRE_MAX];
	struct dnsmake k;

	if (!n || dnsmsg_wire(n->text, wire) < 0)
		return answer_code(out, q, DNSMSG_RCODE_NXDOMAIN);
	dnsmake_begin(&k, out, DNSLOCAL_MAX, q, DNSMSG_RCODE_NOERROR);
	dnsmake_ptr(&k, q->name, SYNTH_TTL_S, wire);
	return dnsmake_end(&k, q);
}

size_t dnslocal_known(const struct dnslocal *l, uint8_t *out, const struct dnsmsg *q)
{
	struct addr a;

	if (!l->synth || q->type != DNSMSG_TYPE_PTR || q->class != CLASS_IN ||
		!dnsptr_read(q->name, &a) || !synth_has(l->synth, &a))
		return 0;
	return answer_name(out, q, synth_find(l->synth, &a));
}

static void add(struct dnsmake *k, const struct dnsmsg *q, const struct synth *s,
	const struct synth_name *n, uint16_t type)
{
	const uint8_t v = type == DNSMSG_TYPE_A ? 4 : 6;
	struct addr a = synth_address(s, n, v);

	if (q->type == type || q->type == TYPE_ANY)
		dnsmake_record(k, 1, q->name, type, SYNTH_TTL_S, a.ip, v == 4 ? 4 : 16);
}

/* @name is one that libc may have made, and not the host's own: does it exist? */
static bool is_tentative(const struct dnslocal *l, const struct dnsmsg *q, const char *name,
	double now)
{
	uint8_t text[DNSLOCAL_MAX];

	if (!l->conf || !resolvconf_completes(l->conf, name))
		return false;
	if (!l->hosts)
		return true;
	hosts_check(l->hosts, now);
	return hosts_answer(l->hosts, text, sizeof(text), q) == 0;
}

static size_t answer_synthetic(const struct dnslocal *l, uint8_t *out, const struct dnsmsg *q,
	bool exists, double now, enum dnslocal_kind *kind)
{
	char text[DNSMSG_TEXT_MAX], name[DNAME_MAX];
	struct synth_name *n;
	struct dnsmake k;

	*kind = DNSLOCAL_SYNTHETIC;
	dnsmsg_text(q->name, text);
	/* What is no host name has no address. */
	if (dname_normalise(name, text, strlen(text)) < 0)
		return answer_code(out, q, DNSMSG_RCODE_NOERROR);
	/* A program that asks so whether it may look elsewhere is to stay. */
	if (sidedoor_name(name) == SIDEDOOR_NAME_SIGNAL)
		return answer_code(out, q, DNSMSG_RCODE_NXDOMAIN);
	if (!exists && is_tentative(l, q, name, now)) {
		*kind = DNSLOCAL_TENTATIVE;
		return 0;
	}
	n = synth_give(l->synth, name, now);
	if (!n)
		return answer_code(out, q, DNSMSG_RCODE_SERVFAIL);
	dnsmake_begin(&k, out, DNSLOCAL_MAX, q, DNSMSG_RCODE_NOERROR);
	add(&k, q, l->synth, n, DNSMSG_TYPE_A);
	add(&k, q, l->synth, n, DNSMSG_TYPE_AAAA);
	return dnsmake_end(&k, q);
}

size_t dnslocal_answer(const struct dnslocal *l, uint8_t *out, const struct dnsmsg *q,
	enum dnslocal_for whom, double now, enum dnslocal_kind *kind)
{
	if (l->synth && whom != DNSLOCAL_FOR_US && wants_addresses(q))
		return answer_synthetic(l, out, q, whom == DNSLOCAL_FOR_CHILD_IT_EXISTS, now, kind);
	*kind = DNSLOCAL_TRUE;
	if (!l->hosts)
		return 0;
	hosts_check(l->hosts, now);
	return hosts_answer(l->hosts, out, DNSLOCAL_MAX, q);
}

unsigned dnslocal_refuses(const struct dnsmsg *m, int err)
{
	/* An update or a notification is for a server of its zone, not for a resolver. */
	if (m->opcode != 0)
		return DNSMSG_RCODE_NOTIMP;
	if (err == -EBADMSG || m->questions != 1)
		return DNSMSG_RCODE_FORMERR;
	/* A transfer is many messages, and never for a resolver. */
	if (m->type == DNSMSG_TYPE_AXFR || m->type == DNSMSG_TYPE_IXFR)
		return DNSMSG_RCODE_REFUSED;
	/* Nothing rides along that the judge does not see. */
	if (err || m->answers || m->authorities)
		return DNSMSG_RCODE_FORMERR;
	return 0;
}
