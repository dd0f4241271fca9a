/* SPDX-License-Identifier: MIT */
#include "spec/support/asker.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		spec(a_cancelled_question_leaves_nothing),
		spec(names_the_file_when_nobody_answers),
		spec(looks_at_the_file_for_each_question),
		spec(ten_thousand_questions),
		spec(a_dead_server_costs_little),
		spec(many_long_answers_share_connections),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
