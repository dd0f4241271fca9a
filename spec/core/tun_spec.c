/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/tun.h"

#define VH sizeof(struct virtio_net_hdr)

/* A pair of datagram sockets stands for the device: a read is a packet there, too. */
static struct {
	struct ev_loop *loop;
	struct tun tun;
	int wire; /* the kernel's side */
	int inputs, batches, gone, taps;
	size_t last_len; /* of the last packet */
	char last[64];
	bool refuse; /* what the filter says: no */
	bool out;    /* of the last tap */
	uint8_t gso;
} t;

static void on_input(void *arg, struct buf *b, uint8_t *ip, size_t len)
{
	assert_ptr_equal(arg, &t);
	assert_ptr_equal(ip, b->data);
	t.inputs++;
	t.last_len = len;
	memcpy(t.last, ip, len < sizeof(t.last) ? len : sizeof(t.last));
	buf_put(b);
}

static void on_batch(void *arg)
{
	assert_ptr_equal(arg, &t);
	t.batches++;
}

static void on_gone(void *arg)
{
	assert_ptr_equal(arg, &t);
	t.gone++;
}

static int filter(void *arg, const struct iovec *iov, int n)
{
	assert_ptr_equal(arg, &t);
	assert_int_equal(n, 2); /* without the header */
	assert_memory_equal(iov[0].iov_base, "head", 4);
	return !t.refuse;
}

static void tap(void *arg, bool out, const struct virtio_net_hdr *vh, const struct iovec *iov,
	int n)
{
	assert_ptr_equal(arg, &t);
	assert_true(n >= 1 && iov[0].iov_len > 0);
	t.taps++;
	t.out = out;
	t.gso = vh->gso_type;
}

static int setup(void **state)
{
	int pair[2];

	(void)state;
	memset(&t, 0, sizeof(t));
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair))
		return -1;
	t.loop = ev_loop_new(EVFLAG_AUTO);
	t.wire = pair[1];
	tun_init(&t.tun, t.loop, pair[0], 1500);
	t.tun.on_input = on_input;
	t.tun.on_batch = on_batch;
	t.tun.on_gone = on_gone;
	t.tun.arg = t.tun.tap_arg = &t;
	tun_start(&t.tun);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	tun_fini(&t.tun);
	tun_fini(&t.tun);
	close(t.wire);
	ev_loop_destroy(t.loop);
	return 0;
}

/* The kernel hands over a packet of @len bytes, the first of which are @text. */
static void hand(const char *text, size_t len, uint8_t gso)
{
	static uint8_t frame[VH + 70000];
	struct virtio_net_hdr vh = {.gso_type = gso};

	memcpy(frame, &vh, VH);
	memset(frame + VH, 'x', len);
	memcpy(frame + VH, text, strlen(text));
	assert_int_equal(send(t.wire, frame, VH + len, 0), (ssize_t)(VH + len));
}

static void packets_come_without_their_header_and_are_counted(void **state)
{
	(void)state;
	hand("one", 3, 0);
	hand("second", 6, 0);
	ev_run(t.loop, EVRUN_NOWAIT);
	assert_int_equal(t.inputs, 2);
	assert_int_equal(t.batches, 1);
	assert_int_equal(t.last_len, 6);
	assert_memory_equal(t.last, "second", 6);
	assert_int_equal(t.tun.rx_packets, 2);
	assert_int_equal(t.tun.rx_bytes, 9);
}

static void what_has_no_byte_behind_its_header_is_no_packet(void **state)
{
	uint8_t header[VH] = {0};

	(void)state;
	assert_int_equal(send(t.wire, header, VH, 0), VH);
	assert_int_equal(send(t.wire, header, 1, 0), 1);
	hand("x", 1, 0);
	ev_run(t.loop, EVRUN_NOWAIT);
	assert_int_equal(t.inputs, 1);
	assert_int_equal(t.tun.rx_packets, 1);
}

static void a_batch_leaves_the_loop_to_others_now_and_then(void **state)
{
	int n = 0;

	(void)state;
	while (n < 100) {
		hand("x", 1, 0);
		n++;
	}
	ev_run(t.loop, EVRUN_NOWAIT);
	assert_true(t.inputs > 0 && t.inputs < n);
	assert_int_equal(t.batches, 1);
	while (t.inputs < n)
		ev_run(t.loop, EVRUN_ONCE);
	assert_true(t.batches > 1);
	assert_int_equal(t.tun.rx_packets, n);
}

