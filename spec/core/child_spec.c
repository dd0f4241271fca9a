/* SPDX-License-Identifier: MIT */
#include "core/child.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "spec/support/play.h"

static const struct child_options plain;
static struct outcome o; /* 64 KB: not on the stack */

static int need_tun(void **state)
{
	(void)state;
	if (!stage_has_tun())
		skip();
	return 0;
}

static void assert_contains(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("no '%s' in:\n%s", part, text);
}

static void assert_lacks(const char *text, const char *part)
{
	if (strstr(text, part))
		fail_msg("'%s' in:\n%s", part, text);
}

/* --- exit status ------------------------------------------------------------------------------ */

static void exits_with_every_status(void **state)
{
	char script[32];

	need_tun(state);
	for (int status = 0; status < 256; status++) {
		snprintf(script, sizeof(script), "exit %d", status);
		play_script(&o, &plain, script);
		assert_string_equal(o.out, "");
		assert_int_equal(o.status, status);
	}
}

static void exits_with_128_and_the_signal(void **state)
{
	static const int fatal[] = {SIGHUP, SIGINT, SIGQUIT, SIGILL, SIGABRT, SIGBUS, SIGFPE,
		SIGKILL, SIGUSR1, SIGSEGV, SIGUSR2, SIGPIPE, SIGALRM, SIGTERM, SIGXCPU, SIGSYS};
	const struct rlimit no_core = {0, 0};
	char script[64];

	need_tun(state);
	setrlimit(RLIMIT_CORE, &no_core);
	for (size_t i = 0; i < sizeof(fatal) / sizeof(fatal[0]); i++) {
		snprintf(script, sizeof(script), "kill -%d $$; sleep 60", fatal[i]);
		play_script(&o, &plain, script);
		assert_int_equal(o.status, 128 + fatal[i]);
	}
}

static void cannot_run(const char *command, int status, const char *message)
{
	char *const argv[] = {(char *)command, NULL};

	play(&o, &plain, argv);
	assert_contains(o.out, message);
	assert_int_equal(strncmp(o.out, "nsnet-host: ", 12), 0);
	/* One line. */
	assert_ptr_equal(strchr(o.out, '\n'), o.out + o.len - 1);
	assert_int_equal(o.status, status);
}

static void tells_why_a_command_cannot_run(void **state)
{
	char script[] = "/tmp/nsnet-spec-XXXXXX";
	int fd;

	need_tun(state);
	cannot_run("no-such-command", 127, "'no-such-command': not found in PATH");
	cannot_run("/no/such/command", 127, "'/no/such/command': No such file or directory");
	cannot_run("/etc/passwd/x", 127, "Not a directory");
	cannot_run("/etc", 126, "Permission denied");
	cannot_run("/etc/passwd", 126, "Permission denied");

	fd = mkstemp(script);
	assert_int_equal(write(fd, "#!/no/such/interpreter\n", 23), 23);
	assert_int_equal(fchmod(fd, 0700), 0);
	close(fd);
	cannot_run(script, 127, "its interpreter does not exist");
	unlink(script);
}

static void a_closed_directory_in_path_is_no_permission_problem(void **state)
{
	char dir[] = "/tmp/nsnet-spec-XXXXXX";

	need_tun(state);
	assert_non_null(mkdtemp(dir));
	assert_int_equal(chmod(dir, 0), 0);
	setenv("PATH", dir, 1);
	cannot_run("no-such-command", 127, "not found in PATH");
	setenv("PATH", "/usr/bin:/bin:/usr/sbin:/sbin", 1);
	rmdir(dir);
}

/* --- who the command is ----------------------------------------------------------------------- */

static void keeps_uid_and_gid(void **state)
{
	char want[64];

	need_tun(state);
	snprintf(want, sizeof(want), "%d %d\n", (int)getuid(), (int)getgid());
	play_script(&o, &plain, "echo $(id -u) $(id -g)");
	assert_string_equal(o.out, want);
}

static void is_root_inside_when_asked(void **state)
{
	const struct child_options root = {.shim = {.root = true}};
	char file[] = "/tmp/nsnet-spec-XXXXXX", script[128];
	struct stat st;

	need_tun(state);
	close(mkstemp(file));
	snprintf(script, sizeof(script), "echo $(id -u) $(id -g); rm %s; touch %s", file, file);
	play_script(&o, &root, script);
	assert_string_equal(o.out, "0 0\n");
	/* What root inside makes is the user's. */
	assert_int_equal(stat(file, &st), 0);
	assert_int_equal(st.st_uid, getuid());
	unlink(file);
}

static const char *const caps =
	"grep -E '^(Cap(Inh|Prm|Eff|Bnd|Amb)|NoNewPrivs):' /proc/self/status";

