/* SPDX-License-Identifier: MIT */
#include "assoc.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base.h"
#include "icmperr.h"
#include "log.h"

/* Theory of operation
 *
 * Errors. What the network says of a datagram (dgram.h) goes to the child as it is: type, code,
 * value and sender, about the datagram as the child wrote it. So the child's kernel tells the
 * command what the host's kernel would have told it. What only this host knows (policy's no, no
 * route, no socket) becomes an ICMP error from the destination's own address (icmperr.h).
 *
 * Lifetime. Writing to the tun runs packet hooks, and policy runs scripts; either may abort the
 * flow at hand. Whoever goes on using an association after such a call holds it (assoc_hold).
 */

/* An answer of our own about a datagram: ANSWER_BURST at once, then one each ANSWER_EVERY_S. A
 * Linux router gives 6 and 1 per second; programs that try again should not wait that long. */
#define ANSWER_BURST 6
#define ANSWER_EVERY_S 0.1

/* A datagram that waits for a verdict: a copy, since a struct buf would pin 64 KB. */
struct waiting {
	struct list link;
	size_t size; /* of the whole allocation */
	struct packet p;
	uint8_t bytes[];
};

static void waiting_free(struct assoc *a, struct waiting *w)
{
	list_del(&w->link);
	a->waiting_count--;
	a->set->waiting_bytes -= w->size;
	buf_release(w->size);
	free(w);
}

/* The only way out of memory. Somebody up the stack who uses @a frees the struct. */
static void assoc_free(struct assoc *a, enum flow_cause cause)
{
	struct assoc_set *s = a->set;

	if (a->dead) /* hooks.close may come back here */
		return;
	a->dead = true;
	policy_end(s->policy, &a->flow, cause, ev_now(s->loop));
	dgram_close(&a->dgram);
	while (!list_empty(&a->waiting))
		waiting_free(a, container_of(a->waiting.next, struct waiting, link));
	expiry_remove(&a->expiry);
	flow_remove(&a->flow);
	s->count--;
	if (!a->busy)
		free(a);
}

/* Marks @a as in use by the caller, who may call what could free it. */
static bool assoc_hold(struct assoc *a)
{
	bool was = a->busy;

	a->busy = true;
	return was;
}

static void assoc_release(struct assoc *a, bool was)
{
	a->busy = was;
	if (!a->dead || was)
		return;
	/* A flow that was aborted while policy was asked has got a decision since. */
	decision_fini(&a->flow.decision);
	free(a);
}

/* Makes @a a negative entry that answers @error (0: nothing). */
static void assoc_deny(struct assoc *a, enum flow_cause cause, int error)
{
	a->refusal = error;
	policy_end(a->set->policy, &a->flow, cause, ev_now(a->set->loop));
	dgram_close(&a->dgram);
	if (!a->dead)
		expiry_add(cause == FLOW_CAUSE_DENIED ? &a->set->denied : &a->set->failed,
			&a->expiry);
}

/* Makes room for one more. Negative entries go first. */
static bool assoc_evict(struct assoc_set *s)
{
	struct expiry *from[] = {&s->failed, &s->denied, &s->active};

	for (size_t i = 0; i < ARRAY_LEN(from); i++) {
		struct expiry_entry *e = expiry_first(from[i]);

		if (!e)
			continue;
		s->evicted++;
		assoc_free(container_of(e, struct assoc, expiry), FLOW_CAUSE_EVICTED);
		return true;
	}
	return false;
}

static void assoc_on_due(struct expiry *x, struct expiry_entry *e)
{
	struct assoc *a = container_of(e, struct assoc, expiry);

	a->set->expired += x == &a->set->active;
	assoc_free(a, FLOW_CAUSE_IDLE);
}

/* --- errors to the child --- */

/* Writes the error @e about the @n bytes of the child's packet at @quote, which have ICMPERR_ROOM
 * bytes before them. */
static void assoc_tell(struct assoc *a, const struct icmperr *e, uint8_t *quote, size_t n,
	const struct addr *from)
{
	struct iovec iov[2];
	size_t h = icmperr_write(e, quote, n, from, &a->flow.key.src);

	iov[1].iov_base = quote - h;
	iov[1].iov_len = h + n;
	a->set->errors++;
	tun_writev(a->set->tun, NULL, iov, 2); /* last: @a may be gone */
}

/* Answers the child's packet @p: it failed with @error. Within the rate limit (a leaky bucket:
 * a->answered is when it will be empty). */
