/* SPDX-License-Identifier: MIT */
#include "listeners.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#include "base.h"

/* The kernel's pieces of an answer are of this size at most (netlink_dump() in af_netlink.c). */
#define PIECE_MAX 32768

static int ask(int fd, int proto, uint8_t family)
{
	struct {
		struct nlmsghdr h;
		struct inet_diag_req_v2 r;
	} m = {
		.h = {.nlmsg_len = sizeof(m),
			.nlmsg_type = SOCK_DIAG_BY_FAMILY,
			.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
		.r = {.sdiag_family = family,
			.sdiag_protocol = (uint8_t)proto,
			/* A UDP socket without a peer is CLOSE. */
			.idiag_states = 1u << (proto == IPPROTO_TCP ? TCP_LISTEN : TCP_CLOSE)},
	};

	return send(fd, &m, sizeof(m), MSG_DONTWAIT) == (ssize_t)sizeof(m) ? 0 : -errno;
}

static void unfold(struct addr *a)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

	if (memcmp(a->ip, mapped, sizeof(mapped)) != 0)
		return;
	memmove(a->ip, a->ip + 12, 4);
	memset(a->ip + 4, 0, 12);
	a->v = 4;
}

static void tell(const struct nlmsghdr *h, listeners_fn *fn, void *arg)
{
	static const uint8_t any[16];
	const struct inet_diag_msg *d = NLMSG_DATA(h);
	int left = (int)(h->nlmsg_len - NLMSG_LENGTH(sizeof(*d)));
	const bool v6 = d->idiag_family == AF_INET6;
	struct listening l = {
		.at = {.v = v6 ? 6 : 4, .port = ntohs(d->id.idiag_sport)},
		.device = d->id.idiag_if,
		.both = v6,
	};

	memcpy(l.at.ip, d->id.idiag_src, v6 ? 16 : 4);
	for (const struct rtattr *a = (const void *)(d + 1); RTA_OK(a, left);
		a = RTA_NEXT(a, left)) {
		if (a->rta_type == INET_DIAG_SKV6ONLY && RTA_PAYLOAD(a) >= 1 &&
			*(const uint8_t *)RTA_DATA(a))
			l.both = false;
	}
	if (v6)
		unfold(&l.at);
	l.both &= memcmp(l.at.ip, any, sizeof(any)) == 0 && l.at.v == 6;
	fn(arg, &l);
}

/* Reads one piece; *@last if it was that. 0 or negative errno. */
static int take_piece(int fd, bool *last, listeners_fn *fn, void *arg)
{
	static uint8_t buf[PIECE_MAX] __attribute__((aligned(8)));
	ssize_t len = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);

	if (len == -1)
		return errno == EINTR ? 0 : -errno;
	for (struct nlmsghdr *h = (void *)buf; NLMSG_OK(h, len); h = NLMSG_NEXT(h, len)) {
		if (h->nlmsg_flags & NLM_F_DUMP_INTR)
			return -EINTR;
		if (h->nlmsg_type == NLMSG_ERROR)
			return -EIO;
		if (h->nlmsg_type == NLMSG_DONE) {
			*last = true; /* and how it went: netlink(7) */
			if (h->nlmsg_len >= NLMSG_LENGTH(sizeof(int)))
				return *(const int *)NLMSG_DATA(h);
			return 0;
		}
		if (h->nlmsg_len >= NLMSG_LENGTH(sizeof(struct inet_diag_msg)))
			tell(h, fn, arg);
	}
	return 0;
}

int listeners_ask(int diag, int proto, listeners_fn *fn, void *arg)
{
	static const uint8_t family[] = {AF_INET, AF_INET6};
	char rest[64];
	int rc = 0;

	for (size_t i = 0; i < ARRAY_LEN(family) && rc == 0; i++) {
		bool last = false;

		while (recv(diag, rest, sizeof(rest), MSG_DONTWAIT) > 0)
			; /* what an earlier question left, if one did */
		rc = ask(diag, proto, family[i]);
		while (rc == 0 && !last)
			rc = take_piece(diag, &last, fn, arg);
	}
	return rc;
}
