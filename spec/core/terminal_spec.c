/* SPDX-License-Identifier: MIT */
#include "core/terminal.h"

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <termios.h>
#include <time.h>

#include <cmocka.h>

#include "spec/support/play.h"

#include "spec/support/user.h"

/* --- at the terminal -------------------------------------------------------------------------- */

static void ctrl_c_ends_the_command(void **state)
{
	(void)state;
	NEED_TUN;
	user_type("$H sh -c 'echo rea\"\"dy; exec sleep 60'\n");
	user_sees("ready");
	user_type("\003");
	user_sees(PROMPT "130>");
}

static void ctrl_c_is_the_commands_to_answer_and_comes_once(void **state)
{
	(void)state;
	NEED_TUN;
	user_type("$H bash -c 'n=0; trap \"n=\\$((n+1)); echo got\\$n\" INT; echo rea\"\"dy;"
		  "read x; read x; exit $((n+40))'\n");
	user_sees("ready");
	user_type("\003");
	user_sees("got1");
	/* A second copy would have come by now, or comes before the next one. */
	user_type("\003");
	user_sees("got2");
	user_type("\n\n");
	user_sees(PROMPT "42>");
}

static void ctrl_backslash_ends_the_command(void **state)
{
	(void)state;
	NEED_TUN;
	user_type("ulimit -c 0; $H sh -c 'echo rea\"\"dy; exec sleep 60'\n");
	user_sees("ready");
	user_type("\034");
	user_sees(PROMPT "131>");
}

static void ctrl_z_stops_the_job_and_fg_goes_on(void **state)
{
	(void)state;
	NEED_TUN;
	user_type("$H $SELF --probe line\n");
	user_sees("ready");
	for (int i = 0; i < 5; i++) {
		user_type("\032");
		user_sees("Stopped");
		user_sees(PROMPT "148>");
		user_type("ps -o stat= $(jobs -p) | tr -d '\\n'; echo =\n");
		user_sees("T"); /* the host too */
		user_type("fg\n");
		user_sees("again");
	}
	user_type("on\n");
	user_sees("[on]");
	user_sees(PROMPT "9>");
}

static void ctrl_z_is_the_commands_to_ignore(void **state)
{
	(void)state;
	NEED_TUN;
	user_type("$H sh -c 'trap \"\" TSTP; echo rea\"\"dy; read x; echo \"[$x]\"; exit 8'\n");
	user_sees("ready");
	user_type("\032");
	/* Had the host stopped, the shell would answer this line. */
	user_type("still\n");
	user_sees("[still]");
	user_sees(PROMPT "8>");
}

static void bg_lets_a_stopped_job_finish(void **state)
{
	(void)state;
	NEED_TUN;
	user_type("$H $SELF --probe nap\n");
	user_sees("ready");
	user_type("\032");
	user_sees(PROMPT "148>");
	user_type("bg; wait %1; echo status=$?\n");
	user_sees("status=5");
}

static void a_background_job_that_reads_is_stopped(void **state)
{
	(void)state;
	NEED_TUN;
	user_type("$H sh -c 'read x </dev/tty; echo \"[$x]\"' &\n");
	user_sees(PROMPT);
	user_type("while ! jobs | grep -q Stopped; do sleep 0.05; done; jobs; fg\n");
	user_sees("Stopped");
	user_type("word\n");
	user_sees("[word]");
	user_sees(PROMPT "0>");
}

static void a_new_size_reaches_the_command(void **state)
{
	const struct winsize size = {.ws_row = 33, .ws_col = 77};

	(void)state;
	NEED_TUN;
	user_type("$H bash -c 'trap \"stty size; exit\" WINCH; echo rea\"\"dy;"
		  "while :; do sleep 0.1; done'\n");
	user_sees("ready");
	assert_int_equal(ioctl(u.fd, TIOCSWINSZ, &size), 0);
	user_sees("33 77");
	user_sees(PROMPT "0>");
}

