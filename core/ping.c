/* SPDX-License-Identifier: MIT */
#include "ping.h"

#include <errno.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base.h"
#include "craft.h"
#include "log.h"

#define HEADER 8 /* type, code, checksum, identifier, sequence number: RFC 792, RFC 4443 4.1 */
#define TTL 64   /* for a reply whose own is unknown */
#define MESSAGE_MAX4 (65535 - 20)
#define MESSAGE_MAX6 65535

bool ping_is_request(const struct packet *p)
{
	if (p->fragment || p->icmp_code != 0)
		return false;
	return (p->proto == IPPROTO_ICMP && p->icmp_type == ICMP_ECHO) ||
		(p->proto == IPPROTO_ICMPV6 && p->icmp_type == ICMP6_ECHO_REQUEST);
}

/* A redirection may lead to the other IP version, whose types differ. The kernel puts in its own
 * identifier and the checksum. */
static size_t ping_outgoing(struct assoc *a, struct packet *p, uint8_t **data)
{
	uint8_t *h = p->data + p->l4;

	h[0] = a->flow.decision.target.v == 4 ? ICMP_ECHO : ICMP6_ECHO_REQUEST;
	*data = h;
	return p->len - p->l4;
}

static void ping_deliver(struct assoc *a, const struct dgram_in *in)
{
	const struct flow_key *key = &a->flow.key;
	bool v4 = key->dst.v == 4;
	uint8_t *m = in->data;
	struct iovec iov[2];
	size_t h;

	if (in->len < HEADER || in->len > (v4 ? MESSAGE_MAX4 : MESSAGE_MAX6) ||
		m[0] != (a->flow.decision.target.v == 4 ? ICMP_ECHOREPLY : ICMP6_ECHO_REPLY)) {
		a->set->unfit++;
		return;
	}
	m[0] = v4 ? ICMP_ECHOREPLY : ICMP6_ECHO_REPLY;
	packet_put16(m + 4, key->src.port);
	h = craft_icmp(m, in->len, &key->dst, &key->src, in->ttl ? in->ttl : TTL);
	iov[1] = (struct iovec){.iov_base = m - h, .iov_len = h + in->len};
	assoc_write(a, NULL, iov, 2, 1, in->len - HEADER);
}

static void ping_received(struct assoc *a, const struct dgram_in *in, unsigned n)
{
	for (unsigned i = 0; i < n && !a->dead; i++)
		ping_deliver(a, &in[i]);
}

/* The queue gives the message from its ICMP header on. */
static size_t ping_quote(struct assoc *a, uint8_t *data, size_t *n)
{
	const struct flow_key *key = &a->flow.key;

	if (*n < HEADER) {
		memset(data, 0, HEADER);
		*n = HEADER;
	}
	data[0] = key->src.v == 4 ? ICMP_ECHO : ICMP6_ECHO_REQUEST;
	packet_put16(data + 4, key->src.port);
	return craft_icmp(data, *n, &key->src, &key->dst, TTL);
}

/* The one failure that the user can mend. The same errno comes from a firewall. */
static void ping_dial_failed(struct assoc *a, int error)
{
	static bool warned;
	int fd;

	UNUSED(a);
	if (error != EACCES || warned)
		return;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_ICMP);
	if (fd != -1)
		close(fd);
	if (fd != -1 || errno != EACCES)
		return;
	warned = true;
	log_warn("ping: the kernel allows this user no ping sockets (net.ipv4.ping_group_range); "
		 "echo requests are refused; as root: "
		 "sysctl net.ipv4.ping_group_range=\"0 2147483647\"");
}

static const struct assoc_ops ping_ops = {
	.flow.network = "icmp",
	.flow.input = assoc_input,
	.flow.decided = assoc_decided,
	.flow.dialed = assoc_dialed,
	.flow.abort = assoc_abort,
	.ping = true,
	.refuse_error = EACCES,
	.header = HEADER,
	.dial_failed = ping_dial_failed,
	.outgoing = ping_outgoing,
	.received = ping_received,
	.quote = ping_quote,
};

void ping_init(struct ping *g, struct ev_loop *loop, struct tun *tun, struct flow_table *flows,
	struct policy *policy)
{
	assoc_set_init(&g->set, &ping_ops, loop, tun, flows, policy);
	g->set.max = PING_MAX;
}

void ping_fini(struct ping *g)
{
	assoc_set_fini(&g->set);
}

void ping_open(struct ping *g, const struct flow_key *key, struct buf *b, struct packet *p)
{
	assoc_open(&g->set, key, b, p);
}
