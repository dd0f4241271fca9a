/* SPDX-License-Identifier: MIT */
#include "spec/support/asker.h"

#include "core/log.h"

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
	advance(loop, 4);
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

static char said[512];

static void keep_line(void *arg, enum log_level level, const char *line)
{
	(void)arg;
	(void)level;
	snprintf(said, sizeof(said), "%s", line);
}

/* Whoever chose the server is named, and not a file that has nothing to do with it. */
static void names_who_chose_a_server_that_does_not_answer(void **state)
{
	char want[200], at[ADDR_TEXT_MAX];

	(void)state;
	start(1, "");
	dns_server_stop(&server[0]);
	asker.q.rule = "office (rules.lua:3)";
	log_set_sink(keep_line, NULL);
	assert_int_equal(ask_as(&asker, "a.example", false, &server[0].at), 0);
	expect_nothing();
	log_set_sink(NULL, NULL);
	snprintf(want, sizeof(want), "dns: no answer from %s, which office (rules.lua:3) chose; ",
		addr_format(&server[0].at, false, at));
	assert_non_null(strstr(said, want));
	assert_null(strstr(said, "resolv.conf"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		/* First: there is one such line a second. */
		spec(names_who_chose_a_server_that_does_not_answer),
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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