static void assoc_answer(struct assoc *a, const struct packet *p, int error)
{
	uint8_t room[ICMPERR_ROOM + ICMPERR_QUOTE_MAX6];
	uint8_t v = a->flow.key.src.v;
	size_t n = MIN((size_t)p->len, (size_t)(v == 4 ? ICMPERR_QUOTE_MAX4 : ICMPERR_QUOTE_MAX6));
	struct icmperr e;
	uint32_t mtu = 0;
	double now = expiry_now();

	if (!icmperr_allowed(&a->flow.key.dst) || !icmperr_allowed(&a->flow.key.src))
		return;
	if (a->answered > now + (ANSWER_BURST - 0.5) * ANSWER_EVERY_S)
		return;
	a->answered = MAX(a->answered, now) + ANSWER_EVERY_S;
	if (error == EMSGSIZE) {
		mtu = dgram_mtu(&a->dgram);
		if (!mtu)
			return;
	}
	e = icmperr_from_errno(v, error, a->set->ops->hard_errors, mtu);
	memcpy(room + ICMPERR_ROOM, p->data, n);
	assoc_tell(a, &e, room + ICMPERR_ROOM, n, &a->flow.key.dst);
}

/* Who says so: the router or host that sent the error, if the child's kernel believes it. */
static const struct addr *assoc_offender(const struct assoc *a, const struct addr *from)
{
	static const struct addr loopback = {.v = 6, .ip = {[15] = 1}};

	if (from->v != a->flow.key.src.v || !icmperr_allowed(from) ||
		addr_equal_ip(from, &a->flow.decision.target))
		return &a->flow.key.dst;
	/* The network does not carry loopback addresses. */
	if (from->v == 4 ? from->ip[0] == 127 : addr_equal_ip(from, &loopback))
		return &a->flow.key.dst;
	return from;
}

static void assoc_on_error(struct dgram *d, const struct sock_extended_err *ee,
	const struct addr *from, uint8_t *data, size_t n)
{
	struct assoc *a = container_of(d, struct assoc, dgram);
	const struct assoc_ops *ops = a->set->ops;
	uint8_t v = a->flow.key.src.v;
	struct icmperr e;
	size_t h;

	if (!icmperr_from_queue(&e, ee, a->flow.decision.target.v, v, ops->hard_errors))
		return;
	n = MIN(n, (size_t)(v == 4 ? ICMPERR_QUOTE_MAX4 : ICMPERR_QUOTE_MAX6) - 48);
	h = ops->quote(a, data, &n);
	assoc_tell(a, &e, data - h, h + n, assoc_offender(a, from)); /* last: @a may be gone */
}

/* The same without details: the datagram is unknown, so its quote is made up. */
static void assoc_on_failed(struct dgram *d, int error, bool ended)
{
	struct assoc *a = container_of(d, struct assoc, dgram);
	struct sock_extended_err ee = {
		.ee_errno = (uint32_t)error,
		.ee_origin = SO_EE_ORIGIN_LOCAL,
		.ee_info = dgram_mtu(d),
	};
	uint8_t data[BUF_HEADROOM + 8];
	const struct addr nobody = {0};
	bool was = assoc_hold(a);

	if (error && !(error == EMSGSIZE && !ee.ee_info))
		assoc_on_error(d, &ee, &nobody, data + BUF_HEADROOM, 0);
	if (ended)
		assoc_free(a, error ? FLOW_CAUSE_WORLD_RESET : FLOW_CAUSE_CLOSED);
	assoc_release(a, was); /* last: @a may be gone */
}

/* --- world to child --- */

static void assoc_on_received(struct dgram *d, uint8_t *data, size_t n, uint8_t ttl)
{
	struct assoc *a = container_of(d, struct assoc, dgram);
	struct assoc_set *s = a->set;
	struct virtio_net_hdr vh = {0};
	struct iovec iov[2];
	size_t h = s->ops->incoming(a, data, n, ttl, &vh.csum_start);

	if (unlikely(h == 0)) {
		s->unfit++;
		return;
	}
	if (vh.csum_start) {
		vh.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
		vh.csum_offset = 6;
	}
	iov[1].iov_base = data - h;
	iov[1].iov_len = h + n;
	s->down++;
	a->flow.bytes_down += n - s->ops->header;
	expiry_use(&a->expiry);
	tun_writev(s->tun, &vh, iov, 2); /* last: @a may be gone */
}

