/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base.h"
#include "core/guard.h"

static struct guard guard;

static int start(void **state)
{
	(void)state;
	if (guard_init(&guard) < 0)
		return -1;
	cidr_parse(&guard.inside4, "198.18.0.0/24");
	cidr_parse(&guard.inside6, "fd6e:736e:6574::/64");
	addr_parse(&guard.host4, "198.18.0.100");
	addr_parse(&guard.host6, "fd6e:736e:6574::100");
	return 0;
}

static int stop(void **state)
{
	(void)state;
	guard_fini(&guard);
	return 0;
}

static struct addr read_addr(const char *text)
{
	struct addr a;

	if (addr_parse(&a, text))
		fail_msg("bad address in the spec: %s", text);
	return a;
}

static enum guard_class class_of(const char *text)
{
	struct addr a = read_addr(text);

	return guard_classify(&guard, &a);
}

static void every_spelling_has_one_canonical_form(void **state)
{
	static const struct {
		const char *text, *canonical;
	} row[] = {
		{"192.0.2.1:80", "192.0.2.1:80"},
		{"[2001:db8::1]:80", "[2001:db8::1]:80"},
		{"[::ffff:127.0.0.1]:80", "127.0.0.1:80"},
		{"::ffff:7f00:1", "127.0.0.1"},
		{"0:0:0:0:0:ffff:7f00:0001", "127.0.0.1"},
		{"::ffff:0:169.254.169.254", "169.254.169.254"},
		{"::127.0.0.1", "127.0.0.1"},
		{"::2", "0.0.0.2"},
		{"::", "::"},
		{"::1", "::1"},
		{"64:ff9b::a9fe:a9fe", "169.254.169.254"},
		{"[64:ff9b::10.0.0.1]:443", "10.0.0.1:443"},
		{"64:ff9b:1::169.254.169.254", "169.254.169.254"}, /* a /96 of the local prefix */
		{"64:ff9b:1:fffe:1:2:127.0.0.1", "127.0.0.1"},
		{"64:ff9b:1:a9fe:a9:fe00::", "169.254.169.254"}, /* RFC 6052's /48 form */
		{"2002:7f00:1::", "127.0.0.1"},
		{"2002:a9fe:a9fe:1234::5678", "169.254.169.254"},
		{"64:ff9a::127.0.0.1", "64:ff9a::7f00:1"},
		{"64:ff9b:0:0:0:1:127.0.0.1", "64:ff9b::1:7f00:1"},
		{"64:ff9b:2::127.0.0.1", "64:ff9b:2::7f00:1"},
		{"2003:7f00:1::", "2003:7f00:1::"},
		{"64:ff9b:1::", "0.0.0.0"},
		{"64:ff9b:1:cb00:71:100::", "203.0.113.1"},
		{"::fffe:127.0.0.1", "::fffe:7f00:1"},
		{"::1:0:0:127.0.0.1", "::1:0:0:7f00:1"},
	};
	char text[ADDR_TEXT_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct addr a = read_addr(row[i].text), c = guard_canonical(&a), again;

		assert_string_equal(addr_format(&c, true, text), row[i].canonical);
		again = guard_canonical(&c);
		assert_memory_equal(&again, &c, sizeof(c));
	}
}