static void an_interactive_shell_has_its_own_job_control(void **state)
{
	(void)state;
	NEED_TUN;
	user_type("$H bash --norc --noprofile --noediting -i\n");
	user_type("PS1='<$((1+1)):$?>'\n");
	user_sees("<2:0>");
	user_type("sh -c 'echo rea\"\"dy; exec sleep 60'\n");
	user_sees("ready");
	user_type("\003");
	user_sees("<2:130>");
	user_type("sh -c 'echo rea\"\"dy; read x; exit 4'\n");
	user_sees("ready");
	user_type("\032");
	user_sees("<2:148>");
	user_type("fg\n");
	user_sees("read x");
	user_type("\n");
	user_sees("<2:4>");
	/* Ctrl-Z at its prompt does nothing, as ever. */
	user_type("\032\n");
	user_type("echo he\"\"re\n");
	user_sees("here");
	user_type("exit 7\n");
	user_sees(PROMPT "7>");
	/* And the outer shell has its terminal back. */
	user_type("cat; echo cat=$?\n");
	user_type("line\n\004");
	user_sees("line");
	user_sees("cat=0");
}

static void a_suspended_shell_comes_back(void **state)
{
	(void)state;
	NEED_TUN;
	user_type("$H bash --norc --noprofile --noediting -i\n");
	user_type("PS1='<$((1+1)):$?>'\n");
	user_sees("<2:0>");
	for (int i = 0; i < 3; i++) {
		user_type("suspend\n");
		user_sees("Stopped");
		user_sees(PROMPT);
		user_type("fg\n");
		user_sees("$H bash");
		user_type("echo ba\"\"ck\n");
		user_sees("back");
		user_sees("<2:0>");
	}
	user_type("exit 6\n");
	user_sees(PROMPT "6>");
}

static void a_pager_in_the_same_pipeline_has_the_keyboard(void **state)
{
	(void)state;
	NEED_TUN;
	user_type("$H seq 1000 1500 | LESS= TERM=xterm less; echo status=$?\n");
	user_sees("1000");
	user_sees(":");
	user_type("q");
	user_sees("status=0");
}

static void a_pager_can_be_the_command(void **state)
{
	(void)state;
	NEED_TUN;
	user_type("seq 1000 1500 >$HOME/n 2>/dev/null || seq 1000 1500 >/tmp/nsnet-$$; "
		  "LESS= TERM=xterm $H less /tmp/nsnet-$$; echo status=$?; rm /tmp/nsnet-$$\n");
	user_sees("1000");
	user_sees("\033[K");
	usleep(200000); /* less loses a signal between its prompt and its read */
	user_type("\032");
	user_sees("Stopped");
	user_sees(PROMPT);
	user_type("fg\n");
	user_sees("1001");
	user_type("/1400\n");
	user_sees("1410");
	user_type("q");
	user_sees(PROMPT "0>");
}

static void the_terminals_end_is_the_commands_end(void **state)
{
	char dir[] = "/tmp/nsnet-spec-XXXXXX", path[64], line[512];
	int fd;

	(void)state;
	NEED_TUN;
	/* The command holds the writing end of a fifo as long as it lives. */
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/f", dir);
	assert_int_equal(mkfifo(path, 0600), 0);
	snprintf(line, sizeof(line), "$H sh -c 'exec 5>%s; echo rea\"\"dy; exec sleep 60'\n", path);
	fd = open(path, O_RDONLY | O_NONBLOCK);
	user_type(line);
	user_sees("ready");
	close(u.fd);
	fcntl(fd, F_SETFL, 0);
	assert_int_equal(read(fd, line, 1), 0);
	close(fd);
	unlink(path);
	rmdir(dir);
	u.fd = -1;
}

/* CVE-2017-5226: what is pushed into the terminal is run by the shell outside. */
static void the_command_cannot_type(void **state)
{
	(void)state;
	NEED_TUN;
	user_type("$H --root $SELF --probe type; echo status=$?\n");
	user_sees("status=0");
	user_type("echo he\"\"re\n");
	user_sees("here");
}

/* --- sent by a process --- */

static const struct child_options plain;

