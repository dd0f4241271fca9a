/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "core/base.h"
#include "core/dnsmsg.h"
#include "core/name.h"

static struct names n;

static int set_up(void **state)
{
	(void)state;
	return names_init(&n);
}

static int tear_down(void **state)
{
	(void)state;
	names_fini(&n);
	return 0;
}

static struct addr ip(const char *text)
{
	struct addr a;

	assert_int_equal(addr_parse(&a, text), 0);
	return a;
}

static const char *find(const char *text, double now)
{
	struct addr a = ip(text);

	return names_find(&n, &a, now);
}

static void learn(const char *text, const char *name, double ttl, double now)
{
	struct addr a = ip(text);

	names_learn(&n, &a, name, ttl, now);
}

static void it_finds_the_newest_name(void **state)
{
	(void)state;
	assert_null(find("203.0.113.1", 0));
	learn("203.0.113.1", "a.example", 10, 0);
	learn("203.0.113.1", "b.example", 10, 1);
	assert_string_equal(find("203.0.113.1", 2), "b.example");
	learn("203.0.113.1", "a.example", 10, 3);
	assert_string_equal(find("203.0.113.1", 4), "a.example");
	assert_string_equal(find("203.0.113.1:443", 4), "a.example");
	assert_null(find("203.0.113.2", 4));
	assert_string_equal(find("::ffff:203.0.113.1", 4), "a.example"); /* the same address */
}

static void a_name_holds_for_its_ttl_and_a_grace(void **state)
{
	(void)state;
	learn("2001:db8::1", "a.example", 10, 100);
	assert_non_null(find("2001:db8::1", 110 + NAMES_GRACE_S - 1));
	assert_null(find("2001:db8::1", 110 + NAMES_GRACE_S));
	/* a shorter TTL later takes nothing away */
	learn("2001:db8::1", "a.example", 1000, 100);
	learn("2001:db8::1", "a.example", 1, 101);
	assert_non_null(find("2001:db8::1", 1000));
	/* and nothing holds for ever */
	learn("2001:db8::2", "a.example", 1e9, 0);
	assert_null(find("2001:db8::2", NAMES_TTL_MAX_S + NAMES_GRACE_S));
}

static int count(void *arg, const char *name)
{
	(void)name;
	++*(int *)arg;
	return 0;
}

static void it_tells_every_name_of_an_address(void **state)
{
	struct addr a = ip("203.0.113.1");
	int seen = 0;

	(void)state;
	learn("203.0.113.1", "a.example", 10, 0);
	learn("203.0.113.1", "b.example", 100, 0);
	learn("203.0.113.9", "c.example", 100, 0);
	assert_int_equal(names_each(&n, &a, 80, count, &seen), 0);
	assert_int_equal(seen, 1);
	assert_int_equal(names_each(&n, &a, 1, count, &seen), 0);
	assert_int_equal(seen, 3);
}

static void the_oldest_makes_room(void **state)
{
	char text[32];

	(void)state;
	for (int i = 0; i < NAMES_MAX + 10; i++) {
		snprintf(text, sizeof(text), "10.%d.%d.1", i >> 8, i & 255);
		learn(text, "x.example", 100, 0);
	}
	assert_int_equal(n.count, NAMES_MAX);
	assert_null(find("10.0.9.1", 1));
	assert_non_null(find("10.0.10.1", 1));
}

static void a_connection_keeps_the_names(void **state)
{
	struct addr a = ip("203.0.113.1"), b = ip("203.0.113.2"), none = ip("203.0.113.3");

	(void)state;
	learn("203.0.113.1", "early.example", 1, 0);
	learn("203.0.113.1", "late.example", 100, 0);
	/* What had ended before the connection began does not come back. */
	struct names_host *h = names_hold(&n, &a, 99);
	assert_non_null(h);
	assert_ptr_equal(names_hold(&n, &a, 1e6), h);
	assert_string_equal(find("203.0.113.1", 2e6), "late.example");
	assert_int_equal(n.count, 1);
	names_release(&n, h, 1e6);
	assert_string_equal(find("203.0.113.1", 2e6), "late.example");
	names_release(&n, h, 2e6);
	assert_non_null(find("203.0.113.1", 2e6 + NAMES_GRACE_S - 1));
	assert_null(find("203.0.113.1", 2e6 + NAMES_GRACE_S));
	/* Nothing is known, or no longer. */
	assert_null(names_hold(&n, &none, 0));
	assert_null(names_hold(&n, &a, 3e6));
	assert_int_equal(n.hosts, 0);
	names_release(&n, NULL, 0);
	learn("203.0.113.2", "b.example", 1, 0);
	h = names_hold(&n, &b, 1);
	learn("203.0.113.2", "new.example", 1, 2);
	assert_string_equal(find("203.0.113.2", 1e3), "new.example");
	names_release(&n, h, 1e3);
}

static void room_is_made_where_no_connection_is(void **state)
{
	struct addr a = ip("203.0.113.1");
	char text[32];

	(void)state;
	learn("203.0.113.1", "kept.example", 1e5, 0);
	struct names_host *h = names_hold(&n, &a, 0);
	for (int i = 0; i < NAMES_MAX + 10; i++) {
		snprintf(text, sizeof(text), "10.%d.%d.1", i >> 8, i & 255);
		learn(text, "x.example", 1e5, 0);
	}
	assert_int_equal(n.count, NAMES_MAX);
	assert_string_equal(find("203.0.113.1", 1), "kept.example");
	names_release(&n, h, 1);
}

