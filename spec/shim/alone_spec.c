/* SPDX-License-Identifier: MIT */

/* container-shim on its own, in somebody else's container: a process that has
 * made its namespaces executes it, the host is at the other end of a socket. */
#include "container-shim/handshake.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "container-shim/userns.h"
#include "spec/support/stage.h"

struct alone {
	int socket;
	pid_t pid;
	struct handshake_hello hello;
	int fds[HANDSHAKE_FDS_MAX];
	size_t n_fds;
};

static struct alone a;

/* The container's runtime: root in namespaces of its own. */
static void become_container(char *const *argv)
{
	struct ids ids = userns_ids();

	alarm(60);
	if (userns_unshare() || userns_map(&ids, true) || userns_confine_mounts() < 0)
		_exit(97);
	execv(stage_program("container-shim"), argv);
	_exit(98);
}

static void receive_hello(void)
{
	char control[CMSG_SPACE(sizeof(a.fds))];
	struct iovec iov = {.iov_base = &a.hello, .iov_len = sizeof(a.hello)};
	struct msghdr message = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *c;

	assert_int_equal(recvmsg(a.socket, &message, MSG_CMSG_CLOEXEC), sizeof(a.hello));
	a.n_fds = 0;
	c = CMSG_FIRSTHDR(&message);
	if (!c)
		return;
	a.n_fds = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	memcpy(a.fds, CMSG_DATA(c), a.n_fds * sizeof(int));
}

/* Starts the shim with @words (NULL-terminated) behind its --fd. */
static void start(const char *const *words)
{
	char *argv[32] = {"container-shim", "--fd"};
	char number[16];
	int pair[2], argc = 3;

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	snprintf(number, sizeof(number), "%d", pair[1]);
	argv[2] = number;
	while (*words)
		argv[argc++] = (char *)*words++;
	argv[argc] = NULL;
	a.socket = pair[0];
	a.pid = fork();
	assert_true(a.pid != -1);
	if (a.pid == 0) {
		close(pair[0]);
		become_container(argv);
	}
	close(pair[1]);
	receive_hello();
}

static void go(void)
{
	const struct handshake_go message = {HANDSHAKE_MAGIC, HANDSHAKE_VERSION};

	assert_int_equal(send(a.socket, &message, sizeof(message), 0), sizeof(message));
}

static int finish(void)
{
	int status;

	assert_int_equal(waitpid(a.pid, &status, 0), a.pid);
	for (size_t i = 0; i < a.n_fds; i++)
		close(a.fds[i]);
	close(a.socket);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* Waits for an IPv4 UDP packet to 203.0.113.5 from the namespace. */
static void expect_packet(int tun)
{
	unsigned char packet[2048];
	const unsigned char *ip = packet + sizeof(struct virtio_net_hdr);
	const unsigned char to[] = {203, 0, 113, 5};
	struct pollfd p = {.fd = tun, .events = POLLIN};

	do {
		assert_int_equal(poll(&p, 1, 20000), 1);
		assert_true(read(tun, packet, sizeof(packet)) > 28);
	} while (ip[0] >> 4 != 4 || ip[9] != IPPROTO_UDP || memcmp(ip + 16, to, 4) != 0);
}

static void need_tun(void)
{
	if (!stage_has_tun())
		skip();
}

static const char *self(void)
{
	static char path[PATH_MAX];

	assert_true(readlink("/proc/self/exe", path, sizeof(path) - 1) > 0);
	return path;
}

/* --- the commands, run inside ---------------------------------------------------------------- */

static int send_one(void)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(9)};
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	inet_pton(AF_INET, "203.0.113.5", &to.sin_addr);
	return sendto(fd, "hi", 2, 0, (void *)&to, sizeof(to)) == 2 ? 0 : 3;
}

/* What a container's runtime does after the shim: a root of its own, without
 * any /dev, and a network all the same. */
