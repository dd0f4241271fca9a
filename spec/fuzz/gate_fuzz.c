/* SPDX-License-Identifier: MIT */
#include <assert.h>
#include <errno.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "frames.h"

#include "core/gate.h"
#include "core/log.h"

/* The whole plane against a hostile child: sequences of frames into the device, what policy and
 * dialers say, what the world does and the clock, all from the input. The world is socket pairs;
 * the resolver asks in a network namespace of its own, where nobody answers. What the host writes
 * must be whole packets, and at the end nothing may be left: no flow, no buffer, no descriptor. */
enum op {
	OP_RAW,      /* a frame of bytes */
	OP_TCP,      /* a segment of one of eight connections */
	OP_TCP2,     /* the same: most of what happens needs many of them */
	OP_UDP,      /* a datagram or an ICMP message */
	OP_ERROR,    /* an ICMP error about what the host has sent */
	OP_FRAGMENT, /* a piece of the frame before */
	OP_MUTANT,   /* the frame before, changed */
	OP_VIRTIO,   /* what the next virtio headers claim */
	OP_LOOP,     /* the loop turns */
	OP_TICK,     /* TCP's clock */
	OP_VERDICT,  /* what policy answers from now on */
	OP_ANSWER,   /* policy, or a dialer, answers a flow that waits */
	OP_WORLD,    /* a far end sends */
	OP_READ,     /* it reads */
	OP_HANGUP,   /* it closes, or half of it */
	OP_ABORT,    /* a script ends a flow */
	OP_MEMORY,   /* the cap of buffers */
	OP_COUNT,
};

#define FAR_MAX 32

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static struct ev_loop *loop;
static struct guard guard;
static struct flow_table flows;
static struct tun tun;
static struct stack stack;
static struct frag frag;
static struct conns conns;
static struct udp udp;
static struct ping ping;
static struct dns dns;
static struct policy policy;
static struct gate gate;

static int child = -1;
static bool alone;
static uint8_t verdict;
static unsigned asked, closed;
static int far[FAR_MAX];
static unsigned far_count;
static struct frames frames;
static uint8_t got[FRAME_MAX]; /* the last packet that the host has sent */
static size_t got_len;
static uint8_t bytes[FRAME_MAX];

static struct flow *pick(unsigned n)
{
	struct list *e = flows.all.next;

	if (!flows.count)
		return NULL;
	for (n %= flows.count; n; n--)
		e = e->next;
	return container_of(e, struct flow, all);
}

/* ---- policy ---- */

static enum verdict on_flow(void *arg, struct flow *f, struct decision *d)
{
	static const enum verdict v[] = {VERDICT_VIA, VERDICT_VIA, VERDICT_PENDING, VERDICT_DENY,
		VERDICT_DROP, VERDICT_VIA, VERDICT_REDIRECT, VERDICT_VIA};

	(void)arg;
	asked++;
	d->named = true;
	d->style = verdict >> 3 & 3;
	d->first_bytes = f->key.proto == IPPROTO_TCP && verdict & 32;
	d->data = f->key.proto == IPPROTO_TCP && verdict & 64;
	if (v[verdict & 7] == VERDICT_REDIRECT)
		d->target = f->key.dst;
	return v[verdict & 7];
}

static enum verdict on_first_bytes(void *arg, struct flow *f, const void *first, size_t n,
	bool more, struct decision *d)
{
	(void)arg;
	(void)f;
	(void)d;
	(void)more;
	if (n && ((const uint8_t *)first)[n - 1] == 'q')
		return VERDICT_DENY;
	return verdict & 128 ? VERDICT_MORE : verdict & 16 ? VERDICT_PENDING : VERDICT_ALLOW;
}

static int on_data(void *arg, struct flow *f, enum hook_dir dir, const void *data, size_t n,
	void **other, size_t *other_len)
{
	(void)arg;
	(void)f;
	(void)dir;
	(void)data;
	if (!(verdict & 8))
		return 0;
	*other_len = n / 2;
	*other = calloc(1, n);
	return *other ? 1 : -ENOMEM;
}

static int on_dial(void *arg, struct flow *f)
{
	(void)arg;
	(void)f;
	return -EINPROGRESS;
}

static enum verdict on_dns(void *arg, struct dnsquery *q, struct decision *d)
{
	(void)arg;
	(void)q;
	d->style = verdict >> 3 & 3;
	return alone && verdict & 1 ? VERDICT_ALLOW : verdict & 2 ? VERDICT_DROP : VERDICT_DENY;
}

static void on_cancel(void *arg, struct flow *f)
{
	(void)arg;
	(void)f;
}

