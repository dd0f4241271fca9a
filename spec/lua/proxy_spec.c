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

#include "spec/lua/dial.h"
#include "spec/support/stage.h"

/* Seconds that a dialer gives its proxy; where one answers, none is waited for. */
static const char *patience(void)
{
	return stage_is_valgrind() ? "10" : "1";
}

/* Dials 198.51.100.7:443 through the library's @maker and the proxy @p. */
static int through(struct rig *r, struct rig_flow *f, const char *maker, const char *options,
	struct peer *p)
{
	char code[512];
	snprintf(code, sizeof(code),
		"local p = require 'nsnet.%s'\n"
		"nsnet.dialer({ network = 'tcp' }, p.dialer { proxy = '127.0.0.1:%d', timeout = "
		"%s%s })\n"
		"nsnet.on_close(function(c) if c.dial_error then print(c.dial_error) end end)\n",
		maker, p->port, patience(), options ? options : "");
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

/* A UDP socket on the loopback, as a relay has one. */
static int relay_open(uint16_t port)
{
	struct sockaddr_in sin = {.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(s, (struct sockaddr *)&sin, sizeof(sin)), 0);
	return s;
}

/* Asks @p for an association for 198.51.100.7:53. */
static int associate(struct rig *r, struct rig_flow *f, const char *options, struct peer *p)
{
	char code[512];
	snprintf(code, sizeof(code),
		"local p = require 'nsnet.socks5'\n"
		"nsnet.dialer(p.dialer { proxy = '127.0.0.1:%d', timeout = %s%s })\n"
		"nsnet.on_close(function(c) print(c.dial_error or c.close_reason) end)\n",
		p->port, patience(), options);
	rig_open(r);
	rig_run(r, code);
	return dial(r, f, IPPROTO_UDP, "198.51.100.7:53");
}

#define ASSOCIATE ">\5\3\0\1\0\0\0\0\0\0"

static void socks5_makes_an_association_for_a_udp_flow(void **state)
{
	(void)state;
	struct rig r;
	struct rig_flow f;
	struct peer p;
	char bytes[8];
	int relay = relay_open(0x1234);
	/* The relay's address, or all zeros: the proxy's own. */
	static const char *const bound[] = {"<\5\0\0\1\x7f\0\0\1\x12\x34",
		"<\5\0\0\1\0\0\0\0\x12\x34"};
	for (size_t i = 0; i < ARRAY_LEN(bound); i++) {
		p = (struct peer){.step_len = {3, 2, 10, 10}};
		peer_start(&p, steps(">\5\1\0", "<\5\0", ASSOCIATE, bound[i], "S"));
		assert_true(associate(&r, &f, "", &p) >= 0);
		assert_int_equal(send(f.fd, "x", 1, 0), 1);
		assert_int_equal(recv(relay, bytes, sizeof(bytes), 0), 1);
		close(f.fd);
		assert_non_null(f.flow.envelope);
		assert_memory_equal(f.flow.envelope->head, "\0\0\0\1\xc6\x33\x64\7\0\x35", 10);
		assert_int_equal(f.flow.envelope->len, 10);
		/* Nothing of it is the scripts' any more, and it ends with the flow. */
		assert_int_equal(stream_count(), 0);
		rig_end(&r, &f, FLOW_CAUSE_IDLE);
		assert_string_equal(rig_log(&r), "nsnet-host: idle\n");
		assert_true(peer_stop(&p, false));
		rig_close(&r);
	}
	/* The proxy ends it: so does the flow. */
	p = (struct peer){.step_len = {3, 2, 10, 10}};
	peer_start(&p, steps(">\5\1\0", "<\5\0", ASSOCIATE, bound[0]));
	assert_true(associate(&r, &f, "", &p) >= 0);
	assert_true(peer_stop(&p, false));
	for (int i = 0; !f.aborted && i < 1000; i++)
		ev_run(r.loop, EVRUN_ONCE);
	assert_int_equal(f.aborted, 1);
	close(f.fd);
	flow_remove(&f.flow);
	assert_string_equal(rig_log(&r), "nsnet-host: reset by peer\n");
	rig_close(&r);
	close(relay);
}

/* Refused, and no datagram leaves by another way. */
static void socks5_without_a_relay_refuses_udp(void **state)
{
	(void)state;
	static const struct {
		const char *steps[6];
		size_t len[6];
		const char *text;
	} bad[] = {
		{{">\5\1\0", "<\5\0", ASSOCIATE, "<\5\7\0\1\0\0\0\0\0\0"}, {3, 2, 10, 10},
			"SOCKS5: command not supported"},
		{{">\5\1\0", "<\5\0", ASSOCIATE, "<\5\0\0\3\3a b\0\1"}, {3, 2, 10, 10},
			"SOCKS5: the proxy's UDP relay is no address"},
		{{">\5\1\0", "<\5\0", ASSOCIATE, "<\5\0\0\1\x7f\0\0\1\0\0"}, {3, 2, 10, 10},
			"SOCKS5: the proxy's UDP relay is no address"},
		{{">\5\1\0", "<\5\0", ASSOCIATE, "S"}, {3, 2, 10, 1}, "timeout"},
		{{">\5\1\0", "<\5\0", ASSOCIATE}, {3, 2, 10}, "closed"},
	};
	struct rig r;
	struct rig_flow f;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct peer p = {0};
		memcpy(p.step_len, bad[i].len, sizeof(bad[i].len));
		peer_start(&p, bad[i].steps);
		assert_true(associate(&r, &f, "", &p) < 0);
		assert_null(f.flow.envelope);
		rig_end(&r, &f, FLOW_CAUSE_DIAL_FAILED);
		assert_has(rig_log(&r), bad[i].text);
		assert_int_equal(stream_count(), 0);
		assert_true(peer_stop(&p, false));
		rig_close(&r);
	}
	/* The far end of a chain is out of reach for datagrams: nobody is even asked. */
	struct peer p = {.port = 9};
	assert_int_equal(associate(&r, &f, ", dial = function() error 'asked' end", &p), -EACCES);
	rig_end(&r, &f, FLOW_CAUSE_DIAL_FAILED);
	assert_has(rig_log(&r), "SOCKS5: UDP cannot go through a chain of proxies");
	rig_close(&r);
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

/* What would be left out, or fail at each connection, fails at the load. */
static void options_that_mean_nothing_do_not_load(void **state)
{
	static const char *const options[][2] = {
		{"{}", "proxy = \"address:port\" is missing"},
		{"{ proxy = '203.0.113.9' }", "no address or name with a port"},
		{"{ proxy = '203.0.113.9:1080', username = 'me' }", "unknown option 'username'"},
		{"{ proxy = '203.0.113.9:1080', timeout = '5' }",
			"timeout must be a number, not a string"},
		{"{ proxy = '203.0.113.9:1080', password = 'x' }", "a password, but no user"},
		{"'203.0.113.9:1080'", "options must be a table"},
	};
	static const char *const kinds[] = {"socks5", "http_connect"};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(options); i++) {
		for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
			char code[256], place[64];
			struct rig r;
			snprintf(code, sizeof(code), "\nlocal d = require('nsnet.%s').dialer(%s)",
				kinds[k], options[i][0]);
			snprintf(place, sizeof(place), "rules.lua:2: %s.dialer: ", kinds[k]);
			rig_open(&r);
			assert_int_not_equal(rig_load(&r, code), 0);
			const char *log = rig_log(&r);
			assert_has(log, place);
			assert_has(log, options[i][1]);
			rig_close(&r);
		}
	}
}

int main(void)
{
	island_enter();
	const struct CMUnitTest tests[] = {
		rig_test(socks5_speaks_its_protocol),
		rig_test(socks5_makes_an_association_for_a_udp_flow),
		rig_test(socks5_without_a_relay_refuses_udp),
		rig_test(http_connect_speaks_its_protocol),
		rig_test(options_that_mean_nothing_do_not_load),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
