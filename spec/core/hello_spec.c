/* SPDX-License-Identifier: MIT */
#include "core/hello.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct handshake_hello good(void)
{
	return (struct handshake_hello){
		.magic = HANDSHAKE_MAGIC,
		.version = HANDSHAKE_VERSION,
		.has = HANDSHAKE_HAS_IPV6,
		.mtu = 65520,
		.n_fds = 2,
		.fd = {{HANDSHAKE_DIAG, 0}, {HANDSHAKE_TUN, 0}},
	};
}

static int parse(const struct handshake_hello *wire, size_t n_fds, struct hello *hello)
{
	unsigned version;

	return hello_parse(wire, sizeof(*wire), n_fds, hello, &version);
}

static void takes_what_the_shim_sends(void **state)
{
	struct handshake_hello wire = good();
	struct hello hello;

	(void)state;
	assert_int_equal(parse(&wire, 2, &hello), 0);
	assert_int_equal(hello.error, 0);
	assert_int_equal(hello.diag, 0);
	assert_int_equal(hello.tun, 1);
	assert_int_equal(hello.mtu, 65520);
	assert_true(hello.has_ipv6);
	assert_false(hello.has_resolv);
}

static void takes_listening_sockets_with_their_ports(void **state)
{
	struct handshake_hello wire = good();
	struct hello hello;

	(void)state;
	wire.n_fds = 4;
	wire.fd[2] = (struct handshake_fd){HANDSHAKE_LISTEN, 80};
	wire.fd[3] = (struct handshake_fd){HANDSHAKE_LISTEN, 65535};
	assert_int_equal(parse(&wire, 4, &hello), 0);
	assert_int_equal(hello.n_listen, 2);
	assert_int_equal(hello.listen[0].index, 2);
	assert_int_equal(hello.listen[0].port, 80);
	assert_int_equal(hello.listen[1].index, 3);
	assert_int_equal(hello.listen[1].port, 65535);
	wire.fd[3].value = 65536;
	assert_int_equal(parse(&wire, 4, &hello), -EBADMSG);
	wire.fd[3].value = 0;
	assert_int_equal(parse(&wire, 4, &hello), -EBADMSG);
}

static void takes_a_failure_with_its_step(void **state)
{
	struct handshake_hello wire = {
		.magic = HANDSHAKE_MAGIC,
		.version = HANDSHAKE_VERSION,
		.status = EPERM,
		.step = HANDSHAKE_STEP_UNSHARE,
	};
	struct hello hello;

	(void)state;
	assert_int_equal(parse(&wire, 0, &hello), 0);
	assert_int_equal(hello.error, EPERM);
	assert_string_equal(hello.step, HANDSHAKE_STEP_UNSHARE);
}

static void tells_another_version_whatever_its_length(void **state)
{
	struct handshake_hello wire = good();
	struct hello hello;
	unsigned version;

	(void)state;
	wire.version = 7;
	assert_int_equal(hello_parse(&wire, 8, 0, &hello, &version), -EPROTONOSUPPORT);
	assert_int_equal(version, 7);
	assert_int_equal(hello_parse(&wire, sizeof(wire), 2, &hello, &version), -EPROTONOSUPPORT);
}

static void refuses_every_other_length(void **state)
{
	struct handshake_hello wire[2] = {good(), good()};
	struct hello hello;
	unsigned version;

	(void)state;
	for (size_t len = 0; len < sizeof(wire); len++) {
		if (len == sizeof(wire[0]))
			continue;
		assert_int_equal(hello_parse(wire, len, 2, &hello, &version), -EBADMSG);
	}
}

static void refuses_foreign_bytes(void **state)
{
	struct handshake_hello wire = good();
	struct hello hello;

	(void)state;
	wire.magic ^= 1;
	assert_int_equal(parse(&wire, 2, &hello), -EBADMSG);
}

