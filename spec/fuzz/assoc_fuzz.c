/* SPDX-License-Identifier: MIT */
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base.h"
#include "core/craft.h"
#include "core/log.h"
#include "core/udp.h"

/* The life of UDP associations: what the child, policy, dialers, the world and the clock do comes
 * from the input, two bytes each. Real sockets, in a network namespace of its own; without one
 * (nothing may be sent to the machine's own ports) only sockets of dialers. At the end everything
 * must be gone and every flow that was asked closed once. */
enum op {
	OP_SEND,    /* the child sends on flow arg & 7, to destination arg >> 3 & 3 */
	OP_SIZE,    /* the size of what is sent next */
	OP_VERDICT, /* what policy answers from now on */
	OP_DIAL,    /* what dialers answer from now on */
	OP_ANSWER,  /* policy answers a flow that waits */
	OP_DIALED,  /* a dialer answers one */
	OP_WORLD,   /* a dialer's far end sends */
	OP_HANGUP,  /* it closes */
	OP_ABORT,   /* a script ends a flow */
	OP_LOOP,    /* the loop turns */
	OP_BATCH,   /* the tun's batch goes on, or ends */
	OP_CLOCK,   /* time passes */
	OP_FILTER,  /* packet hooks that abort: on, off */
	OP_MAX,     /* the cap */
	OP_ECHO,    /* the server answers */
	OP_MARK,    /* the TTL of what is sent next */
	OP_COUNT,
};

#define FAR_MAX 16

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static struct ev_loop *loop;
static struct tun tun;
static int child, server;
static bool alone; /* in a namespace of our own */
static struct guard guard;
static struct flow_table flows;
static struct policy policy;
static struct udp udp;

static uint8_t verdict, dial;
static unsigned asked, closed;
static size_t payload;
static uint8_t ttl;
static bool in_batch, filter_aborts;
static int far[FAR_MAX];
static unsigned far_count;
static uint8_t zeros[66000];

/* The @n-th flow, or NULL. */
static struct flow *pick(unsigned n)
{
	struct list *e = flows.all.next;

	if (!flows.count)
		return NULL;
	for (n %= flows.count; n; n--)
		e = e->next;
	return container_of(e, struct flow, all);
}

static enum verdict on_flow(void *arg, struct flow *f, struct decision *d)
{
	static const enum verdict v[] = {VERDICT_ALLOW, VERDICT_ALLOW, VERDICT_PENDING,
		VERDICT_DENY, VERDICT_DROP, VERDICT_NONE, VERDICT_REDIRECT, VERDICT_ALLOW};

	(void)arg;
	asked++;
	d->named = true;
	d->style = verdict >> 3 & 3;
	if (v[verdict & 7] == VERDICT_REDIRECT)
		addr_parse(&d->target, verdict & 32 ? "[::1]:7" : "127.0.0.1:7");
	if (verdict & 64)
		f->ops->abort(f, FLOW_CAUSE_ABORTED);
	return v[verdict & 7];
}

static int on_dial(void *arg, struct flow *f)
{
	(void)arg;
	(void)f;
	if (!alone)
		return dial & 1 ? -EINPROGRESS : -EHOSTUNREACH;
	return dial & 1 ? -EINPROGRESS : dial & 2 ? -(int)(dial >> 2) - 1 : -ENOSYS;
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
	if (verdict & 128) /* a script that ends what has ended */
		f->ops->abort(f, FLOW_CAUSE_ABORTED);
}

static int on_filter(void *arg, const struct iovec *iov, int n)
{
	struct flow *f = filter_aborts ? pick((unsigned)iov[0].iov_len + (unsigned)n) : NULL;

	(void)arg;
	if (f)
		f->ops->abort(f, FLOW_CAUSE_ABORTED);
	return true;
}

static const struct hooks hooks = {.flow = on_flow,
	.dial = on_dial,
	.cancel = on_cancel,
	.close = on_close};

static void send_udp(uint8_t arg)
{
	static const char *const to[] = {"127.0.0.1:7", "127.0.0.1:9", "[::1]:9", "192.0.2.1:1"};
	struct addr src, dst;
	struct flow_key key;
	struct packet p;
	struct flow *f;
	struct buf *b = buf_get();
	size_t h, n = payload;

	addr_parse(&dst, to[arg >> 3 & 3]);
	addr_parse(&src, dst.v == 4 ? "10.0.0.1" : "fd00::1");
	src.port = 1000 + (arg & 7);
	h = dst.v == 4 ? 28 : 48;
	n = MIN(n, 65535 - h);
	memset(b->data + h, arg, n);
	craft_udp(b->data + h, n, &src, &dst);
	b->data[dst.v == 4 ? 8 : 7] = ttl;
	if (packet_parse(&p, b->data, h + n) < 0)
		abort();
	key = (struct flow_key){.src = p.src, .dst = p.dst, .proto = p.proto};
	f = flow_find(&flows, &key);
	if (f)
		f->ops->input(f, b, &p);
	else
		udp_open(&udp, &key, b, &p);
	if (!in_batch)
		udp_flush(&udp);
}

