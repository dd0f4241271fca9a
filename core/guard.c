/* SPDX-License-Identifier: MIT */
#include "guard.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base.h"
#include "log.h"

/* Two questions, in this order:
 *
 *  1. What may this spelling stand for? An IPv6 address that has an IPv4 address in it can
 *     end at that one: in the kernel (mapped), at a translator (NAT64) or a relay (6to4). The
 *     address is what the worst of its readings is.
 *  2. Is a reading one of the host's own addresses? Only the routing table knows, and it may change
 *     between two packets. It is asked for each new destination. An answer is kept as long
 *     as the second socket, subscribed to all that could change one, is silent:
 *     the kernel queues the notice before the change's own system call ends, so a silent
 *     socket proves that the answer holds, without a moment in between. */

#define GROUP(g) (1u << ((g)-1))
#define GROUPS                                                                                     \
	(GROUP(RTNLGRP_LINK) | GROUP(RTNLGRP_IPV4_IFADDR) | GROUP(RTNLGRP_IPV4_ROUTE) |            \
		GROUP(RTNLGRP_IPV4_RULE) | GROUP(RTNLGRP_IPV6_IFADDR) |                            \
		GROUP(RTNLGRP_IPV6_ROUTE) | GROUP(RTNLGRP_IPV6_RULE))

/* Notices read in one go. */
#define NOTICES_MAX 64

/* An IPv6 address may stand for itself and, in 64:ff9b:1::/48, for four others. */
#define READINGS_MAX 5

const char *guard_class_name(enum guard_class c)
{
	static const char *const name[] = {
		[GUARD_CLASS_PUBLIC] = "public address",
		[GUARD_CLASS_LOOPBACK] = "host loopback",
		[GUARD_CLASS_HOST] = "the host's own address",
		[GUARD_CLASS_LINK_LOCAL] = "link-local address",
		[GUARD_CLASS_METADATA] = "metadata service",
		[GUARD_CLASS_MULTICAST] = "multicast or broadcast address",
		[GUARD_CLASS_INSIDE] = "the namespace's own network",
		[GUARD_CLASS_SYNTHETIC] = "address without a name (--dns=synthetic)",
	};

	return (size_t)c < ARRAY_LEN(name) ? name[c] : "unknown";
}

const char *guard_remedy(const struct guard *g, enum guard_class c, const struct addr *to,
	bool redirected)
{
	const bool alias = (g->host4.v && addr_equal_ip(to, &g->host4)) ||
		(g->host6.v && addr_equal_ip(to, &g->host6));

	if (c == GUARD_CLASS_PUBLIC || c == GUARD_CLASS_MULTICAST || c == GUARD_CLASS_SYNTHETIC)
		return NULL;
	if (redirected)
		return "{ host_loopback = true } in the redirect opens it";
	switch (c) {
	case GUARD_CLASS_LOOPBACK:
		return "a rule with this address in its cidr opens it, and -L or --allow-host "
		       "lead there";
	case GUARD_CLASS_INSIDE:
		return alias ? "--allow-host makes this address the host's loopback"
			     : "nobody is there; if the host's network has this address, move the "
			       "namespace's by --net4 or --net6";
	default:
		return "a rule with this address in its cidr opens it";
	}
}

/* --- spellings ----------------------------------------------------------------------------- */

static bool starts_with(const uint8_t *ip, const uint8_t *prefix, unsigned bits)
{
	unsigned n = bits / 8;

	if (memcmp(ip, prefix, n) != 0)
		return false;
	return bits % 8 == 0 || (ip[n] ^ prefix[n]) >> (8 - bits % 8) == 0;
}

static struct addr embedded(const struct addr *a, unsigned b0, unsigned b1, unsigned b2,
	unsigned b3)
{
	const uint8_t *ip = a->ip;

	return (struct addr){
		.ip = {ip[b0], ip[b1], ip[b2], ip[b3]},
		.port = a->port,
		.v = 4,
	};
}

/* 64:ff9b:1::/48 is for local translators, each with a prefix of its own length; only the
 * translator knows it. RFC 6052 2.2 puts the IPv4 address behind the prefix, around
 * byte 8, and zeros after it. Most likely reading first; 0.0.0.0/8 is none, since
 * no translator can send there. */
static size_t unfold_local_nat64(const struct addr *a, struct addr *out)
{
	static const uint8_t zero[5];
	struct addr tail = embedded(a, 12, 13, 14, 15);
	struct addr form[] = {tail, embedded(a, 6, 7, 9, 10), embedded(a, 7, 9, 10, 11),
		embedded(a, 9, 10, 11, 12), tail};
	/* Zeros at the end: rather a shorter prefix than an IPv4 address in the last bytes. */
	bool shorter = memcmp(a->ip + 11, zero, 5) == 0;
	size_t n = 0;

	for (size_t i = shorter; i < ARRAY_LEN(form) - !shorter; i++)
		if (form[i].ip[0])
			out[n++] = form[i];
	if (!n)
		out[n++] = tail;
	return n;
}

