/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "spec/lua/rig.h"

/* An IPv4 packet to 198.51.100.7 with 4 bytes of payload, from the child's port 40000. */
static struct packet packet_to(uint8_t proto, uint16_t port, uint8_t flags)
{
	static uint8_t bytes[64];
	struct packet p;
	size_t header = proto == IPPROTO_TCP ? 20 : 8, len = 20 + header + 4;
	memset(bytes, 0, sizeof(bytes));
	bytes[0] = 0x45;
	bytes[3] = (uint8_t)len;
	bytes[8] = 64;
	bytes[9] = proto;
	memcpy(bytes + 12, (uint8_t[]){10, 0, 0, 1, 198, 51, 100, 7}, 8);
	bytes[20] = 40000 >> 8;
	bytes[21] = 40000 & 255;
	bytes[22] = (uint8_t)(port >> 8);
	bytes[23] = (uint8_t)port;
	if (proto == IPPROTO_TCP) {
		bytes[32] = 0x50;
		bytes[33] = flags;
	} else {
		bytes[25] = (uint8_t)(header + 4);
	}
	memcpy(bytes + 20 + header, "abcd", 4);
	uint16_t sum = packet_sum_fold(packet_sum(bytes, 20, 0));
	memcpy(bytes + 10, &sum, 2);
	assert_int_equal(packet_parse(&p, bytes, len), 0);
	return p;
}

static bool ask(struct rig *r, enum hook_dir dir, struct packet p)
{
	return r->policy.hooks->packet(r->policy.hooks->arg, dir, &p);
}

static void fields_are_those_of_the_packet(void **state)
{
	(void)state;
	struct rig r;
	rig_open(&r);
	rig_run(&r,
		"nsnet.on_packet(function(p)\n"
		"  nsnet.log.info('%s %d %d %d %s %s %s %s %s %s %d %d %s %s', p.dir, p.len, "
		"p.version,\n"
		"    p.proto, p.network, p.src_ip, p.dst_ip, tostring(p.src_port),\n"
		"    tostring(p.dst_port), tostring(p.tcp_flags), p.ttl, p.dst_u32, p:sub(-4),\n"
		"    tostring(p:byte(0)) .. tostring(p:byte(p.len)))\n"
		"end)\n");
	assert_true(ask(&r, HOOK_DIR_OUT, packet_to(IPPROTO_TCP, 443, PACKET_TCP_SYN)));
	assert_string_equal(rig_log(&r),
		"nsnet-host: out 44 4 6 tcp 10.0.0.1 198.51.100.7 40000 443 2 64 3325256711 abcd "
		"69nil\n");
	assert_true(ask(&r, HOOK_DIR_OUT, packet_to(IPPROTO_UDP, 53, 0)));
	assert_string_equal(rig_log(&r),
		"nsnet-host: out 32 4 17 udp 10.0.0.1 198.51.100.7 40000 53 nil 64 3325256711 abcd "
		"69nil\n");
	rig_close(&r);
}

static void filters_decide_before_lua(void **state)
{
	(void)state;
	struct rig r;
	rig_open(&r);
	rig_run(&r,
		"nsnet.on_packet({ dir = 'out', proto = 'udp', port = 53 }, function()\n"
		"  return nsnet.drop 'dns' end)\n"
		"nsnet.on_packet({ dir = 'in', cidr = '10.0.0.0/24' }, function()\n"
		"  return nsnet.drop end)\n");
	assert_false(ask(&r, HOOK_DIR_OUT, packet_to(IPPROTO_UDP, 53, 0)));
	assert_true(ask(&r, HOOK_DIR_OUT, packet_to(IPPROTO_UDP, 54, 0)));
	assert_true(ask(&r, HOOK_DIR_OUT, packet_to(IPPROTO_TCP, 53, 0)));
	/* The far end of an incoming packet is its source. */
	assert_false(ask(&r, HOOK_DIR_IN, packet_to(IPPROTO_TCP, 53, 0)));
	rig_close(&r);
}

static void a_wrong_answer_drops_the_packet(void **state)
{
	(void)state;
	static const char *const wrong[][2] = {{"true", "a boolean"}, {"1", "a number"},
		{"'drop'", "a string"}, {"{}", "a table"}, {"nsnet.allow", "nsnet.allow"},
		{"nsnet.deny", "nsnet.deny"}, {"nsnet.drop, 1", "more than one value"},
		{"p", "a userdata"}};
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		struct rig r;
		char code[128], text[128];
		rig_open(&r);
		snprintf(code, sizeof(code), "nsnet.on_packet(function(p) return %s end)",
			wrong[i][0]);
		rig_run(&r, code);
		assert_false(ask(&r, HOOK_DIR_OUT, packet_to(IPPROTO_TCP, 80, 0)));
		snprintf(text, sizeof(text),
			"rules.lua:1: on_packet returned %s; return nsnet.drop or nil",
			wrong[i][1]);
		assert_has(rig_log(&r), text);
		rig_close(&r);
	}
}

static void a_kept_packet_raises(void **state)
{
	(void)state;
	struct rig r;
	rig_open(&r);
	rig_run(&r,
		"local kept\n"
		"nsnet.on_packet(function(p) kept = p end)\n"
		"nsnet.on_connect(function() return kept.len end)\n");
	assert_true(ask(&r, HOOK_DIR_OUT, packet_to(IPPROTO_TCP, 80, 0)));
	assert_int_equal(rig_verdict(&r, IPPROTO_TCP, "198.51.100.7:80"), VERDICT_DENY);
	assert_has(rig_log(&r), "rules.lua:3: packet used after its hook returned");
	rig_close(&r);
}

static void ten_errors_close_the_way(void **state)
{
	(void)state;
	struct rig r;
	rig_open(&r);
	rig_run(&r,
		"local n = 0\n"
		"nsnet.on_packet(function() n = n + 1 if n <= 10 then error('x') end end)");
	for (int i = 0; i < 10; i++)
		assert_false(ask(&r, HOOK_DIR_OUT, packet_to(IPPROTO_TCP, 80, 0)));
	assert_has(rig_log(&r), "on_packet failed 10 times within 10 s: all packets are dropped");
	assert_false(ask(&r, HOOK_DIR_OUT, packet_to(IPPROTO_TCP, 80, 0)));
	rig_close(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		rig_test(fields_are_those_of_the_packet),
		rig_test(filters_decide_before_lua),
		rig_test(a_wrong_answer_drops_the_packet),
		rig_test(a_kept_packet_raises),
		rig_test(ten_errors_close_the_way),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
