/* SPDX-License-Identifier: MIT */
#include "visit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base.h"
#include "craft.h"

/* The same as of outbound flows (assoc.h). */
#define COUNT_MAX 1024
#define IDLE_S 60.0
#define DENIED_S 5.0

#define PAYLOAD_MAX4 (65535 - 20 - 8)
#define PAYLOAD_MAX6 (65535 - 8)

/* Which of the host's addresses the caller had sent to, as the kernel wants it back. */
union info {
	struct in_pktinfo v4;
	struct in6_pktinfo v6;
};

struct visit {
	struct flow flow;
	struct visits *set;
	struct visit_port *port;
	struct addr peer; /* the caller's own address */
	union info info;
	struct expiry_entry expiry;
	struct backlog backlog; /* packets for the child, while policy thinks */
	bool busy : 1, dead : 1;
};

static const struct flow_ops visit_ops;

static struct visit *visit_of(struct flow *f)
{
	return container_of(f, struct visit, flow);
}

bool visit_is_presentable(const struct addr *peer, const struct addr *self)
{
	static const struct addr loopback6 = {.ip = {[15] = 1}, .v = 6};
	const uint8_t *ip = peer->ip;

	if (peer->v != self->v || addr_equal_ip(peer, self))
		return false;
	if (peer->v == 4)
		return ip[0] != 0 && ip[0] != 127 && ip[0] < 224;
	return !addr_equal_ip(peer, &loopback6) && ip[0] != 0xff &&
		!(ip[0] == 0xfe && (ip[1] & 0xc0) == 0x80);
}

/* ---- the end ---- */

static void visit_free(struct visit *v, enum flow_cause cause)
{
	struct visits *vs = v->set;

	if (v->dead) /* hooks.close may come back here */
		return;
	v->dead = true;
	policy_end(vs->policy, &v->flow, cause, ev_now(vs->loop));
	backlog_clear(&v->backlog);
	expiry_remove(&v->expiry);
	flow_remove(&v->flow);
	vs->count--;
	if (!v->busy)
		free(v);
}

static void visit_release(struct visit *v)
{
	v->busy = false;
	if (!v->dead)
		return;
	decision_fini(&v->flow.decision); /* it may have got one since */
	free(v);
}

static void visit_on_due(struct expiry *x, struct expiry_entry *e)
{
	UNUSED(x);
	visit_free(container_of(e, struct visit, expiry), FLOW_CAUSE_IDLE);
}

static bool make_room(struct visits *vs)
{
	struct expiry_entry *e = expiry_first(&vs->denied);

	if (!e)
		e = expiry_first(&vs->active);
	if (e)
		visit_free(container_of(e, struct visit, expiry), FLOW_CAUSE_EVICTED);
	return e;
}

/* ---- to the child ---- */

/* The datagram whose headers begin at @ip. */
static void give(struct visit *v, uint8_t *ip, size_t headers, size_t len)
{
	const struct virtio_net_hdr vh = {
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.csum_start = (uint16_t)(headers - 8),
		.csum_offset = 6,
	};
	struct iovec iov[2] = {{0}, {ip, headers + len}};

	v->set->in++;
	flow_count_down(&v->flow, len, v->set->loop);
	tun_writev(v->set->tun, &vh, iov, 2);
}

static void keep(struct visit *v, uint8_t *ip, size_t headers, size_t len)
{
	struct packet p;

	if (packet_parse(&p, ip, headers + len) < 0 || !backlog_push(&v->backlog, &p))
		v->set->dropped++;
}

/* What has waited goes its way. @v is busy. */
static void let_go(struct visit *v)
{
	struct backlog_packet *w;

	while (!v->dead && (w = backlog_pop(&v->backlog))) {
		give(v, w->p.data, w->p.payload, w->p.len - w->p.payload);
		free(w);
	}
}

/* The decision is final. @v is busy. */
static void visit_go(struct visit *v)
{
	struct visits *vs = v->set;

	if (v->flow.decision.verdict == VERDICT_ALLOW) {
		flow_set_state(&v->flow, FLOW_STATE_DIALING);
		policy_opened(vs->policy, &v->flow);
		let_go(v);
		return;
	}
	vs->refused++;
	policy_end(vs->policy, &v->flow, FLOW_CAUSE_DENIED, ev_now(vs->loop));
	if (v->dead)
		return;
	backlog_clear(&v->backlog);
	expiry_add(&vs->denied, &v->expiry);
}

