/* SPDX-License-Identifier: MIT */
#include "core/control.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/log.h"

#define TURNS_MAX 4000 /* of 5 ms: what did not come by then never will */

static struct {
	struct ev_loop *loop;
	struct control control;
	char runtime[32], dir[64];
	char argument[64]; /* that the command got; "-" for none */
	unsigned runs;
} t;

static int echo(void *arg, const char *argument, cJSON *reply)
{
	assert_ptr_equal(arg, &t);
	t.runs++;
	snprintf(t.argument, sizeof(t.argument), "%s", argument ? argument : "-");
	cJSON_AddStringToObject(reply, "said", t.argument);
	return 0;
}

static int refuse(void *arg, const char *argument, cJSON *reply)
{
	(void)arg;
	if (argument)
		cJSON_AddStringToObject(reply, "error", argument);
	return -ENOENT;
}

static int large(void *arg, const char *argument, cJSON *reply)
{
	char *text = malloc(4000001);

	(void)arg;
	(void)argument;
	memset(text, 'x', 4000000);
	text[4000000] = '\0';
	cJSON_AddStringToObject(reply, "text", text);
	free(text);
	return 0;
}

static void open_control(struct control *c)
{
	assert_int_equal(control_open(c, t.loop), 0);
	control_add(c, &(struct control_command){"echo", "TEXT", "says it", echo, &t});
	control_add(c, &(struct control_command){"refuse", "", "does not", refuse, &t});
	control_add(c, &(struct control_command){"large", "", "much", large, &t});
}

static int setup(void **state)
{
	(void)state;
	log_set_level(LOG_LEVEL_ERROR);
	memset(&t, 0, sizeof(t));
	t.loop = ev_loop_new(0);
	strcpy(t.runtime, "/tmp/control-spec.XXXXXX");
	assert_non_null(mkdtemp(t.runtime));
	snprintf(t.dir, sizeof(t.dir), "%s/nsnet-host", t.runtime);
	setenv("XDG_RUNTIME_DIR", t.runtime, 1);
	open_control(&t.control);
	return 0;
}

static int teardown(void **state)
{
	char command[128];

	(void)state;
	control_close(&t.control);
	ev_loop_destroy(t.loop);
	snprintf(command, sizeof(command), "rm -rf %s", t.runtime);
	return system(command);
}

static int client(void)
{
	int fd = control_connect(t.control.path);

	assert_true(fd >= 0);
	return fd;
}

static void say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* Runs the loop until @fd has something to read. */
static void wait_for(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	for (int i = 0; i < TURNS_MAX; i++) {
		ev_run(t.loop, EVRUN_NOWAIT);
		if (poll(&p, 1, 5) == 1)
			return;
	}
	fail_msg("nothing came");
}

/* The next line that comes at @fd, parsed. */
static cJSON *hear(int fd)
{
	static char line[1 << 16];
	cJSON *reply;
	size_t n = 0;

	do {
		wait_for(fd);
		assert_int_equal(recv(fd, line + n, 1, 0), 1);
	} while (line[n++] != '\n' && n < sizeof(line));
	reply = cJSON_ParseWithLength(line, n);
	assert_non_null(reply);
	return reply;
}

static void hear_text(int fd, const char *key, const char *text)
{
	cJSON *reply = hear(fd);

	assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(reply, key)), text);
	assert_int_equal(cJSON_IsTrue(cJSON_GetObjectItem(reply, "ok")), strcmp(key, "error") != 0);
	cJSON_Delete(reply);
}

static void hear_end(int fd)
{
	char c;

	wait_for(fd);
	assert_true(recv(fd, &c, 1, 0) <= 0);
}

static void lives_in_a_directory_that_is_ours_alone(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(lstat(t.dir, &st), 0);
	assert_int_equal(st.st_mode, S_IFDIR | 0700);
	assert_int_equal(lstat(t.control.path, &st), 0);
	assert_int_equal(st.st_mode, S_IFSOCK | 0600);
	assert_memory_equal(t.control.path, t.dir, strlen(t.dir));
	control_close(&t.control);
	assert_int_equal(access(t.control.path, F_OK), -1);
	assert_int_equal(rmdir(t.dir), 0); /* nothing was left */
}