static void every_spelling_is_what_it_reaches(void **state)
{
	static const struct {
		const char *text;
		enum guard_class class;
	} row[] = {
		{"127.0.0.1", GUARD_CLASS_LOOPBACK},
		{"127.255.255.255:80", GUARD_CLASS_LOOPBACK},
		{"0.0.0.0", GUARD_CLASS_LOOPBACK},
		{"0.1.2.3", GUARD_CLASS_LOOPBACK},
		{"::1", GUARD_CLASS_LOOPBACK},
		{"::", GUARD_CLASS_LOOPBACK},
		{"::2", GUARD_CLASS_LOOPBACK},
		{"::127.0.0.1", GUARD_CLASS_LOOPBACK},
		{"::ffff:127.0.0.1", GUARD_CLASS_LOOPBACK},
		{"::ffff:0.0.0.0", GUARD_CLASS_LOOPBACK},
		{"::ffff:0:127.0.0.1", GUARD_CLASS_LOOPBACK},
		{"64:ff9b::127.0.0.1", GUARD_CLASS_LOOPBACK},
		{"64:ff9b:1::127.0.0.1", GUARD_CLASS_LOOPBACK},
		{"2002:7f00:1::", GUARD_CLASS_LOOPBACK},
		{"2002:7f00:1::1", GUARD_CLASS_LOOPBACK},
		/* All prefix lengths of RFC 6052 that fit behind 64:ff9b:1::/48. */
		{"64:ff9b:1::", GUARD_CLASS_LOOPBACK},
		{"64:ff9b:1:7f00:0:100::", GUARD_CLASS_LOOPBACK},
		{"64:ff9b:1:447f:0:1::", GUARD_CLASS_LOOPBACK},
		{"64:ff9b:1:4444:7f:0:100::", GUARD_CLASS_LOOPBACK},
		{"64:ff9b:1:4444:4400:4444:127.0.0.1", GUARD_CLASS_LOOPBACK},
		{"169.254.0.1", GUARD_CLASS_LINK_LOCAL},
		{"169.254.169.254:80", GUARD_CLASS_LINK_LOCAL},
		{"::ffff:169.254.169.254", GUARD_CLASS_LINK_LOCAL},
		{"64:ff9b::169.254.169.254", GUARD_CLASS_LINK_LOCAL},
		{"2002:a9fe:a9fe::", GUARD_CLASS_LINK_LOCAL},
		{"fe80::1", GUARD_CLASS_LINK_LOCAL},
		{"febf:ffff::1", GUARD_CLASS_LINK_LOCAL},
		{"100.100.100.200", GUARD_CLASS_METADATA},
		{"::ffff:100.100.100.200", GUARD_CLASS_METADATA},
		{"168.63.129.16", GUARD_CLASS_METADATA},
		{"192.0.0.192", GUARD_CLASS_METADATA},
		{"fd00:ec2::254", GUARD_CLASS_METADATA},
		{"fd00:ec2::23", GUARD_CLASS_METADATA},
		{"fd20:ce::254", GUARD_CLASS_METADATA},
		{"224.0.0.1", GUARD_CLASS_MULTICAST},
		{"239.255.255.250:1900", GUARD_CLASS_MULTICAST},
		{"255.255.255.255", GUARD_CLASS_MULTICAST},
		{"ff02::fb", GUARD_CLASS_MULTICAST},
		{"::ffff:224.0.0.251", GUARD_CLASS_MULTICAST},
		{"198.18.0.1", GUARD_CLASS_INSIDE},
		{"198.18.0.100", GUARD_CLASS_INSIDE},
		{"::ffff:198.18.0.7", GUARD_CLASS_INSIDE},
		{"fd6e:736e:6574::9", GUARD_CLASS_INSIDE},
		{"198.18.1.0", GUARD_CLASS_PUBLIC},
		{"100.127.255.254", GUARD_CLASS_PUBLIC}, /* shared address space, unless our own */
		{"100.100.100.201", GUARD_CLASS_PUBLIC},
		{"126.255.255.255", GUARD_CLASS_PUBLIC},
		{"128.0.0.0", GUARD_CLASS_PUBLIC},
		{"1.0.0.0", GUARD_CLASS_PUBLIC},
		{"169.253.255.255", GUARD_CLASS_PUBLIC},
		{"223.255.255.255", GUARD_CLASS_PUBLIC},
		{"203.0.113.1", GUARD_CLASS_PUBLIC},
		{"2001:db8::1", GUARD_CLASS_PUBLIC},
		{"64:ff9b::203.0.113.1", GUARD_CLASS_PUBLIC},
		{"64:ff9b:1::203.0.113.1", GUARD_CLASS_PUBLIC},
		{"64:ff9b:1:fffe::203.0.113.1", GUARD_CLASS_PUBLIC},
		{"64:ff9b:1:cb00:71:100::", GUARD_CLASS_PUBLIC},
		{"::ffff:203.0.113.1", GUARD_CLASS_PUBLIC},
		{"fec0::1", GUARD_CLASS_PUBLIC},
		{"fd00:ec3::254", GUARD_CLASS_PUBLIC},
		{"fd6e:736e:6574:1::9", GUARD_CLASS_PUBLIC},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		if (class_of(row[i].text) != row[i].class)
			fail_msg("%s is %s, not %s", row[i].text,
				guard_class_name(class_of(row[i].text)),
				guard_class_name(row[i].class));
	}
}

