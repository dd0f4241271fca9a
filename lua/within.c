/* SPDX-License-Identifier: MIT */
#include "lua/within.h"

#include "core/guard.h"

int within_parse(struct cidr *c, const char *text)
{
	int rc = cidr_parse(c, text);

	if (rc == 0 && c->bits >= 96 && addr_is_mapped(&c->net)) {
		c->net = guard_canonical(&c->net);
		c->bits -= 96;
	}
	return rc;
}

bool within(const struct cidr_set *s, const struct addr *literal, const struct addr *dst,
	bool closes, bool *named)
{
	int bits = cidr_set_find(s, dst);
	int form = (int)guard_form_bits(literal);
	bool hit = bits >= 0, meant = bits >= (dst->v == 4 ? WITHIN_NAMED_V4 : WITHIN_NAMED_V6);

	if (form && dst->v == 4 && !addr_is_mapped(literal)) {
		bits = cidr_set_find(s, literal);
		hit |= bits >= (closes ? 0 : form);
		meant |= bits >= form + WITHIN_NAMED_V4;
	}
	if (named)
		*named |= meant;
	return hit;
}