static void connections_to_everything_do_not_break_the_bound(void **state)
{
	static struct names_host *held[NAMES_MAX + 100];
	char text[32];

	(void)state;
	for (int i = 0; i < NAMES_MAX + 100; i++) {
		snprintf(text, sizeof(text), "10.%d.%d.1", i >> 8, i & 255);
		struct addr a = ip(text);
		names_learn(&n, &a, "x.example", 1e5, 0);
		held[i] = names_hold(&n, &a, 0);
		assert_non_null(held[i]);
	}
	assert_int_equal(n.count, NAMES_MAX);
	for (int i = 0; i < NAMES_MAX + 100; i++)
		names_release(&n, held[i], 1);
	assert_int_equal(n.hosts, NAMES_MAX);
}

static void an_address_has_so_many_names(void **state)
{
	char text[32];

	(void)state;
	for (int i = 0; i < NAMES_HOST_MAX + 5; i++) {
		snprintf(text, sizeof(text), "n%d.example", i);
		learn("203.0.113.1", text, 100, 0);
	}
	assert_int_equal(n.count, NAMES_HOST_MAX);
	assert_string_equal(find("203.0.113.1", 0), text);
	int seen = 0;
	struct addr a = ip("203.0.113.1");
	names_each(&n, &a, 0, count, &seen);
	assert_int_equal(seen, NAMES_HOST_MAX);
}

/* ---- messages ---- */

static uint8_t msg[2048];
static size_t len;

static void begin(const char *question, unsigned answers)
{
	memset(msg, 0, DNSMSG_HEADER);
	msg[2] = 0x80;
	msg[5] = 1;
	msg[7] = (uint8_t)answers;
	len = DNSMSG_HEADER;
	len += (size_t)dnsmsg_wire(question, msg + len);
	memcpy(msg + len, "\0\1\0\1", 4);
	len += 4;
}

static void record(const char *owner, uint8_t type, const void *data, size_t data_len)
{
	len += (size_t)dnsmsg_wire(owner, msg + len);
	memcpy(msg + len, "\0\0\0\1\0\0\0\144\0", 9);
	msg[len + 1] = type;
	msg[len + 9] = (uint8_t)data_len;
	memcpy(msg + len + 10, data, data_len);
	len += 10 + data_len;
}

static void alias(const char *owner, const char *target)
{
	uint8_t wire[DNSMSG_WIRE_MAX];
	int n_wire = dnsmsg_wire(target, wire);

	record(owner, DNSMSG_TYPE_CNAME, wire, (size_t)n_wire);
}

static void it_learns_what_was_asked_for(void **state)
{
	(void)state;
	begin("WWW.Example.com", 3);
	record("www.example.com", DNSMSG_TYPE_A, "\xcb\0\x71\1", 4);
	record("www.example.com", DNSMSG_TYPE_A, "\xcb\0\x71\2", 4);
	record("other.example", DNSMSG_TYPE_A, "\xcb\0\x71\3", 4);
	names_learn_answer(&n, msg, len, 0);
	assert_string_equal(find("203.0.113.1", 1), "www.example.com");
	assert_string_equal(find("203.0.113.2", 1), "www.example.com");
	assert_null(find("203.0.113.3", 1));
}

static void it_follows_aliases_and_keeps_the_asked_name(void **state)
{
	uint8_t six[16] = {0x20, 1, 0x0d, 0xb8, [15] = 7};

	(void)state;
	begin("www.example.com", 4);
	record("cdn.example.net", DNSMSG_TYPE_AAAA, six, 16);
	alias("edge.example.org", "cdn.example.net");
	alias("www.example.com", "edge.example.org");
	record("unrelated.example", DNSMSG_TYPE_A, "\xcb\0\x71\4", 4);
	names_learn_answer(&n, msg, len, 0);
	assert_string_equal(find("2001:db8::7", 1), "www.example.com");
	assert_null(find("203.0.113.4", 1));
}

static void circles_queries_and_garbage_teach_nothing(void **state)
{
	(void)state;
	begin("a.example", 2);
	alias("a.example", "b.example");
	alias("b.example", "a.example");
	names_learn_answer(&n, msg, len, 0);
	assert_int_equal(n.count, 0);

	begin("a.example", 1);
	record("a.example", DNSMSG_TYPE_A, "\xcb\0\x71\1", 4);
	msg[2] = 0; /* a query */
	names_learn_answer(&n, msg, len, 0);
	msg[2] = 0x80;
	for (size_t cut = 0; cut < len; cut++)
		names_learn_answer(&n, msg, cut, 0);
	assert_int_equal(n.count, 0);

	begin("a.example", 1);
	record("a.example", DNSMSG_TYPE_A, "\xcb\0\x71", 3);
	names_learn_answer(&n, msg, len, 0);
	assert_int_equal(n.count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(it_finds_the_newest_name, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_name_holds_for_its_ttl_and_a_grace, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(it_tells_every_name_of_an_address, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(the_oldest_makes_room, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_connection_keeps_the_names, set_up, tear_down),
		cmocka_unit_test_setup_teardown(room_is_made_where_no_connection_is, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(connections_to_everything_do_not_break_the_bound,
			set_up, tear_down),
		cmocka_unit_test_setup_teardown(an_address_has_so_many_names, set_up, tear_down),
		cmocka_unit_test_setup_teardown(it_learns_what_was_asked_for, set_up, tear_down),
		cmocka_unit_test_setup_teardown(it_follows_aliases_and_keeps_the_asked_name, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(circles_queries_and_garbage_teach_nothing, set_up,
			tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
