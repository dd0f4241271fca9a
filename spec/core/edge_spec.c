/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>

#include "plane.h"

#include "core/publish.h"

/* The edge of the tun as RFC 9293 and RFC 8200 have it, through gate, policy and lwIP: what
 * stack_spec.c, stack_close_spec.c and stack_loss_spec.c cannot show, since there is no gate. */

static struct visits visits;
static struct publish publish;

static int setup(void **state)
{
	int rc = plane_setup(state);

	if (rc || world_missing)
		return rc;
	visits_init(&visits, w.loop, &w.tun, &w.flows, &w.policy);
	publish = (struct publish){
		.loop = w.loop,
		.conns = &plane.conns,
		.visits = &visits,
		.self4 = world_addr("10.0.0.1"),
		.self6 = world_addr("fd00::1"),
		.alias4 = world_addr("10.0.0.100"),
		.alias6 = world_addr("fd00::100"),
	};
	publish_init(&publish);
	return 0;
}

static int teardown(void **state)
{
	if (!world_missing) {
		publish_fini(&publish);
		visits_fini(&visits);
	}
	return plane_teardown(state);
}

/* ---- IPv6 extension headers ---- */

/* Hop-by-hop options (PadN), destination options (PadN), a routing header with no segments left:
 * all are to be walked over (RFC 8200 4.1). */
static const uint8_t chain[] = {IPPROTO_DSTOPTS, 0, 1, 4, 0, 0, 0, 0, IPPROTO_ROUTING, 0, 1, 4, 0,
	0, 0, 0, IPPROTO_TCP, 0, 0, 0, 0, 0, 0, 0};

/* Sends the segment behind that chain of headers. */
static void send_behind(const struct talk *t, uint8_t flags, uint32_t seq, const void *data,
	size_t len)
{
	struct segment s = {.src = t->self, .dst = t->peer, .seq = seq, .ack = t->ack};
	uint8_t plain[256], packet[sizeof(plain) + sizeof(chain)];
	size_t n;

	s.flags = flags;
	s.window = t->window;
	s.data = data;
	s.len = len;
	n = segment_build(plain, &s);
	memcpy(packet, plain, 40);
	memcpy(packet + 40, chain, sizeof(chain));
	memcpy(packet + 40 + sizeof(chain), plain + 40, n - 40);
	packet[6] = IPPROTO_HOPOPTS;
	packet_put16(packet + 4, (uint16_t)(n - 40 + sizeof(chain)));
	assert_true(segment_put_raw(packet, n + sizeof(chain)));
}

static void talks_behind_extension_headers(void **state)
{
	struct addr at;
	struct talk t;
	int listener, fd;

	NEEDS_WORLD;
	listener = plane_listen(6, &at);
	t = talk_new("[fd00::1]:40000", &at);
	send_behind(&t, SYN, t.seq++, NULL, 0);
	fd = plane_accept(listener);
	talk_expect(&t, SYN | ACK);
	send_behind(&t, ACK | PSH, t.seq, "question", 8);
	t.seq += 8;
	plane_read(fd, "question", 8);
	assert_int_equal(write(fd, "answer", 6), 6);
	talk_get(&t, "answer", 6);
	send_behind(&t, FIN | ACK, t.seq++, NULL, 0);
	plane_read_end(fd, 0);
	close(fd);
	world_until(w.closed == 1 || world_child_has());
	while (w.closed == 0) {
		segment_next();
		if (got.flags & FIN) {
			t.ack = got.seq + 1;
			send_behind(&t, ACK, t.seq, NULL, 0);
		}
		settle();
	}
	assert_int_equal(w.cause, FLOW_CAUSE_CLOSED);
	close(listener);
}

/* What is refused is quoted as it came, with its headers: so the sender finds its socket. */
static void quotes_extension_headers(void **state)
{
	struct addr peer = world_addr("[2001:db8::1]:80");
	struct talk t = {0};
	const uint8_t *icmp, *quote;

	NEEDS_WORLD;
	w.verdict = VERDICT_DENY;
	w.style = DENY_STYLE_PROHIBITED;
	t = talk_new("[fd00::1]:40000", &peer);
	send_behind(&t, SYN, t.seq, NULL, 0);
	world_child_next();
	assert_int_equal(w.p.proto, IPPROTO_ICMPV6);
	icmp = w.bytes + w.p.l4;
	quote = icmp + 8;
	assert_int_equal(icmp[0], ICMP6_DST_UNREACH);
	assert_int_equal(icmp[1], ICMP6_DST_UNREACH_ADMIN);
	assert_int_equal(quote[6], IPPROTO_HOPOPTS);
	assert_memory_equal(quote + 40, chain, sizeof(chain));
	assert_int_equal(packet_get16(quote + 40 + sizeof(chain)), 40000);
	assert_int_equal(packet_get16(quote + 40 + sizeof(chain) + 2), 80);
	assert_int_equal(packet_get32(quote + 40 + sizeof(chain) + 4), 1000);
}

