/* SPDX-License-Identifier: MIT */
#include "lua/named.h"

#include <lauxlib.h>

#include "core/base.h"
#include "lua/rules.h"

/* True if @r is about @name, or about all names. */
static bool about(const struct filter *f, const char *name)
{
	const struct name_set *set = f->names[FILTER_NAME_DOMAIN];
	return set ? name_set_find(set, name) : (f->networks & FILTER_DNS) != 0;
}

/* True if a denial by @r leaves no connection to the name. */
static bool closes_all(const struct rule *r)
{
	const struct filter *f = r->filter;
	return rule_closes(r) && (f->networks & FILTER_ANY) == FILTER_ANY && !f->has_ports &&
		!f->has_cidrs && !f->names[FILTER_NAME_SNI] && !f->names[FILTER_NAME_HTTP_HOST] &&
		r->when_ref == LUA_NOREF;
}

static enum named rules_ask(const struct rules *rs, const char *name, const char **rule)
{
	for (size_t i = 0; i < rs->len; i++) {
		const struct rule *r = &rs->rule[i];
		if (!about(r->filter, name))
			continue;
		*rule = r->label;
		if (!rule_closes(r))
			return NAMED_OPEN;
		if (r->filter->networks & FILTER_DNS || closes_all(r))
			return NAMED_CLOSED;
	}
	return NAMED_NOT;
}

enum named named_ask(const struct ruleset *rs, const char *name, const char **rule)
{
	for (size_t i = 0; i < rs->chain.len; i++) {
		const struct handler *h = &rs->chain.v[i];
		if (h->rules) {
			enum named n = rules_ask(h->rules, name, rule);
			if (n != NAMED_NOT)
				return n;
		} else if (h->filter && h->filter->names[FILTER_NAME_DOMAIN] &&
			!h->filter->observe && about(h->filter, name)) {
			*rule = h->where;
			return NAMED_OPEN;
		}
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
