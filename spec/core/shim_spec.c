/* SPDX-License-Identifier: MIT */
#include "core/shim.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "spec/support/stage.h"

/* --- shims that misbehave: this program again, told how by the command's name --------------- */

static void send_raw(int fd, const void *body, size_t len, const int *fds, size_t n_fds)
{
	char control[CMSG_SPACE(sizeof(int) * 16)];
	struct iovec iov = {.iov_base = (void *)body, .iov_len = len};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
	struct cmsghdr *c;

	memset(control, 0, sizeof(control));
	if (n_fds) {
		message.msg_control = control;
		message.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
		c = CMSG_FIRSTHDR(&message);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * n_fds);
	}
	if (sendmsg(fd, &message, MSG_NOSIGNAL) == -1)
		_exit(99);
}

static void misbehave(int fd, const char *how)
{
	struct {
		struct handshake_hello hello;
		char more[64];
	} body = {.hello = {.magic = HANDSHAKE_MAGIC, .version = HANDSHAKE_VERSION, .mtu = 1500}};
	int fds[16];

	for (int i = 0; i < 16; i++)
		fds[i] = open("/dev/null", O_RDWR);
	if (strcmp(how, "silence") == 0)
		pause();
	if (strcmp(how, "garbage") == 0)
		send_raw(fd, "GET / HTTP/1.0\r\n\r\n", 18, NULL, 0);
	if (strcmp(how, "empty") == 0)
		send_raw(fd, "", 0, NULL, 0);
	if (strcmp(how, "version") == 0) {
		body.hello.version = 9;
		send_raw(fd, &body, sizeof(body), NULL, 0);
	}
	body.hello.n_fds = 1;
	body.hello.fd[0].tag = HANDSHAKE_TUN;
	if (strcmp(how, "long") == 0)
		send_raw(fd, &body, sizeof(body), fds, 1);
	if (strcmp(how, "null for a tun") == 0)
		send_raw(fd, &body, sizeof(body.hello), fds, 1);
	if (strcmp(how, "no descriptor") == 0)
		send_raw(fd, &body, sizeof(body.hello), NULL, 0);
	if (strcmp(how, "many descriptors") == 0) {
		body.hello.n_fds = 16;
		send_raw(fd, &body, sizeof(body.hello), fds, 16);
	}
	body.hello.n_fds = 0;
	body.hello.status = ENOSPC;
	strcpy(body.hello.step, HANDSHAKE_STEP_LINK);
	if (strcmp(how, "failure") == 0)
		send_raw(fd, &body, sizeof(body.hello), NULL, 0);
	if (strcmp(how, "killed") == 0)
		raise(SIGKILL);
	_exit(0);
}

/* --- helpers -------------------------------------------------------------------------------- */

static int open_fds(void)
{
	int n = 0;

	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) != -1;
	return n;
}

/* Starts one that misbehaves; nothing may be left of it. */
static int start_bad(const char *how, int wait_ms, struct shim_failure *failure)
{
	char *const argv[] = {(char *)how, NULL};
	char self[PATH_MAX] = "";
	struct shim_options options = {.argv = argv, .path = self};
	struct shim shim;
	int before = open_fds(), err;

	assert_true(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0);
	err = shim_start(&shim, &options, wait_ms, failure);
	assert_int_equal(open_fds(), before);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
	assert_int_equal(failure->error, -err);
	return err;
}

static void expect_bad(const char *how, int error, const char *step)
{
	struct shim_failure failure;

	assert_int_equal(start_bad(how, 10000, &failure), -error);
	assert_string_equal(failure.step, step);
}

/* --- the handshake ---------------------------------------------------------------------------- */

static void refuses_what_is_no_handshake(void **state)
{
	(void)state;
	expect_bad("garbage", EBADMSG, SHIM_STEP_HANDSHAKE);
	expect_bad("long", EBADMSG, SHIM_STEP_HANDSHAKE);
	expect_bad("no descriptor", EBADMSG, SHIM_STEP_HANDSHAKE);
	expect_bad("many descriptors", EBADMSG, SHIM_STEP_HANDSHAKE);
}