/* ---- calls from outside ---- */

static const char *const self[] = {"10.0.0.1:80", "[fd00::1]:80"};
static const char *const alias[] = {"10.0.0.100", "fd00::100"};

/* Somebody has called port 80, and our SYN has come: the talk in which the child answers. */
static struct talk called(size_t f, int *fd)
{
	static uint16_t port = 21000;
	struct addr to = world_addr(f ? "::1" : "127.0.0.1"), peer = world_addr(alias[f]);
	struct sockaddr_storage ss;
	char text[64], why[PUBLISH_WHY_MAX];
	struct addr from;
	struct talk t;
	socklen_t len;

	snprintf(text, sizeof(text), f ? "[::1]:%u:80" : "127.0.0.1:%u:80", ++port);
	assert_int_equal(publish_add(&publish, text, true, why), 0);
	to.port = port;
	len = addr_to_sockaddr(&to, &ss);
	*fd = socket(ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(*fd, (struct sockaddr *)&ss, len), 0);
	assert_int_equal(fcntl(*fd, F_SETFL, O_NONBLOCK), 0);
	len = sizeof(ss);
	assert_int_equal(getsockname(*fd, (struct sockaddr *)&ss, &len), 0);
	assert_int_equal(addr_from_sockaddr(&from, &ss), 0);
	peer.port = from.port;
	t = talk_new(self[f], &peer);
	world_until(world_child_has());
	talk_expect(&t, SYN);
	return t;
}

static void offers_options_in_its_own_syn(void **state)
{
	NEEDS_WORLD;
	for (size_t f = 0; f < 2; f++) {
		int fd;

		called(f, &fd);
		assert_in_range(got.mss, 60000, 65535);
		assert_int_equal(got.scale, 7);
		assert_true(got.sack_permitted);
		close(fd);
	}
}

/* Both have sent a SYN (RFC 9293 3.5, figure 7): the child goes to SYN-RECEIVED. */
static void lives_through_a_simultaneous_open(void **state)
{
	NEEDS_WORLD;
	for (size_t f = 0; f < 2; f++) {
		const uint32_t mine = 1000;
		int fd;
		struct talk t = called(f, &fd);

		talk_send_at(&t, mine, SYN, NULL, 0);
		settle();
		while (world_child_has()) { /* our SYN again, or nothing: never a reset */
			segment_next();
			assert_int_equal(got.flags & RST, 0);
		}
		talk_send(&t, SYN | ACK, NULL, 0);
		world_until(w.last->state == FLOW_STATE_OPEN);
		assert_int_equal(write(fd, "early", 5), 5);
		talk_get(&t, "early", 5);
		talk_send(&t, ACK, "late", 4);
		plane_read(fd, "late", 4);
		talk_send(&t, RST, NULL, 0);
		plane_read_end(fd, ECONNRESET);
		close(fd);
		while (world_child_has())
			world_child_read();
	}
}

/* An answer to a SYN that we never sent, as of an old connection: it is reset, ours goes on. */
static void resets_an_answer_that_is_half_open(void **state)
{
	int fd;
	struct talk t;
	uint32_t right;

	NEEDS_WORLD;
	t = called(0, &fd);
	right = t.ack;
	t.ack = right + 77;
	talk_send_at(&t, 5000, ACK, NULL, 0);
	segment_next();
	assert_int_equal(got.flags & RST, RST); /* RFC 9293 3.10.7.3 */
	assert_int_equal(got.seq, right + 77);
	talk_send_at(&t, 5000, RST | ACK, NULL, 0); /* and its reset is not ours (RFC 5961) */
	settle();
	assert_int_equal(w.last->state, FLOW_STATE_DIALING);
	while (world_child_has())
		world_child_read();
	t.ack = right;
	talk_send(&t, SYN | ACK, NULL, 0);
	world_until(w.last->state == FLOW_STATE_OPEN);
	close(fd);
}

/* ---- what must not end a connection ---- */

/* ICMP errors from inside, which quote our segments: anybody with a raw socket makes them
 * (RFC 5927), and our way to the child is the tun, where none is due. */
