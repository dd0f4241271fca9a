/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <linux/netlink.h>
#include <linux/sock_diag.h>

#include "world.h"

#include "core/who.h"

/* Processes with sockets in a namespace of their own, asked about as the host would. */

static struct who who;

static int setup(void **state)
{
	int diag;

	(void)state;
	if (world_missing)
		return 0;
	diag = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	assert_int_equal(who_init(&who, diag, getpid(), NULL), 0);
	close(diag);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	who_fini(&who);
	return 0;
}

static struct addr name_of(int fd, int (*get)(int, struct sockaddr *, socklen_t *))
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	struct addr a;

	assert_int_equal(get(fd, (struct sockaddr *)&ss, &len), 0);
	assert_int_equal(addr_from_sockaddr(&a, &ss), 0);
	return a;
}

static int sock(const char *at, int type, int (*bind_it)(int, const struct sockaddr *, socklen_t))
{
	struct sockaddr_storage ss;
	struct addr a = world_addr(at);
	socklen_t len = addr_to_sockaddr(&a, &ss);
	int fd = socket(ss.ss_family, type | SOCK_CLOEXEC, 0);

	assert_int_equal(bind_it(fd, (struct sockaddr *)&ss, len), 0);
	return fd;
}

static struct process *find(int proto, int fd)
{
	struct addr src = name_of(fd, getsockname), dst = name_of(fd, getpeername);

	return who_find(&who, proto, &src, &dst);
}

/* A process that calls @run and then sleeps until it is ended; what it writes to the pipe is in
 * @told. */
struct actor {
	pid_t pid;
	struct addr told;
};

static struct actor act(void (*run)(int out), bool orphan)
{
	struct actor a;
	int out[2];

	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	a.pid = fork();
	assert_true(a.pid >= 0);
	if (a.pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (orphan && fork() != 0)
			_exit(0);
		if (orphan)
			prctl(PR_SET_PDEATHSIG, 0);
		prctl(PR_SET_NAME, "an act)or 1");
		run(out[1]);
		if (!orphan)
			close(out[1]);
		for (;;)
			pause();
	}
	close(out[1]);
	assert_int_equal(read(out[0], &a.told, sizeof(a.told)), sizeof(a.told));
	if (orphan) {
		assert_int_equal(waitpid(a.pid, NULL, 0), a.pid);
		assert_int_equal(read(out[0], &a.pid, sizeof(a.pid)), sizeof(a.pid));
	}
	close(out[0]);
	return a;
}

static void end(struct actor *a)
{
	kill(a->pid, SIGKILL);
	waitpid(a->pid, NULL, 0);
}

static void knows_its_own_sockets(void **state)
{
	static const char *const at[] = {"127.0.0.1:9000", "[::1]:9000"};

	NEEDS_WORLD;
	for (size_t i = 0; i < 2; i++) {
		static const int one = 1;
		struct addr to = world_addr(at[i]);
		struct sockaddr_storage ss;
		socklen_t len = addr_to_sockaddr(&to, &ss);
		int l = socket(ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
		struct process *p;
		int fd;

		setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
		assert_int_equal(bind(l, (struct sockaddr *)&ss, len), 0);
		assert_int_equal(listen(l, 1), 0);
		fd = sock(at[i], SOCK_STREAM, connect);
		p = find(IPPROTO_TCP, fd);
		assert_non_null(p);
		assert_int_equal(p->pid, getpid());
		assert_non_null(strstr(p->exe, "who_spec"));
		assert_non_null(memmem(p->argv, p->argv_len, "who_spec", 8));
		assert_int_equal(p->parent_count, 0); /* it is the root */
		process_put(p);
		close(fd);
		close(l);
		/* By UDP, connected. */
		fd = sock(at[i], SOCK_DGRAM, connect);
		p = find(IPPROTO_UDP, fd);
		assert_non_null(p);
		assert_int_equal(p->pid, getpid());
		process_put(p);
		close(fd);
	}
	assert_int_equal(who.asked, 4);
	assert_int_equal(who.found, 4);
}

static int full; /* a listener that takes no more */

static void fill(void)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(in);

	full = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(full, (struct sockaddr *)&in, len), 0);
	assert_int_equal(listen(full, 0), 0);
	assert_int_equal(getsockname(full, (struct sockaddr *)&in, &len), 0);
	for (int i = 0; i < 4; i++) {
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

		connect(fd, (struct sockaddr *)&in, len);
	}
}

/* Its connect() hangs: the SYN is held. By an IPv6 socket, too. */
static void hangs(int out)
{
	struct addr to = name_of(full, getsockname), self;
	struct sockaddr_storage ss;
	socklen_t len = addr_to_sockaddr(&to, &ss);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	connect(fd, (struct sockaddr *)&ss, len);
	self = name_of(fd, getsockname);
	if (write(out, &self, sizeof(self)) != sizeof(self))
		_exit(1);
}

static void hangs_mapped(int out)
{
	struct addr to = name_of(full, getsockname), self;
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(to.port)};
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, 0);

	in6.sin6_addr.s6_addr[10] = in6.sin6_addr.s6_addr[11] = 0xff;
	memcpy(in6.sin6_addr.s6_addr + 12, to.ip, 4);
	connect(fd, (struct sockaddr *)&in6, sizeof(in6));
	self = name_of(fd, getsockname);
	memmove(self.ip, self.ip + 12, 4);
	memset(self.ip + 4, 0, 12);
	self.v = 4;
	if (write(out, &self, sizeof(self)) != sizeof(self))
		_exit(1);
}

