/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/tell.h"
#include "lua/stream.h"
#include "spec/lua/island.h"
#include "spec/lua/peer.h"
#include "spec/lua/rig.h"

#include "spec/lua/dial.h"

static void a_dialer_gives_its_stream_to_the_relay(void **state)
{
	(void)state;
	struct rig r;
	struct rig_flow f;
	struct peer p = {0};
	char code[512];
	peer_start(&p, steps(">hi", "<banner\nrest"));
	snprintf(code, sizeof(code),
		"nsnet.dialer({ port = 443 }, function(network, address, conn)\n"
		"  assert(network == 'tcp' and address == '198.51.100.7:443' and conn.dst_port == "
		"443)\n"
		"  local s = assert(nsnet.dial('tcp', '127.0.0.1:%d'))\n"
		"  s:write 'hi'\n"
		"  assert(s:read_line() == 'banner')\n"
		"  nsnet.state.kept = s\n"
		"  return s\n"
		"end)\n"
		"nsnet.on_flow(function() nsnet.state.kept:read(1) end)\n",
		p.port);
	rig_open(&r);
	rig_run(&r, code);
	assert_true(dial(&r, &f, IPPROTO_TCP, "198.51.100.7:443") >= 0);
	assert_int_equal(stream_count(), 0);
	/* What was read too much goes to the child first. */
	assert_string_equal(drain(&f), "rest");
	rig_end(&r, &f, FLOW_CAUSE_CLOSED);
	assert_string_equal(rig_log(&r), "");
	assert_int_equal(rig_verdict(&r, IPPROTO_UDP, "198.51.100.7:1"), VERDICT_DROP);
	assert_has(rig_log(&r), "stream:read: stream was handed to the relay");
	/* A destination that no dialer wants is dialed directly. */
	assert_int_equal(dial(&r, &f, IPPROTO_TCP, "198.51.100.7:80"), -ENOSYS);
	rig_end(&r, &f, FLOW_CAUSE_CLOSED);
	/* Echo does not go around a dialer. */
	assert_int_equal(dial(&r, &f, IPPROTO_ICMP, "198.51.100.7"), -EACCES);
	rig_end(&r, &f, FLOW_CAUSE_CLOSED);
	assert_true(peer_stop(&p, false));
	rig_close(&r);
}