static void refuses_a_tun_device_that_is_none(void **state)
{
	(void)state;
	expect_bad("null for a tun", EBADMSG, SHIM_STEP_HANDSHAKE);
}

static void tells_both_versions(void **state)
{
	struct shim_failure failure;

	(void)state;
	assert_int_equal(start_bad("version", 10000, &failure), -EPROTONOSUPPORT);
	assert_non_null(strstr(failure.detail, "version 9"));
	assert_non_null(strstr(failure.detail, "version 2"));
}

static void notices_a_shim_that_ends(void **state)
{
	(void)state;
	expect_bad("exit", ECONNRESET, SHIM_STEP_HANDSHAKE);
	expect_bad("killed", ECONNRESET, SHIM_STEP_HANDSHAKE);
	expect_bad("empty", ECONNRESET, SHIM_STEP_HANDSHAKE);
}

static void does_not_wait_for_ever(void **state)
{
	struct shim_failure failure;

	(void)state;
	assert_int_equal(start_bad("silence", 50, &failure), -ETIMEDOUT);
	assert_string_equal(failure.step, SHIM_STEP_HANDSHAKE);
}

static void passes_on_which_step_failed(void **state)
{
	(void)state;
	expect_bad("failure", ENOSPC, HANDSHAKE_STEP_LINK);
}

/* --- the real one ----------------------------------------------------------------------------- */

static void never_runs_the_command_without_a_go(void **state)
{
	char file[] = "/tmp/nsnet-spec-XXXXXX";
	char *const argv[] = {"rm", file, NULL};
	struct shim_options options = {.argv = argv};
	struct shim_failure failure;
	struct shim shim;
	int fd = mkstemp(file);

	(void)state;
	if (!stage_has_tun())
		skip();
	options.path = stage_program("container-shim");
	assert_int_equal(shim_start(&shim, &options, 10000, &failure), 0);
	shim_abort(&shim);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	close(shim.tun);
	close(shim.diag);
	assert_int_equal(access(file, F_OK), 0);
	unlink(file);
	close(fd);
}

/* The host may die without a word: then the shim leaves by itself. */
static void ends_when_the_host_is_gone(void **state)
{
	char *const argv[] = {"sleep", "60", NULL};
	struct shim_options options = {.argv = argv};
	struct shim_failure failure;
	struct shim shim;
	int status;

	(void)state;
	if (!stage_has_tun())
		skip();
	options.path = stage_program("container-shim");
	assert_int_equal(shim_start(&shim, &options, 10000, &failure), 0);
	close(shim.socket);
	assert_int_equal(waitpid(shim.pid, &status, 0), shim.pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 71);
	close(shim.tun);
	close(shim.diag);
}

/* The command of the next test: is everything as it was before the host came? */
static int check_inherited(void)
{
	struct rlimit limit;
	struct sigaction action;
	sigset_t mask;

	if (getrlimit(RLIMIT_NOFILE, &limit) == -1 || limit.rlim_cur != 333)
		return 1;
	sigprocmask(SIG_SETMASK, NULL, &mask);
	if (!sigismember(&mask, SIGUSR1) || sigismember(&mask, SIGTERM))
		return 2;
	sigaction(SIGPIPE, NULL, &action);
	if (action.sa_handler != SIG_DFL)
		return 3;
	sigaction(SIGTTOU, NULL, &action);
	if (action.sa_handler != SIG_DFL)
		return 4;
	sigaction(SIGUSR2, NULL, &action);
	return action.sa_handler == SIG_IGN ? 0 : 5;
}