/* The IPv4 addresses that the spelling of @a may stand for, the most likely one first. *@bits: how
 * many leading bits of it say so. */
static size_t unfold_form(const struct addr *a, struct addr *out, unsigned *bits)
{
	static const struct {
		uint8_t bits, at;
		uint8_t prefix[12];
	} form[] = {
		{96, 12, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}}, /* mapped, RFC 4291 2.5.5.2 */
		{96, 12, {0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}},       /* translated, RFC 2765 */
		{96, 12, {0}},                   /* compatible, RFC 4291 2.5.5.1 */
		{96, 12, {0, 0x64, 0xff, 0x9b}}, /* NAT64, RFC 6052 */
		{16, 2, {0x20, 0x02}},           /* 6to4, RFC 3056 */
	};
	static const uint8_t local_nat64[] = {0, 0x64, 0xff, 0x9b, 0, 1};
	static const uint8_t zero[15];

	if (a->v != 6 || (memcmp(a->ip, zero, 15) == 0 && a->ip[15] <= 1))
		return 0;
	*bits = 48;
	if (starts_with(a->ip, local_nat64, *bits))
		return unfold_local_nat64(a, out);
	for (size_t i = 0; i < ARRAY_LEN(form); i++) {
		unsigned at = form[i].at;

		if (starts_with(a->ip, form[i].prefix, form[i].bits)) {
			out[0] = embedded(a, at, at + 1, at + 2, at + 3);
			*bits = form[i].bits;
			return 1;
		}
	}
	return 0;
}

static size_t unfold(const struct addr *a, struct addr *out)
{
	unsigned bits;

	return unfold_form(a, out, &bits);
}

unsigned guard_form_bits(const struct addr *a)
{
	struct addr reading[READINGS_MAX - 1];
	unsigned bits;

	return unfold_form(a, reading, &bits) ? bits : 0;
}

struct addr guard_canonical(const struct addr *a)
{
	struct addr reading[READINGS_MAX - 1];

	return unfold(a, reading) ? reading[0] : *a;
}

/* --- what the address alone tells ---------------------------------------------------------- */

static enum guard_class by_prefix(const struct addr *a)
{
	static const struct {
		uint8_t v, bits;
		uint8_t prefix[16];
		enum guard_class class;
	} row[] = {
		{4, 8, {127}, GUARD_CLASS_LOOPBACK},
		{4, 8, {0}, GUARD_CLASS_LOOPBACK}, /* Linux connects 0.0.0.0 to itself */
		{4, 16, {169, 254}, GUARD_CLASS_LINK_LOCAL},
		{4, 32, {100, 100, 100, 200}, GUARD_CLASS_METADATA}, /* Alibaba */
		{4, 32, {168, 63, 129, 16}, GUARD_CLASS_METADATA},   /* Azure */
		{4, 32, {192, 0, 0, 192}, GUARD_CLASS_METADATA},     /* Oracle */
		{4, 4, {224}, GUARD_CLASS_MULTICAST},
		{4, 32, {255, 255, 255, 255}, GUARD_CLASS_MULTICAST},
		{6, 127, {0}, GUARD_CLASS_LOOPBACK}, /* :: and ::1 */
		{6, 10, {0xfe, 0x80}, GUARD_CLASS_LINK_LOCAL},
		/* EC2's services: ::254 metadata, ::23 the credentials of a pod */
		{6, 32, {0xfd, 0x00, 0x0e, 0xc2}, GUARD_CLASS_METADATA},
		{6, 128, {0xfd, 0x20, 0, 0xce, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x02, 0x54},
			GUARD_CLASS_METADATA}, /* Google */
		{6, 8, {0xff}, GUARD_CLASS_MULTICAST},
	};

	for (size_t i = 0; i < ARRAY_LEN(row); i++)
		if (row[i].v == a->v && starts_with(a->ip, row[i].prefix, row[i].bits))
			return row[i].class;
	return GUARD_CLASS_PUBLIC;
}

/* --- what the routing table tells ---------------------------------------------------------- */

struct question {
	struct nlmsghdr h;
	struct rtmsg route;
	struct rtattr dst;
	uint8_t ip[16];
};

/* The answer in the @n bytes at @reply: an rtm_type (RTN_*), -EAGAIN if it belongs to another
 * question, or a negative errno. */