static void knows_who_connects(void **state)
{
	void (*const way[])(int) = {hangs, hangs_mapped};
	char cwd[PATH_MAX];

	NEEDS_WORLD;
	fill();
	for (size_t i = 0; i < 2; i++) {
		struct actor a = act(way[i], false);
		struct addr to = name_of(full, getsockname);
		struct process *p = who_find(&who, IPPROTO_TCP, &a.told, &to);

		assert_non_null(p);
		assert_int_equal(p->pid, a.pid);
		assert_string_equal(p->name, "an act)or 1");
		assert_string_equal(p->cwd, getcwd(cwd, sizeof(cwd)));
		assert_int_equal(p->parent_count, 1);
		assert_int_equal(p->parents[0].pid, getpid());
		assert_non_null(memmem(p->argv, p->argv_len, "who_spec", 8));
		assert_int_equal(p->argv[p->argv_len - 1], '\0');
		process_put(p);
		end(&a);
		assert_null(who_find(&who, IPPROTO_TCP, &a.told, &to));
	}
}

static void says_itself(int out)
{
	pid_t pid = getpid();

	hangs(out);
	if (write(out, &pid, sizeof(pid)) != sizeof(pid))
		_exit(1);
}

static void finds_an_orphan(void **state)
{
	struct actor a;
	struct process *p;
	struct addr to;

	NEEDS_WORLD;
	fill();
	a = act(says_itself, true);
	to = name_of(full, getsockname);
	p = who_find(&who, IPPROTO_TCP, &a.told, &to);
	kill(a.pid, SIGKILL);
	assert_non_null(p);
	assert_int_equal(p->pid, a.pid);
	assert_int_equal(p->parent_count, 0);
	process_put(p);
}

/* An unconnected socket sends without a bind: that is what most programs do. */
static void knows_who_sends(void **state)
{
	struct addr self, to;
	struct process *p;
	int fd;

	NEEDS_WORLD;
	to = world_addr("127.0.0.1:9");
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	{
		struct sockaddr_storage ss;
		socklen_t len = addr_to_sockaddr(&to, &ss);

		assert_int_equal(sendto(fd, "x", 1, 0, (struct sockaddr *)&ss, len), 1);
	}
	self = name_of(fd, getsockname);
	self.ip[0] = 127; /* as the packet has it, not 0.0.0.0 */
	self.ip[3] = 1;
	p = who_find(&who, IPPROTO_UDP, &self, &to);
	assert_non_null(p);
	assert_int_equal(p->pid, getpid());
	process_put(p);
	close(fd);
	assert_null(who_find(&who, IPPROTO_UDP, &self, &to));
}

static void idle(int out)
{
	struct addr a = {0};

	if (write(out, &a, sizeof(a)) != sizeof(a))
		_exit(1);
}

static void does_not_guess_between_two(void **state)
{
	struct actor a;
	int fd;

	NEEDS_WORLD;
	fd = sock("127.0.0.1:9", SOCK_DGRAM, connect);
	a = act(idle, false); /* it has inherited the socket */
	assert_null(find(IPPROTO_UDP, fd));
	end(&a);
	close(fd);
}

static void keeps_many(int out)
{
	for (int i = 0; i < 900; i++) {
		if (dup(out) == -1)
			_exit(1);
	}
	idle(out);
}

/* A look at each descriptor of each process for each connection would keep all from their work. */
static void gives_up_what_takes_too_long(void **state)
{
	struct process *p;
	struct actor a;
	int fd;

	NEEDS_WORLD;
	a = act(keeps_many, false);
	fd = sock("127.0.0.1:9", SOCK_DGRAM, connect);
	p = find(IPPROTO_UDP, fd);
	assert_non_null(p);
	assert_int_equal(p->pid, getpid());
	process_put(p);
	who.looks.rate = 1e-6;
	who.looks.tokens = 950; /* enough for both, once */
	p = find(IPPROTO_UDP, fd);
	assert_non_null(p);
	process_put(p);
	assert_in_range(who.looks.tokens, 1, 200);
	for (int i = 0; i < 3; i++) {
		assert_null(find(IPPROTO_UDP, fd)); /* stops on the way */
		assert_true(who.looks.tokens < 1);
	}
	who.looks.rate = 1e9;
	p = find(IPPROTO_UDP, fd);
	assert_non_null(p);
	process_put(p);
	end(&a);
	close(fd);
}

static void knows_nobody_in_vain(void **state)
{
	struct addr a, b;

	NEEDS_WORLD;
	a = world_addr("127.0.0.1:1");
	b = world_addr("127.0.0.1:2");
	assert_null(who_find(&who, IPPROTO_TCP, &a, &b));
	assert_null(who_find(&who, IPPROTO_UDP, &a, &b));
	assert_null(who_find(&who, IPPROTO_ICMP, &a, &b));
	who_fini(&who);
	assert_null(who_find(&who, IPPROTO_TCP, &a, &b));
	assert_true(who_init(&who, -1, getpid(), NULL) < 0);
	assert_true(who_init(&who, 0, 0x7fffffff, NULL) < 0);
	who_fini(&who);
}

static const struct CMUnitTest tests[] = {
#define IT(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	IT(knows_its_own_sockets),
	IT(knows_who_connects),
	IT(finds_an_orphan),
	IT(knows_who_sends),
	IT(does_not_guess_between_two),
	IT(gives_up_what_takes_too_long),
	IT(knows_nobody_in_vain),
};

int main(void)
{
	return cmocka_run_group_tests(tests, world_enter, NULL);
}