static void has_no_capability(void **state)
{
	static const char none[] = "CapInh:\t0000000000000000\nCapPrm:\t0000000000000000\n"
				   "CapEff:\t0000000000000000\nCapBnd:\t0000000000000000\n"
				   "CapAmb:\t0000000000000000\nNoNewPrivs:\t1\n";
	const struct child_options root = {.shim = {.root = true}};

	need_tun(state);
	play_script(&o, &plain, caps);
	assert_string_equal(o.out, none);
	play_script(&o, &root, caps);
	assert_string_equal(o.out, none);
}

/* A file with capabilities beyond the bounding set: refused, but for nosuid. */
static void runs_files_that_carry_capabilities(void **state)
{
	need_tun(state);
	if (access("/usr/bin/ping", X_OK) == -1)
		skip();
	play_script(&o, &plain, "ping -V");
	assert_int_equal(o.status, 0);
	play_script(&o, &plain, "ping -c 1 -W 1 127.0.0.1");
	assert_contains(o.out, "1 received");
}

static void keeps_capabilities_when_asked(void **state)
{
	const struct child_options keep = {.shim = {.keep_caps = true}};

	need_tun(state);
	play_script(&o, &keep, "id -u; ip link set tun0 down && echo done");
	assert_string_equal(o.out, "0\ndone\n");
	play_script(&o, &keep, caps);
	assert_contains(o.out, "NoNewPrivs:\t1\n");
	assert_lacks(o.out, "CapEff:\t0000000000000000");
}

static void cannot_undo_the_set_up(void **state)
{
	const struct child_options root = {.shim = {.root = true, .dns4 = "10.0.0.53"}};

	need_tun(state);
	play_script(&o, &root,
		"ip link set tun0 down; ip addr add 10.9.9.9/24 dev lo; ip route del default;"
		"umount /etc/resolv.conf; echo 1 >/proc/sys/net/ipv4/ip_forward;"
		"ip tuntap add mode tun name x0; nsenter -n -t 1 true; ip -o link | grep -c UP");
	/* Only what was UP before. */
	assert_non_null(strstr(o.out, "\n2\n"));
	assert_lacks(o.out, "x0");
}

/* --- what it finds ---------------------------------------------------------------------------- */

static void finds_its_network(void **state)
{
	need_tun(state);
	play_script(&o, &plain,
		"ip -o link; ip -o addr; ip route; ip -6 route; ls /proc/sys/net/ipv4");
	assert_contains(o.out, "lo: <LOOPBACK,UP,LOWER_UP>");
	assert_contains(o.out, "tun0: <POINTOPOINT,MULTICAST,NOARP,UP,LOWER_UP> mtu 65520");
	assert_contains(o.out, "qlen 10000");
	assert_contains(o.out, "inet 127.0.0.1/8");
	assert_contains(o.out, "inet 10.0.0.1/24");
	assert_contains(o.out, "inet6 fd6e:736e:6574::1/64");
	assert_contains(o.out, "default via 10.0.0.2 dev tun0");
	assert_contains(o.out, "default via fd6e:736e:6574::2 dev tun0");
	/* No link-local address: it would solicit routers. */
	assert_lacks(o.out, "fe80:");
}

static void finds_the_network_that_was_asked_for(void **state)
{
	const struct child_options other = {
		.shim = {.net4 = "192.0.2.7/32", .net6 = "2001:db8::ff/64", .mtu = 1280}};

	need_tun(state);
	play_script(&o, &other, "ip -o link; ip -o addr; ip route; ip -6 route");
	assert_contains(o.out, "mtu 1280");
	assert_contains(o.out, "inet 192.0.2.7/32");
	assert_contains(o.out, "inet6 2001:db8::ff/64");
	/* No next address to call a gateway. */
	assert_contains(o.out, "default dev tun0");
}

static void finds_its_settings(void **state)
{
	char want[64];

	need_tun(state);
	play_script(&o, &plain,
		"cd /proc/sys/net/ipv4; cat tcp_congestion_control ping_group_range "
		"ip_unprivileged_port_start");
	snprintf(want, sizeof(want), "reno\n%d\t%d\n0\n", (int)getgid(), (int)getgid());
	assert_string_equal(o.out, want);
}

/* Nothing of the host's but the standard descriptors and what the user gave. */
static void inherits_no_descriptor_of_ours(void **state)
{
	need_tun(state);
	for (int fd = 3; fd < 1024; fd++)
		close(fd);
	assert_int_equal(dup2(STDOUT_FILENO, 42), 42);
	play_script(&o, &plain, "cd /proc/self/fd; for fd in *; do [ -e $fd ] && echo $fd; done");
	assert_string_equal(o.out, "0\n1\n2\n42\n");
	close(42);
}

