/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <linux/netlink.h>
#include <netinet/tcp.h>
#include <sys/stat.h>

#include "world.h"

#include "core/sockdiag.h"

/* Sockets of a namespace of their own, asked about as the host would. */

static int diag_of_this(void)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);

	assert_true(fd >= 0);
	return fd;
}

static uint32_t inode(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return (uint32_t)st.st_ino;
}

static struct addr end_of(int fd, int (*name)(int, struct sockaddr *, socklen_t *))
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	struct addr a;

	assert_int_equal(name(fd, (struct sockaddr *)&ss, &len), 0);
	assert_int_equal(addr_from_sockaddr(&a, &ss), 0);
	return a;
}

/* A socket of @type bound to @at, and connected to @to unless that is NULL. */
static int open_at(int type, const char *at, const char *to)
{
	struct sockaddr_storage ss;
	struct addr a = world_addr(at);
	socklen_t len = addr_to_sockaddr(&a, &ss);
	int fd = socket(ss.ss_family, type | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&ss, len), 0);
	if (to) {
		a = world_addr(to);
		len = addr_to_sockaddr(&a, &ss);
		assert_int_equal(connect(fd, (struct sockaddr *)&ss, len), 0);
	}
	return fd;
}

struct seen {
	uint32_t inode;
	size_t count;
	bool found;
};

static void on_socket(void *arg, const struct inet_diag_msg *d, size_t rest)
{
	struct seen *seen = arg;

	assert_true(rest < 4096);
	seen->count++;
	seen->found |= d->idiag_inode == seen->inode;
}

static void tells_the_inode_of_each_end(void **state)
{
	static const struct {
		const char *to;
		int type, proto;
	} rows[] = {
		{"127.0.0.1:9101", SOCK_STREAM, IPPROTO_TCP},
		{"[::1]:9102", SOCK_STREAM, IPPROTO_TCP},
		{"127.0.0.1:9103", SOCK_DGRAM, IPPROTO_UDP},
		{"[::1]:9104", SOCK_DGRAM, IPPROTO_UDP},
	};
	int diag;

	NEEDS_WORLD;
	diag = diag_of_this();
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const bool v6 = rows[i].to[0] == '[';
		const uint8_t proto = (uint8_t)rows[i].proto;
		int to = open_at(rows[i].type, rows[i].to, NULL), fd;
		struct addr src, dst;

		if (proto == IPPROTO_TCP)
			assert_int_equal(listen(to, 1), 0);
		fd = open_at(rows[i].type, v6 ? "[::1]:9110" : "127.0.0.1:9110", rows[i].to);
		src = end_of(fd, getsockname);
		dst = end_of(fd, getpeername);
		assert_int_equal(sockdiag_inode(diag, proto, &src, &dst), inode(fd));
		src.port++; /* nobody's; UDP has one bound to dst, whom anybody may talk to */
		assert_int_not_equal(sockdiag_inode(diag, proto, &src, &dst), inode(fd));
		close(fd);
		close(to);
	}
	close(diag);
}

/* Answers that nobody read are not taken for those to the next question. */
static void passes_over_what_an_earlier_question_left(void **state)
{
	struct {
		struct nlmsghdr h;
		struct inet_diag_req_v2 r;
	} left = {.h = {.nlmsg_len = sizeof(left),
			  .nlmsg_type = 20 /* SOCK_DIAG_BY_FAMILY */,
			  .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
		.r = {.sdiag_family = AF_INET, .sdiag_protocol = IPPROTO_TCP, .idiag_states = ~0u}};
	struct seen seen = {0};
	struct addr src, dst;
	int diag, to, fd;

	NEEDS_WORLD;
	diag = diag_of_this();
	to = open_at(SOCK_STREAM, "127.0.0.1:9120", NULL);
	assert_int_equal(listen(to, 1), 0);
	fd = open_at(SOCK_STREAM, "127.0.0.1:9121", "127.0.0.1:9120");
	src = end_of(fd, getsockname);
	dst = end_of(fd, getpeername);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(send(diag, &left, sizeof(left), 0), sizeof(left));
		assert_int_equal(sockdiag_inode(diag, IPPROTO_TCP, &src, &dst), inode(fd));
		assert_int_equal(send(diag, &left, sizeof(left), 0), sizeof(left));
		seen = (struct seen){.inode = inode(to)};
		assert_int_equal(sockdiag_each(diag, AF_INET, IPPROTO_TCP, 1u << TCP_LISTEN,
					 on_socket, &seen),
			0);
		assert_int_equal(seen.count, 1);
		assert_true(seen.found);
	}
	close(fd);
	close(to);
	close(diag);
}

static void tells_of_those_in_the_states_asked_for(void **state)
{
	struct seen seen;
	int diag, to, fd;

	NEEDS_WORLD;
	diag = diag_of_this();
	to = open_at(SOCK_STREAM, "[::1]:9130", NULL);
	assert_int_equal(listen(to, 1), 0);
	fd = open_at(SOCK_STREAM, "[::1]:9131", "[::1]:9130");
	seen = (struct seen){.inode = inode(fd)};
	assert_int_equal(
		sockdiag_each(diag, AF_INET6, IPPROTO_TCP, 1u << TCP_ESTABLISHED, on_socket, &seen),
		0);
	assert_int_equal(seen.count, 2); /* both ends */
	assert_true(seen.found);
	seen = (struct seen){0};
	assert_int_equal(sockdiag_each(diag, AF_INET, IPPROTO_TCP, ~0u, on_socket, &seen), 0);
	assert_int_equal(seen.count, 0);
	close(fd);
	close(to);
	close(diag);
}

static void says_that_it_cannot_ask(void **state)
{
	struct seen seen = {0};
	struct addr a;
	int pair[2];

	NEEDS_WORLD;
	a = world_addr("127.0.0.1:1");
	assert_int_equal(sockdiag_each(-1, AF_INET, IPPROTO_TCP, ~0u, on_socket, &seen), -EBADF);
	assert_int_equal(sockdiag_inode(-1, IPPROTO_TCP, &a, &a), 0);
	/* Nobody answers. */
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(sockdiag_each(pair[0], AF_INET, IPPROTO_TCP, ~0u, on_socket, &seen),
		-EAGAIN);
	assert_int_equal(sockdiag_inode(pair[0], IPPROTO_TCP, &a, &a), 0);
	assert_int_equal(seen.count, 0);
	close(pair[0]);
	close(pair[1]);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(tells_the_inode_of_each_end),
	cmocka_unit_test(passes_over_what_an_earlier_question_left),
	cmocka_unit_test(tells_of_those_in_the_states_asked_for),
	cmocka_unit_test(says_that_it_cannot_ask),
};

int main(void)
{
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, world_enter, NULL);
}