static void an_address_without_version_goes_nowhere(void **state)
{
	struct addr none;

	(void)state;
	memset(&none, 0, sizeof(none));
	assert_int_equal(guard_classify(&guard, &none), GUARD_CLASS_MULTICAST);
}

static void no_address_of_an_interface_is_public(void **state)
{
	struct ifaddrs *all, *i;
	int seen = 0;

	(void)state;
	assert_int_equal(getifaddrs(&all), 0);
	for (i = all; i; i = i->ifa_next) {
		struct sockaddr_storage ss = {0};
		struct addr a;

		if (!i->ifa_addr ||
			(i->ifa_addr->sa_family != AF_INET && i->ifa_addr->sa_family != AF_INET6))
			continue;
		memcpy(&ss, i->ifa_addr,
			i->ifa_addr->sa_family == AF_INET ? sizeof(struct sockaddr_in)
							  : sizeof(struct sockaddr_in6));
		assert_int_equal(addr_from_sockaddr(&a, &ss), 0);
		assert_int_not_equal(guard_classify(&guard, &a), GUARD_CLASS_PUBLIC);
		seen++;
	}
	freeifaddrs(all);
	assert_true(seen > 0);
}

static void alias_means_loopback_only_where_allowed(void **state)
{
	static const struct {
		const char *text, *to;
		bool named;
	} row[] = {
		{"198.18.0.100:80", "127.0.0.1:80", true},
		{"[fd6e:736e:6574::100]:80", "[::1]:80", true},
		{"[::ffff:198.18.0.100]:80", "127.0.0.1:80", true},
		{"198.18.0.101:80", "198.18.0.101:80", false},
		{"[::ffff:198.18.0.101]:80", "[::ffff:198.18.0.101]:80", false},
		{"127.0.0.1:80", "127.0.0.1:80", false},
	};
	char text[ADDR_TEXT_MAX];

	(void)state;
	for (size_t i = 0; i < 2 * ARRAY_LEN(row); i++) {
		struct addr a = read_addr(row[i / 2].text), to;
		bool named = false;

		guard.allow_host = i % 2;
		to = guard_translate(&guard, &a, &named);
		assert_int_equal(named, guard.allow_host && row[i / 2].named);
		assert_string_equal(addr_format(&to, true, text),
			guard.allow_host ? row[i / 2].to : row[i / 2].text);
	}
}

static void translation_takes_no_name_away(void **state)
{
	struct addr a = read_addr("192.0.2.1:80");
	bool named = true;

	(void)state;
	guard.allow_host = true;
	guard_translate(&guard, &a, &named);
	assert_true(named);
}

/* --- with a network of our own --------------------------------------------------------------- */

static bool write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);
	bool good = fd != -1 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd != -1)
		close(fd);
	return good;
}

/* Enters new user and network namespaces, as root there. */
static bool enter_namespace(void)
{
	char map[32];

	snprintf(map, sizeof(map), "0 %u 1", getuid());
	return unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0 &&
		write_file("/proc/self/setgroups", "deny") &&
		write_file("/proc/self/uid_map", map) && system("ip link set lo up") == 0;
}

#define EXIT_NO_NAMESPACE 77