static void finds_a_hidden_directory_empty(void **state)
{
	char dir[] = "/tmp/nsnet-spec-XXXXXX", file[64], script[512];
	const char *const hide[] = {dir, NULL};
	const struct child_options options = {.shim = {.hide = hide, .root = true}};
	int fd;

	need_tun(state);
	assert_non_null(mkdtemp(dir));
	snprintf(file, sizeof(file), "%s/secret", dir);
	fd = open(file, O_WRONLY | O_CREAT, 0600);
	close(fd);
	/* By its name, through another process, through a mount of its own making. */
	snprintf(script, sizeof(script),
		"ls -A %s /proc/$PPID/root%s; umount %s; touch %s/x;"
		"unshare -Urm sh -c 'umount %s; mount --bind /tmp /mnt; ls -A /mnt/%s;"
		"mount --rbind /tmp /mnt && ls -A /mnt/%s; ls -A %s'",
		dir, dir, dir, dir, dir, dir + 5, dir + 5, dir);
	play_script(&o, &options, script);
	assert_lacks(o.out, "secret");
	assert_int_equal(access(file, F_OK), 0);
	unlink(file);
	rmdir(dir);
}

static void does_not_start_with_nothing_to_hide(void **state)
{
	const char *const hide[] = {"/no/such/directory", NULL};
	const struct child_options options = {.shim = {.hide = hide}};

	need_tun(state);
	play_script(&o, &options, "echo here");
	assert_int_equal(o.status, PLAY_NOT_STARTED);
	assert_contains(o.out, "nsnet-host: cannot hide a directory");
	assert_lacks(o.out, "here");
}

static void reads_who_answers_names(void **state)
{
	const struct child_options options = {
		.shim = {.dns4 = "10.0.0.53", .dns6 = "fd6e:736e:6574::53"}};

	need_tun(state);
	play_script(&o, &options, "cat /etc/resolv.conf");
	assert_contains(o.out, "\nnameserver 10.0.0.53\nnameserver fd6e:736e:6574::53\n");
	play_script(&o, &plain, "cmp /etc/resolv.conf /proc/self/cwd/etc/resolv.conf");
}

/* --- what is left ----------------------------------------------------------------------------- */

static char *mount_table(void)
{
	char *text = calloc(1, 1 << 20);
	FILE *file = fopen("/proc/self/mountinfo", "re");

	assert_non_null(text);
	assert_non_null(file);
	assert_true(fread(text, 1, (1 << 20) - 1, file) > 0);
	fclose(file);
	return text;
}

static void leaves_the_mount_table_alone(void **state)
{
	const struct child_options options = {.shim = {.dns4 = "10.0.0.53"}};
	char *before = mount_table(), *after;
	int fd;

	need_tun(state);
	/* Killed at any point of its way, from the first to the last. */
	for (int delay_us = 0; delay_us < 20000; delay_us += 1000) {
		pid_t pid = play_start(&options, (char *[]){"true", NULL}, &fd);

		usleep(delay_us);
		kill(pid, SIGKILL);
		play_wait(&o, pid);
		/* The end of the output: nobody is left who could write any. */
		play_read(&o, fd);
		close(fd);
	}
	after = mount_table();
	assert_string_equal(before, after);
	free(before);
	free(after);
}

/* Runs inside: the errno of a connect() to the world. */
static int probe_connect(const char *address, int family)
{
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(9)};
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(9)};
	struct timeval bound = {.tv_usec = 100000};
	int fd = socket(family, SOCK_STREAM, 0);
	int n;

	inet_pton(family, address, family == AF_INET ? (void *)&in.sin_addr : &in6.sin6_addr);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &bound, sizeof(bound));
	n = family == AF_INET ? connect(fd, (void *)&in, sizeof(in))
			      : connect(fd, (void *)&in6, sizeof(in6));
	return n == -1 ? errno : 0;
}

static void goes_on_without_network_when_the_host_is_killed(void **state)
{
	char self[PATH_MAX] = "", script[PATH_MAX * 4], fifo[] = "/tmp/nsnet-spec-XXXXXX";
	char line[8] = "";
	int fd, gate;
	pid_t pid;

	need_tun(state);
	assert_true(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0);
	assert_non_null(mkdtemp(fifo));
	strcat(line, "ready\n");
	snprintf(script, sizeof(script),
		"mkfifo %s/f; echo ready; read x <%s/f;"
		"while %s --probe connect4; [ $? = %d ]; do :; done; %s --probe connect4; echo $?;"
		"%s --probe connect6; echo $?; rm -r %s",
		fifo, fifo, self, EINPROGRESS, self, self, fifo);
	pid = play_start(&plain, (char *[]){"sh", "-c", script, NULL}, &fd);
	assert_int_equal(read(fd, line, 6), 6);
	kill(pid, SIGKILL);
	play_wait(&o, pid);
	assert_int_equal(o.status, 128 + SIGKILL);
	snprintf(script, sizeof(script), "%s/f", fifo);
	gate = open(script, O_WRONLY);
	assert_true(gate != -1);
	close(gate);
	play_read(&o, fd);
	close(fd);
	/* The kernel tells IPv4 of a lost carrier within a second; until then a SYN
	 * is sent into the void. */
	snprintf(script, sizeof(script), "%d\n%d\n", ENETUNREACH, ENETUNREACH);
	assert_string_equal(o.out, script);
}

