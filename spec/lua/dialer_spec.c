/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lua/stream.h"
#include "spec/lua/island.h"
#include "spec/lua/peer.h"
#include "spec/lua/rig.h"

#define steps(...) ((const char *const[]){__VA_ARGS__, NULL})

/* Asks for a flow to @dst and dials it. Returns the fd or negative errno of the dialer, or what
 * policy_dial said. */
static int dial(struct rig *r, struct rig_flow *f, uint32_t proto, const char *dst)
{
	if (!rig_ask(r, f, proto, dst))
		rig_wait(r, f);
	flow_set_state(&f->flow, FLOW_STATE_DIALING);
	int rc = policy_dial(&r->policy, &f->flow);
	if (rc != -EINPROGRESS)
		return rc;
	assert_int_equal(f->dialed, 0);
	for (int i = 0; !f->dialed && i < 10000; i++)
		ev_run(r->loop, EVRUN_ONCE);
	assert_int_equal(f->dialed, 1);
	return f->fd;
}

static char received[256];

/* What the dialed socket carries, after @f->early, until its end. */
static const char *drain(struct rig_flow *f)
{
	size_t n = f->early_len;
	memcpy(received, f->early, n);
	for (;;) {
		ssize_t got = recv(f->fd, received + n, sizeof(received) - 1 - n, 0);
		if (got > 0)
			n += (size_t)got;
		else if (got == 0 || errno != EAGAIN)
			break;
		else
			usleep(500);
	}
	received[n] = 0;
	close(f->fd);
	return received;
}

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
		{"local s = nsnet.dial('udp', '127.0.0.1:9') s:close() return s", -ECONNREFUSED,
			"a stream that cannot be used: stream is closed"},
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
		"nsnet.dialer({ network = 'udp' }, function(_, address)\n"
		"  return nsnet.dial('udp', '127.0.0.1:9') end)");
	assert_true(dial(&r, &f, IPPROTO_UDP, "198.51.100.7:53") >= 0);
	int type;
	socklen_t len = sizeof(type);
	assert_int_equal(getsockopt(f.fd, SOL_SOCKET, SO_TYPE, &type, &len), 0);
	assert_int_equal(type, SOCK_DGRAM);
	close(f.fd);
	rig_end(&r, &f, FLOW_CAUSE_CLOSED);
	rig_close(&r);
}

static void an_abandoned_dialer_leaves_nothing(void **state)
{
	(void)state;
	static const char *const waits[] = {
		"nsnet.sleep(100)", "local s = nsnet.dial('tcp', PEER) s:read(1)",
		"return nsnet.dial('udp', '127.0.0.1:9')", /* answered at once, not yet taken */
	};
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
		assert_true(rig_ask(&r, &f, IPPROTO_TCP, "198.51.100.7:443"));
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

/* Dials 198.51.100.7:443 through the library's @maker and the proxy @p. */
static int through(struct rig *r, struct rig_flow *f, const char *maker, const char *options,
	struct peer *p)
{
	char code[512];
	snprintf(code, sizeof(code),
		"local p = require 'nsnet.%s'\n"
		"nsnet.dialer({ network = 'tcp' }, p.dialer { proxy = '127.0.0.1:%d', timeout = "
		"0.2%s })\n"
		"nsnet.on_close(function(c) if c.dial_error then print(c.dial_error) end end)\n",
		maker, p->port, options ? options : "");
	rig_open(r);
	rig_run(r, code);
	return dial(r, f, IPPROTO_TCP, "198.51.100.7:443");
}

static void socks5_speaks_its_protocol(void **state)
{
	(void)state;
	struct rig r;
	struct rig_flow f;
	struct peer p;

	/* Without authentication; early bytes of the destination stay for the relay. */
	p = (struct peer){.step_len = {3, 2, 10, 10 + 5}};
	peer_start(&p,
		steps(">\5\1\0", "<\5\0", ">\5\1\0\1\xc6\x33\x64\7\1\xbb",
			"<\5\0\0\1\0\0\0\0\0\0SSH-2"));
	assert_true(through(&r, &f, "socks5", NULL, &p) >= 0);
	assert_string_equal(drain(&f), "SSH-2");
	rig_end(&r, &f, FLOW_CAUSE_CLOSED);
	assert_true(peer_stop(&p, false));
	rig_close(&r);

	/* User and password, the reply in single bytes with a name as bound address. */
	p = (struct peer){.step_len = {4, 2, 0, 2, 10, 0, 10}};
	peer_start(&p,
		steps(">\5\2\0\2", "<\5\2", ">\1\2me\3pwd", "<\1\0",
			">\5\1\0\1\xc6\x33\x64\7\1\xbb", ".", "<\5\0\0\3\3abc\0\1"));
	assert_true(through(&r, &f, "socks5", ", user = 'me', password = 'pwd'", &p) >= 0);
	assert_string_equal(drain(&f), "");
	rig_end(&r, &f, FLOW_CAUSE_CLOSED);
	assert_true(peer_stop(&p, false));
	rig_close(&r);

	static const struct {
		const char *steps[6];
		size_t len[6];
		int err;
		const char *text;
	} bad[] = {
		{{">\5\1\0", "<\5\0", ">\5\1\0\1\xc6\x33\x64\7\1\xbb", "<\5\5\0\1"}, {3, 2, 10, 4},
			-ECONNREFUSED, "SOCKS5: connection refused"},
		{{">\5\1\0", "<\5\0", ">\5\1\0\1\xc6\x33\x64\7\1\xbb", "<\5\4\0\1"}, {3, 2, 10, 4},
			-EHOSTUNREACH, "SOCKS5: host unreachable"},
		{{">\5\1\0", "<\5\0", ">\5\1\0\1\xc6\x33\x64\7\1\xbb", "<\5\77\0\1"}, {3, 2, 10, 4},
			-ECONNREFUSED, "SOCKS5: reply 63"},
		{{">\5\1\0", "<\5\377"}, {3, 2}, -EACCES,
			"an authentication that is not configured"},
		{{">\5\1\0", "<\4\0"}, {3, 2}, -ECONNREFUSED, "the proxy speaks another protocol"},
		{{">\5\1\0", "<\5"}, {3, 1}, -ECONNREFUSED, "closed before all was there"},
		{{">\5\1\0", "S"}, {3}, -ETIMEDOUT, "timeout"},
		{{">\5\1\0", "<\5\0", ">\5\1\0\1\xc6\x33\x64\7\1\xbb", "<\5\0\0\7"}, {3, 2, 10, 4},
			-ECONNREFUSED, "SOCKS5: bad address type"},
	};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		p = (struct peer){0};
		memcpy(p.step_len, bad[i].len, sizeof(bad[i].len));
		peer_start(&p, bad[i].steps);
		assert_int_equal(through(&r, &f, "socks5", NULL, &p), bad[i].err);
		rig_end(&r, &f, FLOW_CAUSE_DIAL_FAILED);
		assert_has(rig_log(&r), bad[i].text);
		assert_true(peer_stop(&p, false));
		rig_close(&r);
	}
}