/* The step of the scenario that went wrong is the exit status. */
static int scenario(void)
{
	static const struct {
		const char *command, *text;
		enum guard_class class;
	} step[] = {
		{"true", "203.0.113.1", GUARD_CLASS_PUBLIC}, /* no route: the dial will tell */
		{"true", "2001:db8::1", GUARD_CLASS_PUBLIC},
		{"ip addr add 203.0.113.1/32 dev lo", "203.0.113.1", GUARD_CLASS_HOST},
		{"true", "::ffff:203.0.113.1", GUARD_CLASS_HOST},
		{"true", "2002:cb00:7101::", GUARD_CLASS_HOST},
		{"true", "203.0.113.2", GUARD_CLASS_PUBLIC},
		{"ip addr del 203.0.113.1/32 dev lo", "203.0.113.1", GUARD_CLASS_PUBLIC},
		/* The kernel makes such an address its own a moment after ip(8) has ended, from a
		 * worker thread (addrconf_dad_work()): until then nothing reaches it. */
		{"ip addr add 2001:db8::1/128 dev lo nodad;"
		 " until ip -6 route show table local | grep -q 2001:db8::1; do :; done",
			"2001:db8::1", GUARD_CLASS_HOST},
		{"ip addr del 2001:db8::1/128 dev lo", "2001:db8::1", GUARD_CLASS_PUBLIC},
		/* An address that no interface has. */
		{"true", "198.51.100.77", GUARD_CLASS_PUBLIC},
		{"ip route add local 198.51.100.0/24 dev lo", "198.51.100.77", GUARD_CLASS_HOST},
		{"ip route del local 198.51.100.0/24 dev lo", "198.51.100.77", GUARD_CLASS_PUBLIC},
		{"ip route add blackhole 198.51.100.0/24", "198.51.100.77", GUARD_CLASS_PUBLIC},
		{"ip -6 route add local 2001:db8:1::/48 dev lo", "2001:db8:1::7", GUARD_CLASS_HOST},
		/* A broadcast address, and a device that goes away. */
		{"ip link add dummy0 type veth peer name dummy1 && ip link set dummy0 up && "
		 "ip addr add 192.0.2.1/24 dev dummy0",
			"192.0.2.1", GUARD_CLASS_HOST},
		{"true", "192.0.2.255", GUARD_CLASS_MULTICAST},
		{"ip link del dummy0", "192.0.2.1", GUARD_CLASS_PUBLIC},
		/* Nobody's: a router answers there (RFC 4291 2.6.1), and that is the host. */
		{"echo 1 >/proc/sys/net/ipv6/conf/all/forwarding && "
		 "ip link add dummy2 type veth peer name dummy3 && ip link set dummy3 up && "
		 "ip link set dummy2 up && ip addr add 2001:db8:7::1/64 dev dummy2 nodad;"
		 " until ip -6 route show table local | grep -q 'anycast 2001:db8:7::'; do :; done",
			"2001:db8:7::", GUARD_CLASS_HOST},
		/* Another table, which only a rule consults: no route has changed. */
		{"ip route add table 7 local 192.0.2.7 dev lo && "
		 "ip -6 route add table 7 local 2001:db8:9::7 dev lo",
			"192.0.2.7", GUARD_CLASS_PUBLIC},
		{"ip rule add to 192.0.2.7 lookup 7", "192.0.2.7", GUARD_CLASS_HOST},
		{"true", "2001:db8:9::7", GUARD_CLASS_PUBLIC},
		{"ip -6 rule add to 2001:db8:9::7 lookup 7", "2001:db8:9::7", GUARD_CLASS_HOST},
		{"ip rule del to 192.0.2.7 lookup 7", "192.0.2.7", GUARD_CLASS_PUBLIC},
		/* More changes than the socket has room to tell. */
		{"for i in $(seq 2 100); do echo addr add 203.0.113.$i/32 dev lo; done | "
		 "ip -batch -",
			"203.0.113.2", GUARD_CLASS_HOST},
		{"true", "203.0.113.100", GUARD_CLASS_HOST},
		/* The kernel keeps its addresses while the interface is down. */
		{"ip link set lo down", "203.0.113.2", GUARD_CLASS_HOST},
	};
	struct guard other;

	for (size_t i = 0; i < ARRAY_LEN(step); i++) {
		if (system(step[i].command) != 0)
			return (int)i + 1;
		/* Twice: the second answer is a remembered one. */
		if (class_of(step[i].text) != step[i].class ||
			class_of(step[i].text) != step[i].class)
			return (int)i + 1;
	}
	/* It can start where lo is down, too. */
	if (guard_init(&other) < 0)
		return 100;
	guard_fini(&other);
	return 0;
}

static void host_addresses_are_current(void **state)
{
	int status;
	pid_t pid = fork();

	(void)state;
	assert_int_not_equal(pid, -1);
	if (pid == 0) {
		if (!enter_namespace())
			_exit(EXIT_NO_NAMESPACE);
		/* The group's set-up made a guard of the outer network. */
		guard_fini(&guard);
		_exit(start(NULL) == 0 ? scenario() : 101);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == EXIT_NO_NAMESPACE) {
		print_message("no user and network namespaces here: skipped\n");
		skip();
	}
	assert_int_equal(WEXITSTATUS(status), 0);
}

static bool is_seven(void *arg, const struct addr *a)
{
	(*(int *)arg)++;
	return a->v == 4 && a->ip[3] == 7;
}