static void visit_decided(struct flow *f)
{
	struct visit *v = visit_of(f);

	v->busy = true;
	visit_go(v);
	visit_release(v); /* last: @v may be gone */
}

static struct visit *visit_new(struct visits *vs, struct visit_port *port,
	const struct flow_key *key, const struct addr *peer)
{
	struct visit *v = NULL;

	if (vs->count < vs->max || make_room(vs))
		v = calloc(1, sizeof(*v));
	if (!v)
		return NULL;
	v->set = vs;
	v->port = port;
	v->peer = *peer;
	backlog_init(&v->backlog, &vs->waiting_bytes);
	v->flow.ops = &visit_ops;
	v->flow.inbound = true;
	v->flow.named = port->named;
	flow_add(vs->flows, &v->flow, key, ev_now(vs->loop));
	vs->count++;
	expiry_add(&vs->active, &v->expiry);
	return v;
}

/* One datagram of @len bytes at @data, with room for headers before. */
static void arrive(struct visits *vs, struct visit_port *port, const struct addr *peer,
	const union info *info, uint8_t *data, size_t len)
{
	struct flow_key key = {.src = port->self, .dst = *peer, .proto = IPPROTO_UDP};
	struct flow *f;
	struct visit *v;
	size_t h;
	bool fresh;

	if (!visit_is_presentable(peer, &port->self)) {
		key.dst = port->alias;
		key.dst.port = peer->port;
	}
	if (len > (key.dst.v == 4 ? PAYLOAD_MAX4 : PAYLOAD_MAX6)) {
		vs->dropped++;
		return;
	}
	f = flow_find(vs->flows, &key);
	fresh = !f;
	v = fresh ? visit_new(vs, port, &key, peer) : f->ops == &visit_ops ? visit_of(f) : NULL;
	/* The flow may also be the child's own, with the same peer; or of another caller that is
	 * presented under the same address. */
	if (!v || !addr_equal(&v->peer, peer) || v->port != port) {
		vs->dropped++;
		return;
	}
	v->info = *info;
	v->busy = true;
	if (fresh && policy_ask(vs->policy, &v->flow) && !v->dead)
		visit_go(v);
	h = craft_udp(data, len, &key.dst, &key.src);
	if (v->dead || v->flow.state == FLOW_STATE_ENDED) {
		vs->refused += !fresh;
	} else if (v->flow.state == FLOW_STATE_OPEN) {
		expiry_use(&v->expiry);
		give(v, data - h, h, len);
	} else {
		keep(v, data - h, h, len);
	}
	visit_release(v);
}

static void read_info(struct msghdr *m, union info *info)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO)
			memcpy(&info->v4, CMSG_DATA(c), sizeof(info->v4));
		else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO)
			memcpy(&info->v6, CMSG_DATA(c), sizeof(info->v6));
	}
}

void visit_receive(struct visits *vs, struct visit_port *port)
{
	union {
		char buf[CMSG_SPACE(sizeof(union info))];
		struct cmsghdr align;
	} control;

	for (int i = 0; i < VISIT_BATCH; i++) {
		struct buf *b = buf_get();
		struct sockaddr_storage from;
		struct iovec iov = {.iov_len = BUF_DATA_MAX};
		struct msghdr m = {.msg_name = &from,
			.msg_namelen = sizeof(from),
			.msg_iov = &iov,
			.msg_iovlen = 1,
			.msg_control = &control,
			.msg_controllen = sizeof(control)};
		union info info = {0};
		struct addr peer;
		ssize_t n;

		if (!b)
			return;
		iov.iov_base = b->data;
		n = recvmsg(port->fd, &m, 0);
		/* An error is that of an answer whose receiver is gone: nobody to tell. */
		if (n >= 0 && addr_from_sockaddr(&peer, &from) == 0) {
			read_info(&m, &info);
			arrive(vs, port, &peer, &info, b->data, (size_t)n);
		}
		buf_put(b);
		if (n == -1 && errno == EAGAIN)
			return;
	}
}

/* ---- to the world ---- */