static void http_connect_speaks_its_protocol(void **state)
{
	(void)state;
	struct rig r;
	struct rig_flow f;
	struct peer p = {0};
	peer_start(&p,
		steps(">CONNECT 198.51.100.7:443 HTTP/1.1\r\nHost: 198.51.100.7:443\r\n\r\n", ".",
			"<HTTP/1.1 200 OK\r\nVia: x\r\n\r\nearly"));
	assert_true(through(&r, &f, "http_connect", NULL, &p) >= 0);
	assert_string_equal(drain(&f), "early");
	rig_end(&r, &f, FLOW_CAUSE_CLOSED);
	assert_true(peer_stop(&p, false));
	rig_close(&r);

	p = (struct peer){0};
	peer_start(&p,
		steps(">CONNECT 198.51.100.7:443 HTTP/1.1\r\nHost: 198.51.100.7:443\r\n"
		      "Proxy-Authorization: Basic bWU6cHdk\r\n\r\n",
			"<HTTP/1.0 407 Authentication Required\r\n\r\n"));
	assert_int_equal(through(&r, &f, "http_connect", ", user = 'me', password = 'pwd'", &p),
		-EACCES);
	rig_end(&r, &f, FLOW_CAUSE_DIAL_FAILED);
	assert_has(rig_log(&r), "the proxy answered 407 Authentication Required");
	assert_true(peer_stop(&p, false));
	rig_close(&r);

	static const char *const bad[][2] = {
		{"<SSH-2.0-x\r\n\r\n", "the proxy does not speak HTTP/1"},
		{"<HTTP/1.1 502 Bad\r\n\r\n", "the proxy answered 502 Bad"},
		{"<HTTP/1.1 200 OK\r\n", "closed before all was there"},
	};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		p = (struct peer){0};
		peer_start(&p,
			steps(">CONNECT 198.51.100.7:443 HTTP/1.1\r\nHost: "
			      "198.51.100.7:443\r\n\r\n",
				bad[i][0]));
		assert_int_equal(through(&r, &f, "http_connect", NULL, &p), -ECONNREFUSED);
		rig_end(&r, &f, FLOW_CAUSE_DIAL_FAILED);
		assert_has(rig_log(&r), bad[i][1]);
		assert_true(peer_stop(&p, false));
		rig_close(&r);
	}
}

int main(void)
{
	island_enter();
	const struct CMUnitTest tests[] = {
		rig_test(a_dialer_gives_its_stream_to_the_relay),
		rig_test(a_failing_dialer_is_a_failed_connect),
		rig_test(a_datagram_dialer_gives_a_datagram_socket),
		rig_test(an_abandoned_dialer_leaves_nothing),
		rig_test(socks5_speaks_its_protocol),
		rig_test(http_connect_speaks_its_protocol),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