static void a_failing_dialer_is_a_failed_connect(void **state)
{
	(void)state;
	static const struct {
		const char *code;
		int err;
		const char *log; /* NULL = none */
	} cases[] = {
		{"return nil, 'proxy says no'", -ECONNREFUSED, NULL},
		{"return nil, 'slow', 'timeout'", -ETIMEDOUT, NULL},
		{"return nil, 'no route', 'unreachable'", -EHOSTUNREACH, NULL},
		{"return nsnet.dial('tcp', '127.0.0.1:1')", -ECONNREFUSED, NULL},
		{"nsnet.sleep(0.001) return nil, 'later'", -ECONNREFUSED, NULL},
		{"return nil", -ECONNREFUSED, "the dialer returned nil without a reason"},
		{"return", -ECONNREFUSED, "the dialer returned nil"},
		{"return true", -ECONNREFUSED, "the dialer returned a boolean; return a stream"},
		{"return nsnet.allow", -ECONNREFUSED, "the dialer returned a userdata"},
		{"return 1, 2", -ECONNREFUSED, "the dialer returned several values"},
		{"error 'boom'", -ECONNREFUSED, "rules.lua:1: boom"},
		{"nsnet.sleep(0.001) error 'late'", -ECONNREFUSED, "rules.lua:1: late"},
		{"while true do end", -ECONNREFUSED, "CPU budget of 10 ms exceeded"},
		{"return nsnet.dial('udp', '127.0.0.1:9')", -ECONNREFUSED,
			"the dialer returned a datagram socket for TCP"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		for (int via = 0; via < 3; via++) {
			static const char *const frame[] = {
				"nsnet.dialer(function() %s end)",
				"nsnet.on_connect(function() return nsnet.via(function() %s end) "
				"end)",
				"nsnet.rules { { nsnet.via(function() %s end) } }",
			};
			struct rig r;
			struct rig_flow f;
			char code[512];
			rig_open(&r);
			snprintf(code, sizeof(code), frame[via], cases[i].code);
			rig_run(&r, code);
			assert_int_equal(dial(&r, &f, IPPROTO_TCP, "198.51.100.7:443"),
				cases[i].err);
			const char *log = rig_log(&r);
			if (cases[i].log)
				assert_has(log, cases[i].log);
			else
				assert_string_equal(log, "");
			/* Each says why, for the logs and on_close. */
			assert_non_null(f.flow.why);
			if (i == 0)
				assert_string_equal(tell_error(&f.flow), "proxy says no");
			rig_end(&r, &f, FLOW_CAUSE_DIAL_FAILED);
			assert_int_equal(stream_count(), 0);
			rig_close(&r);
		}
	}
}

static void a_datagram_dialer_gives_a_datagram_socket(void **state)
{
	(void)state;
	struct rig r;
	struct rig_flow f;
	rig_open(&r);
	rig_run(&r,
		"nsnet.dialer({ network = 'udp' }, function(_, address, conn)\n"
		"  local s = nsnet.dial('udp', '127.0.0.1:9', { bind = '127.0.0.9' })\n"
		"  assert(s.local_address:find '^127%.0%.0%.9:')\n"
		"  if conn.dst_port == 54 then s:close() end\n"
		"  return s\n"
		"end)");
	assert_true(dial(&r, &f, IPPROTO_UDP, "198.51.100.7:53") >= 0);
	int type;
	socklen_t len = sizeof(type);
	assert_int_equal(getsockopt(f.fd, SOL_SOCKET, SO_TYPE, &type, &len), 0);
	assert_int_equal(type, SOCK_DGRAM);
	close(f.fd);
	rig_end(&r, &f, FLOW_CAUSE_CLOSED);
	assert_int_equal(dial(&r, &f, IPPROTO_UDP, "198.51.100.7:54"), -ECONNREFUSED);
	assert_has(rig_log(&r), "a stream that cannot be used: stream is closed");
	rig_end(&r, &f, FLOW_CAUSE_DIAL_FAILED);
	rig_close(&r);
}

static void a_stream_is_no_way_for_datagrams(void **state)
{
	(void)state;
	struct rig r;
	struct rig_flow f;
	struct peer p = {0};
	char code[256];
	peer_start(&p, steps("S"));
	snprintf(code, sizeof(code),
		"nsnet.dialer(function() return nsnet.dial('tcp', '127.0.0.1:%d') end)", p.port);
	rig_open(&r);
	rig_run(&r, code);
	assert_int_equal(dial(&r, &f, IPPROTO_UDP, "198.51.100.7:53"), -ECONNREFUSED);
	assert_has(rig_log(&r), "the dialer returned a stream socket for UDP");
	rig_end(&r, &f, FLOW_CAUSE_DIAL_FAILED);
	rig_close(&r);
	rig_open(&r);
	rig_run(&r,
		"nsnet.on_flow(function() return nsnet.via(function()\n"
		"  return nsnet.dial('udp', '127.0.0.1:9') end) end)");
	assert_int_equal(dial(&r, &f, IPPROTO_ICMP, "198.51.100.7"), -ECONNREFUSED);
	assert_has(rig_log(&r), "the dialer returned a stream for an echo");
	rig_end(&r, &f, FLOW_CAUSE_DIAL_FAILED);
	assert_int_equal(stream_count(), 0);
	assert_true(peer_stop(&p, false));
	rig_close(&r);
}

static void an_abandoned_dialer_leaves_nothing(void **state)
{
	(void)state;
	static const char *const waits[] = {
		"nsnet.sleep(100)", "local s = nsnet.dial('tcp', PEER) s:read(1)",
		"return nsnet.dial('udp', '127.0.0.1:9')", /* answered at once, not yet taken */
	};
	static const uint32_t protos[] = {IPPROTO_TCP, IPPROTO_TCP, IPPROTO_UDP};
	for (size_t i = 0; i < ARRAY_LEN(waits); i++) {
		struct rig r;
		struct rig_flow f;
		struct peer p = {0};
		char code[512];
		peer_start(&p, steps("S"));
		rig_open(&r);
		snprintf(code, sizeof(code),
			"local PEER = '127.0.0.1:%d'\nnsnet.dialer(function() %s end)\n"
			"nsnet.on_close(function(c) print('end') end)",
			p.port, waits[i]);
		rig_run(&r, code);
		assert_true(rig_ask(&r, &f, protos[i], "198.51.100.7:443"));
		flow_set_state(&f.flow, FLOW_STATE_DIALING);
		assert_int_equal(policy_dial(&r.policy, &f.flow), -EINPROGRESS);
		if (i < 2) {
			for (int k = 0; k < 20; k++) {
				ev_run(r.loop, EVRUN_NOWAIT);
				usleep(500);
			}
		}
		rig_end(&r, &f, FLOW_CAUSE_CHILD_RESET);
		ev_run(r.loop, EVRUN_NOWAIT);
		assert_int_equal(f.dialed, 0);
		assert_int_equal(stream_count(), 0);
		assert_string_equal(rig_log(&r), "nsnet-host: end\n");
		peer_stop(&p, true);
		rig_close(&r);
	}
}

static void enclose_takes_what_it_can_use(void **state)
{
	(void)state;
	struct rig r;
	struct rig_flow f;
	struct peer p = {0};
	char code[1024];
	peer_start(&p, steps("S"));
	snprintf(code, sizeof(code),
		"nsnet.dialer(function()\n"
		"  local function no(what, s, ...)\n"
		"    local ok, why = pcall(s.enclose, s, ...)\n"
		"    assert(not ok and why:find(what, 1, true), why)\n"
		"  end\n"
		"  local head = '\\0\\0\\0\\1\\1\\2\\3\\4\\0\\5'\n"
		"  local tcp = nsnet.dial('tcp', '127.0.0.1:%d')\n"
		"  local udp = nsnet.dial('udp', '127.0.0.1:9')\n"
		"  no('is for a datagram socket', tcp, head)\n"
		"  no('no header of a SOCKS5 datagram', udp, head .. 'x')\n"
		"  no('no header of a SOCKS5 datagram', udp, '')\n"
		"  no('takes (header', udp, head, udp)\n"
		"  no('takes (header', udp, head, 'tcp')\n"
		"  udp:enclose(head, tcp)\n"
		"  no('once', udp, head)\n"
		"  no('handed to the relay', tcp, head)\n"
		"  no('handed to the relay', nsnet.dial('udp', '127.0.0.1:9'), head, tcp)\n"
		"  return nil, 'fine'\n"
		"end)\n"
		"nsnet.on_close(function(c) print(c.dial_error) end)\n",
		p.port);
	rig_open(&r);
	rig_run(&r, code);
	assert_int_equal(dial(&r, &f, IPPROTO_UDP, "198.51.100.7:53"), -ECONNREFUSED);
	rig_end(&r, &f, FLOW_CAUSE_DIAL_FAILED);
	assert_string_equal(rig_log(&r), "nsnet-host: fine\n");
	/* The tied socket was closed with the one that it was tied to. */
	assert_true(peer_stop(&p, false));
	rig_close(&r);
}

int main(void)
{
	island_enter();
	const struct CMUnitTest tests[] = {
		rig_test(a_dialer_gives_its_stream_to_the_relay),
		rig_test(a_failing_dialer_is_a_failed_connect),
		rig_test(a_datagram_dialer_gives_a_datagram_socket),
		rig_test(a_stream_is_no_way_for_datagrams),
		rig_test(an_abandoned_dialer_leaves_nothing),
		rig_test(enclose_takes_what_it_can_use),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
