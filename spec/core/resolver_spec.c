/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/resolver.h"
#include "spec/support/dns_server.h"
#include "spec/support/virtual_time.h"

static struct ev_loop *loop;
static struct resolvconf conf;
static struct resolver resolver;
static struct dns_server server[3];

/* One who asks, and what was heard. */
struct asker {
	struct resolver_query q;
	uint8_t question[512], answer[DNSMSG_MAX];
	size_t question_len, len;
	unsigned done;
	bool silent; /* the answer was: none */
};
static struct asker asker;
static unsigned answers_total;

static void on_answer(struct resolver_query *q, uint8_t *msg, size_t len)
{
	struct asker *a = container_of(q, struct asker, q);

	assert_null(q->resolver);
	a->done++;
	answers_total++;
	a->silent = !msg;
	a->len = len;
	if (msg)
		memcpy(a->answer, msg, len);
}

static int ask_as(struct asker *a, const char *name, bool whole, const struct addr *at)
{
	a->done = 0;
	a->len = 0;
	a->question_len = dns_question(a->question, 0x4711, name, DNSMSG_TYPE_TXT);
	return resolver_ask(&resolver, &a->q, a->question, a->question_len, whole, at, on_answer);
}

static void ask(const char *name)
{
	assert_int_equal(ask_as(&asker, name, false, NULL), 0);
	assert_int_equal(asker.done, 0);
}

static void expect(unsigned rcode)
{
	struct dnsmsg m;

	assert_true(run_until(loop, &asker.done, 1));
	assert_int_equal(asker.done, 1);
	assert_false(asker.silent);
	assert_int_equal(dnsmsg_parse(&m, asker.answer, asker.len), 0);
	assert_int_equal(m.rcode, rcode);
}

static void expect_nothing(void)
{
	assert_true(run_until(loop, &asker.done, 1));
	assert_true(asker.silent);
}

/* ---- ways to answer ---- */

static void answer(struct dns_client *c, uint8_t *msg, size_t len)
{
	uint8_t out[4096];

	dns_server_send(c, out, dns_answer(out, msg, len, 1, 0));
}

static void say_servfail(struct dns_client *c, uint8_t *msg, size_t len)
{
	uint8_t out[4096];

	dns_server_send(c, out, dns_answer(out, msg, len, 0, DNSMSG_RCODE_SERVFAIL));
}

static void say_refused(struct dns_client *c, uint8_t *msg, size_t len)
{
	uint8_t out[4096];

	dns_server_send(c, out, dns_answer(out, msg, len, 0, DNSMSG_RCODE_REFUSED));
}

/* UDP: one record and TC. TCP: 100 records. */
static void answer_long(struct dns_client *c, uint8_t *msg, size_t len)
{
	static uint8_t out[DNSMSG_MAX];
	size_t n = dns_answer(out, msg, len, c->tcp ? 100 : 1, 0);

	if (!c->tcp)
		out[2] |= 2;
	dns_server_send(c, out, n);
}

/* ---- set-up ---- */

static void use_servers(int n, const char *options)
{
	char text[512];
	size_t len = 0;

	conf.port = server[0].at.port;
	for (int i = 0; i < n; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "nameserver 127.0.0.%d\n",
			20 + i);
	len += (size_t)snprintf(text + len, sizeof(text) - len, "options %s\n", options);
	resolvconf_parse(&conf, text, len);
}

/* Starts @n servers that answer, on one port, and names them. */
static void start(int n, const char *options)
{
	dns_server_start(&server[0], loop, 20, 0, true);
	for (int i = 1; i < n; i++)
		dns_server_start(&server[i], loop, 20 + i, server[0].at.port, true);
	for (int i = 0; i < n; i++)
		server[i].on_query = answer;
	use_servers(n, options);
}

static int setup(void **state)
{
	(void)state;
	loop = ev_loop_new(0);
	memset(&asker, 0, sizeof(asker));
	answers_total = 0;
	if (!loop || resolvconf_init(&conf, "/nonexistent/resolv.conf") < 0)
		return -1;
	return resolver_init(&resolver, loop, &conf);
}

