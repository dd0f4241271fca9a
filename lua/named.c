/* SPDX-License-Identifier: MIT */
#include "lua/named.h"

#include <lauxlib.h>

#include "core/base.h"

/* True if @r has no condition but, perhaps, domain=. */
static bool is_plain(const struct rule *r)
{
	const struct filter *f = r->filter;
	return (f->networks & FILTER_ANY) == FILTER_ANY && !f->has_ports && !f->has_cidrs &&
		!f->names[FILTER_NAME_SNI] && !f->names[FILTER_NAME_HTTP_HOST] &&
		r->when_ref == LUA_NOREF;
}

/* True if @r is about @name, or about all names. */
static bool about(const struct rule *r, const char *name)
{
	const struct name_set *set = r->filter->names[FILTER_NAME_DOMAIN];
	if (set)
		return name_set_find(set, name);
	return r->filter->networks & FILTER_DNS || is_plain(r);
}

static enum named rules_ask(const struct rules *rs, const char *name, struct rule **rule)
{
	for (size_t i = 0; i < rs->len; i++) {
		struct rule *r = &rs->rule[i];
		if (!about(r, name))
			continue;
		*rule = r;
		if (!rule_closes(r))
			return NAMED_OPEN;
		if (r->filter->networks & FILTER_DNS || is_plain(r))
			return NAMED_CLOSED;
	}
	*rule = NULL;
	return NAMED_NOT;
}

enum named named_by(const struct handler *h, const char *name, struct rule **rule)
{
	*rule = NULL;
	if (h->rules)
		return rules_ask(h->rules, name, rule);
	if (h->filter && h->filter->names[FILTER_NAME_DOMAIN] && !h->filter->observe &&
		name_set_find(h->filter->names[FILTER_NAME_DOMAIN], name))
		return NAMED_OPEN;
	return NAMED_NOT;
}

enum named named_ask(const struct ruleset *rs, const char *name, const char **rule)
{
	for (size_t i = 0; i < rs->chain.len; i++) {
		const struct handler *h = &rs->chain.v[i];
		struct rule *r;
		enum named n = named_by(h, name, &r);
		*rule = r ? r->label : h->where;
		if (n != NAMED_NOT)
			return n;
	}
	*rule = NULL;
	return NAMED_NOT;
}

static bool any(const struct handlers *hs)
{
	for (size_t i = 0; i < hs->len; i++) {
		const struct handler *h = &hs->v[i];
		if (h->filter && filter_has_names(h->filter))
			return true;
		for (size_t k = 0; h->rules && k < h->rules->len; k++) {
			if (filter_has_names(h->rules->rule[k].filter))
				return true;
		}
	}
	return false;
}

bool named_any(const struct ruleset *rs)
{
	return any(&rs->guards) || any(&rs->chain) || any(&rs->greeters) || any(&rs->dialers);
}