static void refuses_descriptors_that_do_not_match(void **state)
{
	struct handshake_hello wire = good();
	struct hello hello;

	(void)state;
	assert_int_equal(parse(&wire, 1, &hello), -EBADMSG);
	assert_int_equal(parse(&wire, 3, &hello), -EBADMSG);
	wire.n_fds = HANDSHAKE_FDS_MAX + 1;
	assert_int_equal(parse(&wire, HANDSHAKE_FDS_MAX + 1, &hello), -EBADMSG);
	wire.n_fds = UINT32_MAX;
	assert_int_equal(parse(&wire, UINT32_MAX, &hello), -EBADMSG);
}

static void refuses_success_without_one_tun_device(void **state)
{
	struct handshake_hello wire = good();
	struct hello hello;

	(void)state;
	wire.fd[1] = (struct handshake_fd){HANDSHAKE_LISTEN, 80};
	assert_int_equal(parse(&wire, 2, &hello), -EBADMSG);
	wire.fd[0].tag = HANDSHAKE_TUN;
	wire.fd[1].tag = HANDSHAKE_TUN;
	assert_int_equal(parse(&wire, 2, &hello), -EBADMSG);
}

static void leaves_unknown_descriptors_aside(void **state)
{
	struct handshake_hello wire = good();
	struct hello hello;

	(void)state;
	wire.fd[0].tag = 4711;
	assert_int_equal(parse(&wire, 2, &hello), 0);
	assert_int_equal(hello.diag, -1);
	assert_int_equal(hello.tun, 1);
}

static void refuses_a_failure_that_brings_descriptors(void **state)
{
	struct handshake_hello wire = good();
	struct hello hello;

	(void)state;
	wire.status = EPERM;
	assert_int_equal(parse(&wire, 2, &hello), -EBADMSG);
}

static void refuses_what_is_no_errno(void **state)
{
	struct handshake_hello wire = good();
	struct hello hello;

	(void)state;
	wire.n_fds = 0;
	wire.status = 4096;
	assert_int_equal(parse(&wire, 0, &hello), -EBADMSG);
	wire.status = UINT32_MAX;
	assert_int_equal(parse(&wire, 0, &hello), -EBADMSG);
}

static void refuses_a_step_unfit_for_a_terminal(void **state)
{
	struct handshake_hello wire = good();
	struct hello hello;

	(void)state;
	strcpy(wire.step, "a\033[2Jb");
	assert_int_equal(parse(&wire, 2, &hello), -EBADMSG);
	strcpy(wire.step, "caf\xc3\xa9");
	assert_int_equal(parse(&wire, 2, &hello), -EBADMSG);
	memset(wire.step, 'x', sizeof(wire.step)); /* no end */
	assert_int_equal(parse(&wire, 2, &hello), -EBADMSG);
	wire.step[sizeof(wire.step) - 1] = '\0';
	assert_int_equal(parse(&wire, 2, &hello), 0);
}

static void refuses_an_impossible_mtu(void **state)
{
	static const uint32_t bad[] = {0, 67, 65536, UINT32_MAX};
	struct handshake_hello wire = good();
	struct hello hello;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		wire.mtu = bad[i];
		assert_int_equal(parse(&wire, 2, &hello), -EBADMSG);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_what_the_shim_sends),
		cmocka_unit_test(takes_listening_sockets_with_their_ports),
		cmocka_unit_test(takes_a_failure_with_its_step),
		cmocka_unit_test(tells_another_version_whatever_its_length),
		cmocka_unit_test(refuses_every_other_length),
		cmocka_unit_test(refuses_foreign_bytes),
		cmocka_unit_test(refuses_descriptors_that_do_not_match),
		cmocka_unit_test(refuses_success_without_one_tun_device),
		cmocka_unit_test(leaves_unknown_descriptors_aside),
		cmocka_unit_test(refuses_a_failure_that_brings_descriptors),
		cmocka_unit_test(refuses_what_is_no_errno),
		cmocka_unit_test(refuses_a_step_unfit_for_a_terminal),
		cmocka_unit_test(refuses_an_impossible_mtu),
	};

	return cmocka_run_group_tests_name("hello", tests, NULL, NULL);
}
