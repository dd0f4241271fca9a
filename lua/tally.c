/* SPDX-License-Identifier: MIT */
#include "core/base.h"
#include "lua/rules.h"
#include "lua/scripts.h"

/* tally - how often each rule and handler was of use: lua_host_each_rule().
 */
static void each_of_block(const struct handler *h, void (*fn)(void *arg, const struct lua_rule *r),
	void *arg)
{
	for (size_t i = 0; i < h->rules->len; i++) {
		const struct rule *r = &h->rules->rule[i];
		struct lua_rule one = {.kind = "rule",
			.name = r->label,
			.where = r->where,
			.hits = r->hits,
			.last = r->last_hit};
		fn(arg, &one);
	}
}

void lua_host_each_rule(const struct lua_host *h, void (*fn)(void *arg, const struct lua_rule *r),
	void *arg)
{
	const struct ruleset *rs = h->current;
	if (!rs)
		return;
	const struct handlers *all[] = {&rs->guards, &rs->chain, &rs->greeters, &rs->dialers,
		&rs->data, &rs->packets, &rs->closers, &rs->starters, &rs->exits};
	for (size_t k = 0; k < ARRAY_LEN(all); k++) {
		for (size_t i = 0; i < all[k]->len; i++) {
			const struct handler *one = &all[k]->v[i];
			if (one->rules) {
				each_of_block(one, fn, arg);
				continue;
			}
			struct lua_rule r = {.kind = one->name,
				.where = one->where,
				.hits = *one->hits};
			fn(arg, &r);
		}
	}
}