static ssize_t answer(struct visit *v, void *data, size_t len)
{
	union {
		char buf[CMSG_SPACE(sizeof(union info))];
		struct cmsghdr align;
	} control = {{0}};
	struct sockaddr_storage to;
	struct iovec iov = {data, len};
	struct msghdr m = {.msg_name = &to, .msg_iov = &iov, .msg_iovlen = 1};
	struct cmsghdr *c = &control.align;

	m.msg_namelen = addr_to_sockaddr(&v->peer, &to);
	m.msg_control = &control;
	if (v->peer.v == 4) {
		struct in_pktinfo info = {.ipi_spec_dst = v->info.v4.ipi_addr};

		m.msg_controllen = CMSG_SPACE(sizeof(info));
		c->cmsg_level = IPPROTO_IP;
		c->cmsg_type = IP_PKTINFO;
		c->cmsg_len = CMSG_LEN(sizeof(info));
		memcpy(CMSG_DATA(c), &info, sizeof(info));
	} else {
		m.msg_controllen = CMSG_SPACE(sizeof(v->info.v6));
		c->cmsg_level = IPPROTO_IPV6;
		c->cmsg_type = IPV6_PKTINFO;
		c->cmsg_len = CMSG_LEN(sizeof(v->info.v6));
		memcpy(CMSG_DATA(c), &v->info.v6, sizeof(v->info.v6));
		if (to.ss_family == AF_INET6)
			((struct sockaddr_in6 *)&to)->sin6_scope_id = v->info.v6.ipi6_ifindex;
	}
	return sendmsg(v->port->fd, &m, MSG_NOSIGNAL);
}

static void visit_input(struct flow *f, struct buf *b, struct packet *p)
{
	struct visit *v = visit_of(f);
	const size_t len = p->len - p->payload;

	if (f->state == FLOW_STATE_OPEN) {
		ssize_t n = answer(v, p->data + p->payload, len);

		/* The socket may report an earlier answer's error instead. */
		if (n == -1 && errno != EAGAIN)
			n = answer(v, p->data + p->payload, len);
		if (n == -1) {
			v->set->dropped++;
		} else {
			expiry_use(&v->expiry);
			v->set->out++;
			flow_count_up(f, len, v->set->loop);
		}
	}
	buf_put(b);
}

static void visit_dialed(struct flow *f, int fd, const void *early, size_t n)
{
	UNUSED(f); /* no dialer is asked for an inbound flow */
	UNUSED(early);
	UNUSED(n);
	if (fd >= 0)
		close(fd);
}

static void visit_abort(struct flow *f, enum flow_cause cause)
{
	visit_free(visit_of(f), cause);
}

static const struct flow_ops visit_ops = {
	.network = "udp",
	.input = visit_input,
	.decided = visit_decided,
	.dialed = visit_dialed,
	.abort = visit_abort,
};

/* ---- the set ---- */

int visit_prepare(int fd, unsigned v)
{
	const int on = 1;

	if (v == 4)
		return setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof(on)) == -1 ? -errno : 0;
	return setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof(on)) == -1 ? -errno : 0;
}

void visits_init(struct visits *vs, struct ev_loop *loop, struct tun *tun, struct flow_table *flows,
	struct policy *policy)
{
	static const double denied_s = DENIED_S;

	memset(vs, 0, sizeof(*vs));
	vs->loop = loop;
	vs->tun = tun;
	vs->flows = flows;
	vs->policy = policy;
	vs->max = COUNT_MAX;
	vs->idle_s = IDLE_S;
	expiry_init(&vs->active, loop, &vs->idle_s, visit_on_due);
	expiry_init(&vs->denied, loop, &denied_s, visit_on_due);
}

static void end_all(struct visits *vs, const struct visit_port *port, enum flow_cause cause)
{
	struct list *e, *tmp;

	list_foreach (e, tmp, &vs->flows->all) {
		struct flow *f = container_of(e, struct flow, all);

		if (f->ops == &visit_ops && (!port || visit_of(f)->port == port))
			visit_free(visit_of(f), cause);
	}
}

void visit_close(struct visits *vs, struct visit_port *port)
{
	end_all(vs, port, FLOW_CAUSE_ABORTED);
}

void visits_fini(struct visits *vs)
{
	end_all(vs, NULL, FLOW_CAUSE_LEFT_OPEN);
	expiry_fini(&vs->active);
	expiry_fini(&vs->denied);
}
