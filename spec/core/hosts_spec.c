/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base.h"
#include "core/hosts.h"
#include "spec/support/maker.h"

static char path[64];
static struct hosts hosts;

static void write_file(const char *text)
{
	char temporary[80];

	snprintf(temporary, sizeof(temporary), "%s.new", path);
	FILE *f = fopen(temporary, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	assert_int_equal(rename(temporary, path), 0);
}

static int set_up(void **state)
{
	(void)state;
	snprintf(path, sizeof(path), "/tmp/nsnet-hosts-XXXXXX");
	int fd = mkstemp(path);
	if (fd < 0)
		return -1;
	close(fd);
	return hosts_init(&hosts, path);
}

static int tear_down(void **state)
{
	(void)state;
	hosts_fini(&hosts);
	unlink(path);
	return 0;
}

/* The addresses in the answer, "none" for no address, NULL for no answer. */
static const char *answer(const char *name, unsigned type)
{
	static char text[1024];
	static uint8_t out[4096];
	struct maker question;
	struct dnsmsg q, m;
	struct dnsmsg_record r;
	size_t at = 0, n = 0;
	unsigned k = 0;

	begin(&question, name, type);
	add_opt(&question, 1232, 0);
	assert_int_equal(dnsmsg_parse(&q, question.data, question.len), 0);
	size_t len = hosts_answer(&hosts, out, sizeof(out), &q);
	if (!len)
		return NULL;
	assert_int_equal(dnsmsg_parse(&m, out, len), 0);
	assert_true(m.response && m.opt && m.rcode == 0 && dnsmsg_same_question(&m, &q));
	snprintf(text, sizeof(text), "none");
	while (dnsmsg_next(&m, &at, &k, &r) > 0) {
		struct addr a = {.v = r.type == DNSMSG_TYPE_A ? 4 : 6};
		char one[ADDR_TEXT_MAX];
		if (r.type == DNSMSG_TYPE_OPT)
			continue;
		assert_int_equal(r.type, type);
		if (type == DNSMSG_TYPE_PTR) {
			uint8_t wire[DNSMSG_WIRE_MAX];
			char name_text[DNSMSG_TEXT_MAX];
			assert_true(dnsmsg_name(out, len, r.data, wire, NULL) > 0);
			n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s", n ? " " : "",
				dnsmsg_text(wire, name_text));
			continue;
		}
		memcpy(a.ip, out + r.data, r.data_len);
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s", n ? " " : "",
			addr_format(&a, false, one));
	}
	return text;
}

static int note(void *arg, const char *name)
{
	strcat(arg, name);
	strcat(arg, " ");
	return 0;
}

static const char *names(const char *ip)
{
	static char text[256];
	struct addr a;

	text[0] = 0;
	assert_int_equal(addr_parse(&a, ip), 0);
	assert_int_equal(hosts_each(&hosts, &a, note, text), 0);
	return text;
}

static void names_and_addresses_are_found(void **state)
{
	(void)state;
	write_file("# a comment\n"
		   "127.0.0.1\tlocalhost\n"
		   "::1 localhost ip6-localhost\n"
		   "\n"
		   "203.0.113.7 Db.Test. db  # trailing\r\n"
		   "203.0.113.8 db.test\n"
		   "2001:db8::7 six.test\n"
		   "not-an-address x.test\n"
		   "203.0.113.9:80 port.test\n"
		   "203.0.113.9 bad_name! 10.0.0.1 good.test\n"
		   "203.0.113.10");
	hosts_check(&hosts, 10);
	assert_string_equal(answer("db.test", DNSMSG_TYPE_A), "203.0.113.7 203.0.113.8");
	assert_string_equal(answer("DB.test", DNSMSG_TYPE_A), "203.0.113.7 203.0.113.8");
	assert_string_equal(answer("db", DNSMSG_TYPE_A), "203.0.113.7");
	assert_string_equal(answer("localhost", DNSMSG_TYPE_A), "127.0.0.1");
	assert_string_equal(answer("localhost", DNSMSG_TYPE_AAAA), "::1");
	assert_string_equal(answer("good.test", DNSMSG_TYPE_A), "203.0.113.9");
	/* The other family: there is nothing, and nobody else is to be asked. */
	assert_string_equal(answer("db.test", DNSMSG_TYPE_AAAA), "none");
	assert_string_equal(answer("six.test", DNSMSG_TYPE_A), "none");
	assert_null(answer("db.test", DNSMSG_TYPE_TXT));
	assert_null(answer("x.test", DNSMSG_TYPE_A));
	assert_null(answer("port.test", DNSMSG_TYPE_A));
	assert_null(answer("x.db.test", DNSMSG_TYPE_A));
	assert_null(answer("a\\.b", DNSMSG_TYPE_A));
	assert_string_equal(answer("7.113.0.203.in-addr.arpa", DNSMSG_TYPE_PTR), "db.test db");
	assert_string_equal(
		answer("7.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2."
		       "ip6.arpa",
			DNSMSG_TYPE_PTR),
		"six.test");
	assert_null(answer("11.113.0.203.in-addr.arpa", DNSMSG_TYPE_PTR));
	assert_null(answer("db.test", DNSMSG_TYPE_PTR));
	assert_string_equal(names("203.0.113.7"), "db.test db ");
	assert_string_equal(names("203.0.113.7:80"), "db.test db ");
	assert_string_equal(names("::1"), "localhost ip6-localhost ");
	assert_string_equal(names("203.0.113.10"), "");
}

static void a_change_is_seen(void **state)
{
	(void)state;
	assert_null(answer("a.test", DNSMSG_TYPE_A));
	write_file("203.0.113.1 a.test\n");
	hosts_check(&hosts, 10);
	assert_string_equal(answer("a.test", DNSMSG_TYPE_A), "203.0.113.1");
	/* Looked at once a second. */
	write_file("203.0.113.2 a.test\n");
	hosts_check(&hosts, 10.5);
	assert_string_equal(answer("a.test", DNSMSG_TYPE_A), "203.0.113.1");
	hosts_check(&hosts, 11.1);
	assert_string_equal(answer("a.test", DNSMSG_TYPE_A), "203.0.113.2");
	assert_int_equal(unlink(path), 0);
	hosts_check(&hosts, 13);
	assert_null(answer("a.test", DNSMSG_TYPE_A));
	assert_string_equal(names("203.0.113.2"), "");
}

static void a_long_file_is_read(void **state)
{
	static char text[2000000];
	char name[32];
	size_t n = 0;

	(void)state;
	for (int i = 0; i < 50000; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "0.0.0.0 ads%d.test\n", i);
	snprintf(text + n, sizeof(text) - n, "203.0.113.1 last.test");
	write_file(text);
	hosts_check(&hosts, 10);
	for (int i = 0; i < 50000; i += 4999) {
		snprintf(name, sizeof(name), "ads%d.test", i);
		assert_string_equal(answer(name, DNSMSG_TYPE_A), "0.0.0.0");
	}
	assert_string_equal(answer("last.test", DNSMSG_TYPE_A), "203.0.113.1");
	assert_string_equal(names("203.0.113.1"), "last.test ");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(names_and_addresses_are_found, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_change_is_seen, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_long_file_is_read, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
