/* SPDX-License-Identifier: MIT */
#include "netlink.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Room for the largest request below, several times over. */
#define MESSAGE_MAX 512

struct message {
	_Alignas(struct nlmsghdr) char buf[MESSAGE_MAX];
};

static struct nlmsghdr *header(struct message *m)
{
	return (struct nlmsghdr *)m->buf;
}

/* Starts a request and returns its body, @len bytes of zero. */
static void *begin(struct message *m, int type, int flags, size_t len)
{
	memset(m, 0, sizeof(*m));
	header(m)->nlmsg_len = NLMSG_LENGTH(len);
	header(m)->nlmsg_type = type;
	header(m)->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags;
	return NLMSG_DATA(header(m));
}

/* Every attribute here is a few bytes: the buffer cannot overflow but by a bug,
 * which the kernel would then answer with EINVAL. */
static struct rtattr *attribute(struct message *m, int type, const void *data, size_t len)
{
	size_t at = NLMSG_ALIGN(header(m)->nlmsg_len);
	struct rtattr *a = (struct rtattr *)(m->buf + at);

	if (at + RTA_SPACE(len) > sizeof(m->buf))
		return a;
	a->rta_type = type;
	a->rta_len = RTA_LENGTH(len);
	if (len)
		memcpy(RTA_DATA(a), data, len);
	header(m)->nlmsg_len = at + RTA_SPACE(len);
	return a;
}

static void attribute_u32(struct message *m, int type, uint32_t value)
{
	attribute(m, type, &value, sizeof(value));
}

/* Closes an attribute that holds others. */
static void nest_end(struct message *m, struct rtattr *nest)
{
	nest->rta_len = m->buf + header(m)->nlmsg_len - (char *)nest;
}

static int exchange(int fd, struct message *m)
{
	const struct nlmsgerr *error;
	struct message answer;
	ssize_t n;

	if (send(fd, m->buf, header(m)->nlmsg_len, 0) == -1)
		return -errno;
	do {
		n = recv(fd, answer.buf, sizeof(answer.buf), 0);
	} while (n == -1 && errno == EINTR);
	if (n == -1)
		return -errno;
	if (!NLMSG_OK(header(&answer), (size_t)n) || header(&answer)->nlmsg_type != NLMSG_ERROR)
		return -EBADMSG;
	error = NLMSG_DATA(header(&answer));
	return error->error;
}

static int open_protocol(int protocol)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);

	return fd == -1 ? -errno : fd;
}

int netlink_open(void)
{
	return open_protocol(NETLINK_ROUTE);
}

int netlink_open_diag(void)
{
	return open_protocol(NETLINK_SOCK_DIAG);
}

static struct ifinfomsg *begin_link(struct message *m, unsigned index)
{
	struct ifinfomsg *info = begin(m, RTM_NEWLINK, 0, sizeof(*info));

	info->ifi_family = AF_UNSPEC;
	info->ifi_index = index;
	return info;
}

int netlink_link_up(int fd, unsigned index, unsigned mtu, unsigned queue)
{
	struct message m;
	struct ifinfomsg *info = begin_link(&m, index);

	info->ifi_flags = IFF_UP;
	info->ifi_change = IFF_UP;
	if (mtu)
		attribute_u32(&m, IFLA_MTU, mtu);
	if (queue)
		attribute_u32(&m, IFLA_TXQLEN, queue);
	return exchange(fd, &m);
}

int netlink_no_link_local(int fd, unsigned index)
{
	const uint8_t mode = IN6_ADDR_GEN_MODE_NONE;
	struct message m;
	struct rtattr *families, *inet6;

	begin_link(&m, index);
	families = attribute(&m, IFLA_AF_SPEC, NULL, 0);
	inet6 = attribute(&m, AF_INET6, NULL, 0);
	attribute(&m, IFLA_INET6_ADDR_GEN_MODE, &mode, sizeof(mode));
	nest_end(&m, inet6);
	nest_end(&m, families);
	return exchange(fd, &m);
}

int netlink_no_queue(int fd, unsigned index)
{
	struct message m;
	struct tcmsg *tc = begin(&m, RTM_NEWQDISC, NLM_F_CREATE | NLM_F_REPLACE, sizeof(*tc));

	tc->tcm_family = AF_UNSPEC;
	tc->tcm_ifindex = index;
	tc->tcm_parent = TC_H_ROOT;
	attribute(&m, TCA_KIND, "noqueue", sizeof("noqueue"));
	return exchange(fd, &m);
}

static int add_address(int fd, unsigned index, int family, const void *addr, size_t len,
	unsigned prefix)
{
	struct message m;
	struct ifaddrmsg *info = begin(&m, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, sizeof(*info));

	info->ifa_family = family;
	info->ifa_prefixlen = prefix;
	info->ifa_index = index;
	info->ifa_scope = RT_SCOPE_UNIVERSE;
	if (family == AF_INET6)
		info->ifa_flags = IFA_F_NODAD;
	attribute(&m, IFA_LOCAL, addr, len);
	attribute(&m, IFA_ADDRESS, addr, len);
	return exchange(fd, &m);
}

int netlink_add_address4(int fd, unsigned index, const struct net4 *net)
{
	return add_address(fd, index, AF_INET, &net->addr, sizeof(net->addr), net->prefix);
}

int netlink_add_address6(int fd, unsigned index, const struct net6 *net)
{
	return add_address(fd, index, AF_INET6, &net->addr, sizeof(net->addr), net->prefix);
}

static int add_route(int fd, unsigned index, int family, const void *gateway, size_t len)
{
	struct message m;
	struct rtmsg *route = begin(&m, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, sizeof(*route));

	route->rtm_family = family;
	route->rtm_table = RT_TABLE_MAIN;
	route->rtm_protocol = RTPROT_STATIC;
	route->rtm_scope = gateway || family == AF_INET6 ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK;
	route->rtm_type = RTN_UNICAST;
	if (gateway)
		attribute(&m, RTA_GATEWAY, gateway, len);
	attribute_u32(&m, RTA_OIF, index);
	return exchange(fd, &m);
}

int netlink_add_route4(int fd, unsigned index, const struct net4 *net)
{
	uint32_t own = ntohl(net->addr.s_addr);
	uint32_t host = net->prefix < 32 ? UINT32_MAX >> net->prefix : 0;
	struct in_addr gateway = {.s_addr = htonl(own + 1)};
	/* The next address must be of the network, and not its broadcast address. */
	bool usable = (own & host) + 1 < host;

	return add_route(fd, index, AF_INET, usable ? &gateway : NULL, sizeof(gateway));
}

int netlink_add_route6(int fd, unsigned index, const struct net6 *net)
{
	struct in6_addr gateway = net->addr;
	/* Only the last byte is counted up, so a network shorter than 8 host bits, or
	 * an address that ends in ff, goes by the device. */
	bool usable = net->prefix <= 120 && gateway.s6_addr[15] != 0xff;

	gateway.s6_addr[15]++;
	return add_route(fd, index, AF_INET6, usable ? &gateway : NULL, sizeof(gateway));
}
