/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "core/base.h"
#include "core/guise.h"

static struct hooks hooks;
static struct policy policy;
static struct flow flow;
static struct guises guises;
static void *forgotten[4];
static size_t forgotten_count;
static unsigned cancellations;
static int side[4]; /* what the policy side keeps, one for each address */

static void on_forget(void *arg, struct flow *f)
{
	UNUSED(arg);
	assert_true(forgotten_count < ARRAY_LEN(forgotten));
	forgotten[forgotten_count++] = f->policy;
}

static void on_cancel(void *arg, struct flow *f)
{
	UNUSED(arg);
	assert_false(f->waiting);
	cancellations++;
}

static int setup(void **state)
{
	struct addr list[3];

	UNUSED(state);
	hooks = (struct hooks){.forget = on_forget, .cancel = on_cancel};
	policy = (struct policy){.hooks = &hooks};
	memset(&flow, 0, sizeof(flow));
	flow.by_name = true;
	flow.key.dst.port = 443;
	forgotten_count = cancellations = 0;
	addr_parse(&list[0], "2001:db8::1");
	addr_parse(&list[1], "192.0.2.1");
	addr_parse(&list[2], "192.0.2.2");
	return guises_init(&guises, &policy, &flow, list, 3);
}

static int teardown(void **state)
{
	UNUSED(state);
	guises_fini(&guises);
	decision_fini(&flow.decision);
	return 0;
}

/* Policy says of the face what can be told from what it says of others. */
static void judge(size_t i)
{
	guises_wear(&guises, i);
	assert_null(flow.policy);
	assert_int_equal(flow.decision.verdict, VERDICT_NONE);
	flow.policy = &side[i];
	flow.decision.verdict = VERDICT_ALLOW;
	flow.decision.target = flow.dst;
	flow.decision.rule = strdup("a rule");
}

static void check_face(const char *address, const void *kept)
{
	char text[ADDR_TEXT_MAX];

	assert_string_equal(addr_format(flow_dst(&flow), true, text), address);
	assert_true(addr_equal(&flow.decision.target, &flow.dst));
	assert_ptr_equal(flow.policy, kept);
	assert_string_equal(flow.decision.rule, "a rule");
}

static void each_address_has_its_own_opinion(void **state)
{
	UNUSED(state);
	judge(0);
	judge(1);
	check_face("192.0.2.1:443", &side[1]);
	guises_wear(&guises, 0);
	check_face("[2001:db8::1]:443", &side[0]);
	guises_wear(&guises, 0); /* already */
	check_face("[2001:db8::1]:443", &side[0]);
	guises_put_away(&guises);
	assert_null(flow.policy);
	assert_null(flow.decision.rule);
	guises_wear(&guises, 1);
	check_face("192.0.2.1:443", &side[1]);
	guises_keep_face(&guises);
}

static void one_is_kept(void **state)
{
	UNUSED(state);
	judge(0);
	judge(1);
	judge(2);
	guises_wear(&guises, 1);
	guises_keep_face(&guises);
	check_face("192.0.2.1:443", &side[1]);
	assert_int_equal(forgotten_count, 2);
	assert_ptr_equal(forgotten[0], &side[0]);
	assert_ptr_equal(forgotten[1], &side[2]);
	guises_keep_face(&guises); /* there is nothing left */
	assert_int_equal(forgotten_count, 2);
}

static void a_face_that_is_being_made_can_be_forgotten(void **state)
{
	UNUSED(state);
	judge(0);
	guises_wear(&guises, 1);
	flow.policy = &side[1];
	flow.waiting = true;
	guises_forget_face(&guises);
	assert_int_equal(cancellations, 1);
	assert_ptr_equal(forgotten[0], &side[1]);
	assert_null(flow.policy);
	guises_keep_face(&guises); /* none: all go */
	assert_int_equal(forgotten_count, 2);
	assert_null(flow.policy);
	assert_null(flow.decision.rule);
}

#define spec(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		spec(each_address_has_its_own_opinion),
		spec(one_is_kept),
		spec(a_face_that_is_being_made_can_be_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