static int teardown(void **state)
{
	(void)state;
	int left = (int)resolver.udp.count;

	resolver_fini(&resolver);
	left += (int)resolver.tcp.count;
	for (int i = 0; i < 3; i++)
		dns_server_stop(&server[i]);
	resolvconf_fini(&conf);
	ev_loop_destroy(loop);
	return left; /* a socket that stayed is a failure */
}

/* ---- specs ---- */

static void gives_the_answer_as_it_came(void **state)
{
	(void)state;
	start(1, "");
	ask("www.Example.com");
	expect(0);
	assert_int_equal(server[0].udp_queries, 1);
	/* The very question, but for the identifier. */
	assert_int_equal(server[0].last_len, asker.question_len);
	assert_memory_equal(server[0].last + 2, asker.question + 2, asker.question_len - 2);
	assert_int_equal(resolver.udp.count, 0);
	assert_int_equal(resolver.answered, 1);
}

static void uses_new_ports_and_identifiers(void **state)
{
	uint16_t ids[40], ports[40];
	unsigned same_id = 0, same_port = 0;

	(void)state;
	start(1, "");
	for (int i = 0; i < 40; i++) {
		ask("a.example");
		expect(0);
		ids[i] = server[0].last_id;
		ports[i] = server[0].last_port;
		for (int k = 0; k < i; k++) {
			same_id += ids[k] == ids[i];
			same_port += ports[k] == ports[i];
		}
	}
	/* 780 pairs: chance explains one or two of each. */
	assert_true(same_id < 10);
	assert_true(same_port < 20);
}

static void goes_on_at_once_when_a_server_is_not_there(void **state)
{
	(void)state;
	start(2, "");
	dns_server_stop(&server[0]); /* port unreachable */
	ask("a.example");
	expect(0);
	assert_int_equal(server[1].udp_queries, 1);
}

static void goes_on_after_a_silence(void **state)
{
	(void)state;
	start(2, "");
	server[0].on_query = NULL;
	ask("a.example");
	run_now(loop);
	assert_int_equal(server[0].udp_queries, 1);
	advance(loop, 1.5);
	assert_int_equal(server[1].udp_queries, 0);
	advance(loop, 1);
	expect(0);
	assert_int_equal(server[1].udp_queries, 1);

	/* It is asked last for a while. */
	ask("b.example");
	expect(0);
	assert_int_equal(server[0].udp_queries, 1);
	assert_int_equal(server[1].udp_queries, 2);
	advance(loop, 11);
	server[0].on_query = answer;
	ask("c.example");
	expect(0);
	assert_int_equal(server[0].udp_queries, 2);
	assert_int_equal(server[1].udp_queries, 2);
}

static struct dns_client late;
static uint8_t late_msg[512];
static size_t late_len;

static void answer_later(struct dns_client *c, uint8_t *msg, size_t len)
{
	late = *c;
	late_len = len;
	memcpy(late_msg, msg, len);
}

static void a_late_answer_counts(void **state)
{
	(void)state;
	start(2, "");
	server[0].on_query = answer_later;
	server[1].on_query = NULL;
	ask("a.example");
	run_now(loop);
	advance(loop, 2.5);
	assert_int_equal(server[1].udp_queries, 1);
	answer(&late, late_msg, late_len);
	expect(0);
}

static void repeats_with_the_same_port_and_identifier(void **state)
{
	(void)state;
	start(1, "timeout:5 attempts:2");
	server[0].on_query = NULL;
	ask("a.example");
	run_now(loop);
	uint16_t id = server[0].last_id, port = server[0].last_port;
	advance(loop, 2.1);
	assert_int_equal(server[0].udp_queries, 2);
	assert_int_equal(server[0].last_id, id);
	assert_int_equal(server[0].last_port, port);
	advance(loop, 4.1);
	assert_int_equal(server[0].udp_queries, 3);
	assert_int_equal(asker.done, 0);
	advance(loop, 4.1); /* ten seconds in all */
	expect_nothing();
	assert_int_equal(resolver.failed, 1);
}