static void lets_no_icmp_error_end_a_connection(void **state)
{
	static const uint8_t type[][2] = {{ICMP_DEST_UNREACH, ICMP_PORT_UNREACH},
		{ICMP_DEST_UNREACH, ICMP_HOST_UNREACH}, {ICMP_DEST_UNREACH, ICMP_FRAG_NEEDED},
		{ICMP_TIME_EXCEEDED, 0}, {ICMP_PARAMETERPROB, 0}, {ICMP_SOURCE_QUENCH, 0}};
	struct addr at;
	struct talk t;
	int listener, fd;

	NEEDS_WORLD;
	listener = plane_listen(4, &at);
	t = talk_new("10.0.0.1:40000", &at);
	talk_syn(&t, talk_linux, sizeof(talk_linux));
	fd = plane_accept(listener);
	talk_expect(&t, SYN | ACK);
	talk_send(&t, ACK, "hello", 5);
	plane_read(fd, "hello", 5);
	for (size_t i = 0; i < ARRAY_LEN(type); i++) {
		uint8_t packet[20 + 8 + 40] = {0x45, 0, 0, sizeof(packet), 0, 0, 0, 0, 64,
			IPPROTO_ICMP};
		struct segment ours = {.src = t.peer, .dst = t.self, .seq = t.ack, .flags = ACK};
		uint16_t sum;

		memcpy(packet + 12, t.self.ip, 4);
		memcpy(packet + 16, t.peer.ip, 4);
		packet[20] = type[i][0];
		packet[21] = type[i][1];
		segment_build(packet + 28, &ours);
		sum = packet_sum_fold(packet_sum(packet, 20, 0));
		memcpy(packet + 10, &sum, 2);
		sum = packet_sum_fold(packet_sum(packet + 20, sizeof(packet) - 20, 0));
		memcpy(packet + 22, &sum, 2);
		assert_true(segment_put_raw(packet, sizeof(packet)));
	}
	settle();
	assert_int_equal(w.closed, 0);
	assert_int_equal(write(fd, "still here", 10), 10);
	talk_get(&t, "still here", 10);
	talk_send(&t, RST, NULL, 0);
	plane_read_end(fd, ECONNRESET);
	close(fd);
	close(listener);
}

/* SACK blocks of the child, true, absurd or cut short, change nothing of what it gets. */
static void takes_sack_blocks_of_any_kind(void **state)
{
	static const uint8_t blocks[][12] = {
		{1, 1, 5, 10, 0, 0, 0, 0, 0, 0, 0, 1},
		{1, 1, 5, 10, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0},
		{1, 1, 5, 2, 1, 1, 1, 1, 1, 1, 1, 1},
		{5, 40, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10},
		{1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 5},
		{5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
	};
	static uint8_t bytes[3000];
	struct addr at;
	struct talk t;
	int listener, fd;

	NEEDS_WORLD;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 7);
	listener = plane_listen(4, &at);
	t = talk_new("10.0.0.1:40000", &at);
	talk_syn(&t, talk_linux, sizeof(talk_linux));
	fd = plane_accept(listener);
	talk_expect(&t, SYN | ACK);
	talk_send(&t, ACK, NULL, 0);
	assert_int_equal(write(fd, bytes, sizeof(bytes)), sizeof(bytes));
	segment_next();
	for (size_t i = 0; i < ARRAY_LEN(blocks); i++) {
		struct segment s = {.src = t.self, .dst = t.peer, .seq = t.seq, .ack = t.ack};

		s.flags = ACK;
		s.window = t.window;
		s.options = blocks[i];
		s.options_len = sizeof(blocks[i]);
		assert_true(segment_put(&s));
	}
	settle(); /* six equal acknowledgments: what they miss comes again */
	talk_get(&t, bytes, sizeof(bytes));
	assert_int_equal(w.closed, 0);
	talk_send(&t, RST, NULL, 0);
	plane_read_end(fd, ECONNRESET);
	close(fd);
	close(listener);
}

static const struct CMUnitTest tests[] = {
#define IT(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	IT(talks_behind_extension_headers),
	IT(quotes_extension_headers),
	IT(offers_options_in_its_own_syn),
	IT(lives_through_a_simultaneous_open),
	IT(resets_an_answer_that_is_half_open),
	IT(lets_no_icmp_error_end_a_connection),
	IT(takes_sack_blocks_of_any_kind),
};

int main(void)
{
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, world_enter, NULL);
}
