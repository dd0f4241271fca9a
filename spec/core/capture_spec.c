/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <netinet/in.h>
#include <stdio.h>
#include <time.h>

#include "core/base.h"
#include "core/capture.h"
#include "core/craft.h"
#include "core/log.h"
#include "core/packet.h"
#include "core/process.h"
#include "spec/core/blocks.h"

static struct ev_loop *loop;
static struct capture capture;
static struct capture_config config;
static struct blocks blocks;
static char dir[32], path[64];
static int setup(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/nsnet-spec-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/out.pcapng", dir);
	loop = ev_loop_new(EVBACKEND_EPOLL);
	memset(&capture, 0, sizeof(capture));
	config = (struct capture_config){.loop = loop, .path = path};
	log_set_level(LOG_LEVEL_ERROR);
	return loop ? 0 : -1;
}

static int teardown(void **state)
{
	char command[64];

	(void)state;
	blocks_free(&blocks);
	ev_loop_destroy(loop);
	snprintf(command, sizeof(command), "rm -r %s", dir);
	return system(command);
}

static void start(void)
{
	assert_int_equal(capture_start(&capture, &config), 0);
}

/* Ends the capture and reads the file. */
static void read_back(void)
{
	capture_stop(&capture);
	blocks_read(&blocks, path);
}

static struct addr addr(const char *text)
{
	struct addr a;

	assert_int_equal(addr_parse(&a, text), 0);
	return a;
}

/* A flow of the child's, number @id. */
static struct flow make_flow(uint64_t id, const char *src, const char *dst)
{
	static const struct flow_ops ops = {.network = "udp"};
	struct flow f = {.ops = &ops, .id = id};

	f.key.src = addr(src);
	f.key.dst = addr(dst);
	f.key.proto = IPPROTO_UDP;
	f.decision.verdict = VERDICT_ALLOW;
	f.decision.target = f.key.dst;
	return f;
}

/* A datagram of @n bytes, its checksum left to the device; @gso != 0: in segments of that size. */
static void pass(const char *src, const char *dst, bool out, size_t n, unsigned gso)
{
	static uint8_t buf[70000];
	struct addr from = addr(src), to = addr(dst);
	uint8_t *data = buf + 100;
	size_t h = craft_udp(data, n, &from, &to);
	struct iovec iov[2] = {{data - h, h}, {data, n}};
	struct virtio_net_hdr vh = {
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.csum_start = (uint16_t)(h - 8),
		.csum_offset = 6,
		.gso_type = gso ? 5 : 0,
		.gso_size = (uint16_t)gso,
	};

	for (size_t i = 0; i < n; i++)
		data[i] = (uint8_t)i;
	capture_packet(&capture, out, &vh, iov, 2);
}

#define CHILD "10.0.0.1:40000"
#define WORLD "203.0.113.9:443"

static void packet_is_whole_with_time_direction_and_checksum(void **state)
{
	struct block_packet view;
	struct timespec now;
	struct packet p;
	uint64_t before, after;

	(void)state;
	start();
	clock_gettime(CLOCK_REALTIME, &now);
	before = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
	for (int i = 0; i < 3; i++) {
		const size_t n = i == 2 ? 65000 : 101;

		if (i == 1)
			pass("[2001:db8::9]:443", "[fd00::1]:40000", false, n, 0);
		else
			pass(CHILD, WORLD, true, n, 0);
	}
	clock_gettime(CLOCK_REALTIME, &now);
	after = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
	read_back();
	assert_int_equal(blocks_count(&blocks, 6), 3);
	for (size_t i = 0; i < 3; i++) {
		view = blocks_packet(&blocks, i);
		assert_true(view.ns >= before && view.ns <= after);
		assert_int_equal(view.kept, view.len);
		assert_int_equal(packet_parse(&p, (uint8_t *)view.data, view.len), 0);
		assert_int_equal(p.len, view.len);
		assert_int_equal(blocks_outbound(&blocks, i), i != 1);
		assert_int_equal(
			packet_sum_fold(packet_sum(view.data + p.l4, view.len - p.l4,
				packet_sum_pseudo(&p.src, &p.dst, IPPROTO_UDP, view.len - p.l4))),
			0);
		assert_int_equal(view.data[p.payload + 100], 100);
	}
	assert_int_equal(blocks_get(&blocks, 5, 0)->type, 5); /* statistics at the end */
	assert_int_equal(blocks.at[blocks.count - 1].type, 5);
}

