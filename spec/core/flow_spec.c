/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "core/flow.h"

static struct flow_table t;
static const struct flow_ops ops = {.network = "udp"};

static int setup(void **state)
{
	(void)state;
	return flow_table_init(&t);
}

static int teardown(void **state)
{
	(void)state;
	flow_table_fini(&t);
	return 0;
}

static struct flow_key key_of(uint32_t proto, const char *src, const char *dst)
{
	struct flow_key key = {.proto = proto};

	assert_int_equal(addr_parse(&key.src, src), 0);
	assert_int_equal(addr_parse(&key.dst, dst), 0);
	return key;
}

static void add(struct flow *f, const struct flow_key *key)
{
	memset(f, 0, sizeof(*f));
	f->ops = &ops;
	flow_add(&t, f, key, 5);
}

static void a_key_finds_its_flow_and_no_other(void **state)
{
	const struct flow_key keys[] = {
		key_of(IPPROTO_UDP, "10.0.0.1:1", "203.0.113.1:53"),
		key_of(IPPROTO_TCP, "10.0.0.1:1", "203.0.113.1:53"),
		key_of(IPPROTO_UDP, "10.0.0.1:2", "203.0.113.1:53"),
		key_of(IPPROTO_UDP, "10.0.0.1:1", "203.0.113.1:54"),
		key_of(IPPROTO_UDP, "10.0.0.1:1", "203.0.113.2:53"),
		key_of(IPPROTO_UDP, "10.0.0.1:1", "[::ffff:203.0.113.1]:53"),
		key_of(IPPROTO_UDP, "[2001:db8::1]:1", "203.0.113.1:53"),
	};
	struct flow flow[ARRAY_LEN(keys)];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		assert_null(flow_find(&t, &keys[i]));
		add(&flow[i], &keys[i]);
		assert_int_equal(flow[i].id, i + 1);
		assert_int_equal(flow[i].state, FLOW_STATE_ASKED);
		assert_true(flow[i].times.asked == 5);
	}
	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		assert_ptr_equal(flow_find(&t, &keys[i]), &flow[i]);
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		flow_remove(&flow[i]);
		assert_null(flow_find(&t, &keys[i]));
		assert_int_equal(t.count, ARRAY_LEN(keys) - 1 - i);
	}
	assert_int_equal(t.peak, ARRAY_LEN(keys));
}

static void many_share_the_table_and_all_are_found(void **state)
{
	enum {
		MANY = 30000
	};
	struct flow *flow = calloc(MANY, sizeof(*flow));
	struct flow_key key = key_of(IPPROTO_UDP, "10.0.0.1:1", "203.0.113.1:53");

	(void)state;
	for (int i = 0; i < MANY; i++) {
		key.src.port = (uint16_t)i;
		add(&flow[i], &key);
	}
	for (int i = 0; i < MANY; i += 2)
		flow_remove(&flow[i]);
	for (int i = 0; i < MANY; i++) {
		key.src.port = (uint16_t)i;
		assert_ptr_equal(flow_find(&t, &key), i % 2 ? &flow[i] : NULL);
	}
	for (int i = 1; i < MANY; i += 2)
		flow_remove(&flow[i]);
	assert_true(list_empty(&t.all));
	free(flow);
}

static void a_retired_flow_lives_on_beside_its_successor(void **state)
{
	struct flow_key key = key_of(IPPROTO_TCP, "10.0.0.1:1", "203.0.113.1:80");
	struct flow old, new;

	(void)state;
	add(&old, &key);
	flow_retire(&old);
	assert_null(flow_find(&t, &key));
	add(&new, &key);
	assert_ptr_equal(flow_find(&t, &key), &new);
	assert_int_equal(t.count, 2);
	flow_remove(&old);
	assert_ptr_equal(flow_find(&t, &key), &new);
	flow_remove(&new);
	assert_int_equal(t.count, 0);
}

static void only_arrows_that_exist_are_taken(void **state)
{
	static const struct {
		enum flow_state from, to;
	} arrows[] = {
		{FLOW_STATE_ASKED, FLOW_STATE_DIALING},
		{FLOW_STATE_ASKED, FLOW_STATE_OPEN},
		{FLOW_STATE_ASKED, FLOW_STATE_ENDED},
		{FLOW_STATE_DIALING, FLOW_STATE_OPEN},
		{FLOW_STATE_DIALING, FLOW_STATE_ENDED},
		{FLOW_STATE_OPEN, FLOW_STATE_ENDED},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(arrows); i++) {
		struct flow f = {.state = arrows[i].from};

		flow_set_state(&f, arrows[i].to);
		assert_int_equal(f.state, arrows[i].to);
	}
}

static void bytes_are_counted_and_the_first_has_a_time(void **state)
{
	struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
	struct flow f = {0};

	(void)state;
	flow_count_up(&f, 0, loop);
	assert_true(f.times.first_up == 0);
	flow_count_up(&f, 10, loop);
	assert_true(f.times.first_up == ev_now(loop));
	f.times.first_up = 1;
	flow_count_up(&f, 5, loop);
	assert_true(f.times.first_up == 1);
	flow_count_down(&f, 7, loop);
	assert_true(f.times.first_down == ev_now(loop));
	assert_int_equal(f.bytes_up, 15);
	assert_int_equal(f.bytes_down, 7);
	ev_loop_destroy(loop);
}

static void it_is_told_by_who_called_whom(void **state)
{
	struct flow f = {.ops = &ops, .key = key_of(IPPROTO_UDP, "10.0.0.1:1", "[2001:db8::7]:53")};
	char text[FLOW_TEXT_MAX];

	(void)state;
	assert_string_equal(flow_format(&f, text), "udp 10.0.0.1:1 -> [2001:db8::7]:53");
	f.inbound = true;
	assert_string_equal(flow_format(&f, text), "udp [2001:db8::7]:53 -> 10.0.0.1:1");
	f.inbound = false;
	f.by_name = true; /* no address is known yet: the one that the child wrote */
	assert_string_equal(flow_format(&f, text), "udp 10.0.0.1:1 -> [2001:db8::7]:53");
	addr_parse(&f.dst, "203.0.113.9:53");
	assert_string_equal(flow_format(&f, text), "udp 10.0.0.1:1 -> 203.0.113.9:53");
}

#define flow_test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		flow_test(a_key_finds_its_flow_and_no_other),
		flow_test(many_share_the_table_and_all_are_found),
		flow_test(a_retired_flow_lives_on_beside_its_successor),
		flow_test(only_arrows_that_exist_are_taken),
		flow_test(bytes_are_counted_and_the_first_has_a_time),
		flow_test(it_is_told_by_who_called_whom),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
