/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base.h"
#include "core/dnslocal.h"
#include "spec/support/maker.h"

static struct synth synth;
static struct resolvconf conf;
static struct dnslocal local;
static enum dnslocal_kind kind;

static int setup(void **state)
{
	UNUSED(state);
	memset(&conf, 0, sizeof(conf));
	local = (struct dnslocal){.synth = &synth, .conf = &conf};
	return synth_init(&synth);
}

static int teardown(void **state)
{
	UNUSED(state);
	synth_fini(&synth);
	return 0;
}

/* "NOERROR 198.18.0.1 ...", or "-" for no answer. */
static const char *read_answer(const uint8_t *out, size_t len, const struct dnsmsg *q)
{
	static char text[512];
	struct dnsmsg_record r;
	struct dnsmsg m;
	size_t at = 0, n;
	unsigned k = 0;
	char rcode[16];

	if (!len)
		return "-";
	assert_int_equal(dnsmsg_parse(&m, out, len), 0);
	assert_true(m.response && m.opt && dnsmsg_same_question(&m, q));
	n = (size_t)snprintf(text, sizeof(text), "%s", dnsmsg_rcode_name(m.rcode, rcode));
	while (dnsmsg_next(&m, &at, &k, &r) > 0) {
		char one[DNSMSG_TEXT_MAX];
		uint8_t wire[DNSMSG_WIRE_MAX];
		struct addr a = {.v = r.type == DNSMSG_TYPE_A ? 4 : 6};

		if (r.type == DNSMSG_TYPE_OPT)
			continue;
		if (r.type == DNSMSG_TYPE_PTR) {
			assert_true(dnsmsg_name(out, len, r.data, wire, NULL) > 0);
			dnsmsg_text(wire, one);
		} else {
			memcpy(a.ip, out + r.data, r.data_len);
			addr_format(&a, false, one);
		}
		n += (size_t)snprintf(text + n, sizeof(text) - n, " %s", one);
	}
	return text;
}

static void make(struct maker *k, struct dnsmsg *q, const char *name, unsigned type)
{
	begin(k, name, type);
	add_opt(k, 1232, 0);
	assert_int_equal(dnsmsg_parse(q, k->data, k->len), 0);
}

static const char *ask(const char *name, unsigned type, enum dnslocal_for whom)
{
	uint8_t out[DNSLOCAL_MAX];
	struct dnsmsg q;
	struct maker k;

	make(&k, &q, name, type);
	return read_answer(out, dnslocal_answer(&local, out, &q, whom, 0, &kind), &q);
}

static const char *known(const char *name, unsigned type)
{
	uint8_t out[DNSLOCAL_MAX];
	struct dnsmsg q;
	struct maker k;

	make(&k, &q, name, type);
	return read_answer(out, dnslocal_known(&local, out, &q), &q);
}

static void names_have_addresses(void **state)
{
	UNUSED(state);
	assert_string_equal(ask("A.Test", 1, DNSLOCAL_FOR_CHILD), "NOERROR 198.18.0.1");
	assert_int_equal(kind, DNSLOCAL_SYNTHETIC);
	assert_string_equal(ask("a.test", 28, DNSLOCAL_FOR_CHILD), "NOERROR fd6e:736e:6573::1");
	assert_string_equal(ask("a.test", 255, DNSLOCAL_FOR_CHILD),
		"NOERROR 198.18.0.1 fd6e:736e:6573::1");
	assert_string_equal(ask("b.test", 1, DNSLOCAL_FOR_CHILD), "NOERROR 198.18.0.2");
}

static void other_questions_are_for_name_servers(void **state)
{
	static const unsigned types[] = {DNSMSG_TYPE_TXT, DNSMSG_TYPE_HTTPS, DNSMSG_TYPE_SRV,
		DNSMSG_TYPE_CNAME, DNSMSG_TYPE_PTR, 15};

	UNUSED(state);
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		assert_string_equal(ask("a.test", types[i], DNSLOCAL_FOR_CHILD), "-");
		assert_int_equal(kind, DNSLOCAL_TRUE);
	}
	assert_string_equal(ask("a.test", 1, DNSLOCAL_FOR_US), "-");
	assert_int_equal(kind, DNSLOCAL_TRUE);
	assert_int_equal(synth.count, 0);
}

