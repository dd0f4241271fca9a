/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/base.h"
#include "core/resolvconf.h"

static char dir[] = "/tmp/nsnet_resolvconf_XXXXXX";
static struct resolvconf conf;

static char *in_dir(const char *name)
{
	static char path[4][256];
	static unsigned turn;
	char *p = path[turn++ % 4];

	snprintf(p, sizeof(path[0]), "%s/%s", dir, name);
	return p;
}

static void put(const char *name, const char *text)
{
	int fd = open(in_dir(name), O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

/* Gives a file a time at which it is not young any more. */
static void age(const char *name, time_t mtime)
{
	struct timespec t[2] = {{.tv_sec = mtime}, {.tv_sec = mtime}};

	assert_int_equal(utimensat(AT_FDCWD, in_dir(name), t, 0), 0);
}

static const char *server(size_t i)
{
	static char text[ADDR_TEXT_MAX];

	return i < conf.servers ? addr_format(&conf.server[i].addr, false, text) : "none";
}

static bool named(const char *text)
{
	struct addr a;

	assert_int_equal(addr_parse(&a, text), 0);
	return resolvconf_named(&conf, &a);
}

static void parse(const char *text)
{
	resolvconf_parse(&conf, text, strlen(text));
}

static int setup(void **state)
{
	(void)state;
	memset(&conf, 0, sizeof(conf));
	strcpy(dir, "/tmp/nsnet_resolvconf_XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
	char command[300];

	(void)state;
	resolvconf_fini(&conf);
	snprintf(command, sizeof(command), "rm -r %s", dir);
	return system(command);
}

static void reads_like_libc(void **state)
{
	(void)state;
	put("f",
		"# comment\n"
		"; another\n"
		"nameserver\t192.0.2.1  # trailing\n"
		"nameserver 2001:db8::1\r\n"
		" nameserver 192.0.2.9\n" /* does not start the line */
		"nameserver 127.1\n"
		"nameserver 192.0.2.4\n" /* one too many */
		"nameserver 192.0.2.300\n"
		"nameserver\n"
		"domain lost.example\n"
		"search a.example  b.example\n"
		"options timeout:2 attempts:9 rotate ndots:3 edns0 use-vc debug\n"
		"sortlist 10.0.0.0\n"
		"no newline");
	assert_int_equal(resolvconf_init(&conf, in_dir("f")), 0);
	assert_int_equal(conf.servers, 3);
	assert_string_equal(server(0), "192.0.2.1");
	assert_string_equal(server(1), "2001:db8::1");
	assert_string_equal(server(2), "127.0.0.1");
	assert_int_equal(conf.server[0].addr.port, 53);
	assert_false(conf.by_default);
	assert_int_equal(conf.timeout_s, 2);
	assert_int_equal(conf.attempts, 5);
	assert_true(conf.rotate);
	assert_true(conf.use_vc);
	assert_string_equal(conf.search, "a.example b.example");
	assert_string_equal(conf.options, "ndots:3 edns0");
	assert_true(named("192.0.2.4")); /* named, though not asked */
	assert_false(named("192.0.2.9"));
}

static void nothing_said_is_the_local_machine(void **state)
{
	(void)state;
	assert_int_equal(resolvconf_init(&conf, in_dir("absent")), 0);
	assert_int_equal(conf.servers, 1);
	assert_string_equal(server(0), "127.0.0.1");
	assert_true(conf.by_default);
	assert_int_equal(conf.timeout_s, 5);
	assert_int_equal(conf.attempts, 2);
	assert_false(resolvconf_check(&conf));

	put("absent", "nameserver 192.0.2.1\n");
	assert_true(resolvconf_check(&conf));
	assert_false(conf.by_default);
	assert_string_equal(server(0), "192.0.2.1");

	assert_int_equal(unlink(in_dir("absent")), 0);
	assert_true(resolvconf_check(&conf));
	assert_true(conf.by_default);
	assert_true(named("192.0.2.1")); /* once is enough */
}

static void a_directory_is_no_file(void **state)
{
	(void)state;
	assert_int_equal(resolvconf_init(&conf, dir), 0);
	assert_true(conf.by_default);
}

static void knows_zones(void **state)
{
	(void)state;
	parse("nameserver fe80::1%lo\nnameserver fe80::2%7\nnameserver fe80::3%nosuchinterface\n");
	assert_int_equal(conf.servers, 3);
	assert_int_equal(conf.server[0].scope, 1);
	assert_int_equal(conf.server[1].scope, 7);
	assert_int_equal(conf.server[2].scope, 0);

	struct sockaddr_storage ss;
	assert_int_equal(resolvconf_sockaddr(&conf.server[1], &ss), sizeof(struct sockaddr_in6));
	assert_int_equal(((struct sockaddr_in6 *)&ss)->sin6_scope_id, 7);
	assert_false(resolvconf_same_server(&conf.server[0], &conf.server[1]));
}

static void never_remembers_loopback(void **state)
{
	(void)state;
	parse("nameserver 127.0.0.53\nnameserver ::1\nnameserver 0.0.0.0\nnameserver ::\n");
	assert_int_equal(conf.named_len, 0);
	assert_string_equal(server(0), "127.0.0.53"); /* but asks there */
}

static void remembers_a_bounded_number(void **state)
{
	char text[64];

	(void)state;
	for (int i = 0; i < RESOLVCONF_NAMED_MAX + 10; i++) {
		snprintf(text, sizeof(text), "nameserver 198.51.100.%d\n", i);
		parse(text);
		parse(text); /* the same again takes no place */
	}
	assert_int_equal(conf.named_len, RESOLVCONF_NAMED_MAX);
	assert_false(named("198.51.100.9"));
	assert_true(named("198.51.100.10"));
	assert_true(named("198.51.100.73"));
}

static void sees_a_rewritten_file(void **state)
{
	unsigned long before;

	(void)state;
	put("f", "nameserver 192.0.2.1\n");
	age("f", 1000000000);
	assert_int_equal(resolvconf_init(&conf, in_dir("f")), 0);
	before = conf.generation;
	assert_false(resolvconf_check(&conf));
	put("f", "nameserver 192.0.2.2\n");
	assert_true(resolvconf_check(&conf));
	assert_string_equal(server(0), "192.0.2.2");
	assert_int_equal(conf.generation, before + 1);
	assert_true(named("192.0.2.1"));
	assert_true(named("192.0.2.2"));
}

/* Twice within a tick of the file system's clock, with the same length: stat() tells nothing. */
static void sees_changes_that_leave_no_trace(void **state)
{
	(void)state;
	put("f", "nameserver 192.0.2.1\n");
	age("f", time(NULL) + 3600);
	assert_int_equal(resolvconf_init(&conf, in_dir("f")), 0);
	conf.seen_at += 3600; /* younger than any stall of this test is long */
	put("f", "nameserver 192.0.2.2\n");
	assert_int_equal(stat(in_dir("f"), &conf.seen), 0);
	assert_true(resolvconf_check(&conf));
	assert_string_equal(server(0), "192.0.2.2");
	assert_false(resolvconf_check(&conf));

	/* An old file is believed. */
	age("f", 1000000000);
	assert_false(resolvconf_check(&conf));
	put("f", "nameserver 192.0.2.3\n");
	assert_int_equal(stat(in_dir("f"), &conf.seen), 0);
	assert_false(resolvconf_check(&conf));
}

/* Its clock may be another machine's, or ours was set back: no reason to read it for ever. */
static void believes_a_file_from_the_future_in_the_end(void **state)
{
	(void)state;
	put("f", "nameserver 192.0.2.1\n");
	age("f", time(NULL) + 3600);
	assert_int_equal(resolvconf_init(&conf, in_dir("f")), 0);
	assert_true(conf.racy);
	conf.seen_at -= 10;
	assert_false(resolvconf_check(&conf));
	assert_false(conf.racy);
	put("f", "nameserver 192.0.2.2\n");
	assert_int_equal(stat(in_dir("f"), &conf.seen), 0);
	assert_false(resolvconf_check(&conf));
	/* A change that shows is seen as ever. */
	put("f", "nameserver 192.0.2.30\n");
	assert_true(resolvconf_check(&conf));
}

static void sees_a_rename(void **state)
{
	(void)state;
	put("f", "nameserver 192.0.2.1\n");
	age("f", 1000000000);
	assert_int_equal(resolvconf_init(&conf, in_dir("f")), 0);
	put("g", "nameserver 192.0.2.2\n");
	age("g", 1000000000); /* as "cp -p" and "mv" do */
	assert_int_equal(rename(in_dir("g"), in_dir("f")), 0);
	assert_true(resolvconf_check(&conf));
	assert_string_equal(server(0), "192.0.2.2");
}

static void sees_through_symbolic_links(void **state)
{
	(void)state;
	put("a", "nameserver 192.0.2.1\n");
	put("b", "nameserver 192.0.2.2\n");
	age("a", 1000000000);
	age("b", 1000000000);
	assert_int_equal(symlink("a", in_dir("f")), 0);
	assert_int_equal(resolvconf_init(&conf, in_dir("f")), 0);
	assert_string_equal(server(0), "192.0.2.1");
	/* The link is pointed elsewhere. */
	assert_int_equal(symlink("b", in_dir("new")), 0);
	assert_int_equal(rename(in_dir("new"), in_dir("f")), 0);
	assert_true(resolvconf_check(&conf));
	assert_string_equal(server(0), "192.0.2.2");
	/* The target changes. */
	put("b", "nameserver 192.0.2.3\n");
	assert_true(resolvconf_check(&conf));
	assert_string_equal(server(0), "192.0.2.3");
}

static void a_touch_is_no_change(void **state)
{
	(void)state;
	put("f", "nameserver 192.0.2.1\n");
	assert_int_equal(resolvconf_init(&conf, in_dir("f")), 0);
	age("f", 1000000000);
	assert_false(resolvconf_check(&conf));
	assert_int_equal(conf.generation, 1);
}

static void survives_any_text(void **state)
{
	char *text = malloc(200000);

	(void)state;
	assert_non_null(text);
	memset(text, 'a', 200000);
	memcpy(text, "search ", 7);
	resolvconf_parse(&conf, text, 200000);
	memset(text, '\0', 200000);
	resolvconf_parse(&conf, text, 200000);
	memset(text, '\n', 200000);
	resolvconf_parse(&conf, text, 200000);
	/* Search domains beyond the room are left out whole. */
	size_t n = (size_t)sprintf(text, "search");
	for (int i = 0; i < 100; i++)
		n += (size_t)sprintf(text + n, " domain%02d.example", i);
	resolvconf_parse(&conf, text, n);
	assert_true(strlen(conf.search) < RESOLVCONF_SEARCH_MAX);
	assert_non_null(strstr(conf.search, "domain10.example"));
	assert_string_equal(conf.search + strlen(conf.search) - 8, ".example");
	free(text);
}

static void writes_the_file_of_the_child(void **state)
{
	char text[RESOLVCONF_TEXT_MAX];
	struct addr a, b = {0};

	(void)state;
	addr_parse(&a, "10.0.0.53");
	parse("nameserver 192.0.2.1\nsearch a.example b.example\noptions ndots:2 timeout:9 "
	      "trust-ad\n");
	size_t len = resolvconf_render(&conf, &a, &b, text, sizeof(text));
	assert_int_equal(len, strlen(text));
	assert_string_equal(text,
		"nameserver 10.0.0.53\n"
		"search a.example b.example\n"
		"options ndots:2 trust-ad\n");
	addr_parse(&b, "fd6e:736e:6574::53");
	parse("");
	resolvconf_render(&conf, &a, &b, text, sizeof(text));
	assert_string_equal(text, "nameserver 10.0.0.53\nnameserver fd6e:736e:6574::53\n");
}

static void knows_what_libc_makes_up(void **state)
{
	(void)state;
	parse("search A.Example. b.example\n");
	assert_true(resolvconf_completes(&conf, "www.a.example"));
	assert_true(resolvconf_completes(&conf, "www.b.example"));
	assert_false(resolvconf_completes(&conf, "x.www.a.example")); /* ndots is 1 */
	assert_false(resolvconf_completes(&conf, "a.example"));
	assert_false(resolvconf_completes(&conf, "www.xa.example"));
	assert_false(resolvconf_completes(&conf, "www.c.example"));
	assert_false(resolvconf_completes(&conf, "www"));
	parse("search a.example\noptions edns0 ndots:3\n");
	assert_true(resolvconf_completes(&conf, "x.y.www.a.example"));
	assert_false(resolvconf_completes(&conf, "x.y.z.www.a.example"));
	parse("search a.example\noptions ndots:0\n");
	assert_false(resolvconf_completes(&conf, "www.a.example"));
	parse("");
	assert_false(resolvconf_completes(&conf, "www.a.example"));
}

#define spec(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		spec(reads_like_libc),
		spec(nothing_said_is_the_local_machine),
		spec(a_directory_is_no_file),
		spec(knows_zones),
		spec(never_remembers_loopback),
		spec(remembers_a_bounded_number),
		spec(sees_a_rewritten_file),
		spec(sees_changes_that_leave_no_trace),
		spec(believes_a_file_from_the_future_in_the_end),
		spec(sees_a_rename),
		spec(sees_through_symbolic_links),
		spec(a_touch_is_no_change),
		spec(survives_any_text),
		spec(writes_the_file_of_the_child),
		spec(knows_what_libc_makes_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