static void prefers_another_servers_answer_to_a_failure(void **state)
{
	(void)state;
	start(3, "");
	server[0].on_query = say_servfail;
	server[1].on_query = say_refused;
	ask("a.example");
	expect(0);
	server[2].on_query = say_servfail;
	ask("a.example");
	expect(DNSMSG_RCODE_SERVFAIL);
	assert_int_equal(server[2].udp_queries, 2);

	/* A failure in hand, and nobody else who speaks: one round is enough. */
	server[0].on_query = say_refused;
	server[1].on_query = NULL;
	server[2].on_query = NULL;
	ask("a.example");
	run_now(loop);
	advance(loop, 2.1);
	advance(loop, 2.1);
	expect(DNSMSG_RCODE_REFUSED);
}

/* Everything that is no answer, and then one. */
static void answer_after_garbage(struct dns_client *c, uint8_t *msg, size_t len)
{
	uint8_t out[4096], other[512];
	size_t n = dns_answer(out, msg, len, 1, 0);

	dns_server_send(c, (const uint8_t *)"", 0);
	dns_server_send(c, out, 11);
	memset(other, 0xff, sizeof(other));
	dns_server_send(c, other, sizeof(other));
	out[0] ^= 1; /* another identifier */
	dns_server_send(c, out, n);
	out[0] ^= 1;
	out[2] &= 0x7f; /* a question */
	dns_server_send(c, out, n);
	out[2] |= 0x80;
	out[2] ^= 0x10; /* another opcode */
	dns_server_send(c, out, n);
	out[2] ^= 0x10;
	out[13] ^= 1; /* another name */
	dns_server_send(c, out, n);
	out[13] ^= 1;
	out[len - 3] ^= 1; /* another type */
	dns_server_send(c, out, n);
	out[len - 3] ^= 1;
	dns_server_send(c, out, n - 1); /* broken off, and it does not say so */
	out[5] = 0;                     /* no question */
	dns_server_send(c, out, n);
	out[5] = 1;
	dns_server_send(c, out, n);
}

static void takes_nothing_for_an_answer_that_is_none(void **state)
{
	(void)state;
	start(1, "");
	server[0].on_query = answer_after_garbage;
	ask("a.example");
	expect(0);
	assert_int_equal(asker.len, asker.question_len + 100);
	assert_int_equal(resolver.garbage, 5);
	assert_int_equal(resolver.udp.strays, 5);
}

static void say_bare_formerr(struct dns_client *c, uint8_t *msg, size_t len)
{
	uint8_t out[DNSMSG_HEADER] = {msg[0], msg[1], 0x80, 1};

	(void)len;
	dns_server_send(c, out, sizeof(out));
}

static void gives_the_question_back_to_a_bare_failure(void **state)
{
	struct dnsmsg m, q;

	(void)state;
	start(1, "");
	server[0].on_query = say_bare_formerr;
	ask("a.example");
	expect(DNSMSG_RCODE_FORMERR);
	dnsmsg_parse(&q, asker.question, asker.question_len);
	dnsmsg_parse(&m, asker.answer, asker.len);
	assert_true(dnsmsg_same_question(&q, &m));
}

static void truncation_is_the_askers_choice(void **state)
{
	struct dnsmsg m;

	(void)state;
	start(1, "");
	server[0].on_query = answer_long;
	ask("a.example");
	expect(0);
	dnsmsg_parse(&m, asker.answer, asker.len);
	assert_true(m.truncated);
	assert_int_equal(server[0].tcp_queries, 0);

	assert_int_equal(ask_as(&asker, "a.example", true, NULL), 0);
	expect(0);
	dnsmsg_parse(&m, asker.answer, asker.len);
	assert_false(m.truncated);
	assert_int_equal(m.answers, 100);
	assert_int_equal(server[0].tcp_queries, 1);

	/* The connection is used again, and closed when nobody needs it. */
	assert_int_equal(ask_as(&asker, "b.example", true, NULL), 0);
	expect(0);
	assert_int_equal(server[0].tcp_conns, 1);
	assert_int_equal(resolver.tcp.count, 1);
	advance(loop, 5);
	assert_int_equal(resolver.tcp.count, 0);
}