/* Starts @script, which says "ready\n", in a process group of its own. */
static pid_t start_script(const struct child_options *options, const char *script, int *fd)
{
	char line[6];
	pid_t pid;

	play_own_group = true;
	pid = play_start(options, (char *[]){"bash", "-c", (char *)script, NULL}, fd);
	play_own_group = false;
	assert_int_equal(read(*fd, line, 6), 6);
	return pid;
}

static void passes_on_what_is_sent_to_the_host(void **state)
{
	static const int signals[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH,
		50};
	char script[256];
	int fd;
	pid_t pid;

	(void)state;
	NEED_TUN;
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		snprintf(script, sizeof(script),
			"trap 'exit 33' %d; echo ready; while :; do sleep 0.05; done", signals[i]);
		pid = start_script(&plain, script, &fd);
		kill(pid, signals[i]);
		play_wait(&o, pid);
		assert_int_equal(o.status, 33);
		close(fd);
	}
}

static void a_script_can_kill_it_by_its_pid(void **state)
{
	int fd;
	pid_t pid;

	(void)state;
	NEED_TUN;
	pid = start_script(&plain, "echo ready; exec sleep 60", &fd);
	kill(pid, SIGTERM);
	play_wait(&o, pid);
	assert_int_equal(o.status, 128 + SIGTERM);
	close(fd);
}

static void a_stop_sent_to_the_host_stops_both_until_it_is_continued(void **state)
{
	int fd, status;
	pid_t pid;

	(void)state;
	NEED_TUN;
	if (stage_is_valgrind()) /* it never gives SIGTSTP its default action */
		skip();
	pid = start_script(&plain, "echo ready; exec sleep 60", &fd);
	kill(pid, SIGTSTP);
	assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
	assert_true(WIFSTOPPED(status));
	kill(pid, SIGCONT);
	kill(pid, SIGTERM);
	play_wait(&o, pid);
	assert_int_equal(o.status, 128 + SIGTERM);
	close(fd);
}

/* Whoever stops the command alone, in the background, continues it alone. */
static void a_stop_of_the_command_alone_leaves_the_host(void **state)
{
	int fd, status;
	pid_t pid;

	(void)state;
	NEED_TUN;
	pid = start_script(&plain,
		"echo ready; (sleep 0.2; kill -CONT $$) & kill -STOP $$; exit 12", &fd);
	assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 12);
	close(fd);
}

static void a_group_kill_from_inside_is_not_for_the_host(void **state)
{
	int fd;
	pid_t pid;

	(void)state;
	NEED_TUN;
	pid = start_script(&plain,
		"n=0; trap 'n=$((n+1))' TERM; echo ready; read -t 0.3 x </dev/zero; kill 0;"
		"for i in 1 2 3 4; do sleep 0.05; done; exit $((n+20))",
		&fd);
	play_wait(&o, pid);
	assert_int_equal(o.status, 21);
	close(fd);
}

static bool keep_hup(void *arg, int signo)
{
	(void)arg;
	if (signo != SIGHUP)
		return false;
	if (write(STDOUT_FILENO, "kept\n", 5) != 5)
		abort();
	return true;
}

static void the_host_may_keep_a_signal(void **state)
{
	const struct child_options options = {.on_signal = keep_hup};
	int fd;
	pid_t pid;

	(void)state;
	NEED_TUN;
	pid = start_script(&options,
		"trap 'exit 1' HUP; trap 'exit 34' USR1; echo ready; while :; do sleep 0.05; done",
		&fd);
	kill(pid, SIGHUP);
	assert_int_equal(read(fd, o.out, 5), 5);
	assert_memory_equal(o.out, "kept\n", 5);
	kill(pid, SIGUSR1);
	play_wait(&o, pid);
	assert_int_equal(o.status, 34);
	close(fd);
}

/* --- this program in other parts -------------------------------------------------------------- */