static void another_may_say_what_is_the_hosts(void **state)
{
	int asked = 0;

	(void)state;
	guard.is_host = is_seven;
	guard.is_host_arg = &asked;
	assert_int_equal(class_of("203.0.113.7"), GUARD_CLASS_HOST);
	assert_int_equal(class_of("::ffff:203.0.113.7"), GUARD_CLASS_HOST);
	assert_int_equal(class_of("203.0.113.8"), GUARD_CLASS_PUBLIC);
	assert_true(asked >= 3);
	/* What needs no asking stays as it is. */
	assert_int_equal(class_of("127.0.0.1"), GUARD_CLASS_LOOPBACK);
	assert_int_equal(class_of("169.254.169.254"), GUARD_CLASS_LINK_LOCAL);
	guard.is_host = NULL;
}

static void private_space_is_known_in_every_spelling(void **state)
{
	static const char *const within[] = {"127.0.0.1", "0.0.0.0", "10.0.0.1", "10.255.255.255",
		"172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "100.127.255.255",
		"169.254.169.254", "198.18.0.1", "198.19.255.255", "224.0.0.1", "255.255.255.255",
		"100.100.100.200", "168.63.129.16", "::", "::1", "fe80::1", "fec0::1", "fc00::1",
		"fd00:ec2::254", "ff02::1", "::ffff:10.0.0.1", "::10.0.0.1", "::ffff:0:10.0.0.1",
		"64:ff9b::10.0.0.1", "64:ff9b::127.0.0.1", "64:ff9b:1::10.0.0.1", "2002:a00:1::1",
		"2002:c0a8:101::", "2002:cb00:7101::1", "64:ff9b:1::203.0.113.1",
		"64:ff9b:1:cb00:71:200:cb00:7101"};
	static const char *const outside[] = {"9.255.255.255", "11.0.0.1", "172.15.0.1",
		"172.32.0.1", "192.167.1.1", "192.169.1.1", "100.63.0.1", "100.128.0.1",
		"198.17.0.1", "198.20.0.1", "203.0.113.1", "2001:db8::1", "fbff::1",
		"64:ff9b::8.8.8.8", "::ffff:203.0.113.1", "64:ff9b::203.0.113.1",
		"2001:db8::2002:cb00:7101", "64:ff9b:2::1", "2003::1"};
	struct addr a;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(within); i++) {
		assert_int_equal(addr_parse(&a, within[i]), 0);
		if (!guard_is_private(&a))
			fail_msg("%s is not private", within[i]);
	}
	for (size_t i = 0; i < ARRAY_LEN(outside); i++) {
		assert_int_equal(addr_parse(&a, outside[i]), 0);
		if (guard_is_private(&a))
			fail_msg("%s is private", outside[i]);
	}
}

static void refuses_what_it_cannot_ask_about(void **state)
{
	(void)state;
	assert_int_equal(class_of("203.0.113.1"), GUARD_CLASS_PUBLIC);
	close(guard.fd);
	guard.fd = -1;
	assert_int_equal(class_of("203.0.113.77"), GUARD_CLASS_HOST);
	assert_int_equal(class_of("203.0.113.77"), GUARD_CLASS_HOST);
	/* Without notice of changes nothing remembered holds either. */
	close(guard.changes);
	guard.changes = -1;
	assert_int_equal(class_of("203.0.113.1"), GUARD_CLASS_HOST);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_spelling_has_one_canonical_form),
		cmocka_unit_test_setup_teardown(every_spelling_is_what_it_reaches, start, stop),
		cmocka_unit_test_setup_teardown(an_address_without_version_goes_nowhere, start,
			stop),
		cmocka_unit_test_setup_teardown(no_address_of_an_interface_is_public, start, stop),
		cmocka_unit_test_setup_teardown(alias_means_loopback_only_where_allowed, start,
			stop),
		cmocka_unit_test_setup_teardown(translation_takes_no_name_away, start, stop),
		cmocka_unit_test_setup_teardown(host_addresses_are_current, start, stop),
		cmocka_unit_test_setup_teardown(another_may_say_what_is_the_hosts, start, stop),
		cmocka_unit_test(private_space_is_known_in_every_spelling),
		cmocka_unit_test_setup_teardown(refuses_what_it_cannot_ask_about, start, stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
