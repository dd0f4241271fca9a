/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "core/base.h"
#include "core/gate.h"
#include "spec/support/hex.h"

#define ADDRS4 "0a000001 cb007109 "
#define IP4(total, proto) "4500 " total " 0007 0000 3f" proto " 0000 " ADDRS4
#define IP4_FRAG(total, proto, word) "4500 " total " 0007 " word " 3f" proto " 0000 " ADDRS4
#define IP6(payload, next)                                                                         \
	"60000000 " payload " " next "3f fd6e736e657400000000000000000001"                         \
	"20010db8000000000000000000000009 "
#define TCP(flags) "9c40 01bb 00000001 00000000 50" flags " 0100 0000 0000 "
#define UDP(port, len) "9c40 " port " " len " 0000 "
#define ECHO(type) type "00 0000 beef 0001 "

/* --- everybody to whom the gate hands packets: notes who got what --- */

enum receiver {
	NOBODY,
	STRAY,
	CONN,
	UDP_FLOW,
	PING,
	DNS_UDP,
	DNS_TCP,
	FLOW,
};

static enum receiver receiver;
static struct packet received;

static void receive(enum receiver who, struct buf *b, const struct packet *p)
{
	assert_int_equal(receiver, NOBODY);
	receiver = who;
	received = *p;
	buf_put(b);
}

void stack_stray(struct stack *s, struct buf *b, struct packet *p)
{
	UNUSED(s);
	receive(STRAY, b, p);
}

void stack_flush(struct stack *s)
{
	UNUSED(s);
}

void udp_flush(struct udp *u)
{
	UNUSED(u);
}

void conn_open(struct conns *cs, const struct flow_key *key, struct buf *b, struct packet *p)
{
	UNUSED(cs);
	assert_int_equal(key->proto, IPPROTO_TCP);
	receive(CONN, b, p);
}

void udp_open(struct udp *u, const struct flow_key *key, struct buf *b, struct packet *p)
{
	UNUSED(u);
	assert_int_equal(key->proto, IPPROTO_UDP);
	receive(UDP_FLOW, b, p);
}

void ping_open(struct ping *g, const struct flow_key *key, struct buf *b, struct packet *p)
{
	UNUSED(g);
	assert_int_equal(key->proto, IPPROTO_ICMP);
	assert_int_equal(key->src.port, key->dst.port);
	receive(PING, b, p);
}

bool ping_is_request(const struct packet *p)
{
	return p->icmp_type == (p->v == 4 ? 8 : 128);
}

bool dns_owns(struct dns *d, const struct addr *dst)
{
	UNUSED(d);
	return dst->port == 53;
}

void dns_input_udp(struct dns *d, struct buf *b, struct packet *p)
{
	UNUSED(d);
	receive(DNS_UDP, b, p);
}

void dns_open_tcp(struct dns *d, const struct flow_key *key, struct buf *b, struct packet *p)
{
	UNUSED(d);
	UNUSED(key);
	receive(DNS_TCP, b, p);
}

void tun_start(struct tun *t)
{
	UNUSED(t);
}

static void flow_input(struct flow *f, struct buf *b, struct packet *p)
{
	UNUSED(f);
	receive(FLOW, b, p);
}

/* --- the gate, and a packet hook that refuses UDP to port 443 --- */

static struct tun tun;
static struct flow_table flows;
static struct frag frag;
static struct hooks hooks;
static struct policy policy;
static struct gate gate;
static int shown; /* packets that the hook saw */

static bool refuse_443(void *arg, enum hook_dir dir, struct packet *p)
{
	UNUSED(arg);
	UNUSED(dir);
	shown++;
	return !(p->proto == IPPROTO_UDP && p->dst.port == 443);
}

static int start(void **state)
{
	(void)state;
	memset(&hooks, 0, sizeof(hooks));
	memset(&policy, 0, sizeof(policy));
	policy.hooks = &hooks;
	frag_init(&frag, ev_default_loop(0));
	gate = (struct gate){.tun = &tun, .flows = &flows, .policy = &policy, .frag = &frag};
	shown = 0;
	gate_start(&gate);
	return flow_table_init(&flows);
}

static int stop(void **state)
{
	(void)state;
	frag_fini(&frag);
	flow_table_fini(&flows);
	assert_int_equal(buf_used(), 0);
	buf_pool_fini();
	return 0;
}

/* Hands @text over as the tun does. Returns who got it. */
static enum receiver send_packet(const char *text)
{
	size_t len;
	uint8_t *bytes = hex_bytes(text, &len);
	struct buf *b = buf_get();

	memcpy(b->data, bytes, len);
	free(bytes);
	receiver = NOBODY;
	tun.on_input(tun.arg, b, b->data, len);
	return receiver;
}