static int pivot_and_send(void)
{
	if (mount("root", "/mnt", "tmpfs", 0, NULL) == -1 || mkdir("/mnt/old", 0700) == -1)
		return 1;
	if (syscall(SYS_pivot_root, "/mnt", "/mnt/old") == -1 || chdir("/") == -1 ||
		umount2("/old", MNT_DETACH) == -1)
		return 2;
	if (access("/dev/net/tun", F_OK) == 0)
		return 4;
	return send_one();
}

static int bind_tun(const char *root)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		execl(stage_program("container-shim"), "container-shim", "--bind-tun", root, NULL);
		_exit(98);
	}
	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

/* A runtime that lets its container have the node: it opens, and makes devices. */
static int bind_pivot_and_send(void)
{
	struct ifreq request = {.ifr_name = "own0", .ifr_flags = IFF_TUN | IFF_NO_PI};
	int fd;

	if (mount("root", "/mnt", "tmpfs", 0, NULL) == -1 || mkdir("/mnt/old", 0700) == -1)
		return 1;
	/* A link that leads out of the root is not followed. */
	if (symlink("/tmp", "/mnt/dev") == -1 || bind_tun("/mnt") != 71 ||
		access("/tmp/net", F_OK) == 0 || unlink("/mnt/dev") == -1)
		return 5;
	if (bind_tun("/mnt/none") != 71 || bind_tun("/mnt") != 0)
		return 6;
	if (syscall(SYS_pivot_root, "/mnt", "/mnt/old") == -1 || chdir("/") == -1 ||
		umount2("/old", MNT_DETACH) == -1)
		return 2;
	fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	if (fd == -1 || ioctl(fd, TUNSETIFF, &request) == -1)
		return 7;
	return send_one();
}

/* --- what the host sees --------------------------------------------------------------------- */

static void sets_up_the_namespaces_it_is_in(void **state)
{
	(void)state;
	need_tun();
	start((const char *const[]){"--no-unshare", "--no-drop", "--", self(), "--pivot", NULL});
	assert_int_equal(a.hello.status, 0);
	assert_int_equal(a.hello.n_fds, a.n_fds);
	assert_int_equal(a.hello.fd[0].tag, HANDSHAKE_TUN);
	assert_int_equal(a.hello.fd[1].tag, HANDSHAKE_DIAG);
	assert_int_equal(a.hello.mtu, 65520);
	go();
	expect_packet(a.fds[0]);
	assert_int_equal(finish(), 0);
}

static void binds_the_node_for_a_root(void **state)
{
	(void)state;
	need_tun();
	start((const char *const[]){"--no-unshare", "--no-drop", "--", self(), "--bind", NULL});
	assert_int_equal(a.hello.status, 0);
	go();
	expect_packet(a.fds[0]);
	assert_int_equal(finish(), 0);
	/* In one go with the handshake, on a root that is there already. */
	start((const char *const[]){"--bind-tun", "/no/such/root", "--", "true", NULL});
	assert_int_equal(a.hello.status, ENOENT);
	assert_string_equal(a.hello.step, HANDSHAKE_STEP_BIND);
	assert_int_equal(finish(), 71);
}

static void takes_the_privileges_unless_told_not_to(void **state)
{
	(void)state;
	need_tun();
	start((const char *const[]){"--no-unshare", "--", self(), "--pivot", NULL});
	go();
	/* It may not mount any more. */
	assert_int_equal(finish(), 1);
	start((const char *const[]){"--no-unshare", "--", self(), "--send", NULL});
	go();
	expect_packet(a.fds[0]);
	assert_int_equal(finish(), 0);
}

/* Nested: the namespaces of the shim's own are inside those of the container. */
static void makes_its_own_inside_others(void **state)
{
	(void)state;
	need_tun();
	start((const char *const[]){"--", self(), "--send", NULL});
	assert_int_equal(a.hello.status, 0);
	go();
	expect_packet(a.fds[0]);
	assert_int_equal(finish(), 0);
}

static void names_its_device(void **state)
{
	(void)state;
	need_tun();
	start((const char *const[]){"--no-unshare", "--tun-name", "net7", "--mtu", "1400", "--",
		"/bin/sh", "-c", "exec ip -o link show dev net7 >/dev/null", NULL});
	assert_int_equal(a.hello.status, 0);
	assert_int_equal(a.hello.mtu, 1400);
	go();
	assert_int_equal(finish(), 0);
}

