/* SPDX-License-Identifier: MIT */
#ifndef NSNET_SPEC_WORLD_H
#define NSNET_SPEC_WORLD_H

/* world - what udp_spec and ping_spec need: a network namespace of their own, a child whose tun is
 * one end of a socket pair, policy with hooks that the spec steers, and real host sockets.
 * Include after <cmocka.h>. Functions are static, so that a spec is one file. */

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base.h"
#include "core/craft.h"
#include "core/flow.h"
#include "core/guard.h"
#include "core/log.h"
#include "core/ping.h"
#include "core/policy.h"
#include "core/tun.h"
#include "core/udp.h"

#define WORLD_UNUSED __attribute__((unused))
#define PATIENCE_S 20.0 /* a condition that is not met until then never will be */

struct world {
	struct ev_loop *loop;
	struct tun tun;
	int child; /* the other end of the tun */
	struct flow_table flows;
	struct guard guard;
	struct hooks hooks;
	struct policy policy;
	struct udp udp;
	struct ping ping;
	int fds; /* open before */

	/* what hooks.flow answers */
	enum verdict verdict;
	enum deny_style style;
	const char *target; /* REDIRECT */
	int dial;           /* what hooks.dial returns */
	bool quits;         /* abort the flow from inside hooks.flow */

	/* what hooks saw */
	unsigned asked, closed, cancelled, dials;
	enum flow_cause cause; /* of the last one closed */
	uint64_t up, down;     /* its bytes */
	int error;
	struct flow *last; /* the last one asked, while it lives */

	bool in_batch; /* the tun's batch goes on: the spec calls udp_flush() */

	/* the last packet to the child */
	struct virtio_net_hdr vh;
	unsigned bundles; /* packets that were more than one datagram */
	size_t next, end; /* what is left of the last one of those: w.bundle[next..end] */
	uint8_t bundle[BUF_DATA_MAX + 64];
	uint8_t bytes[BUF_DATA_MAX + 64];
	struct packet p;
};

static struct world w;
static bool world_missing; /* no namespaces here: skip */

static WORLD_UNUSED void world_run(const char *fmt, ...)
{
	char command[2048];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(command, sizeof(command), fmt, ap);
	va_end(ap);
	if (system(command) != 0)
		fail_msg("failed: %s", command);
}

/* First line of every test. */
#define NEEDS_WORLD                                                                                \
	do {                                                                                       \
		(void)state;                                                                       \
		if (world_missing)                                                                 \
			skip();                                                                    \
	} while (0)

static WORLD_UNUSED void world_write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

static WORLD_UNUSED void world_lo_up(void)
{
	struct ifreq ifr = {.ifr_name = "lo", .ifr_flags = IFF_UP};
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_int_equal(ioctl(s, SIOCSIFFLAGS, &ifr), 0);
	close(s);
}

/* Group set-up: a user and network namespace in which this process is root. */
static WORLD_UNUSED int world_enter(void **state)
{
	char map[64];
	unsigned uid = getuid(), gid = getgid();

	(void)state;
	if (unshare(CLONE_NEWUSER | CLONE_NEWNET) == -1) {
		world_missing = true;
		fprintf(stderr, "# SKIPPED: no namespaces here: %s\n", strerror(errno));
		return 0;
	}
	world_write_file("/proc/self/setgroups", "deny");
	snprintf(map, sizeof(map), "0 %u 1", uid);
	world_write_file("/proc/self/uid_map", map);
	snprintf(map, sizeof(map), "0 %u 1", gid);
	world_write_file("/proc/self/gid_map", map);
	world_lo_up();
	world_write_file("/proc/sys/net/ipv4/ping_group_range", "0 0");
	return 0;
}

static WORLD_UNUSED int world_count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static enum verdict world_on_flow(void *arg, struct flow *f, struct decision *d)
{
	struct world *x = arg;

	x->asked++;
	x->last = f;
	d->style = x->style;
	d->named = true;
	if (x->verdict == VERDICT_REDIRECT)
		assert_int_equal(addr_parse(&d->target, x->target), 0);
	if (x->quits)
		f->ops->abort(f, FLOW_CAUSE_ABORTED);
	return x->verdict;
}

static WORLD_UNUSED int world_on_dial(void *arg, struct flow *f)
{
	struct world *x = arg;

	(void)f;
	x->dials++;
	return x->dial;
}

static void world_on_cancel(void *arg, struct flow *f)
{
	struct world *x = arg;

	(void)f;
	x->cancelled++;
}

static void world_on_close(void *arg, struct flow *f)
{
	struct world *x = arg;

	x->closed++;
	x->cause = f->cause;
	x->up = f->bytes_up;
	x->down = f->bytes_down;
	x->error = f->error;
	if (x->last == f)
		x->last = NULL;
}

