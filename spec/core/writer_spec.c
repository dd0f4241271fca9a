/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "core/log.h"
#include "core/writer.h"

static struct ev_loop *loop;
static struct writer w;
static char dir[64], path[96], big[1 << 16];

static int setup(void **state)
{
	(void)state;
	log_set_level(LOG_LEVEL_ERROR);
	signal(SIGPIPE, SIG_IGN);
	loop = ev_loop_new(0);
	strcpy(dir, "/tmp/nsnet-writer.XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/log", dir);
	memset(big, 'x', sizeof(big));
	memset(&w, 0, sizeof(w));
	return loop ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	writer_close(&w);
	ev_loop_destroy(loop);
	unlink(path);
	return rmdir(dir);
}

static void turn(void)
{
	for (int i = 0; i < 5; i++) {
		ev_now_update(loop);
		ev_run(loop, EVRUN_NOWAIT);
	}
}

static const char *contents(void)
{
	static char text[1 << 16];
	FILE *f = fopen(path, "r");
	size_t n;

	assert_non_null(f);
	n = fread(text, 1, sizeof(text) - 1, f);
	text[n] = '\0';
	fclose(f);
	return text;
}

static void line(const char *text)
{
	assert_true(writer_line(&w, text, strlen(text)));
}

/* "fd:N" of @fd; the writer has its own then. */
static const char *named(int fd)
{
	static char text[16];

	snprintf(text, sizeof(text), "fd:%d", fd);
	return text;
}

static void writes_a_file_of_its_own(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(writer_open(&w, loop, path), 0);
	line("one\n");
	line("two\n");
	assert_string_equal(contents(), ""); /* from the loop */
	turn();
	assert_string_equal(contents(), "one\ntwo\n");
	line("three\n");
	writer_close(&w);
	assert_string_equal(contents(), "one\ntwo\nthree\n");
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(writer_open(&w, loop, path), 0);
	writer_close(&w);
	assert_string_equal(contents(), ""); /* made anew */
	assert_int_equal(w.lost, 0);
}

static void refuses_what_cannot_be_written(void **state)
{
	char missing[128];
	int fd[2];

	(void)state;
	snprintf(missing, sizeof(missing), "%s/no/such", dir);
	assert_int_equal(writer_open(&w, loop, missing), -ENOENT);
	assert_int_equal(writer_open(&w, loop, dir), -EISDIR);
	assert_int_equal(writer_open(&w, loop, "fd:"), -EBADF);
	assert_int_equal(writer_open(&w, loop, "fd:x"), -EBADF);
	assert_int_equal(writer_open(&w, loop, "fd:-1"), -EBADF);
	assert_int_equal(writer_open(&w, loop, "fd:4000"), -EBADF);
	fd[0] = open("/etc/passwd", O_RDONLY | O_CLOEXEC);
	assert_int_equal(writer_open(&w, loop, named(fd[0])), -EBADF);
	close(fd[0]);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(writer_open(&w, loop, path), -ENXIO);
	memset(&w, 0, sizeof(w));
	writer_close(&w); /* safe */
}

static void keeps_a_descriptor_from_the_command(void **state)
{
	int fd[2];

	(void)state;
	assert_int_equal(pipe(fd), 0);
	assert_int_equal(writer_open(&w, loop, named(fd[1])), 0);
	assert_true(fcntl(fd[1], F_GETFD) & FD_CLOEXEC);
	assert_true(fcntl(w.fd, F_GETFD) & FD_CLOEXEC);
	/* What others share stays as it was. */
	assert_false(fcntl(fd[1], F_GETFL) & O_NONBLOCK);
	close(fd[0]);
	close(fd[1]);
}

static size_t gap(char *text, uint64_t lost)
{
	return (size_t)sprintf(text, "gap %d\n", (int)lost);
}

static void a_slow_reader_loses_lines_and_is_told(void **state)
{
	const int kind[] = {0, 1};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		char last[64], *all = malloc(2 * WRITER_MAX), *at;
		size_t n = 0, taken = 0, dropped = 0, lines = 0;
		ssize_t k;
		int fd[2];

		if (kind[i])
			assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
		else
			assert_int_equal(pipe(fd), 0);
		fcntl(fd[0], F_SETFL, O_NONBLOCK);
		assert_int_equal(writer_open(&w, loop, named(fd[1])), 0);
		w.gap = gap;
		big[999] = '\n';
		/* Nobody reads: this returns at once all the same. */
		for (int j = 0; j < 10000; j++) {
			bool ok = writer_line(&w, big, 1000);

			taken += ok;
			dropped += !ok;
			if (j % 100 == 0)
				turn();
		}
		assert_true(dropped > 0);
		assert_int_equal(w.lost, dropped);
		assert_true(taken * 1000 <= WRITER_MAX + (1 << 20));
		/* Now somebody does. */
		for (int j = 0; j < 200000 && (w.tail > w.head || n == 0); j++) {
			while ((k = read(fd[0], all + n, 2 * WRITER_MAX - n)) > 0)
				n += (size_t)k;
			turn();
		}
		assert_int_equal(w.tail - w.head, 0);
		line("again\n");
		turn();
		while ((k = read(fd[0], all + n, 2 * WRITER_MAX - n)) > 0)
			n += (size_t)k;
		for (at = all; at < all + n; at = strchr(at, '\n') + 1) {
			all[n] = '\0';
			lines++;
			if (lines <= taken)
				assert_int_equal(*at, 'x');
		}
		snprintf(last, sizeof(last), "gap %d\nagain\n", (int)dropped);
		assert_string_equal(all + n - strlen(last), last);
		assert_int_equal(lines, taken + 2);
		writer_close(&w);
		close(fd[0]);
		close(fd[1]);
		free(all);
	}
}

