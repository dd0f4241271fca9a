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

static void assoc_close(struct assoc *a)
{
	struct assoc_set *s = a->set;

	if (s->volley.to == &a->dgram)
		s->up_dropped += volley_clear(&s->volley);
	dgram_close(&a->dgram);
}

/* The only way out of memory. Somebody up the stack who uses @a frees the struct. */
static void assoc_free(struct assoc *a, enum flow_cause cause)
{
	struct assoc_set *s = a->set;

	if (a->dead) /* hooks.close may come back here */
		return;
	a->dead = true;
	policy_end(s->policy, &a->flow, cause, ev_now(s->loop));
	assoc_close(a);
	backlog_clear(&a->backlog);
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
	assoc_close(a);
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

/* The child's packet @p failed with @error. */
static void assoc_answer(struct assoc *a, const struct packet *p, int error)
{
	struct assoc_set *s = a->set;
	uint32_t mtu = error == EMSGSIZE ? dgram_mtu(&a->dgram) : 0;

	s->errors += notice_answer(&a->answers, s->tun, p, error, s->ops->hard_errors, mtu,
		expiry_now());
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
	a->set->errors++;
	notice_pass(a->set->tun, a->set->policy->guard, &a->flow, &e, from, data - h,
		h + n); /* last: @a may be gone */
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

int assoc_write(struct assoc *a, const struct virtio_net_hdr *vh, struct iovec *iov, int n,
	unsigned datagrams, size_t payload)
{
	struct assoc_set *s = a->set;
	int rc;

	s->down += datagrams;
	flow_count_down(&a->flow, payload, s->loop);
	rc = tun_writev(s->tun, vh, iov, n);
	if (unlikely(rc == -EINVAL) &&
		!a->dead) { /* the device cannot: it is to be tried otherwise */
		s->down -= datagrams;
		a->flow.bytes_down -= payload;
	}
	return rc;
}

static void assoc_on_received(struct dgram *d, const struct dgram_in *in, unsigned n)
{
	struct assoc *a = container_of(d, struct assoc, dgram);
	bool was = assoc_hold(a);

	expiry_use(&a->expiry);
	a->set->ops->received(a, in, n);
	assoc_release(a, was); /* last: @a may be gone */
}

static const struct dgram_ops dgram_ops = {
	.received = assoc_on_received,
	.error = assoc_on_error,
	.failed = assoc_on_failed,
};

/* --- child to world --- */

static inline uint8_t packet_tos(const struct packet *p)
{
	return p->v == 4 ? p->data[1] : (uint8_t)(p->data[0] << 4 | p->data[1] >> 4);
}

static void assoc_forward(struct assoc *a, struct packet *p)
{
	struct assoc_set *s = a->set;
	uint8_t *data;
	size_t n = s->ops->outgoing(a, p, &data);
	int rc;

	expiry_use(&a->expiry);
	a->turn = s->turn;
	dgram_mark(&a->dgram, p->ttl, packet_tos(p));
	rc = dgram_send(&a->dgram, data, n);
	if (likely(rc == 0)) {
		s->up++;
		flow_count_up(&a->flow, n - s->ops->header, s->loop);
	} else if (dgram_is_shortage(-rc)) {
		s->up_dropped++;
	} else if (rc != -ECANCELED) {
		assoc_answer(a, p, -rc);
	}
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
		a->set->waiting_dropped += !backlog_push(&a->backlog, p);
	}
}

/* Sends what was put off. */
static void assoc_shoot(struct assoc_set *s)
{
	struct volley *v = &s->volley;
	struct assoc *a = container_of(v->to, struct assoc, dgram);
	bool was = assoc_hold(a);

	v->to = NULL; /* out of assoc_close()'s reach */
	if (v->bundle.count > 1 && dgram_send_bundle(&a->dgram, &v->bundle) == 0) {
		s->up += v->bundle.packets;
		flow_count_up(&a->flow, v->bundle.total, s->loop);
		expiry_use(&a->expiry);
	} else {
		for (unsigned i = 0; i < v->bundle.count && !a->dead; i++)
			assoc_take(a, &v->packet[i]);
	}
	volley_clear(v);
	assoc_release(a, was); /* last: @a may be gone */
}

void assoc_flush(struct assoc_set *s)
{
	if (s->volley.to)
		assoc_shoot(s);
	s->turn++;
}

/* Puts @p off to the end of the tun's batch, if it may be one of many; takes @b then. The first of
 * a batch never waits: a lone question is not to be late. */
static bool assoc_put_off(struct assoc *a, struct buf *b, struct packet *p)
{
	struct assoc_set *s = a->set;
	uint8_t *data;
	size_t n;

	if (a->flow.state != FLOW_STATE_OPEN || !a->dgram.bundles)
		return false;
	if (a->turn == s->turn && dgram_is_marked(&a->dgram, p->ttl, packet_tos(p))) {
		n = s->ops->outgoing(a, p, &data);
		if (volley_add(&s->volley, &a->dgram, b, p, data, n))
			return true;
		if (s->volley.to)
			assoc_shoot(s);
		return !a->dead && volley_add(&s->volley, &a->dgram, b, p, data, n);
	}
	/* Order within a flow is kept. */
	if (s->volley.to == &a->dgram)
		assoc_shoot(s);
	return false;
}

void assoc_input(struct flow *f, struct buf *b, struct packet *p)
{
	struct assoc *a = container_of(f, struct assoc, flow);
	bool was = assoc_hold(a);

	if (!assoc_put_off(a, b, p)) {
		if (!a->dead)
			assoc_take(a, p);
		buf_put(b);
	}
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
		policy_opened(s->policy, &a->flow);
		a->dgram.envelope = a->flow.envelope;
		dgram_start(&a->dgram, &dgram_ops, s->loop, &s->rx, fd,
			own ? &a->flow.decision.target : NULL, own && s->ops->ping);
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
		rc = dgram_open(&d->target, ops->ping);
	else
		assert(rc < 0);
	assoc_connected(a, rc, true);
}

/* What waited goes its way. @a is held. */
static void assoc_let_go(struct assoc *a)
{
	struct backlog_packet *w;

	if (a->flow.state != FLOW_STATE_OPEN && a->flow.state != FLOW_STATE_ENDED)
		return;
	while (!a->dead && (w = backlog_pop(&a->backlog))) {
		assoc_take(a, &w->p);
		free(w);
	}
}

void assoc_open(struct assoc_set *s, const struct flow_key *key, struct buf *b, struct packet *p)
{
	struct assoc *a = NULL;

	/* Whoever makes room sends first. */
	if (s->volley.to)
		assoc_shoot(s);
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
	backlog_init(&a->backlog, &s->waiting_bytes);
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
	assoc_let_go(a);
	assoc_release(a, was); /* last: @a may be gone */
}

/* What a dialer read beyond its own protocol is the first datagram. */
static void assoc_early(struct assoc *a, const void *early, size_t n)
{
	struct dgram_in in = {.len = n, .segment = n};
	struct buf *b;

	if (n == 0 || n > BUF_DATA_MAX)
		return;
	b = buf_get();
	if (!b)
		return;
	memcpy(b->data, early, n);
	in.data = b->data;
	a->set->ops->received(a, &in, 1);
	buf_put(b);
}

void assoc_dialed(struct flow *f, int fd, const void *early, size_t n)
{
	struct assoc *a = container_of(f, struct assoc, flow);
	bool was = assoc_hold(a);

	assoc_connected(a, fd, false);
	if (fd >= 0)
		assoc_early(a, early, n);
	assoc_let_go(a);
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
	s->turn = 1;
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
			assoc_free(container_of(e, struct assoc, expiry), FLOW_CAUSE_LEFT_OPEN);
		expiry_fini(all[i]);
	}
	dgram_rx_fini(&s->rx);
}