static int read_answer(const void *reply, size_t n, uint32_t seq)
{
	const struct nlmsghdr *h = reply;
	const struct rtmsg *route = NLMSG_DATA(h);
	const struct nlmsgerr *e = NLMSG_DATA(h);

	if (!NLMSG_OK(h, n))
		return -EPROTO;
	if (h->nlmsg_seq != seq)
		return -EAGAIN;
	if (h->nlmsg_type == RTM_NEWROUTE && h->nlmsg_len >= NLMSG_LENGTH(sizeof(*route)))
		return route->rtm_type;
	if (h->nlmsg_type != NLMSG_ERROR || h->nlmsg_len < NLMSG_LENGTH(sizeof(*e)))
		return -EPROTO;
	return e->error < 0 ? e->error : -EPROTO;
}

/* Asks the kernel how it would send to @a: RTN_*, or its negative errno. The answer is there when
 * the question's system call ends (netlink runs in the caller), so this never waits. */
static int ask_route(struct guard *g, const struct addr *a)
{
	size_t size = a->v == 4 ? 4 : 16;
	struct question q = {
		.h = {.nlmsg_type = RTM_GETROUTE,
			.nlmsg_flags = NLM_F_REQUEST,
			.nlmsg_seq = ++g->seq},
		.route = {.rtm_family = a->v == 4 ? AF_INET : AF_INET6,
			.rtm_dst_len = (uint8_t)(8 * size)},
		.dst = {.rta_type = RTA_DST, .rta_len = (uint16_t)RTA_LENGTH(size)},
	};
	/* Only the fixed head of the reply is of interest: the rest may be cut off. */
	union {
		struct nlmsghdr h;
		char bytes[2048];
	} reply;
	int type;
	ssize_t n;

	memcpy(q.ip, a->ip, size);
	q.h.nlmsg_len = (uint32_t)(offsetof(struct question, ip) + size);
	if (send(g->fd, &q, q.h.nlmsg_len, MSG_DONTWAIT) == -1)
		return -errno;
	do {
		n = recv(g->fd, &reply, sizeof(reply), MSG_DONTWAIT);
		if (n == -1)
			return -errno;
		type = read_answer(&reply, (size_t)n, g->seq);
	} while (type == -EAGAIN);
	return type;
}

/* What the answer @type of ask_route() makes of an address; false if it is none. */
static bool read_route(int type, enum guard_class *class)
{
	switch (type) {
	case RTN_LOCAL:
	case RTN_ANYCAST:
		*class = GUARD_CLASS_HOST;
		return true;
	case RTN_BROADCAST:
	case RTN_MULTICAST:
		*class = GUARD_CLASS_MULTICAST;
		return true;
	/* No way there, which the dial will find out. */
	case -ENETUNREACH:
	case -EHOSTUNREACH:
	case -EACCES:       /* a prohibit route */
	case -EINVAL:       /* a blackhole route */
	case -EAFNOSUPPORT: /* no IPv6 in this kernel */
	case -EOPNOTSUPP:
		*class = GUARD_CLASS_PUBLIC;
		return true;
	default:
		*class = GUARD_CLASS_PUBLIC;
		return type >= 0;
	}
}

/* Forgets the kernel's answers if anything changed since. An overflow of the socket is
 * a change that it could not tell. */
void guard_heed(struct guard *g)
{
	char notice[64]; /* its contents do not matter */
	bool changed = false;

	/* Somebody may write routes faster than we read notices: the next call reads on. */
	for (int i = 0; i < NOTICES_MAX; i++) {
		if (recv(g->changes, notice, sizeof(notice), MSG_DONTWAIT) == -1 &&
			errno != ENOBUFS)
			break;
		changed = true;
	}
	if (!changed && errno == EAGAIN)
		return;
	memset(g->known, 0, sizeof(g->known));
	if (g->on_change)
		g->on_change(g->on_change_arg);
}

static uint32_t slot(const struct addr *a)
{
	uint32_t word[4], hash = 0;

	memcpy(word, a->ip, sizeof(word));
	for (size_t i = 0; i < ARRAY_LEN(word); i++)
		hash = (hash ^ word[i]) * 0x9e3779b1; /* 2^32 / golden ratio: mixes upwards */
	return hash >> (32 - __builtin_ctz(GUARD_KNOWN));
}

static enum guard_class by_route(struct guard *g, const struct addr *a)
{
	static struct log_limit limit = {.burst = 1};
	uint32_t i = slot(a);
	enum guard_class class;
	unsigned long missed;
	int type;

	guard_heed(g);
	if (g->known[i].a.v && addr_equal_ip(&g->known[i].a, a))
		return g->known[i].class;
	type = ask_route(g, a);
	if (!read_route(type, &class)) {
		if (log_limit_pass(&limit, &missed))
			log_error("cannot ask the routing table, so a destination is refused: %s",
				strerror(-type));
		return GUARD_CLASS_HOST;
	}
	g->known[i].a = *a;
	g->known[i].class = class;
	return class;
}