static void answers_a_line_by_a_line(void **state)
{
	int fd = client();

	(void)state;
	say(fd, "{\"command\":\"echo\",\"argument\":\"a b\"}\n");
	hear_text(fd, "said", "a b");
	say(fd, "{\"command\":\"echo\"}\n");
	hear_text(fd, "said", "-");
	close(fd);
}

static void answers_requests_in_pieces_and_in_a_row(void **state)
{
	int fd = client();

	(void)state;
	say(fd, "{\"command\":");
	ev_run(t.loop, EVRUN_NOWAIT);
	ev_run(t.loop, EVRUN_NOWAIT);
	assert_int_equal(t.runs, 0);
	say(fd, "\"echo\"}\n{\"command\":\"echo\",\"argument\":\"2\"}\n{\"command\":\"echo\"}");
	hear_text(fd, "said", "-");
	hear_text(fd, "said", "2");
	assert_int_equal(t.runs, 2);
	say(fd, "\n");
	hear_text(fd, "said", "-");
	close(fd);
}

static void tells_what_is_wrong(void **state)
{
	static const char *const bad[] = {"\n", "x\n", "[]\n", "{}\n", "{\"command\":7}\n",
		"{\"command\":\"echo\"\n", "\"echo\"\n", "{\"command\":null}\n"};
	int fd = client();

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		say(fd, bad[i]);
		hear_text(fd, "error", "ask by one line: {\"command\": \"help\"}");
	}
	say(fd, "{\"command\":\"nothing\"}\n");
	hear_text(fd, "error", "no such command; ask for help");
	say(fd, "{\"command\":\"echo\",\"argument\":7}\n");
	hear_text(fd, "error", "an argument is a string");
	say(fd, "{\"command\":\"refuse\",\"argument\":\"why\"}\n");
	hear_text(fd, "error", "why");
	say(fd, "{\"command\":\"refuse\"}\n");
	hear_text(fd, "error", "No such file or directory");
	assert_int_equal(t.runs, 0);
	close(fd);
}

static void lists_its_commands(void **state)
{
	int fd = client();
	cJSON *reply, *list;

	(void)state;
	say(fd, "{\"command\":\"help\"}\n");
	reply = hear(fd);
	list = cJSON_GetObjectItem(reply, "commands");
	assert_int_equal(cJSON_GetArraySize(list), 4);
	assert_string_equal(
		cJSON_GetStringValue(cJSON_GetObjectItem(cJSON_GetArrayItem(list, 1), "argument")),
		"TEXT");
	cJSON_Delete(reply);
	close(fd);
}

static void gives_a_large_answer_to_a_slow_reader(void **state)
{
	static char piece[100000];
	int fd = client();
	size_t sum = 0;

	(void)state;
	say(fd, "{\"command\":\"large\"}\n{\"command\":\"echo\"}\n");
	while (sum < 4000000 + strlen("{\"ok\":true,\"text\":\"\"}\n")) {
		size_t want = 4000000 + strlen("{\"ok\":true,\"text\":\"\"}\n") - sum;
		ssize_t n;

		assert_int_equal(t.runs, 0); /* the next is not begun before */
		wait_for(fd);
		n = recv(fd, piece, want < sizeof(piece) ? want : sizeof(piece), 0);
		assert_true(n > 0);
		sum += (size_t)n;
	}
	hear_text(fd, "said", "-");
	close(fd);
}

static void hangs_up_on_a_line_without_end(void **state)
{
	static char much[CONTROL_LINE_MAX];
	int fd = client();

	(void)state;
	memset(much, ' ', sizeof(much));
	assert_int_equal(send(fd, much, sizeof(much), 0), sizeof(much));
	hear_end(fd);
	assert_int_equal(t.control.count, 0);
	close(fd);
}