static void say_truncated_in_the_middle(struct dns_client *c, uint8_t *msg, size_t len)
{
	uint8_t out[4096];
	size_t n = dns_answer(out, msg, len, 3, 0);

	out[2] |= 2;
	dns_server_send(c, out, n - 50);
}

static void accepts_a_record_cut_by_truncation(void **state)
{
	struct dnsmsg m;

	(void)state;
	start(1, "");
	server[0].on_query = say_truncated_in_the_middle;
	ask("a.example");
	assert_true(run_until(loop, &asker.done, 1));
	assert_int_equal(dnsmsg_parse(&m, asker.answer, asker.len), -EMSGSIZE);
	assert_true(m.truncated);
}

static void reads_tcp_in_single_bytes(void **state)
{
	struct dnsmsg m;

	(void)state;
	start(1, "");
	server[0].on_query = answer_long;
	server[0].piece = 1;
	assert_int_equal(ask_as(&asker, "a.example", true, NULL), 0);
	expect(0);
	dnsmsg_parse(&m, asker.answer, asker.len);
	assert_int_equal(m.answers, 100);
}

static void survives_a_server_that_hangs_up(void **state)
{
	(void)state;
	start(2, "");
	server[0].on_query = answer_long;
	/* In the middle of the answer: the other server is asked. */
	server[0].cut = 700;
	assert_int_equal(ask_as(&asker, "a.example", true, NULL), 0);
	expect(0);
	assert_int_equal(server[1].udp_queries, 1);

	/* At once, and there is no other. */
	use_servers(1, "");
	server[0].cut = 1;
	assert_int_equal(ask_as(&asker, "a.example", true, NULL), 0);
	expect_nothing();
}

static void asks_again_on_a_new_connection(void **state)
{
	(void)state;
	start(1, "");
	server[0].on_query = answer_long;
	assert_int_equal(ask_as(&asker, "a.example", true, NULL), 0);
	expect(0);
	/* The server takes the next question on the old connection and closes it instead. */
	server[0].cut = 10026 + 25;
	server[0].conn[0]->out_at = server[0].conn[0]->out_len = server[0].cut - 1;
	server[0].conn[0]->out = realloc(server[0].conn[0]->out, 40000);
	assert_int_equal(ask_as(&asker, "a.example", true, NULL), 0);
	expect(0);
	assert_int_equal(server[0].tcp_conns, 2);
}

static void a_server_without_tcp_is_no_server_of_long_answers(void **state)
{
	(void)state;
	dns_server_start(&server[0], loop, 20, 0, false);
	server[0].on_query = answer_long;
	use_servers(1, "");
	assert_int_equal(ask_as(&asker, "a.example", true, NULL), 0);
	expect_nothing();
}

static void a_silent_connection_does_not_last(void **state)
{
	(void)state;
	start(1, "use-vc timeout:5 attempts:1");
	server[0].on_query = NULL;
	ask("a.example");
	run_now(loop);
	assert_true(run_until(loop, &server[0].tcp_queries, 1));
	assert_int_equal(server[0].udp_queries, 0);
	advance(loop, 6);
	expect_nothing();
	assert_int_equal(resolver.tcp.count, 0);
	/* Another question does not go to the connection that failed. */
	server[0].on_query = answer;
	ask("b.example");
	expect(0);
	assert_int_equal(server[0].tcp_conns, 2);
}

static void rotates(void **state)
{
	(void)state;
	start(3, "rotate");
	for (int i = 0; i < 6; i++) {
		ask("a.example");
		expect(0);
	}
	for (int i = 0; i < 3; i++)
		assert_int_equal(server[i].udp_queries, 2);
}