static void each_packet_finds_its_way(void **state)
{
	static const struct {
		const char *packet;
		enum receiver who;
	} row[] = {
		{IP4("0028", "06") TCP("02"), CONN},
		{IP4("0028", "06") TCP("c2"), CONN}, /* ECN's bits change nothing */
		{IP6("0014", "06") TCP("02"), CONN},
		{IP4("0028", "06") TCP("10"), STRAY},
		{IP4("0028", "06") TCP("12"), STRAY},
		{IP4("0028", "06") TCP("04"), NOBODY},
		{IP4("0028", "06") "9c40 0035 00000001 00000000 5002 0100 0000 0000", DNS_TCP},
		{IP4("0028", "06") "9c40 0000 00000001 00000000 5002 0100 0000 0000", NOBODY},
		{IP4("001c", "11") UDP("01bb", "0008"), UDP_FLOW},
		{IP6("0008", "11") UDP("01bb", "0008"), UDP_FLOW},
		{IP4("001c", "11") UDP("0035", "0008"), DNS_UDP},
		{IP4("001c", "11") UDP("0000", "0008"), NOBODY},
		{IP4("001c", "01") ECHO("08"), PING},
		{IP6("0008", "3a") ECHO("80"), PING},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		if (send_packet(row[i].packet) != row[i].who)
			fail_msg("row %zu went to %d", i, receiver);
	}
	assert_int_equal(gate.malformed + gate.unsupported + gate.multicast + gate.filtered, 0);
}

static void what_nobody_carries_is_counted(void **state)
{
	static const struct {
		const char *packet;
		uint64_t *count;
	} row[] = {
		{IP4("0020", "06") TCP("02"), &gate.malformed},
		{"00", &gate.malformed},
		{IP4("0018", "84") "00000000", &gate.unsupported},          /* SCTP */
		{IP4("001c", "32") UDP("01bb", "0008"), &gate.unsupported}, /* ESP */
		{IP4("001c", "01") ECHO("00"), &gate.unsupported},
		{IP4("001c", "01") ECHO("03"), &gate.unsupported},
		{IP6("0008", "3a") ECHO("85"), &gate.unsupported},
		{"4500 001c 0007 0000 0111 0000 0a000001 e00000fb" UDP("14e9", "0008"),
			&gate.multicast},
		{"4500 001c 0007 0000 0111 0000 0a000001 ffffffff" UDP("0043", "0008"),
			&gate.multicast},
		{"60000000 0008 11ff fe800000000000000000000000000001"
		 "ff0200000000000000000000000000fb" UDP("14e9", "0008"),
			&gate.multicast},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		uint64_t before = *row[i].count;

		assert_int_equal(send_packet(row[i].packet), NOBODY);
		assert_int_equal(*row[i].count, before + 1);
	}
}

static void known_flow_gets_its_packets(void **state)
{
	static const struct flow_ops ops = {.network = "udp", .input = flow_input};
	struct flow f = {.ops = &ops};
	struct flow_key key = {.proto = IPPROTO_UDP};

	(void)state;
	addr_parse(&key.src, "10.0.0.1:40000");
	addr_parse(&key.dst, "203.0.113.9:443");
	flow_add(&flows, &f, &key, 1);
	assert_int_equal(send_packet(IP4("001c", "11") UDP("01bb", "0008")), FLOW);
	assert_int_equal(send_packet(IP4("001c", "11") UDP("01bc", "0008")), UDP_FLOW);
	flow_remove(&f);
}

static void packet_hook_drops(void **state)
{
	(void)state;
	hooks.packet = refuse_443;
	assert_int_equal(send_packet(IP4("001c", "11") UDP("01bb", "0008")), NOBODY);
	assert_int_equal(send_packet(IP4("001c", "11") UDP("01bc", "0008")), UDP_FLOW);
	assert_int_equal(shown, 2);
	assert_int_equal(gate.filtered, 1);
}

/* A fragment shows no ports: a hook that looks at them has to see the whole. */
static void packet_hook_sees_what_fragments_make(void **state)
{
	(void)state;
	hooks.packet = refuse_443;
	assert_int_equal(
		send_packet(IP4_FRAG("0024", "11", "2000") UDP("01bb", "0013") "6162636465666768"),
		NOBODY);
	assert_int_equal(send_packet(IP4_FRAG("0017", "11", "0002") "696a6b"), NOBODY);
	assert_int_equal(frag.complete, 1);
	assert_int_equal(shown, 1);
	assert_int_equal(gate.filtered, 1);

	assert_int_equal(
		send_packet(IP4_FRAG("0024", "11", "2000") UDP("01bc", "0013") "6162636465666768"),
		NOBODY);
	assert_int_equal(send_packet(IP4_FRAG("0017", "11", "0002") "696a6b"), UDP_FLOW);
	assert_int_equal(received.dst.port, 444);
	assert_int_equal(received.len - received.payload, 11);
	assert_int_equal(shown, 2);
}

static void packet_hook_sees_what_goes_to_the_child(void **state)
{
	size_t len;
	uint8_t *bytes = hex_bytes(IP4("001c", "11") UDP("01bb", "0008"), &len);
	struct iovec iov[2] = {{bytes, 20}, {bytes + 20, len - 20}};

	(void)state;
	assert_true(tun.filter(tun.arg, iov, 2));
	hooks.packet = refuse_443;
	assert_false(tun.filter(tun.arg, iov, 2));
	packet_put16(bytes + 22, 444);
	assert_true(tun.filter(tun.arg, iov, 2));
	assert_int_equal(shown, 2);
	free(bytes);
}

#define SPEC(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SPEC(each_packet_finds_its_way),
		SPEC(what_nobody_carries_is_counted),
		SPEC(known_flow_gets_its_packets),
		SPEC(packet_hook_drops),
		SPEC(packet_hook_sees_what_fragments_make),
		SPEC(packet_hook_sees_what_goes_to_the_child),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