static void what_is_no_host_has_no_address(void **state)
{
	static const char *const names[] = {".", "a\\.b.test", "x\\000.test", "127.1", "a b.test",
		"1.2.3.4"};

	UNUSED(state);
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		assert_string_equal(ask(names[i], 1, DNSLOCAL_FOR_CHILD), "NOERROR");
	assert_string_equal(ask("use-application-dns.net", 1, DNSLOCAL_FOR_CHILD), "NXDOMAIN");
	assert_int_equal(synth.count, 0);
}

static void a_full_table_is_a_failure(void **state)
{
	UNUSED(state);
	synth.max = 1;
	assert_string_equal(ask("a.test", 1, DNSLOCAL_FOR_CHILD), "NOERROR 198.18.0.1");
	assert_string_equal(ask("b.test", 1, DNSLOCAL_FOR_CHILD), "SERVFAIL");
	assert_int_equal(kind, DNSLOCAL_SYNTHETIC);
}

static void a_made_up_name_has_to_exist(void **state)
{
	UNUSED(state);
	strcpy(conf.search, "Corp.Test lan");
	assert_string_equal(ask("a.corp.test", 1, DNSLOCAL_FOR_CHILD), "-");
	assert_int_equal(kind, DNSLOCAL_TENTATIVE);
	assert_string_equal(ask("a.corp.test", 1, DNSLOCAL_FOR_CHILD_IT_EXISTS),
		"NOERROR 198.18.0.1");
	assert_int_equal(kind, DNSLOCAL_SYNTHETIC);
	assert_string_equal(ask("a.b.corp.test", 1, DNSLOCAL_FOR_CHILD), "NOERROR 198.18.0.2");
	assert_string_equal(ask("a.corp.test", DNSMSG_TYPE_TXT, DNSLOCAL_FOR_CHILD), "-");
	assert_int_equal(kind, DNSLOCAL_TRUE);
}

static void addresses_have_names(void **state)
{
	UNUSED(state);
	ask("a.test", 1, DNSLOCAL_FOR_CHILD);
	assert_string_equal(known("1.0.18.198.in-addr.arpa", DNSMSG_TYPE_PTR), "NOERROR a.test");
	assert_string_equal(known("1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.3.7.5.6.e.6.3.7.e.6.d.f."
				  "ip6.arpa",
				    DNSMSG_TYPE_PTR),
		"NOERROR a.test");
	assert_string_equal(known("2.0.18.198.in-addr.arpa", DNSMSG_TYPE_PTR), "NXDOMAIN");
	assert_string_equal(known("2.0.20.198.in-addr.arpa", DNSMSG_TYPE_PTR), "-");
	assert_string_equal(known("1.0.18.198.in-addr.arpa", DNSMSG_TYPE_TXT), "-");
	assert_string_equal(known("a.test", 1), "-");
	local.synth = NULL;
	assert_string_equal(known("1.0.18.198.in-addr.arpa", DNSMSG_TYPE_PTR), "-");
	assert_string_equal(ask("a.test", 1, DNSLOCAL_FOR_CHILD), "-");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(names_have_addresses, setup, teardown),
		cmocka_unit_test_setup_teardown(other_questions_are_for_name_servers, setup,
			teardown),
		cmocka_unit_test_setup_teardown(what_is_no_host_has_no_address, setup, teardown),
		cmocka_unit_test_setup_teardown(a_full_table_is_a_failure, setup, teardown),
		cmocka_unit_test_setup_teardown(a_made_up_name_has_to_exist, setup, teardown),
		cmocka_unit_test_setup_teardown(addresses_have_names, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