static WORLD_UNUSED int world_setup(void **state)
{
	int pair[2], size = 8 << 20;

	(void)state;
	if (world_missing)
		return 0;
	memset(&w, 0, sizeof(w));
	w.fds = world_count_fds();
	w.loop = ev_loop_new(EVBACKEND_EPOLL);
	if (!w.loop || flow_table_init(&w.flows) < 0 || guard_init(&w.guard) < 0)
		return -1;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == -1)
		return -1;
	for (int i = 0; i < 2; i++)
		setsockopt(pair[i], SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
	tun_init(&w.tun, w.loop, pair[0], 65520);
	w.child = pair[1];
	w.hooks = (struct hooks){
		.arg = &w,
		.flow = world_on_flow,
		.cancel = world_on_cancel,
		.close = world_on_close,
	};
	w.policy = (struct policy){.hooks = &w.hooks, .guard = &w.guard};
	w.verdict = VERDICT_ALLOW;
	udp_init(&w.udp, w.loop, &w.tun, &w.flows, &w.policy);
	ping_init(&w.ping, w.loop, &w.tun, &w.flows, &w.policy);
	return 0;
}

/* Nothing may be left: no flow, no buffer, no file descriptor, no hook that was not closed. */
static WORLD_UNUSED int world_teardown(void **state)
{
	(void)state;
	if (world_missing)
		return 0;
	udp_fini(&w.udp);
	ping_fini(&w.ping);
	assert_int_equal(w.flows.count, 0);
	assert_int_equal(w.asked, w.closed);
	assert_int_equal(buf_used(), 0);
	flow_table_fini(&w.flows);
	guard_fini(&w.guard);
	tun_fini(&w.tun);
	close(w.child);
	ev_loop_destroy(w.loop);
	buf_pool_fini();
	assert_int_equal(world_count_fds(), w.fds);
	return 0;
}

static WORLD_UNUSED struct addr world_addr(const char *text)
{
	struct addr a;

	assert_int_equal(addr_parse(&a, text), 0);
	return a;
}

/* --- waiting --- */

static void world_too_late(struct ev_loop *loop, ev_timer *t, int revents)
{
	(void)revents;
	*(bool *)t->data = true;
	ev_break(loop, EVBREAK_ALL);
}

/* Turns the loop until COND holds. */
#define world_until(cond)                                                                          \
	do {                                                                                       \
		bool late = false;                                                                 \
		ev_timer patience;                                                                 \
		ev_timer_init(&patience, world_too_late, PATIENCE_S, 0);                           \
		patience.data = &late;                                                             \
		ev_now_update(w.loop);                                                             \
		ev_timer_start(w.loop, &patience);                                                 \
		while (!(cond) && !late)                                                           \
			ev_run(w.loop, EVRUN_ONCE);                                                \
		ev_timer_stop(w.loop, &patience);                                                  \
		assert_false(late);                                                                \
	} while (0)

/* How often the loop wakes while nothing is to be done: a spinning watcher gives thousands. */
static WORLD_UNUSED unsigned world_idle_wakes(void)
{
	bool late = false;
	unsigned start = ev_iteration(w.loop);
	ev_timer pause;

	ev_timer_init(&pause, world_too_late, 0.2, 0);
	pause.data = &late;
	ev_now_update(w.loop);
	ev_timer_start(w.loop, &pause);
	while (!late)
		ev_run(w.loop, EVRUN_ONCE);
	return ev_iteration(w.loop) - start;
}

static WORLD_UNUSED bool world_readable(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, 0) == 1;
}

/* --- the child --- */

/* Gives the packet of @n bytes at b->data to the host, as the gate would. Takes @b. */
static void world_child_packet(struct buf *b, size_t n)
{
	struct flow_key key;
	struct packet p;
	struct flow *f;

	assert_int_equal(packet_parse(&p, b->data, n), 0);
	key = (struct flow_key){.src = p.src, .dst = p.dst, .proto = p.proto};
	if (p.proto == IPPROTO_ICMPV6)
		key.proto = IPPROTO_ICMP;
	f = flow_find(&w.flows, &key);
	if (f)
		f->ops->input(f, b, &p);
	else if (p.proto == IPPROTO_UDP)
		udp_open(&w.udp, &key, b, &p);
	else
		ping_open(&w.ping, &key, b, &p);
	if (!w.in_batch)
		udp_flush(&w.udp);
}

static WORLD_UNUSED void world_child_udp(const char *from, const char *to, const void *payload,
	size_t n)
{
	struct addr src = world_addr(from), dst = world_addr(to);
	struct buf *b = buf_get();
	size_t h = src.v == 4 ? 28 : 48;

	assert_non_null(b);
	memcpy(b->data + h, payload, n);
	assert_int_equal(craft_udp(b->data + h, n, &src, &dst), h);
	world_child_packet(b, h + n);
}