/* They belong to the namespace, and stay when the shim has become the command. */
static void listens_on_the_loopback(void **state)
{
	static const char *const at[] = {"127.0.0.1", "::1"};

	(void)state;
	need_tun();
	start((const char *const[]){"--no-unshare", "--listen", "80", "--listen", "65535", "--",
		"true", NULL});
	assert_int_equal(a.hello.status, 0);
	assert_int_equal(a.n_fds, 6);
	for (int i = 2; i < 6; i++) {
		struct sockaddr_storage ss;
		socklen_t len = sizeof(ss);
		char text[INET6_ADDRSTRLEN];
		const void *ip = i % 2 ? (void *)&((struct sockaddr_in6 *)&ss)->sin6_addr
				       : (void *)&((struct sockaddr_in *)&ss)->sin_addr;
		int listens = 0;

		assert_int_equal(a.hello.fd[i].tag, HANDSHAKE_LISTEN);
		assert_int_equal(a.hello.fd[i].value, i < 4 ? 80 : 65535);
		assert_int_equal(getsockname(a.fds[i], (struct sockaddr *)&ss, &len), 0);
		assert_string_equal(inet_ntop(ss.ss_family, ip, text, sizeof(text)), at[i % 2]);
		assert_int_equal(ntohs(((struct sockaddr_in *)&ss)->sin_port), a.hello.fd[i].value);
		len = sizeof(listens);
		assert_int_equal(getsockopt(a.fds[i], SOL_SOCKET, SO_ACCEPTCONN, &listens, &len),
			0);
		assert_int_equal(listens, 1);
	}
	go();
	assert_int_equal(finish(), 0);

	start((const char *const[]){"--no-unshare", "--listen", "80", "--listen", "80", "--",
		"true", NULL});
	assert_int_equal(a.hello.status, EADDRINUSE);
	assert_string_equal(a.hello.step, HANDSHAKE_STEP_LISTEN);
	assert_int_equal(finish(), 71);
}

static void tells_which_step_failed(void **state)
{
	(void)state;
	need_tun();
	start((const char *const[]){"--no-unshare", "--tun-path", "/no/such/node", "--", "true",
		NULL});
	assert_int_equal(a.hello.status, ENOENT);
	assert_string_equal(a.hello.step, HANDSHAKE_STEP_TUN_OPEN);
	assert_int_equal(a.n_fds, 0);
	assert_int_equal(finish(), 71);

	start((const char *const[]){"--no-unshare", "--tun-path", "/dev/null", "--", "true", NULL});
	assert_int_equal(a.hello.status, ENOTTY);
	assert_string_equal(a.hello.step, HANDSHAKE_STEP_TUN_CREATE);
	assert_int_equal(finish(), 71);
}

static void runs_nothing_on_a_wrong_answer(void **state)
{
	(void)state;
	need_tun();
	start((const char *const[]){"--no-unshare", "--", "true", NULL});
	assert_int_equal(send(a.socket, "go", 2, 0), 2);
	assert_int_equal(finish(), 71);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sets_up_the_namespaces_it_is_in),
		cmocka_unit_test(binds_the_node_for_a_root),
		cmocka_unit_test(takes_the_privileges_unless_told_not_to),
		cmocka_unit_test(makes_its_own_inside_others),
		cmocka_unit_test(names_its_device),
		cmocka_unit_test(listens_on_the_loopback),
		cmocka_unit_test(tells_which_step_failed),
		cmocka_unit_test(runs_nothing_on_a_wrong_answer),
	};

	/* Not by return: a leak checker wants /proc at the end, and it is gone. */
	if (argc > 1)
		_exit(strcmp(argv[1], "--pivot") == 0            ? pivot_and_send()
				: strcmp(argv[1], "--bind") == 0 ? bind_pivot_and_send()
								 : send_one());
	stage_enter();
	setenv("PATH", "/usr/bin:/bin:/usr/sbin:/sbin", 1);
	return cmocka_run_group_tests_name("shim/alone", tests, NULL, NULL);
}
