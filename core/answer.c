/* SPDX-License-Identifier: MIT */
#include "answer.h"

#include <errno.h>

#include "craft.h"

static void send_small(struct tun *tun, uint8_t *packet, size_t len)
{
	struct iovec iov[2] = {{0}, {packet, len}};

	if (len)
		tun_writev(tun, NULL, iov, 2);
}

static void answer_unreach(struct tun *tun, const struct packet *p, enum craft_unreach why)
{
	uint8_t out[CRAFT_SMALL_MAX];

	send_small(tun, out, craft_unreach(out, p, why));
}

void answer_rst(struct tun *tun, const struct packet *p)
{
	uint8_t out[CRAFT_SMALL_MAX];

	send_small(tun, out, craft_rst(out, p));
}

void answer_denied(struct tun *tun, const struct packet *p, enum deny_style style)
{
	switch (style) {
	case DENY_STYLE_UNREACHABLE:
		answer_unreach(tun, p, CRAFT_UNREACH_HOST);
		break;
	case DENY_STYLE_PROHIBITED:
		answer_unreach(tun, p, CRAFT_UNREACH_PROHIBITED);
		break;
	case DENY_STYLE_REFUSE:
	case DENY_STYLE_RESET:
		answer_rst(tun, p);
	}
}

void answer_failed(struct tun *tun, const struct packet *p, int error)
{
	switch (error) {
	case ENETUNREACH:
	case EADDRNOTAVAIL:
	case EAFNOSUPPORT:
		answer_unreach(tun, p, CRAFT_UNREACH_NET);
		break;
	case EHOSTUNREACH:
	case EHOSTDOWN:
	case ETIMEDOUT:
		answer_unreach(tun, p, CRAFT_UNREACH_HOST);
		break;
	case EACCES:
	case EPERM:
		answer_unreach(tun, p, CRAFT_UNREACH_PROHIBITED);
		break;
	default: /* ECONNREFUSED, ECONNRESET, and what the host lacks: visibly refused */
		answer_rst(tun, p);
	}
}