/* Runs inside, as the command: 0 if nothing can be typed. */
static int probe_type(void)
{
	const char c = 'x';
	/* The kernel takes the low half of the number; so must the filter. */
	const unsigned long high = 1UL << 32;

	if (ioctl(STDIN_FILENO, TIOCSTI, &c) != -1 || errno != EPERM)
		return 1;
	if (syscall(SYS_ioctl, STDIN_FILENO, TIOCSTI | high, &c) != -1 || errno != EPERM)
		return 2;
	if (syscall(SYS_ioctl, STDIN_FILENO, TIOCLINUX | high, &c) != -1 || errno != EPERM)
		return 3;
	return 0;
}

static void say_again(int signo)
{
	(void)signo;
	if (write(STDOUT_FILENO, "again\n", 6) != 6)
		_exit(98);
}

/* Runs inside: answers a line, and says so each time that it is continued. A
 * shell would do it with a trap, but forgets one that comes before its read(2). */
static int probe_line(void)
{
	char line[64];
	ssize_t n;

	signal(SIGCONT, say_again);
	printf("ready\n");
	fflush(stdout);
	do {
		n = read(STDIN_FILENO, line, sizeof(line) - 1);
	} while (n == -1 && errno == EINTR);
	if (n <= 0)
		return 1;
	line[n - 1] = '\0';
	printf("[%s]\n", line);
	return 9;
}

/* Runs inside. No shell: a dash that is stopped between vfork(2) and exec(2)
 * hangs, whoever its parent is. */
static int probe_nap(void)
{
	struct timespec left = {.tv_sec = 1};

	printf("ready\n");
	fflush(stdout);
	while (nanosleep(&left, &left) == -1)
		;
	return 5;
}

static int part(int argc, char **argv)
{
	struct child_options options = {.linger = false};
	int i = 2;

	if (argc > 2 && strcmp(argv[1], "--probe") == 0 && strcmp(argv[2], "line") == 0)
		return probe_line();
	if (argc > 2 && strcmp(argv[1], "--probe") == 0 && strcmp(argv[2], "nap") == 0)
		return probe_nap();
	if (argc > 2 && strcmp(argv[1], "--probe") == 0)
		return probe_type();
	if (argc > i && strcmp(argv[i], "--root") == 0) {
		options.shim.root = true;
		i++;
	}
	return play_host(&options, argv + i);
}

#define AT_TERMINAL(test) cmocka_unit_test_setup_teardown(test, user_sits_down, user_leaves)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		AT_TERMINAL(ctrl_c_ends_the_command),
		AT_TERMINAL(ctrl_c_is_the_commands_to_answer_and_comes_once),
		AT_TERMINAL(ctrl_backslash_ends_the_command),
		AT_TERMINAL(ctrl_z_stops_the_job_and_fg_goes_on),
		AT_TERMINAL(ctrl_z_is_the_commands_to_ignore),
		AT_TERMINAL(bg_lets_a_stopped_job_finish),
		AT_TERMINAL(a_background_job_that_reads_is_stopped),
		AT_TERMINAL(a_new_size_reaches_the_command),
		AT_TERMINAL(an_interactive_shell_has_its_own_job_control),
		AT_TERMINAL(a_suspended_shell_comes_back),
		AT_TERMINAL(a_pager_in_the_same_pipeline_has_the_keyboard),
		AT_TERMINAL(a_pager_can_be_the_command),
		AT_TERMINAL(the_terminals_end_is_the_commands_end),
		AT_TERMINAL(the_command_cannot_type),
		cmocka_unit_test(passes_on_what_is_sent_to_the_host),
		cmocka_unit_test(a_script_can_kill_it_by_its_pid),
		cmocka_unit_test(a_stop_sent_to_the_host_stops_both_until_it_is_continued),
		cmocka_unit_test(a_stop_of_the_command_alone_leaves_the_host),
		cmocka_unit_test(a_group_kill_from_inside_is_not_for_the_host),
		cmocka_unit_test(the_host_may_keep_a_signal),
	};

	if (argc > 1)
		return part(argc, argv);
	stage_enter();
	setenv("PATH", "/usr/bin:/bin:/usr/sbin:/sbin", 1);
	return cmocka_run_group_tests_name("terminal", tests, NULL, NULL);
}