static void serves_so_many_and_no_more(void **state)
{
	int fd[CONTROL_CLIENTS_MAX + 1];

	(void)state;
	for (int i = 0; i < CONTROL_CLIENTS_MAX; i++) {
		fd[i] = client();
		say(fd[i], "{\"command\":\"echo\"}\n");
		hear_text(fd[i], "said", "-");
	}
	fd[CONTROL_CLIENTS_MAX] = client();
	hear_text(fd[CONTROL_CLIENTS_MAX], "error", "too many ask at a time");
	hear_end(fd[CONTROL_CLIENTS_MAX]);
	close(fd[0]);
	close(fd[CONTROL_CLIENTS_MAX]);
	ev_run(t.loop, EVRUN_NOWAIT);
	fd[0] = client();
	say(fd[0], "{\"command\":\"echo\"}\n");
	hear_text(fd[0], "said", "-");
	for (int i = 0; i < CONTROL_CLIENTS_MAX; i++)
		close(fd[i]);
}

/* A process in a user namespace of its own asks, though it has a path to the socket. */
static void sends_away_who_asks_from_a_namespace(void **state)
{
	int pair[2], status;
	pid_t pid;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	pid = fork();
	if (pid == 0) {
		char answer[256] = {0};
		int fd;

		if (unshare(CLONE_NEWUSER) == -1)
			_exit(77);
		fd = control_connect(t.control.path);
		if (fd < 0)
			_exit(1);
		send(fd, "{\"command\":\"echo\"}\n", 19, MSG_NOSIGNAL);
		send(pair[1], "x", 1, 0);
		poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, 20000);
		recv(fd, answer, sizeof(answer) - 1, 0);
		_exit(strstr(answer, "not from inside") ? 0 : 2);
	}
	close(pair[1]);
	wait_for(pair[0]); /* it has asked, or cannot */
	while (waitpid(pid, &status, WNOHANG) == 0) {
		ev_run(t.loop, EVRUN_NOWAIT);
		poll(NULL, 0, 5);
	}
	close(pair[0]);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(status, 0);
	assert_int_equal(t.runs, 0);
}

static void removes_what_the_dead_left_and_nothing_else(void **state)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	struct control other;
	char file[256];
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	(void)state;
	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/1.sock", t.dir);
	assert_int_equal(bind(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	close(fd);
	snprintf(file, sizeof(file), "%s/note", t.dir);
	fclose(fopen(file, "w"));

	/* Another program whose pid is ours, from another pid namespace. */
	open_control(&other);
	assert_int_equal(access(sun.sun_path, F_OK), -1);
	assert_int_equal(access(file, F_OK), 0);
	assert_int_equal(access(t.control.path, F_OK), 0);
	assert_string_not_equal(other.path, t.control.path);
	control_close(&other);
	assert_int_equal(access(t.control.path, F_OK), 0);
}

static void trusts_no_directory_that_others_can_use(void **state)
{
	struct control other;

	(void)state;
	assert_int_equal(chmod(t.dir, 0755), 0);
	if (control_open(&other, t.loop) == 0) /* in /tmp then */
		assert_null(strstr(other.path, t.dir));
	control_close(&other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(lives_in_a_directory_that_is_ours_alone, setup,
			teardown),
		cmocka_unit_test_setup_teardown(answers_a_line_by_a_line, setup, teardown),
		cmocka_unit_test_setup_teardown(answers_requests_in_pieces_and_in_a_row, setup,
			teardown),
		cmocka_unit_test_setup_teardown(tells_what_is_wrong, setup, teardown),
		cmocka_unit_test_setup_teardown(lists_its_commands, setup, teardown),
		cmocka_unit_test_setup_teardown(gives_a_large_answer_to_a_slow_reader, setup,
			teardown),
		cmocka_unit_test_setup_teardown(hangs_up_on_a_line_without_end, setup, teardown),
		cmocka_unit_test_setup_teardown(serves_so_many_and_no_more, setup, teardown),
		cmocka_unit_test_setup_teardown(sends_away_who_asks_from_a_namespace, setup,
			teardown),
		cmocka_unit_test_setup_teardown(removes_what_the_dead_left_and_nothing_else, setup,
			teardown),
		cmocka_unit_test_setup_teardown(trusts_no_directory_that_others_can_use, setup,
			teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