static void snaplen_cuts_and_tells_the_length(void **state)
{
	(void)state;
	config.snaplen = 64;
	start();
	pass(CHILD, WORLD, true, 1000, 0);
	pass(CHILD, WORLD, true, 10, 0);
	read_back();
	assert_int_equal(blocks_u32(blocks_get(&blocks, 1, 0)->body + 4), 64);
	assert_int_equal(blocks_packet(&blocks, 0).kept, 64);
	assert_int_equal(blocks_packet(&blocks, 0).len, 1028);
	assert_int_equal(blocks_packet(&blocks, 1).kept, 38);
}

static void super_segment_is_noted(void **state)
{
	(void)state;
	start();
	pass(WORLD, CHILD, false, 5000, 1200);
	read_back();
	assert_string_equal(blocks_comment(blocks_get(&blocks, 6, 0), 0),
		"super-segment: 5 UDP datagrams of at most 1200 bytes in one, as offloaded (GSO)");
}

static void tell(struct flow *f, void (*event)(struct observer *o, const struct flow *f))
{
	event(&capture.observer, f);
}

static void first_packet_says_who_and_why(void **state)
{
	struct flow f = make_flow(1, CHILD, WORLD);
	struct process curl = {.pid = 12, .name = "curl"};

	(void)state;
	start();
	f.host = (char *)"a.test";
	f.process = &curl;
	f.decision.verdict = VERDICT_REDIRECT;
	f.decision.target = addr("127.0.0.1:8443");
	f.decision.rule = (char *)"r.lua:3";
	f.decision.reason = (char *)"because\n\xff";
	pass(CHILD, WORLD, true, 10, 0);
	tell(&f, capture.observer.decided);
	pass(WORLD, CHILD, false, 10, 0);
	read_back();
	assert_int_equal(blocks.at[2].type, 4); /* the name comes before the packet */
	assert_memory_equal(blocks.at[2].body + 4,
		"\xcb\x00\x71\x09"
		"a.test",
		11);
	assert_string_equal(blocks_comment(blocks_get(&blocks, 6, 0), 0),
		"curl[12] udp a.test 203.0.113.9:443 -> 127.0.0.1:8443: redirect, rule r.lua:3: "
		"because\\x0a\\xff");
	assert_string_equal(blocks_comment(blocks_get(&blocks, 6, 1), 0), "");
}

static void name_is_told_once_in_each_file(void **state)
{
	struct flow f = make_flow(1, CHILD, WORLD);
	char file[96];

	(void)state;
	config.size = 100000;
	start();
	f.host = (char *)"a.test";
	for (int i = 0; i < 30; i++) {
		pass(CHILD, WORLD, true, 10000, 0);
		tell(&f, capture.observer.decided);
		if (i == 10)
			f.host = (char *)"b.test";
	}
	capture_stop(&capture);
	for (int i = 1; i <= 3; i++) {
		snprintf(file, sizeof(file), "%s/out-%05d.pcapng", dir, i);
		blocks_read(&blocks, file);
		assert_true(blocks.len < 110000);
		assert_int_equal(blocks_count(&blocks, 4), i == 2 ? 2 : 1);
		assert_int_equal(blocks_count(&blocks, 5), 1);
		assert_true(blocks_count(&blocks, 6) >= 8);
		blocks_free(&blocks);
	}
}

/* A script that thinks: its flow's packet waits for the comment, and what follows waits behind. */
static void late_verdict_stands_at_the_first_packet(void **state)
{
	struct flow a = make_flow(1, CHILD, WORLD), b = make_flow(2, CHILD, "203.0.113.8:80");

	(void)state;
	start();
	pass(CHILD, WORLD, true, 10, 0);
	tell(&a, capture.observer.pending);
	pass(CHILD, "203.0.113.8:80", true, 10, 0);
	tell(&b, capture.observer.pending);
	pass(CHILD, "203.0.113.7:80", true, 10, 0);
	b.host = (char *)"b.test";
	tell(&b, capture.observer.decided);
	a.host = (char *)"a.test";
	a.decision.verdict = VERDICT_DENY;
	tell(&a, capture.observer.decided);
	read_back();
	assert_int_equal(blocks_count(&blocks, 6), 3);
	assert_string_equal(blocks_comment(blocks_get(&blocks, 6, 0), 0),
		"udp a.test 203.0.113.9:443: deny");
	assert_string_equal(blocks_comment(blocks_get(&blocks, 6, 1), 0),
		"udp b.test 203.0.113.8:80: allow");
	assert_string_equal(blocks_comment(blocks_get(&blocks, 6, 2), 0), "");
	assert_int_equal(blocks.at[2].type, 4);
	assert_int_equal(blocks.at[4].type, 4);
}

