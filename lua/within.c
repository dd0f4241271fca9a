/* SPDX-License-Identifier: MIT */
#include "lua/within.h"

#include <string.h>

#include "core/guard.h"

/* RFC 4291 2.5.5.2 */
static bool is_mapped(const struct addr *a)
{
	static const uint8_t prefix[12] = {[10] = 0xff, [11] = 0xff};

	return a->v == 6 && memcmp(a->ip, prefix, sizeof(prefix)) == 0;
}

int within_parse(struct cidr *c, const char *text)
{
	int rc = cidr_parse(c, text);

	if (rc == 0 && c->bits >= 96 && is_mapped(&c->net)) {
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

	if (form && dst->v == 4 && !is_mapped(literal)) {
		bits = cidr_set_find(s, literal);
		hit |= bits >= (closes ? 0 : form);
		meant |= bits >= form + WITHIN_NAMED_V4;
	}
	if (named)
		*named |= meant;
	return hit;
}