static void answer(uint8_t arg)
{
	struct flow *f = pick(arg & 15);
	struct decision d = {.named = true, .style = arg >> 6 & 3};

	if (!f || !f->waiting || f->state != FLOW_STATE_ASKED)
		return;
	policy_answer(&policy, f,
		arg & 16           ? VERDICT_DENY
			: arg & 32 ? VERDICT_VIA
				   : VERDICT_ALLOW,
		&d);
}

static void dialed(uint8_t arg)
{
	struct flow *f = pick(arg & 15);
	int pair[2];

	if (!f || !f->waiting || f->state != FLOW_STATE_DIALING)
		return;
	if (arg & 16 || far_count == FAR_MAX ||
		socketpair(AF_UNIX,
			(arg & 32 ? SOCK_SEQPACKET : SOCK_DGRAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
			pair) == -1) {
		policy_dialed(&policy, f, -ECONNREFUSED, NULL, 0);
		return;
	}
	far[far_count++] = pair[1];
	policy_dialed(&policy, f, pair[0], zeros, arg & 64 ? 100 : 0);
}

static void hang_up(unsigned n)
{
	if (!far_count)
		return;
	n %= far_count;
	close(far[n]);
	far[n] = far[--far_count];
}

static void echo(void)
{
	struct sockaddr_storage from;
	socklen_t len = sizeof(from);
	static uint8_t bytes[65536];
	ssize_t n;

	while (alone &&
		(n = recvfrom(server, bytes, sizeof(bytes), MSG_DONTWAIT, (struct sockaddr *)&from,
			 &len)) >= 0)
		sendto(server, bytes, (size_t)n, MSG_DONTWAIT, (struct sockaddr *)&from, len);
}

static void pass_time(uint8_t arg)
{
	struct expiry *x[] = {&udp.set.active, &udp.set.denied, &udp.set.failed};
	struct expiry *it = x[arg % 3];

	for (struct list *e = it->entries.next; e != &it->entries; e = e->next)
		container_of(e, struct expiry_entry, link)->used -= 100;
	ev_feed_event(loop, &it->timer, EV_TIMER);
	ev_run(loop, EVRUN_NOWAIT);
}

static void step(enum op op, uint8_t arg)
{
	struct flow *f;

	switch (op) {
	case OP_SEND:
		send_udp(arg);
		break;
	case OP_SIZE:
		payload = arg < 128 ? arg : (size_t)(arg - 127) * 512;
		break;
	case OP_VERDICT:
		verdict = arg;
		break;
	case OP_DIAL:
		dial = arg;
		break;
	case OP_ANSWER:
		answer(arg);
		break;
	case OP_DIALED:
		dialed(arg);
		break;
	case OP_WORLD:
		if (far_count && write(far[arg % far_count], zeros, payload) == -1)
			break;
		break;
	case OP_HANGUP:
		hang_up(arg);
		break;
	case OP_ABORT:
		f = pick(arg);
		if (f)
			f->ops->abort(f, FLOW_CAUSE_ABORTED);
		break;
	case OP_LOOP:
		ev_run(loop, EVRUN_NOWAIT);
		break;
	case OP_BATCH:
		in_batch = arg & 1;
		if (!in_batch)
			udp_flush(&udp);
		break;
	case OP_CLOCK:
		pass_time(arg);
		break;
	case OP_FILTER:
		filter_aborts = arg & 1;
		break;
	case OP_MAX:
		udp.set.max = 1 + (arg & 15);
		break;
	case OP_ECHO:
		echo();
		break;
	case OP_MARK:
		ttl = arg;
		break;
	case OP_COUNT:
		break;
	}
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(7)};
	struct ifreq ifr = {.ifr_name = "lo", .ifr_flags = IFF_UP};
	int pair[2];

	(void)argc;
	(void)argv;
	log_set_level(LOG_LEVEL_ERROR);
	server = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	if (unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0) {
		close(server);
		server = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
		at.sin_addr.s_addr = htonl(0x7f000001);
		alone = ioctl(server, SIOCSIFFLAGS, &ifr) == 0 &&
			bind(server, (struct sockaddr *)&at, sizeof(at)) == 0;
	}
	loop = ev_loop_new(EVBACKEND_EPOLL);
	if (!loop || guard_init(&guard) < 0 || flow_table_init(&flows) < 0 ||
		socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair) == -1)
		abort();
	tun_init(&tun, loop, pair[0], 65520);
	tun.filter = on_filter;
	child = pair[1];
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	verdict = dial = 0;
	asked = closed = 0;
	payload = 0;
	ttl = 64;
	in_batch = filter_aborts = false;
	policy = (struct policy){.hooks = &hooks, .guard = &guard};
	udp_init(&udp, loop, &tun, &flows, &policy);
	udp.set.max = 8;
	for (size_t i = 0; i + 1 < size && i < 2000; i += 2) {
		step(data[i] % OP_COUNT, data[i + 1]);
		assert(udp.set.count == flows.count && flows.count <= 16);
		while (recv(child, zeros, 1, MSG_DONTWAIT | MSG_TRUNC) > 0) {
		}
		zeros[0] = 0;
	}
	udp_fini(&udp);
	while (far_count)
		hang_up(0);
	assert(flows.count == 0 && asked == closed && buf_used() == 0);
	echo();
	ev_run(loop, EVRUN_NOWAIT);
	return 0;
}
