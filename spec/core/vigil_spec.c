/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "core/base.h"
#include "core/vigil.h"

static struct ev_loop *loop;
static struct guard guard;
static struct policy policy;
static struct flow_table table;
static struct vigil vigil;
static struct addr taken; /* by the host */
static unsigned aborts;
static struct flow *also; /* what a script ends when it hears of an end */

static bool is_host(void *arg, const struct addr *a)
{
	(void)arg;
	return addr_equal_ip(a, &taken);
}

static void on_abort(struct flow *f, enum flow_cause cause)
{
	struct flow *other = also;

	assert_int_equal(cause, FLOW_CAUSE_DENIED);
	assert_int_equal(f->decision.verdict, VERDICT_DENY);
	assert_string_equal(f->decision.rule, "guard");
	aborts++;
	also = NULL;
	flow_remove(f);
	free(f);
	if (other) {
		flow_remove(other);
		free(other);
	}
}

static const struct flow_ops ops = {.network = "udp", .abort = on_abort};

static int setup(void **state)
{
	(void)state;
	loop = ev_default_loop(0);
	if (guard_init(&guard) < 0 || flow_table_init(&table) < 0)
		return -1;
	guard.is_host = is_host;
	policy = (struct policy){.guard = &guard};
	taken = (struct addr){0};
	aborts = 0;
	also = NULL;
	vigil_start(&vigil, loop, &policy, &table);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	vigil_stop(&vigil);
	vigil_stop(&vigil);
	while (table.all.next != &table.all) {
		struct flow *f = container_of(table.all.next, struct flow, all);

		flow_remove(f);
		free(f);
	}
	flow_table_fini(&table);
	guard_fini(&guard);
	return 0;
}

static struct flow *add(uint32_t proto, const char *to, enum verdict v, enum flow_state state)
{
	static uint16_t port = 1000;
	struct flow *f = calloc(1, sizeof(*f));
	struct flow_key key = {.proto = proto};

	assert_non_null(f);
	f->ops = &ops;
	assert_int_equal(addr_parse(&key.src, "10.0.0.1"), 0);
	assert_int_equal(addr_parse(&key.dst, to), 0);
	key.src.port = port++;
	flow_add(&table, f, &key, 1);
	f->decision.verdict = v;
	f->decision.target = key.dst;
	if (state != FLOW_STATE_ASKED)
		flow_set_state(f, FLOW_STATE_DIALING);
	if (state == FLOW_STATE_OPEN)
		flow_set_state(f, FLOW_STATE_OPEN);
	return f;
}

/* As the kernel's notice does. */
static void change(const char *address)
{
	assert_int_equal(addr_parse(&taken, address), 0);
	memset(guard.known, 0, sizeof(guard.known));
	guard.on_change(guard.on_change_arg);
}

static void run(void)
{
	ev_run(loop, EVRUN_ONCE);
}

static void ends_what_has_become_the_hosts(void **state)
{
	(void)state;
	add(IPPROTO_UDP, "203.0.113.1", VERDICT_ALLOW, FLOW_STATE_OPEN);
	add(IPPROTO_UDP, "203.0.113.1", VERDICT_REDIRECT, FLOW_STATE_OPEN);
	add(IPPROTO_ICMP, "203.0.113.1", VERDICT_ALLOW, FLOW_STATE_OPEN);
	add(IPPROTO_TCP, "203.0.113.1", VERDICT_ALLOW, FLOW_STATE_DIALING);
	change("203.0.113.1");
	assert_int_equal(aborts, 0); /* never from inside */
	run();
	assert_int_equal(aborts, 4);
	assert_int_equal(table.count, 0);
	assert_int_equal(vigil.ended, 4);
	assert_int_equal(policy.denied, 4);
}

static void leaves_alone_what_it_does_not_concern(void **state)
{
	struct flow *named;

	(void)state;
	add(IPPROTO_UDP, "203.0.113.2", VERDICT_ALLOW, FLOW_STATE_OPEN);
	add(IPPROTO_TCP, "203.0.113.1", VERDICT_ALLOW, FLOW_STATE_OPEN); /* the kernel resets it */
	add(IPPROTO_UDP, "203.0.113.1", VERDICT_VIA, FLOW_STATE_OPEN);   /* a proxy's way */
	add(IPPROTO_UDP, "203.0.113.1", VERDICT_DENY, FLOW_STATE_ASKED);
	add(IPPROTO_TCP, "203.0.113.1", VERDICT_NONE, FLOW_STATE_ASKED); /* will be guarded */
	named = add(IPPROTO_UDP, "203.0.113.1", VERDICT_REDIRECT, FLOW_STATE_OPEN);
	named->decision.named = true;
	change("203.0.113.1");
	run();
	assert_int_equal(aborts, 0);
	assert_int_equal(table.count, 6);
}

/* A caller goes to the child's own address, which the guard would not let the child dial. */
static void leaves_callers_alone(void **state)
{
	struct flow *f[2] = {
		add(IPPROTO_UDP, "198.51.100.7", VERDICT_ALLOW, FLOW_STATE_OPEN),
		add(IPPROTO_TCP, "198.51.100.7", VERDICT_ALLOW, FLOW_STATE_DIALING),
	};

	(void)state;
	assert_int_equal(addr_parse(&guard.inside4.net, "10.0.0.0"), 0);
	guard.inside4.bits = 24;
	for (size_t i = 0; i < ARRAY_LEN(f); i++) {
		f[i]->inbound = true;
		f[i]->decision.target = f[i]->key.src;
	}
	change("203.0.113.1");
	run();
	assert_int_equal(aborts, 0);
	assert_int_equal(table.count, 2);
}

static void survives_a_script_that_ends_others(void **state)
{
	(void)state;
	add(IPPROTO_UDP, "203.0.113.1", VERDICT_ALLOW, FLOW_STATE_OPEN);
	also = add(IPPROTO_UDP, "203.0.113.1", VERDICT_ALLOW, FLOW_STATE_OPEN);
	add(IPPROTO_UDP, "203.0.113.1", VERDICT_ALLOW, FLOW_STATE_OPEN);
	change("203.0.113.1");
	run();
	assert_int_equal(aborts, 2);
	assert_int_equal(table.count, 0);
}

static void looks_again_after_the_next_change_and_then_rests(void **state)
{
	(void)state;
	add(IPPROTO_UDP, "203.0.113.1", VERDICT_ALLOW, FLOW_STATE_OPEN);
	change("203.0.113.7");
	run();
	assert_int_equal(aborts, 0);
	change("203.0.113.1");
	run(); /* up to VIGIL_EVERY_S later */
	assert_int_equal(aborts, 1);
	run();
	assert_false(ev_is_active(&vigil.timer));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(ends_what_has_become_the_hosts, setup, teardown),
		cmocka_unit_test_setup_teardown(leaves_alone_what_it_does_not_concern, setup,
			teardown),
		cmocka_unit_test_setup_teardown(leaves_callers_alone, setup, teardown),
		cmocka_unit_test_setup_teardown(survives_a_script_that_ends_others, setup,
			teardown),
		cmocka_unit_test_setup_teardown(looks_again_after_the_next_change_and_then_rests,
			setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