/* An echo request with @ttl. */
static WORLD_UNUSED void world_child_ping(const char *from, const char *to, uint16_t id,
	uint16_t seq, const void *payload, size_t n, uint8_t ttl)
{
	struct addr src = world_addr(from), dst = world_addr(to);
	struct buf *b = buf_get();
	size_t h = src.v == 4 ? 20 : 40;
	uint8_t *m;

	assert_non_null(b);
	m = b->data + h;
	m[0] = src.v == 4 ? 8 : 128;
	m[1] = 0;
	packet_put16(m + 4, id);
	packet_put16(m + 6, seq);
	memcpy(m + 8, payload, n);
	assert_int_equal(craft_icmp(m, 8 + n, &src, &dst, ttl), h);
	world_child_packet(b, h + 8 + n);
}

/* True if there is a packet to the child. */
static WORLD_UNUSED bool world_child_has(void)
{
	return w.next < w.end || world_readable(w.child);
}

/* The next datagram of a bundle, as the kernel takes it apart. */
static size_t world_take_apart(void)
{
	size_t h = w.vh.hdr_len, n = MIN((size_t)w.vh.gso_size, w.end - w.next);
	struct packet p;

	assert_int_equal(packet_parse(&p, w.bundle, w.end), 0);
	memcpy(w.bytes + h, w.bundle + w.next, n);
	assert_int_equal(craft_udp(w.bytes + h, n, &p.src, &p.dst), h);
	w.next += n;
	return h + n;
}

/* Reads one packet to the child that is there into w.p; its device header into w.vh. */
static void world_child_read(void)
{
	struct iovec iov[2] = {
		{.iov_base = &w.vh, .iov_len = sizeof(w.vh)},
		{.iov_base = w.bytes, .iov_len = sizeof(w.bytes)},
	};
	size_t n = 0, l4;

	if (w.next == w.end) {
		ssize_t got = readv(w.child, iov, 2);

		assert_true(got > (ssize_t)sizeof(w.vh));
		n = (size_t)got - sizeof(w.vh);
		if (w.vh.gso_type == 5 /* VIRTIO_NET_HDR_GSO_UDP_L4 */) {
			assert_int_equal(w.vh.hdr_len, w.vh.csum_start + 8);
			assert_true(w.vh.gso_size < n - w.vh.hdr_len);
			memcpy(w.bundle, w.bytes, n);
			w.next = w.vh.hdr_len;
			w.end = n;
			w.bundles++;
		}
	}
	if (w.next < w.end)
		n = world_take_apart();
	if (w.vh.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) { /* as the kernel completes it */
		uint8_t *start = w.bytes + w.vh.csum_start;
		uint16_t sum = packet_sum_fold(packet_sum(start, n - w.vh.csum_start, 0));

		memcpy(start + w.vh.csum_offset, &sum, 2);
	}
	assert_int_equal(packet_parse(&w.p, w.bytes, n), 0);
	assert_int_equal(w.p.len, n);
	l4 = w.p.l4;
	if (w.p.v == 4)
		assert_int_equal(packet_sum_fold(packet_sum(w.bytes, 20, 0)), 0);
	assert_int_equal(
		packet_sum_fold(packet_sum(w.bytes + l4, n - l4,
			w.p.proto == IPPROTO_ICMP ? 0
						  : packet_sum_pseudo(&w.p.src, &w.p.dst, w.p.proto,
							    (uint32_t)(n - l4)))),
		0);
}

/* Waits for the next packet to the child. */
static WORLD_UNUSED void world_child_next(void)
{
	world_until(world_child_has());
	world_child_read();
}

static WORLD_UNUSED void world_assert_from_to(const char *from, const char *to)
{
	char text[ADDR_TEXT_MAX];

	assert_string_equal(addr_format(&w.p.src, true, text), from);
	assert_string_equal(addr_format(&w.p.dst, true, text), to);
}

/* The last packet is an ICMP error; returns what it quotes, parsed as far as it goes. The
 * quote must be of a packet @from -> @to. */
static WORLD_UNUSED const uint8_t *world_assert_error(uint8_t type, uint8_t code, const char *from,
	const char *to)
{
	struct addr src = world_addr(from), dst = world_addr(to);
	const uint8_t *q = w.bytes + w.p.payload;
	size_t n = src.v == 4 ? 4 : 16, at = src.v == 4 ? 12 : 8, l4 = src.v == 4 ? 20 : 40;

	assert_int_equal(w.p.proto, src.v == 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6);
	assert_int_equal(w.p.icmp_type, type);
	assert_int_equal(w.p.icmp_code, code);
	assert_true(w.p.len <= (src.v == 4 ? 576 : 1280));
	assert_true(w.p.len >= w.p.payload + l4 + 8);
	assert_int_equal(q[0] >> 4, src.v);
	assert_memory_equal(q + at, src.ip, n);
	assert_memory_equal(q + at + n, dst.ip, n);
	assert_true(addr_equal_ip(&w.p.dst, &src));
	if (q[src.v == 4 ? 9 : 6] == IPPROTO_UDP) {
		assert_int_equal(packet_get16(q + l4), src.port);
		assert_int_equal(packet_get16(q + l4 + 2), dst.port);
	}
	return q + l4;
}

#endif
