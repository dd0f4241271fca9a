/* SPDX-License-Identifier: MIT */
#include "notice.h"

#include <errno.h>
#include <string.h>

#include "base.h"

/* Last thing that its callers do: whatever belongs to the flow may be gone afterwards. */
static void notice_write(struct tun *tun, const struct icmperr *e, uint8_t *quote, size_t n,
	const struct addr *from, const struct addr *to)
{
	struct iovec iov[2];
	size_t h = icmperr_write(e, quote, n, from, to);

	iov[1].iov_base = quote - h;
	iov[1].iov_len = h + n;
	tun_writev(tun, NULL, iov, 2);
}

bool notice_answer(struct notice_limit *l, struct tun *tun, const struct packet *p, int error,
	bool hard, uint32_t mtu, double now)
{
	uint8_t room[ICMPERR_ROOM + ICMPERR_QUOTE_MAX6];
	size_t n =
		MIN((size_t)p->len, (size_t)(p->v == 4 ? ICMPERR_QUOTE_MAX4 : ICMPERR_QUOTE_MAX6));
	struct icmperr e;

	if (!icmperr_allowed(&p->dst) || !icmperr_allowed(&p->src))
		return false;
	if (error == EMSGSIZE && !mtu)
		return false;
	if (l->empty_at > now + (NOTICE_BURST - 0.5) * NOTICE_EVERY_S)
		return false;
	l->empty_at = MAX(l->empty_at, now) + NOTICE_EVERY_S;
	e = icmperr_from_errno(p->v, error, hard, mtu);
	memcpy(room + ICMPERR_ROOM, p->data, n);
	notice_write(tun, &e, room + ICMPERR_ROOM, n, &p->dst, &p->src);
	return true;
}

static bool is_believable(const struct guard *g, const struct flow *f, const struct addr *from)
{
	static const struct addr loopback = {.v = 6, .ip = {[15] = 1}};

	if (from->v != f->key.src.v || !icmperr_allowed(from))
		return false;
	/* Where the flow was redirected to, nobody needs to know. */
	if (addr_equal_ip(from, &f->decision.target))
		return false;
	/* The child has this network on its own device, perhaps this very address. */
	if (cidr_has(from->v == 4 ? &g->inside4 : &g->inside6, from))
		return false;
	return from->v == 4 ? from->ip[0] != 127 : !addr_equal_ip(from, &loopback);
}

void notice_pass(struct tun *tun, const struct guard *guard, const struct flow *f,
	const struct icmperr *e, const struct addr *from, uint8_t *quote, size_t n)
{
	struct addr src = is_believable(guard, f, from) ? *from : f->key.dst;
	struct addr dst = f->key.src;

	notice_write(tun, e, quote, n, &src, &dst);
}