/* --- the whole ----------------------------------------------------------------------------- */

static enum guard_class classify_reading(struct guard *g, const struct addr *a)
{
	enum guard_class class = by_prefix(a);

	if (class != GUARD_CLASS_PUBLIC)
		return class;
	if (cidr_has(&g->inside4, a) || cidr_has(&g->inside6, a))
		return GUARD_CLASS_INSIDE;
	if (cidr_has(&g->synth4, a) || cidr_has(&g->synth6, a))
		return GUARD_CLASS_SYNTHETIC;
	if (g->is_host)
		return g->is_host(g->is_host_arg, a) ? GUARD_CLASS_HOST : GUARD_CLASS_PUBLIC;
	return by_route(g, a);
}

enum guard_class guard_classify(struct guard *g, const struct addr *a)
{
	struct addr reading[READINGS_MAX];
	enum guard_class class = GUARD_CLASS_PUBLIC;
	size_t n;

	if (a->v != 4 && a->v != 6)
		return GUARD_CLASS_MULTICAST;
	n = unfold(a, reading);
	reading[n++] = *a;
	for (size_t i = 0; i < n && class == GUARD_CLASS_PUBLIC; i++)
		class = classify_reading(g, &reading[i]);
	return class;
}

bool guard_is_private(const struct addr *a)
{
	static const struct {
		uint8_t v, bits;
		uint8_t prefix[6];
	} row[] = {
		{4, 8, {10}},
		{4, 12, {172, 16}},
		{4, 16, {192, 168}},
		{4, 10, {100, 64}},    /* carriers' own, RFC 6598 */
		{4, 15, {198, 18}},    /* benchmarks, RFC 2544 */
		{6, 7, {0xfc}},        /* unique local, RFC 4193 */
		{6, 10, {0xfe, 0xc0}}, /* site-local, RFC 3879 */
		/* Whoever has the IPv4 address within need not be who is reached: a whole network
		 * is behind a 6to4 router, and only a local translator knows how it reads. */
		{6, 16, {0x20, 0x02}},
		{6, 48, {0, 0x64, 0xff, 0x9b, 0, 1}},
	};
	struct addr reading[READINGS_MAX];
	size_t n = unfold(a, reading);

	reading[n++] = *a;
	for (size_t i = 0; i < n; i++) {
		if (by_prefix(&reading[i]) != GUARD_CLASS_PUBLIC)
			return true;
		for (size_t k = 0; k < ARRAY_LEN(row); k++)
			if (row[k].v == reading[i].v &&
				starts_with(reading[i].ip, row[k].prefix, row[k].bits))
				return true;
	}
	return false;
}

struct addr guard_translate(const struct guard *g, const struct addr *a, bool *named)
{
	struct addr to = guard_canonical(a);

	if (!g->allow_host)
		return *a;
	if (g->host4.v && addr_equal_ip(&to, &g->host4)) {
		*named = true;
		return (struct addr){.ip = {127, 0, 0, 1}, .port = a->port, .v = 4};
	}
	if (g->host6.v && addr_equal_ip(&to, &g->host6)) {
		*named = true;
		return (struct addr){.ip = {[15] = 1}, .port = a->port, .v = 6};
	}
	return *a;
}

static int open_netlink(uint32_t groups)
{
	struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	struct sockaddr_nl self = {.nl_family = AF_NETLINK, .nl_groups = groups};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
	int err;

	if (fd == -1)
		return -errno;
	if (bind(fd, (struct sockaddr *)&self, sizeof(self)) == -1 ||
		connect(fd, (struct sockaddr *)&kernel, sizeof(kernel)) == -1) {
		err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

int guard_init(struct guard *g)
{
	static const struct addr loopback = {.ip = {127, 0, 0, 1}, .v = 4};
	int small = 1, err;

	memset(g, 0, sizeof(*g));
	g->changes = -1;
	g->fd = open_netlink(0);
	if (g->fd < 0)
		return g->fd;
	g->changes = open_netlink(GROUPS);
	if (g->changes < 0) {
		err = g->changes;
		goto fail;
	}
	/* The kernel makes the least it can of it. One notice is as good as a thousand, and they
	 * stay queued while the child is idle. */
	setsockopt(g->changes, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));

	/* An answer that cannot be trusted for loopback is worth nothing elsewhere. While lo is
	 * down there is no route to it. */
	err = ask_route(g, &loopback);
	if (err >= 0 || err == -ENETUNREACH)
		return 0;
fail:
	guard_fini(g);
	return err;
}

void guard_fini(struct guard *g)
{
	if (g->fd >= 0)
		close(g->fd);
	if (g->changes >= 0)
		close(g->changes);
	g->fd = g->changes = -1;
}