static void on_close(void *arg, struct flow *f)
{
	(void)arg;
	assert(f->state == FLOW_STATE_ENDED && f->cause != FLOW_CAUSE_NONE);
	closed++;
}

static const struct hooks hooks = {.connect = on_flow,
	.flow = on_flow,
	.first_bytes = on_first_bytes,
	.data = on_data,
	.dial = on_dial,
	.dns = on_dns,
	.cancel = on_cancel,
	.close = on_close};

/* ---- the world ---- */

static void dialed(struct flow *f, uint8_t how)
{
	const int type = f->key.proto == IPPROTO_TCP ? SOCK_STREAM : SOCK_DGRAM;
	int pair[2];

	if (how & 16 || far_count == FAR_MAX ||
		socketpair(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == -1) {
		policy_dialed(&policy, f, how & 32 ? -ECONNREFUSED : -ETIMEDOUT, NULL, 0);
		return;
	}
	far[far_count++] = pair[1];
	policy_dialed(&policy, f, pair[0], "early", how & 64 ? 5 : 0);
}

static void answer(uint8_t how)
{
	struct flow *f = pick(how & 15);
	struct decision d = {.named = true};

	if (!f || !f->waiting)
		return;
	if (f->state == FLOW_STATE_DIALING) {
		dialed(f, how);
	} else {
		d.target = f->key.dst;
		policy_answer(&policy, f, how & 16 ? VERDICT_DENY : VERDICT_VIA, &d);
	}
}

static void hang_up(uint8_t how)
{
	unsigned n = how;

	if (!far_count)
		return;
	n %= far_count;
	if (how & 128) {
		shutdown(far[n], how & 64 ? SHUT_RD : SHUT_WR);
		return;
	}
	close(far[n]);
	far[n] = far[--far_count];
}

/* ---- the child ---- */

/* Reads what the host has sent: whole packets, with a virtio header that is true. */
static void hear(void)
{
	static uint8_t frame[FRAME_MAX];
	ssize_t n;

	while ((n = recv(child, frame, sizeof(frame), MSG_DONTWAIT)) > 0) {
		struct virtio_net_hdr vh;
		struct packet p;

		assert((size_t)n > VH);
		memcpy(&vh, frame, VH);
		got_len = (size_t)n - VH;
		memcpy(got, frame + VH, got_len);
		assert(packet_parse(&p, got, got_len) == 0 && p.len == got_len);
		if (vh.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
			assert((size_t)vh.csum_start + vh.csum_offset + 2 <= got_len);
		if (vh.gso_type != VIRTIO_NET_HDR_GSO_NONE)
			assert(vh.gso_size > 0 && vh.hdr_len <= got_len);
		if (p.proto == IPPROTO_TCP && p.dst.port - 1000u < TCP_CONNS) {
			const uint8_t *t = got + p.l4;
			struct child_conn *c = &frames.conn[p.dst.port - 1000];

			c->ack = get32(t + 4) + (uint32_t)(p.len - p.payload) +
				!!(p.tcp_flags & PACKET_TCP_SYN) + !!(t[13] & 1);
		}
	}
}

static void say(size_t len)
{
	memcpy(bytes, &frames.vh, VH);
	memcpy(frames.last, bytes, VH + len);
	frames.last_len = VH + len;
	if (send(child, bytes, VH + len, MSG_DONTWAIT) == -1)
		ev_run(loop, EVRUN_NOWAIT);
}

static void virtio(struct input *in)
{
	static const uint8_t gso[] = {VIRTIO_NET_HDR_GSO_NONE, VIRTIO_NET_HDR_GSO_TCPV4,
		VIRTIO_NET_HDR_GSO_TCPV6, VIRTIO_NET_HDR_GSO_UDP};
	const uint8_t what = in8(in);

	frames.vh = (struct virtio_net_hdr){
		.flags = what & 3,
		.gso_type = (uint8_t)(gso[what >> 2 & 3] | (what & 0x80)),
		.hdr_len = what & 0x10 ? in16(in) : 0,
		.gso_size = what & 0x20 ? in16(in) : 0,
	};
	if (what & 0x40) {
		frames.vh.csum_start = in16(in);
		frames.vh.csum_offset = in16(in);
	}
}

static uint16_t port_of(uint8_t op)
{
	static const uint16_t port[] = {80, 53, 443, 7};

	return port[op >> 6];
}

static void step(struct input *in)
{
	const uint8_t code = in8(in);
	uint8_t *ip = bytes + VH;
	struct flow *f;
	size_t n;

	switch (code % OP_COUNT) {
	case OP_RAW:
		n = in8(in);
		in_bytes(in, ip, n);
		say(n);
		break;
	case OP_TCP:
	case OP_TCP2:
		say(frame_tcp(&frames, in, ip, in8(in) % TCP_CONNS, port_of(code)));
		break;
	case OP_UDP:
		say(frame_udp(in, ip, port_of(code)));
		break;
	case OP_ERROR:
		say(frame_error(in, ip, got, got_len));
		break;
	case OP_FRAGMENT:
		n = frame_fragment(&frames, in, ip);
		memcpy(bytes, &frames.vh, VH);
		(void)!send(child, bytes, VH + n, MSG_DONTWAIT); /* the whole stays the last one */
		break;
	case OP_MUTANT:
		say(frame_mutant(&frames, in, ip));
		break;
	case OP_VIRTIO:
		virtio(in);
		break;
	case OP_LOOP:
		ev_run(loop, EVRUN_NOWAIT);
		hear();
		break;
	case OP_TICK:
		for (unsigned k = in8(in) & 63; k && stack.count; k--)
			ev_invoke(loop, &stack.slow, EV_TIMER);
		break;
	case OP_VERDICT:
		verdict = in8(in);
		break;
	case OP_ANSWER:
		answer(in8(in));
		break;
	case OP_WORLD:
		n = in16(in);
		if (far_count)
			(void)!send(far[n % far_count], frames.last, n, MSG_NOSIGNAL);
		break;
	case OP_READ:
		if (far_count)
			(void)!recv(far[in8(in) % far_count], bytes, sizeof(bytes), 0);
		break;
	case OP_HANGUP:
		hang_up(in8(in));
		break;
	case OP_ABORT:
		f = pick(in8(in));
		if (f)
			f->ops->abort(f, FLOW_CAUSE_ABORTED);
		break;
	case OP_MEMORY:
		buf_set_limit((size_t)in8(in) * BUF_DATA_MAX + (8 << 20));
		break;
	}
}

/* ---- up and down ---- */

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	struct ifreq ifr = {.ifr_name = "lo", .ifr_flags = IFF_UP};
	int fd;

	(void)argc;
	(void)argv;
	log_set_level(LOG_LEVEL_ERROR);
	if (unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0) {
		fd = socket(AF_INET, SOCK_DGRAM, 0);
		alone = ioctl(fd, SIOCSIFFLAGS, &ifr) == 0;
		close(fd);
	}
	loop = ev_loop_new(EVBACKEND_EPOLL);
	if (!loop || guard_init(&guard) < 0 || flow_table_init(&flows) < 0)
		abort();
	return 0;
}

static void up(void)
{
	const struct dns_config config = {.loop = loop,
		.tun = &tun,
		.stack = &stack,
		.flows = &flows,
		.policy = &policy,
		.resolv_conf = "/nonexistent/resolv.conf"};
	int pair[2];

	verdict = 0;
	asked = closed = 0;
	got_len = 0;
	memset(&frames.conn, 0, sizeof(frames.conn));
	memset(&frames.vh, 0, sizeof(frames.vh));
	frames.last_len = 0;
	policy = (struct policy){.hooks = &hooks, .guard = &guard};
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair) == -1)
		abort();
	child = pair[1];
	tun_init(&tun, loop, pair[0], 65520);
	if (stack_init(&stack, loop, &tun) < 0 || dns_init(&dns, &config) < 0)
		abort();
	frag_init(&frag, loop);
	conns_init(&conns, loop, &tun, &stack, &flows, &policy);
	conns.max = 12;
	udp_init(&udp, loop, &tun, &flows, &policy);
	udp.set.max = 8;
	ping_init(&ping, loop, &tun, &flows, &policy);
	gate = (struct gate){&tun, &stack, &flows, &policy, &frag, &conns, &udp, &ping, &dns, 0, 0,
		0, 0};
	gate_start(&gate);
}

static void down(void)
{
	tun_stop(&tun);
	dns_fini(&dns);
	ping_fini(&ping);
	udp_fini(&udp);
	conns_fini(&conns);
	frag_fini(&frag);
	assert(stack.count == 0);
	stack_fini(&stack);
	tun_fini(&tun);
	close(child);
	while (far_count)
		hang_up(0);
	buf_set_limit((size_t)256 << 20);
	assert(flows.count == 0 && asked == closed && buf_used() == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, data + size};

	up();
	for (int i = 0; i < 400 && in.at < in.end; i++) {
		step(&in);
		if (i % 4 == 3) {
			ev_run(loop, EVRUN_NOWAIT);
			hear();
		}
	}
	ev_run(loop, EVRUN_NOWAIT);
	hear();
	down();
	return 0;
}