static void gives_the_command_the_old_limits_and_signals(void **state)
{
	char self[PATH_MAX] = "";
	char *const argv[] = {self, "--inherited", NULL};
	struct shim_options options = {.argv = argv};
	struct shim_failure failure;
	struct inherit inherit;
	struct rlimit limit;
	struct shim shim;
	sigset_t set;
	int status;

	(void)state;
	if (!stage_has_tun())
		skip();
	/* By its real name: /proc/self is the shim by then. */
	assert_true(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = 333;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_SETMASK, &set, NULL);
	signal(SIGUSR2, SIG_IGN);
	inherit_init(&inherit);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_int_equal(limit.rlim_cur, limit.rlim_max);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_SETMASK, &set, NULL);

	options.path = stage_program("container-shim");
	options.inherit = &inherit;
	assert_int_equal(shim_start(&shim, &options, 10000, &failure), 0);
	assert_int_equal(shim_go(&shim), 0);
	assert_int_equal(waitpid(shim.pid, &status, 0), shim.pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	close(shim.tun);
	close(shim.diag);
}

/* --- finding it ------------------------------------------------------------------------------- */

static void finds_what_is_given(void **state)
{
	char path[PATH_MAX];

	(void)state;
	assert_int_equal(shim_find("/bin/sh", path), 0);
	assert_string_equal(path, "/bin/sh");
	assert_int_equal(shim_find("/etc/passwd", path), -EACCES);
	assert_int_equal(shim_find("/nonexistent/shim", path), -ENOENT);
	assert_string_equal(path, "/nonexistent/shim");
}

/* This spec lies in BUILD/spec/core, where there is none beside it. */
static void finds_it_in_path_at_last(void **state)
{
	char dir[] = "/tmp/nsnet-spec-XXXXXX";
	char file[64], path[PATH_MAX];
	int fd;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(file, sizeof(file), "%s/container-shim", dir);
	setenv("PATH", dir, 1);
	assert_int_equal(shim_find(NULL, path), -ENOENT);
	/* Told where it should have been. */
	assert_non_null(strstr(path, "/spec/core/container-shim"));
	fd = open(file, O_WRONLY | O_CREAT, 0755);
	assert_true(fd != -1);
	close(fd);
	assert_int_equal(shim_find(NULL, path), 0);
	assert_string_equal(path, file);
	unlink(file);
	rmdir(dir);
}

static void never_looks_in_the_current_directory(void **state)
{
	char dir[] = "/tmp/nsnet-spec-XXXXXX";
	char path[PATH_MAX], file[64];
	int fd;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(file, sizeof(file), "%s/container-shim", dir);
	fd = open(file, O_WRONLY | O_CREAT, 0755);
	assert_true(fd != -1);
	close(fd);
	assert_int_equal(chdir(dir), 0);
	setenv("PATH", ":/nonexistent:", 1);
	assert_int_equal(shim_find(NULL, path), -ENOENT);
	assert_int_equal(chdir("/"), 0);
	unlink(file);
	rmdir(dir);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refuses_what_is_no_handshake),
		cmocka_unit_test(refuses_a_tun_device_that_is_none),
		cmocka_unit_test(tells_both_versions),
		cmocka_unit_test(notices_a_shim_that_ends),
		cmocka_unit_test(does_not_wait_for_ever),
		cmocka_unit_test(passes_on_which_step_failed),
		cmocka_unit_test(never_runs_the_command_without_a_go),
		cmocka_unit_test(ends_when_the_host_is_gone),
		cmocka_unit_test(gives_the_command_the_old_limits_and_signals),
		cmocka_unit_test(finds_what_is_given),
		cmocka_unit_test(finds_it_in_path_at_last),
		cmocka_unit_test(never_looks_in_the_current_directory),
	};

	if (argc > 1 && strcmp(argv[1], "--inherited") == 0)
		return check_inherited();
	/* Started as a shim: "--fd N ... -- HOW". */
	if (argc > 3 && strcmp(argv[1], "--fd") == 0)
		misbehave(atoi(argv[2]), argv[argc - 1]);
	stage_enter();
	return cmocka_run_group_tests_name("shim", tests, NULL, NULL);
}