static void a_packet_goes_out_behind_a_header(void **state)
{
	struct iovec iov[3] = {{0}, {"head", 4}, {"tail", 4}};
	struct virtio_net_hdr vh = {.gso_type = VIRTIO_NET_HDR_GSO_TCPV4, .gso_size = 1400}, got;
	uint8_t frame[64];

	(void)state;
	assert_int_equal(tun_writev(&t.tun, &vh, iov, 3), 0);
	assert_int_equal(recv(t.wire, frame, sizeof(frame), 0), (ssize_t)VH + 8);
	memcpy(&got, frame, VH);
	assert_int_equal(got.gso_size, 1400);
	assert_memory_equal(frame + VH, "headtail", 8);
	assert_int_equal(tun_writev(&t.tun, NULL, iov, 3), 0);
	assert_int_equal(recv(t.wire, frame, sizeof(frame), 0), (ssize_t)VH + 8);
	memcpy(&got, frame, VH);
	assert_int_equal(got.gso_type, VIRTIO_NET_HDR_GSO_NONE);
	assert_int_equal(t.tun.tx_packets, 2);
	assert_int_equal(t.tun.tx_bytes, 16);
}

static void what_the_filter_drops_is_not_written(void **state)
{
	struct iovec iov[3] = {{0}, {"head", 4}, {"tail", 4}};
	uint8_t frame[64];

	(void)state;
	t.tun.filter = filter;
	t.tun.tap = tap;
	t.refuse = true;
	assert_int_equal(tun_writev(&t.tun, NULL, iov, 3), 0);
	assert_int_equal(recv(t.wire, frame, sizeof(frame), 0), -1);
	assert_int_equal(t.taps, 0);
	assert_int_equal(t.tun.tx_packets, 0);
	t.refuse = false;
	assert_int_equal(tun_writev(&t.tun, NULL, iov, 3), 0);
	assert_int_equal(recv(t.wire, frame, sizeof(frame), 0), (ssize_t)VH + 8);
}

static void who_taps_sees_both_ways(void **state)
{
	struct iovec iov[2] = {{0}, {"head", 4}};

	(void)state;
	t.tun.tap = tap;
	hand("in", 2, VIRTIO_NET_HDR_GSO_TCPV6);
	ev_run(t.loop, EVRUN_NOWAIT);
	assert_int_equal(t.taps, 1);
	assert_true(t.out);
	assert_int_equal(t.gso, VIRTIO_NET_HDR_GSO_TCPV6);
	assert_int_equal(tun_writev(&t.tun, NULL, iov, 2), 0);
	assert_int_equal(t.taps, 2);
	assert_false(t.out);
}

static void a_full_device_costs_the_packet_and_is_counted(void **state)
{
	struct iovec iov[2] = {{0}, {"head", 4}};
	int rc = 0;

	(void)state;
	for (int i = 0; i < 100000 && rc == 0; i++)
		rc = tun_writev(&t.tun, NULL, iov, 2);
	assert_int_equal(rc, -EAGAIN);
	assert_int_equal(t.tun.tx_dropped, 1);
}

static void a_device_that_is_gone_is_told_once(void **state)
{
	(void)state;
	hand("last", 4, 0);
	/* A descriptor that cannot be read: as the device once its namespace has ended. */
	assert_true(dup2(open("/dev/null", O_WRONLY | O_NONBLOCK), t.tun.fd) >= 0);
	ev_feed_event(t.loop, &t.tun.io, EV_READ);
	ev_run(t.loop, EVRUN_NOWAIT);
	assert_int_equal(t.gone, 1);
	assert_int_equal(t.batches, 1);
	ev_run(t.loop, 0); /* nothing is watched any more: it returns */
	assert_int_equal(t.gone, 1);
}

#define tun_test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		tun_test(packets_come_without_their_header_and_are_counted),
		tun_test(what_has_no_byte_behind_its_header_is_no_packet),
		tun_test(a_batch_leaves_the_loop_to_others_now_and_then),
		tun_test(a_packet_goes_out_behind_a_header),
		tun_test(what_the_filter_drops_is_not_written),
		tun_test(who_taps_sees_both_ways),
		tun_test(a_full_device_costs_the_packet_and_is_counted),
		tun_test(a_device_that_is_gone_is_told_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