/* --- linger ----------------------------------------------------------------------------------- */

static const char *const leave_one_behind =
	"setsid sh -c 'sleep 0.3; echo late >%s' </dev/null >/dev/null 2>&1 & exit 3";

static void waits_for_all_when_it_lingers(void **state)
{
	const struct child_options linger = {.linger = true};
	char file[] = "/tmp/nsnet-spec-XXXXXX", script[256];
	struct stat st;

	need_tun(state);
	close(mkstemp(file));
	snprintf(script, sizeof(script), leave_one_behind, file);
	play_script(&o, &linger, script);
	assert_int_equal(o.status, 3);
	assert_int_equal(stat(file, &st), 0);
	assert_int_equal(st.st_size, 5);
	unlink(file);
}

static void ends_with_the_command_by_default(void **state)
{
	char dir[] = "/tmp/nsnet-spec-XXXXXX", script[256];
	int gate;

	need_tun(state);
	assert_non_null(mkdtemp(dir));
	snprintf(script, sizeof(script),
		"mkfifo %s/f; (read x; rm -r %s) >/dev/null 2>&1 <%s/f & exit 3", dir, dir, dir);
	play_script(&o, &plain, script);
	assert_int_equal(o.status, 3);
	/* The one behind still waits. */
	snprintf(script, sizeof(script), "%s/f", dir);
	gate = open(script, O_WRONLY);
	assert_true(gate != -1);
	close(gate);
}

static void stops_lingering_on_a_signal(void **state)
{
	const struct child_options linger = {.linger = true};
	char line[16] = "";
	int fd, status;
	pid_t pid;

	need_tun(state);
	pid = play_start(&linger,
		(char *[]){"sh", "-c", "trap '' TERM; sh -c 'echo $$; exec sleep 60' & exit 6",
			NULL},
		&fd);
	assert_true(read(fd, line, sizeof(line) - 1) > 0);
	/* More than once: the first may find the command still there. */
	while (waitpid(pid, &status, WNOHANG) == 0) {
		kill(pid, SIGTERM);
		usleep(10000);
	}
	assert_int_equal(play_exit_status(status), 6);
	kill(atoi(line), SIGKILL);
	close(fd);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(exits_with_every_status),
		cmocka_unit_test(exits_with_128_and_the_signal),
		cmocka_unit_test(tells_why_a_command_cannot_run),
		cmocka_unit_test(a_closed_directory_in_path_is_no_permission_problem),
		cmocka_unit_test(keeps_uid_and_gid),
		cmocka_unit_test(is_root_inside_when_asked),
		cmocka_unit_test(has_no_capability),
		cmocka_unit_test(runs_files_that_carry_capabilities),
		cmocka_unit_test(keeps_capabilities_when_asked),
		cmocka_unit_test(cannot_undo_the_set_up),
		cmocka_unit_test(finds_its_network),
		cmocka_unit_test(finds_the_network_that_was_asked_for),
		cmocka_unit_test(finds_its_settings),
		cmocka_unit_test(inherits_no_descriptor_of_ours),
		cmocka_unit_test(finds_a_hidden_directory_empty),
		cmocka_unit_test(does_not_start_with_nothing_to_hide),
		cmocka_unit_test(reads_who_answers_names),
		cmocka_unit_test(leaves_the_mount_table_alone),
		cmocka_unit_test(goes_on_without_network_when_the_host_is_killed),
		cmocka_unit_test(waits_for_all_when_it_lingers),
		cmocka_unit_test(ends_with_the_command_by_default),
		cmocka_unit_test(stops_lingering_on_a_signal),
	};

	if (argc > 2 && strcmp(argv[2], "connect4") == 0)
		return probe_connect("203.0.113.1", AF_INET);
	if (argc > 2 && strcmp(argv[2], "connect6") == 0)
		return probe_connect("2001:db8::1", AF_INET6);
	stage_enter();
	setenv("PATH", "/usr/bin:/bin:/usr/sbin:/sbin", 1);
	return cmocka_run_group_tests_name("child", tests, NULL, NULL);
}