static void keep_message(void *arg, enum log_level level, const char *text)
{
	(void)level;
	snprintf(arg, 256, "%s", text);
}

static void the_end_tells_what_was_never_read(void **state)
{
	char said[256] = "", wanted[64];
	int fd[2];

	(void)state;
	assert_int_equal(pipe(fd), 0);
	snprintf(wanted, sizeof(wanted), "%s: 2 lines are missing: ", named(fd[1]));
	assert_int_equal(writer_open(&w, loop, named(fd[1])), 0);
	big[sizeof(big) - 1] = '\n';
	for (int i = 0; i < 3; i++) /* a pipe holds one of them */
		assert_true(writer_line(&w, big, sizeof(big)));
	log_set_level(LOG_LEVEL_WARN);
	log_set_sink(keep_message, said);
	writer_close(&w);
	log_set_sink(NULL, NULL);
	assert_int_equal(w.lost, 2);
	assert_memory_equal(said, wanted, strlen(wanted));
	close(fd[0]);
	close(fd[1]);
}

static void whole_lines_in_one_piece(void **state)
{
	char piece[PIPE_BUF + 1];
	int fd[2];

	(void)state;
	/* A pipe that takes one piece at a time. */
	assert_int_equal(pipe2(fd, O_NONBLOCK), 0);
	assert_int_equal(fcntl(fd[1], F_SETPIPE_SZ, PIPE_BUF), PIPE_BUF);
	assert_int_equal(writer_open(&w, loop, named(fd[1])), 0);
	big[999] = '\n';
	for (int i = 0; i < 6; i++)
		writer_line(&w, big, 1000);
	writer_flush(&w);
	assert_int_equal(read(fd[0], piece, sizeof(piece)), 4000);
	turn();
	assert_int_equal(read(fd[0], piece, sizeof(piece)), 2000);
	close(fd[0]);
	close(fd[1]);
}

static void what_was_written_is_there_to_be_read(void **state)
{
	int fd[2];

	(void)state;
	assert_int_equal(pipe(fd), 0);
	assert_int_equal(writer_open(&w, loop, named(fd[1])), 0);
	close(fd[1]);
	line("one\n");
	turn();
	assert_int_equal(read(fd[0], big, sizeof(big)), 4);
	close(fd[0]);
}

static void nobody_reads_any_more(void **state)
{
	int fd[2];

	(void)state;
	assert_int_equal(pipe(fd), 0);
	assert_int_equal(writer_open(&w, loop, named(fd[1])), 0);
	close(fd[0]);
	line("one\n");
	line("two\n");
	turn();
	assert_true(w.dead);
	assert_false(writer_line(&w, "three\n", 6));
	turn();
	assert_int_equal(w.lost, 3);
	close(fd[1]);
}

/* RLIMIT_FSIZE gives EFBIG, /dev/full ENOSPC: the disk that is full. */
static void a_full_disk_is_tried_again(void **state)
{
	int full;

	(void)state;
	assert_int_equal(writer_open(&w, loop, "/dev/full"), 0);
	line("one\n");
	turn();
	assert_true(w.stuck);
	assert_false(w.dead);
	line("two\n");
	turn();
	assert_int_equal(w.lost, 0);
	/* Somebody makes room. */
	full = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(dup3(full, w.fd, O_CLOEXEC), w.fd);
	close(full);
	for (int i = 0; i < 100 && w.stuck; i++) {
		ev_timer *t = &w.timer;

		assert_true(ev_is_active(t));
		ev_run(loop, EVRUN_ONCE);
	}
	assert_false(w.stuck);
	assert_string_equal(contents(), "one\ntwo\n");
}

static void leaves_a_terminal_in_use_alone(void **state)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), slave;
	struct termios t;
	char text[64];

	(void)state;
	assert_true(master >= 0);
	grantpt(master);
	unlockpt(master);
	fcntl(master, F_SETFL, O_NONBLOCK);
	slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_true(slave >= 0);
	assert_int_equal(writer_open(&w, loop, named(slave)), 0);
	assert_true(w.terminal);
	line("one\n");
	turn();
	assert_int_equal(read(master, text, sizeof(text)), 5);
	assert_memory_equal(text, "one\r\n", 5);
	tcgetattr(slave, &t);
	t.c_lflag &= ~(tcflag_t)ICANON;
	tcsetattr(slave, TCSANOW, &t);
	line("two\n");
	turn();
	assert_int_equal(read(master, text, sizeof(text)), -1);
	t.c_lflag |= ICANON;
	tcsetattr(slave, TCSANOW, &t);
	for (int i = 0; i < 100 && w.tail > w.head; i++)
		ev_run(loop, EVRUN_ONCE);
	assert_int_equal(read(master, text, sizeof(text)), 5);
	assert_memory_equal(text, "two\r\n", 5);
	close(slave);
	close(master);
}

static const struct CMUnitTest tests[] = {
#define IT(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	IT(writes_a_file_of_its_own),
	IT(refuses_what_cannot_be_written),
	IT(keeps_a_descriptor_from_the_command),
	IT(a_slow_reader_loses_lines_and_is_told),
	IT(the_end_tells_what_was_never_read),
	IT(whole_lines_in_one_piece),
	IT(what_was_written_is_there_to_be_read),
	IT(nobody_reads_any_more),
	IT(a_full_disk_is_tried_again),
	IT(leaves_a_terminal_in_use_alone),
};

int main(void)
{
	return cmocka_run_group_tests(tests, NULL, NULL);
}