static const struct dgram_ops dgram_ops = {
	.received = assoc_on_received,
	.error = assoc_on_error,
	.failed = assoc_on_failed,
};

/* --- child to world --- */

static void assoc_forward(struct assoc *a, struct packet *p)
{
	struct assoc_set *s = a->set;
	uint8_t tos = p->v == 4 ? p->data[1] : (uint8_t)(p->data[0] << 4 | p->data[1] >> 4);
	uint8_t *data;
	size_t n = s->ops->outgoing(a, p, &data);
	int rc;

	expiry_use(&a->expiry);
	dgram_mark(&a->dgram, p->ttl, tos);
	rc = dgram_send(&a->dgram, data, n);
	if (likely(rc == 0)) {
		s->up++;
		a->flow.bytes_up += n - s->ops->header;
	} else if (dgram_is_shortage(-rc)) {
		s->up_dropped++;
	} else if (rc != -ECANCELED) {
		assoc_answer(a, p, -rc);
	}
}

static void assoc_wait(struct assoc *a, const struct packet *p)
{
	struct assoc_set *s = a->set;
	size_t size = sizeof(struct waiting) + p->len;
	struct waiting *w = NULL;

	if (a->waiting_count < ASSOC_WAITING_MAX && s->waiting_bytes + size <= ASSOC_WAITING_BYTES)
		w = malloc(size);
	if (!w) {
		s->waiting_dropped++;
		return;
	}
	w->size = size;
	w->p = *p;
	w->p.data = w->bytes;
	memcpy(w->bytes, p->data, p->len);
	list_add_tail(&a->waiting, &w->link);
	a->waiting_count++;
	s->waiting_bytes += size;
	buf_charge(size);
}

/* One datagram of the child, whatever the state. @a is held by the caller. */
static void assoc_take(struct assoc *a, struct packet *p)
{
	if (likely(a->flow.state == FLOW_STATE_OPEN)) {
		assoc_forward(a, p);
	} else if (a->flow.state == FLOW_STATE_ENDED) {
		a->set->refused++;
		if (a->refusal)
			assoc_answer(a, p, a->refusal);
	} else {
		assoc_wait(a, p);
	}
}

void assoc_input(struct flow *f, struct buf *b, struct packet *p)
{
	struct assoc *a = container_of(f, struct assoc, flow);
	bool was = assoc_hold(a);

	assoc_take(a, p);
	buf_put(b);
	assoc_release(a, was); /* last: @a may be gone */
}

/* --- the way to the world --- */

/* The dial has ended: takes @fd, or a negative errno. */
static void assoc_connected(struct assoc *a, int fd, bool own)
{
	static struct log_limit limit = {.burst = 1};
	struct assoc_set *s = a->set;
	char text[FLOW_TEXT_MAX];
	unsigned long missed;

	if (fd >= 0) {
		flow_set_state(&a->flow, FLOW_STATE_OPEN);
		dgram_start(&a->dgram, &dgram_ops, s->loop, &s->rx, fd,
			own ? &a->flow.decision.target : NULL, own && s->ops->with_ttl);
		return;
	}
	a->flow.error = -fd;
	if (fd == -EMFILE || fd == -ENFILE || dgram_is_shortage(-fd)) {
		/* Not the destination's fault: for the child the datagram is lost. */
		s->no_memory++;
		if (log_limit_pass(&limit, &missed))
			log_warn("no socket for %s: %s; raise the limit of open files (ulimit -n)",
				flow_format(&a->flow, text), strerror(-fd));
		assoc_deny(a, FLOW_CAUSE_DIAL_FAILED, 0);
		return;
	}
	if (s->ops->dial_failed)
		s->ops->dial_failed(a, -fd);
	assoc_deny(a, FLOW_CAUSE_DIAL_FAILED, -fd);
}

/* flow->decision is final. */
static void assoc_go(struct assoc *a)
{
	const struct decision *d = &a->flow.decision;
	const struct assoc_ops *ops = a->set->ops;
	static const int style[] = {
		[DENY_STYLE_UNREACHABLE] = EHOSTUNREACH,
		[DENY_STYLE_PROHIBITED] = EACCES,
	};
	int rc;

	if (d->verdict == VERDICT_DROP) {
		assoc_deny(a, FLOW_CAUSE_DENIED, 0);
		return;
	}
	if (d->verdict == VERDICT_DENY) {
		rc = (size_t)d->style < ARRAY_LEN(style) ? style[d->style] : 0;
		assoc_deny(a, FLOW_CAUSE_DENIED, rc ? rc : ops->refuse_error);
		return;
	}
	flow_set_state(&a->flow, FLOW_STATE_DIALING);
	rc = policy_dial(a->set->policy, &a->flow);
	if (rc == -EINPROGRESS)
		return;
	if (rc == -ENOSYS)
		rc = dgram_open(&d->target, ops->protocol4, ops->protocol6, ops->with_ttl);
	else
		assert(rc < 0);
	assoc_connected(a, rc, true);
}

