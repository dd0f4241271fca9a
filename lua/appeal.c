/* SPDX-License-Identifier: MIT */
#include "lua/appeal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/guard.h"
#include "core/sidedoor.h"
#include "lua/rules.h"

bool appeal_wanted(const struct connection *c)
{
	bool named;
	for (size_t i = 0; i < c->rs->greeters.len; i++) {
		const struct filter *f = c->rs->greeters.v[i].filter;
		if (f && filter_has_names(f) && filter_judge(f, &c->facts, FILTER_ASKS, &named))
			return true;
	}
	return false;
}

bool appeal_begin(struct connection *c)
{
	const struct preface *p = c->preface;
	c->facts.seen = true;
	c->facts.sni = p->tls;
	c->facts.http = p->http;
	c->facts.hidden = p->hidden;
	c->facts.name = p->named ? p->name : NULL;
	/* A resolver is as well known by its name as by its address. */
	if (c->at_door)
		c->facts.door = SIDEDOOR_NONE;
	c->at_door = c->facts.door == SIDEDOOR_NONE && p->named &&
		sidedoor_name(p->name) == SIDEDOOR_NAME_SERVER;
	if (c->at_door)
		c->facts.door = SIDEDOOR_DOH;
	c->judging = c->noted;
	c->next = c->noted_next;
	c->rule = c->noted_rule;
	return c->noted;
}

/* True if @v, @d leads where the connection has been made to. */
static bool same_way(const struct connection *c, enum verdict v, const struct decision *d)
{
	enum verdict was = c->syn.verdict == VERDICT_NONE ? VERDICT_ALLOW : c->syn.verdict;
	struct guard *g = c->rs->policy->guard;
	struct addr to = v == VERDICT_REDIRECT ? d->target : c->facts.dst;
	if (v != was)
		return false;
	if (v == VERDICT_REDIRECT &&
		(!addr_equal(&c->syn.target, &d->target) || c->syn.named != d->named))
		return false;
	if (v == VERDICT_VIA && c->rule_via != c->syn_via)
		return false;
	/* An address that only the other rule named stays closed. */
	return !c->syn.named || d->named || guard_classify(g, &to) == GUARD_CLASS_PUBLIC;
}

static char *visible_text(const struct preface *p)
{
	char text[DNAME_MAX + 96];
	snprintf(text, sizeof(text), "its first bytes name %s%s",
		!p->named            ? "no host"
			: p->name[0] ? p->name
				     : "an address or no proper name",
		p->hidden ? ", and may hide another (ECH)" : "");
	return strdup(text);
}

/* Several names may have one address: those who look want the one that it was judged by. */
static void note_host(struct connection *c)
{
	const struct preface *p = c->preface;
	char *host = NULL;
	if (c->rs->policy->observers && p->named && p->name[0])
		host = strdup(p->name);
	if (!host)
		return;
	free(c->flow->host);
	c->flow->host = host;
}

enum verdict appeal_end(struct connection *c, enum verdict v, struct decision *d)
{
	c->judging = false;
	note_host(c);
	if (v == VERDICT_NONE && !c->rs->policy->default_deny && !c->at_door)
		v = VERDICT_ALLOW;
	if (v == VERDICT_NONE && c->at_door) {
		d->rule = strdup("names");
		d->reason = strdup(sidedoor_text(SIDEDOOR_DOH));
	} else if (v == VERDICT_NONE)
		d->rule = strdup("default");
	else if (v != VERDICT_DENY && v != VERDICT_DROP && same_way(c, v, d))
		return VERDICT_ALLOW;
	char *seen = visible_text(c->preface), *both = NULL;
	if (d->reason && seen && asprintf(&both, "%s (%s)", d->reason, seen) < 0)
		both = NULL;
	if (both || !d->reason) {
		free(d->reason);
		d->reason = both ? both : seen;
	}
	if (seen != d->reason)
		free(seen);
	return VERDICT_DENY;
}

enum verdict appeal_refuse(struct connection *c, struct decision *d)
{
	const struct handler *h = c->noted ? &c->rs->chain.v[c->noted_next] : NULL;
	const char *who = h ? h->where : "on_first_bytes";
	if (h && h->rules && c->noted_rule < h->rules->len)
		who = h->rules->rule[c->noted_rule].label;
	decision_fini(d);
	d->rule = strdup(who);
	d->reason = strdup(c->preface->why);
	return VERDICT_DENY;
}