static void asks_whom_it_is_told_to_ask(void **state)
{
	(void)state;
	start(2, "");
	use_servers(1, "");
	assert_int_equal(ask_as(&asker, "a.example", false, &server[1].at), 0);
	expect(0);
	assert_int_equal(server[0].udp_queries, 0);
	assert_int_equal(server[1].udp_queries, 1);
}

static void a_cancelled_question_leaves_nothing(void **state)
{
	(void)state;
	start(1, "");
	resolver_cancel(&asker.q); /* not begun */
	server[0].on_query = NULL;
	ask("a.example");
	assert_int_equal(resolver.udp.count, 1);
	resolver_cancel(&asker.q);
	assert_int_equal(resolver.udp.count, 0);
	server[0].on_query = answer_long;
	assert_int_equal(ask_as(&asker, "a.example", true, NULL), 0);
	server[0].piece = 1;
	assert_true(run_until(loop, &server[0].tcp_queries, 1));
	resolver_cancel(&asker.q);
	assert_int_equal(resolver.tcp.count, 0);
	run_now(loop);
	advance(loop, 30);
	assert_int_equal(asker.done, 0);
}

/* What was written to stderr since capture(). */
static int captured = -1, real_stderr;

static void capture(void)
{
	fflush(stderr);
	captured = open("/tmp", O_TMPFILE | O_RDWR, 0600);
	assert_true(captured >= 0);
	real_stderr = dup(2);
	dup2(captured, 2);
}

static const char *capture_end(void)
{
	static char text[4096];

	dup2(real_stderr, 2);
	close(real_stderr);
	ssize_t n = pread(captured, text, sizeof(text) - 1, 0);
	close(captured);
	text[n > 0 ? n : 0] = '\0';
	return text;
}

static void names_the_file_when_nobody_answers(void **state)
{
	(void)state;
	dns_server_start(&server[0], loop, 20, 0, false);
	use_servers(1, "");
	dns_server_stop(&server[0]);
	advance(loop, 2); /* such lines are few in a second */
	capture();
	int err = ask_as(&asker, "a.example", false, NULL);
	bool ended = err || run_until(loop, &asker.done, 1);
	const char *text = capture_end();
	assert_true(ended && asker.silent);
	assert_non_null(strstr(text, "nsnet-host: dns: no answer from 127.0.0.20"));
	assert_non_null(strstr(text, "/nonexistent/resolv.conf"));
	assert_non_null(strchr(text, '\n'));
	assert_string_equal(strchr(text, '\n'), "\n"); /* one line */
}

static void looks_at_the_file_for_each_question(void **state)
{
	char path[] = "/tmp/nsnet_resolver_XXXXXX";
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	start(2, "");
	resolvconf_fini(&conf);
	assert_int_equal(write(fd, "nameserver 127.0.0.20\n", 22), 22);
	assert_int_equal(resolvconf_init(&conf, path), 0);
	conf.port = server[0].at.port;
	conf.server[0].addr.port = conf.port;
	ask("a.example");
	expect(0);
	assert_int_equal(server[0].udp_queries, 1);
	assert_int_equal(pwrite(fd, "nameserver 127.0.0.21\n", 22, 0), 22);
	ask("a.example");
	expect(0);
	assert_int_equal(server[0].udp_queries, 1);
	assert_int_equal(server[1].udp_queries, 1);
	close(fd);
	unlink(path);
}

static int count_fds(void)
{
	int n = 0;

	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) != -1;
	return n;
}