/* What waited goes its way. @a is held. */
static void assoc_flush(struct assoc *a)
{
	while (!a->dead && !list_empty(&a->waiting) &&
		(a->flow.state == FLOW_STATE_OPEN || a->flow.state == FLOW_STATE_ENDED)) {
		struct waiting *w = container_of(a->waiting.next, struct waiting, link);

		list_del(&w->link); /* out of assoc_free()'s reach */
		assoc_take(a, &w->p);
		waiting_free(a, w);
	}
}

void assoc_open(struct assoc_set *s, const struct flow_key *key, struct buf *b, struct packet *p)
{
	struct assoc *a = NULL;

	if (s->count < s->max || assoc_evict(s))
		a = calloc(1, sizeof(*a));
	if (!a) {
		s->no_memory++;
		buf_put(b);
		return;
	}
	a->set = s;
	a->dgram.fd = -1;
	a->busy = true;
	list_init(&a->waiting);
	a->flow.ops = &s->ops->flow;
	flow_add(s->flows, &a->flow, key, ev_now(s->loop));
	s->count++;
	s->opened++;
	expiry_add(&s->active, &a->expiry);
	if (policy_ask(s->policy, &a->flow) && !a->dead)
		assoc_go(a);
	if (!a->dead)
		assoc_take(a, p);
	buf_put(b);
	assoc_release(a, false); /* last: @a may be gone */
}

void assoc_decided(struct flow *f)
{
	struct assoc *a = container_of(f, struct assoc, flow);
	bool was = assoc_hold(a);

	assoc_go(a);
	assoc_flush(a);
	assoc_release(a, was); /* last: @a may be gone */
}

/* What a dialer read beyond its own protocol is the first datagram. */
static void assoc_early(struct assoc *a, const void *early, size_t n)
{
	struct buf *b;

	if (n == 0 || n > BUF_DATA_MAX)
		return;
	b = buf_get();
	if (!b)
		return;
	memcpy(b->data, early, n);
	assoc_on_received(&a->dgram, b->data, n, 0);
	buf_put(b);
}

void assoc_dialed(struct flow *f, int fd, const void *early, size_t n)
{
	struct assoc *a = container_of(f, struct assoc, flow);
	bool was = assoc_hold(a);

	assoc_connected(a, fd, false);
	if (fd >= 0)
		assoc_early(a, early, n);
	assoc_flush(a);
	assoc_release(a, was); /* last: @a may be gone */
}

void assoc_abort(struct flow *f, enum flow_cause cause)
{
	assoc_free(container_of(f, struct assoc, flow), cause);
}

/* --- the set --- */

void assoc_set_init(struct assoc_set *s, const struct assoc_ops *ops, struct ev_loop *loop,
	struct tun *tun, struct flow_table *flows, struct policy *policy)
{
	static const double denied_s = ASSOC_DENIED_S, failed_s = ASSOC_FAILED_S;

	memset(s, 0, sizeof(*s));
	s->ops = ops;
	s->loop = loop;
	s->tun = tun;
	s->flows = flows;
	s->policy = policy;
	s->max = ASSOC_MAX;
	s->idle_s = ASSOC_IDLE_S;
	expiry_init(&s->active, loop, &s->idle_s, assoc_on_due);
	expiry_init(&s->denied, loop, &denied_s, assoc_on_due);
	expiry_init(&s->failed, loop, &failed_s, assoc_on_due);
	dgram_rx_init(&s->rx);
}

void assoc_set_fini(struct assoc_set *s)
{
	struct expiry *all[] = {&s->active, &s->denied, &s->failed};
	struct expiry_entry *e;

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		while ((e = expiry_first(all[i])))
			assoc_free(container_of(e, struct assoc, expiry), FLOW_CAUSE_ABORTED);
		expiry_fini(all[i]);
	}
	dgram_rx_fini(&s->rx);
}
