/* SPDX-License-Identifier: MIT */
#include "sockdiag.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

#include "base.h"

/* The kernel's pieces of an answer are of this size at most (netlink_dump() in af_netlink.c). */
#define PIECE_MAX 32768

struct question {
	struct nlmsghdr h;
	struct inet_diag_req_v2 r;
};

/* Sends @q, which gets its head here; returns the number that the answer bears, or 0 with errno. */
static uint32_t ask(int fd, struct question *q, uint16_t flags)
{
	static uint32_t number;

	number += number == UINT32_MAX ? 2 : 1;
	q->h = (struct nlmsghdr){
		.nlmsg_len = sizeof(*q),
		.nlmsg_type = SOCK_DIAG_BY_FAMILY,
		.nlmsg_flags = NLM_F_REQUEST | flags,
		.nlmsg_seq = number,
	};
	return send(fd, q, sizeof(*q), MSG_DONTWAIT) == (ssize_t)sizeof(*q) ? number : 0;
}

static const struct inet_diag_msg *socket_of(const struct nlmsghdr *h)
{
	return h->nlmsg_type == SOCK_DIAG_BY_FAMILY &&
			h->nlmsg_len >= NLMSG_LENGTH(sizeof(struct inet_diag_msg))
		? NLMSG_DATA(h)
		: NULL;
}

/* 0, or the negative errno that an error or the end of an answer carries. */
static int failure_of(const struct nlmsghdr *h)
{
	int error = 0;

	if (h->nlmsg_len >= NLMSG_LENGTH(sizeof(error)))
		memcpy(&error, NLMSG_DATA(h), sizeof(error));
	return error < 0 ? error : 0;
}

/* Reads one piece of the answer to question @number; *@last if it was that. 0 or negative errno. */
static int take_piece(int fd, uint32_t number, bool *last, sockdiag_fn *fn, void *arg)
{
	static uint8_t buf[PIECE_MAX] __attribute__((aligned(8)));
	ssize_t len = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);

	if (len == -1)
		return errno == EINTR ? 0 : -errno;
	for (struct nlmsghdr *h = (void *)buf; NLMSG_OK(h, len); h = NLMSG_NEXT(h, len)) {
		const struct inet_diag_msg *d = socket_of(h);

		if (h->nlmsg_seq != number)
			continue;
		if (h->nlmsg_flags & NLM_F_DUMP_INTR)
			return -EINTR;
		if (h->nlmsg_type == NLMSG_ERROR || h->nlmsg_type == NLMSG_DONE) {
			const int rc = failure_of(h);

			*last = true;
			return rc == 0 && h->nlmsg_type == NLMSG_ERROR ? -EIO : rc;
		}
		if (d)
			fn(arg, d, h->nlmsg_len - NLMSG_LENGTH(sizeof(*d)));
	}
	return 0;
}

int sockdiag_each(int fd, uint8_t family, uint8_t proto, uint32_t states, sockdiag_fn *fn,
	void *arg)
{
	struct question q = {
		.r = {.sdiag_family = family, .sdiag_protocol = proto, .idiag_states = states}};
	bool last = false;
	char rest[64];
	uint32_t number;
	int rc = 0;

	/* The kernel goes on with one dump at a time: one that was left is ended by reading. */
	while (recv(fd, rest, sizeof(rest), MSG_DONTWAIT) > 0)
		;
	number = ask(fd, &q, NLM_F_DUMP);
	if (!number)
		return -errno;
	while (rc == 0 && !last)
		rc = take_piece(fd, number, &last, fn, arg);
	return rc;
}

uint32_t sockdiag_inode(int fd, uint8_t proto, const struct addr *src, const struct addr *dst)
{
	/* For UDP the kernel takes the ends the other way round (udp_diag.c, udp_dump_one). */
	const struct addr *a = proto == IPPROTO_UDP ? dst : src;
	const struct addr *b = proto == IPPROTO_UDP ? src : dst;
	uint8_t buf[1024] __attribute__((aligned(8)));
	struct question q = {
		.r = {.sdiag_family = src->v == 4 ? AF_INET : AF_INET6,
			.sdiag_protocol = proto,
			.idiag_states = ~0u,
			.id = {.idiag_cookie = {INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE}}}};
	uint32_t number;
	ssize_t len;

	memcpy(q.r.id.idiag_src, a->ip, 16);
	memcpy(q.r.id.idiag_dst, b->ip, 16);
	q.r.id.idiag_sport = htons(a->port);
	q.r.id.idiag_dport = htons(b->port);
	number = ask(fd, &q, 0);
	while (number && (len = recv(fd, buf, sizeof(buf), MSG_DONTWAIT)) > 0) {
		for (struct nlmsghdr *h = (void *)buf; NLMSG_OK(h, len); h = NLMSG_NEXT(h, len)) {
			const struct inet_diag_msg *d = socket_of(h);

			if (h->nlmsg_seq == number)
				return d ? d->idiag_inode : 0;
		}
	}
	return 0;
}