/* 10 000 questions, 400 at a time, over a bounded number of sockets. */
static void ten_thousand_questions(void **state)
{
	enum {
		WIDTH = 400
	};
	struct asker *many = calloc(WIDTH, sizeof(*many));
	int before, most = 0;

	(void)state;
	assert_non_null(many);
	start(1, "");
	/* One read for each datagram would overflow the fake's receive buffer. */
	int size = 4 << 20;
	setsockopt(server[0].udp.fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	before = count_fds();
	for (int round = 0; round < 10000 / WIDTH; round++) {
		answers_total = 0;
		for (int i = 0; i < WIDTH; i++) {
			char name[64];
			snprintf(name, sizeof(name), "host%d.round%d.example", i, round);
			assert_int_equal(ask_as(&many[i], name, false, NULL), 0);
		}
		most = MAX(most, count_fds() - before);
		for (int i = 0; i < 20000 && answers_total < WIDTH; i++) {
			run_now(loop);
			if (answers_total < WIDTH && i % 50 == 49)
				advance(loop, 2.1); /* a datagram was lost after all */
		}
		assert_int_equal(answers_total, WIDTH);
		for (int i = 0; i < WIDTH; i++) {
			assert_int_equal(many[i].done, 1);
			assert_int_equal(many[i].len, many[i].question_len + 100);
			/* The right answer to each. */
			assert_memory_equal(many[i].answer + 12, many[i].question + 12,
				many[i].question_len - 12);
		}
	}
	assert_int_equal(most, ASKUDP_SOCKETS_MAX);
	assert_int_equal(count_fds(), before);
	assert_int_equal(resolver.garbage, 0);
	free(many);
}

/* The same against a server that never says a word: bounded too, and it ends. */
static void a_dead_server_costs_little(void **state)
{
	enum {
		WIDTH = 500
	};
	struct asker *many = calloc(WIDTH, sizeof(*many));
	int before;

	(void)state;
	assert_non_null(many);
	start(1, "");
	server[0].on_query = NULL;
	before = count_fds();
	for (int i = 0; i < WIDTH; i++)
		assert_int_equal(ask_as(&many[i], "a.example", true, NULL), 0);
	assert_true(count_fds() - before <= ASKUDP_SOCKETS_MAX);
	for (int i = 0; i < 12; i++)
		advance(loop, 2);
	assert_int_equal(answers_total, WIDTH);
	assert_int_equal(count_fds(), before);
	free(many);
}

static void many_long_answers_share_connections(void **state)
{
	enum {
		WIDTH = 300
	};
	struct asker *many = calloc(WIDTH, sizeof(*many));

	(void)state;
	assert_non_null(many);
	start(1, "use-vc");
	server[0].on_query = answer_long;
	for (int round = 0; round < 3; round++) {
		answers_total = 0;
		for (int i = 0; i < WIDTH; i++)
			assert_int_equal(ask_as(&many[i], "a.example", true, NULL), 0);
		assert_true(run_until(loop, &answers_total, WIDTH));
		for (int i = 0; i < WIDTH; i++)
			assert_false(many[i].silent);
	}
	assert_true(server[0].tcp_conns <= ASKTCP_STREAMS_MAX);
	free(many);
}

#define spec(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		spec(gives_the_answer_as_it_came),
		spec(uses_new_ports_and_identifiers),
		spec(goes_on_at_once_when_a_server_is_not_there),
		spec(goes_on_after_a_silence),
		spec(a_late_answer_counts),
		spec(repeats_with_the_same_port_and_identifier),
		spec(prefers_another_servers_answer_to_a_failure),
		spec(takes_nothing_for_an_answer_that_is_none),
		spec(gives_the_question_back_to_a_bare_failure),
		spec(truncation_is_the_askers_choice),
		spec(accepts_a_record_cut_by_truncation),
		spec(reads_tcp_in_single_bytes),
		spec(survives_a_server_that_hangs_up),
		spec(asks_again_on_a_new_connection),
		spec(a_server_without_tcp_is_no_server_of_long_answers),
		spec(a_silent_connection_does_not_last),
		spec(rotates),
		spec(asks_whom_it_is_told_to_ask),
		spec(a_cancelled_question_leaves_nothing),
		spec(names_the_file_when_nobody_answers),
		spec(looks_at_the_file_for_each_question),
		spec(ten_thousand_questions),
		spec(a_dead_server_costs_little),
		spec(many_long_answers_share_connections),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