static void too_late_verdict_stands_at_the_next_packet(void **state)
{
	struct flow f = make_flow(1, CHILD, WORLD);

	(void)state;
	start();
	pass(CHILD, WORLD, true, 10, 0);
	tell(&f, capture.observer.pending);
	for (int i = 0; i < 60; i++) /* more than may wait */
		pass(CHILD, "203.0.113.7:80", true, 60000, 0);
	tell(&f, capture.observer.decided);
	pass(CHILD, "203.0.113.9:444", true, 10, 0);
	pass("203.0.113.9:443", "10.0.0.1:40001", false, 10, 0);
	pass(WORLD, CHILD, false, 10, 0);
	pass(WORLD, CHILD, false, 10, 0);
	read_back();
	assert_string_equal(blocks_comment(blocks_get(&blocks, 6, 0), 0), "");
	assert_string_equal(blocks_comment(blocks_get(&blocks, 6, 61), 0), "");
	assert_string_equal(blocks_comment(blocks_get(&blocks, 6, 62), 0), "");
	assert_string_equal(blocks_comment(blocks_get(&blocks, 6, 63), 0),
		"udp 203.0.113.9:443: allow");
	assert_string_equal(blocks_comment(blocks_get(&blocks, 6, 64), 0), "");
}

static void verdict_on_first_bytes_stands_at_the_next_packet(void **state)
{
	struct flow f = make_flow(1, CHILD, WORLD);

	(void)state;
	start();
	f.decision.first_bytes = true;
	pass(CHILD, WORLD, true, 10, 0);
	tell(&f, capture.observer.decided);
	f.decision.first_bytes = false;
	f.decision.verdict = VERDICT_DENY;
	tell(&f, capture.observer.judged);
	pass(WORLD, CHILD, false, 10, 0);
	read_back();
	assert_string_equal(blocks_comment(blocks_get(&blocks, 6, 0), 0),
		"udp 203.0.113.9:443: allow until the first bytes are seen");
	assert_string_equal(blocks_comment(blocks_get(&blocks, 6, 1), 0),
		"udp 203.0.113.9:443: first bytes: deny");
}

/* What is told to nobody's packet is not kept for ever, and nothing is held for it. */
static void flow_that_ends_undecided_lets_go(void **state)
{
	struct flow f = make_flow(1, CHILD, WORLD);

	(void)state;
	start();
	pass(CHILD, WORLD, true, 10, 0);
	tell(&f, capture.observer.pending);
	assert_int_equal(capture.held_count, 1);
	assert_true(capture.file.held != PCAPFILE_NO_HOLD);
	tell(&f, capture.observer.ended);
	assert_int_equal(capture.held_count, 0);
	assert_true(capture.file.held == PCAPFILE_NO_HOLD);
	for (int i = 0; i < CAPTURE_FLOWS + 10; i++)
		tell(&f, capture.observer.judged);
	assert_int_equal(capture.owed_count, CAPTURE_FLOWS);
	read_back();
	assert_int_equal(capture.owed_count, 0);
}

static void refusal_is_told(void **state)
{
	struct flow f = make_flow(1, CHILD, WORLD);

	(void)state;
	start();
	pass(CHILD, WORLD, true, 10, 0);
	capture.observer.refused(&capture.observer, &f.key, "too many connections");
	read_back();
	assert_string_equal(blocks_comment(blocks_get(&blocks, 6, 0), 0),
		"refused: too many connections");
}

static void full_disk_ends_it_and_costs_nothing_more(void **state)
{
	struct flow f = make_flow(1, CHILD, WORLD);

	(void)state;
	config.path = "/dev/full";
	start();
	for (int i = 0; i < 300; i++) {
		pass(CHILD, WORLD, true, 10000, 0);
		tell(&f, capture.observer.pending);
		tell(&f, capture.observer.decided);
		tell(&f, capture.observer.judged);
		tell(&f, capture.observer.ended);
	}
	assert_false(pcapfile_works(&capture.file));
	capture_stop(&capture);
}

#define SPEC(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SPEC(packet_is_whole_with_time_direction_and_checksum),
		SPEC(snaplen_cuts_and_tells_the_length),
		SPEC(super_segment_is_noted),
		SPEC(first_packet_says_who_and_why),
		SPEC(name_is_told_once_in_each_file),
		SPEC(late_verdict_stands_at_the_first_packet),
		SPEC(too_late_verdict_stands_at_the_next_packet),
		SPEC(verdict_on_first_bytes_stands_at_the_next_packet),
		SPEC(flow_that_ends_undecided_lets_go),
		SPEC(refusal_is_told),
		SPEC(full_disk_ends_it_and_costs_nothing_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
