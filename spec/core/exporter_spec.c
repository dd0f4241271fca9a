/* SPDX-License-Identifier: MIT */
#include "core/exporter.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/base.h"
#include "core/control.h"
#include "core/log.h"

static struct {
	struct ev_loop *loop;
	struct exporter exporter;
	char dir[32], path[64];
	size_t size; /* of the text; 0: there is no memory for it */
} t;

static char *text(void *arg, size_t *len)
{
	char *all = t.size ? malloc(t.size) : NULL;

	assert_ptr_equal(arg, &t);
	if (all)
		memset(all, 'x', t.size);
	*len = t.size;
	return all;
}

static int setup(void **state)
{
	(void)state;
	log_set_level(LOG_LEVEL_ERROR);
	memset(&t, 0, sizeof(t));
	t.size = 3;
	t.loop = ev_loop_new(0);
	strcpy(t.dir, "/tmp/exporter-spec.XXXXXX");
	assert_non_null(mkdtemp(t.dir));
	snprintf(t.path, sizeof(t.path), "%s/m.sock", t.dir);
	assert_int_equal(exporter_open(&t.exporter, t.loop, t.path, "text/x", text, &t), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	exporter_close(&t.exporter);
	exporter_close(&t.exporter);
	assert_int_equal(access(t.path, F_OK), -1);
	assert_int_equal(rmdir(t.dir), 0);
	ev_loop_destroy(t.loop);
	return 0;
}

static int call(void)
{
	int fd = control_connect(t.path);

	assert_true(fd >= 0);
	ev_run(t.loop, EVRUN_NOWAIT);
	return fd;
}

/* All that comes until the end, into @to; its length. */
static size_t receive(int fd, char *to, size_t size)
{
	size_t len = 0;
	ssize_t n;

	do {
		ev_run(t.loop, EVRUN_NOWAIT);
		n = recv(fd, to + len, size - 1 - len, MSG_DONTWAIT);
		len += n > 0 ? (size_t)n : 0;
	} while (n > 0 || (n == -1 && errno == EAGAIN));
	to[len] = '\0';
	close(fd);
	return len;
}

static void answers_each_request(void **state)
{
	static const struct {
		const char *request, *status;
		bool body;
	} all[] = {
		{"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 OK\r\n", true},
		{"GET /metrics HTTP/1.0\n\n", "HTTP/1.1 200 OK\r\n", true},
		{"GET /metrics?a=b#c HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK\r\n", true},
		{"GET http://h/metrics HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK\r\n", true},
		{"HEAD /metrics HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK\r\n", false},
		{"GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 404 ", false},
		{"GET /metricsx HTTP/1.1\r\n\r\n", "HTTP/1.1 404 ", false},
		{"GET http://h HTTP/1.1\r\n\r\n", "HTTP/1.1 404 ", false},
		{"POST /metrics HTTP/1.1\r\n\r\n", "HTTP/1.1 405 ", false},
		{"get /metrics HTTP/1.1\r\n\r\n", "HTTP/1.1 405 ", false},
		{"GET /metrics\r\n\r\n", "HTTP/1.1 400 ", false},
		{"GET /metrics HTTP/2\r\n\r\n", "HTTP/1.1 400 ", false},
		{"GET  /metrics HTTP/1.1\r\n\r\n", "HTTP/1.1 400 ", false},
		{"\r\n\r\n", "HTTP/1.1 400 ", false},
		{" \n\n", "HTTP/1.1 400 ", false},
		{"x\n\n", "HTTP/1.1 400 ", false},
	};
	char got[1024];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		int fd = call();
		const char *end;

		/* byte by byte: it ends where it ends */
		for (const char *at = all[i].request; *at; at++) {
			assert_int_equal(send(fd, at, 1, MSG_NOSIGNAL), 1);
			ev_run(t.loop, EVRUN_NOWAIT);
		}
		receive(fd, got, sizeof(got));
		assert_memory_equal(got, all[i].status, strlen(all[i].status));
		end = strstr(got, "\r\n\r\n");
		assert_non_null(end);
		if (all[i].body) {
			assert_non_null(strstr(got, "\r\nContent-Type: text/x\r\n"));
			assert_non_null(strstr(got, "\r\nContent-Length: 3\r\n"));
			assert_string_equal(end, "\r\n\r\nxxx");
		} else {
			assert_null(strstr(end, "xxx"));
		}
	}
	assert_int_equal(t.exporter.count, 0);
}

static void gives_a_large_text_to_a_slow_reader(void **state)
{
	const size_t size = (size_t)4 << 20;
	char *got = malloc(size + 1024);
	int fd = call();

	(void)state;
	t.size = size;
	assert_true(send(fd, "GET /metrics HTTP/1.1\r\n\r\n", 25, 0) == 25);
	assert_true(receive(fd, got, size + 1024) > size);
	assert_int_equal(strlen(strstr(got, "\r\n\r\n") + 4), size);
	free(got);
}

static void ends_what_is_no_request(void **state)
{
	char got[1024], *junk = malloc(EXPORTER_HEAD_MAX);
	int fd = call();

	(void)state;
	memset(junk, 'x', EXPORTER_HEAD_MAX);
	assert_int_equal(send(fd, junk, EXPORTER_HEAD_MAX, 0), EXPORTER_HEAD_MAX);
	receive(fd, got, sizeof(got));
	assert_memory_equal(got, "HTTP/1.1 431 ", 13);
	fd = call();
	assert_int_equal(send(fd, "GET \0", 5, 0), 5);
	receive(fd, got, sizeof(got));
	assert_memory_equal(got, "HTTP/1.1 400 ", 13);
	fd = call();
	t.size = 0; /* no memory */
	assert_int_equal(send(fd, "GET /metrics HTTP/1.1\n\n", 23, 0), 23);
	assert_int_equal(receive(fd, got, sizeof(got)), 0);
	free(junk);
}

static void lets_the_oldest_go(void **state)
{
	int fd[EXPORTER_CLIENTS_MAX + 1];
	char got[1024];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(fd); i++)
		fd[i] = call();
	assert_int_equal(t.exporter.count, EXPORTER_CLIENTS_MAX);
	assert_int_equal(recv(fd[0], got, sizeof(got), 0), 0);
	for (size_t i = 0; i < ARRAY_LEN(fd); i++)
		close(fd[i]);
	for (int i = 0; i < 2; i++)
		ev_run(t.loop, EVRUN_NOWAIT);
	assert_int_equal(t.exporter.count, 0);
}

static void takes_no_place_of_others(void **state)
{
	struct exporter other = {0};
	struct stat st;
	char file[96], longest[256];

	(void)state;
	assert_int_equal(stat(t.path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(exporter_open(&other, t.loop, t.path, "", text, &t), -EADDRINUSE);
	exporter_close(&other);
	assert_int_equal(access(t.path, F_OK), 0);
	snprintf(file, sizeof(file), "%s/file", t.dir);
	fclose(fopen(file, "w"));
	assert_int_equal(exporter_open(&other, t.loop, file, "", text, &t), -EADDRINUSE);
	assert_int_equal(unlink(file), 0);
	assert_int_equal(exporter_open(&other, t.loop, "/nowhere/m", "", text, &t), -ENOENT);
	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	assert_int_equal(exporter_open(&other, t.loop, longest, "", text, &t), -ENAMETOOLONG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define IT(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		IT(answers_each_request),
		IT(gives_a_large_text_to_a_slow_reader),
		IT(ends_what_is_no_request),
		IT(lets_the_oldest_go),
		IT(takes_no_place_of_others),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
