/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "core/policy.h"

#define PUBLIC "203.0.113.7:80"
#define OF_HOST "203.0.113.66:80" /* says is_host() */

static struct {
	struct policy policy;
	struct guard guard;
	struct flow_table table;
	struct hooks hooks;
	struct flow flow;
	struct decision says; /* what the hook decides */
	int asked, cancelled, closed, decided, dialed, fd;
	enum flow_cause cause; /* as hooks.close saw it */
	int dial;              /* what hooks.dial returns */
} t;

static bool is_host(void *arg, const struct addr *a)
{
	struct addr host;

	(void)arg;
	addr_parse(&host, OF_HOST);
	return addr_equal_ip(a, &host);
}

static enum verdict on_connect(void *arg, struct flow *f, struct decision *d)
{
	(void)f;
	assert_ptr_equal(arg, &t);
	t.asked++;
	*d = t.says;
	d->rule = t.says.rule ? strdup(t.says.rule) : NULL;
	return t.says.verdict;
}

static enum verdict on_first_bytes(void *arg, struct flow *f, const void *bytes, size_t n,
	bool more, struct decision *d)
{
	(void)bytes;
	(void)n;
	(void)more;
	return on_connect(arg, f, d);
}

static int on_dial(void *arg, struct flow *f)
{
	(void)f;
	assert_ptr_equal(arg, &t);
	return t.dial;
}

static void on_cancel(void *arg, struct flow *f)
{
	(void)f;
	assert_ptr_equal(arg, &t);
	t.cancelled++;
}

static void on_close(void *arg, struct flow *f)
{
	assert_ptr_equal(arg, &t);
	assert_int_equal(f->state, FLOW_STATE_ENDED);
	t.cause = f->cause;
	t.closed++;
}

static void decided(struct flow *f)
{
	(void)f;
	t.decided++;
}

static void dialed(struct flow *f, int fd, const void *early, size_t n)
{
	(void)f;
	(void)early;
	(void)n;
	t.fd = fd;
	t.dialed++;
}

static const struct flow_ops ops = {.network = "tcp", .decided = decided, .dialed = dialed};

static int setup(void **state)
{
	(void)state;
	log_set_level(LOG_LEVEL_ERROR);
	memset(&t, 0, sizeof(t));
	assert_int_equal(guard_init(&t.guard), 0);
	t.guard.is_host = is_host;
	assert_int_equal(flow_table_init(&t.table), 0);
	t.policy.guard = &t.guard;
	t.hooks = (struct hooks){.arg = &t,
		.connect = on_connect,
		.flow = on_connect,
		.first_bytes = on_first_bytes,
		.cancel = on_cancel,
		.close = on_close};
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	flow_table_fini(&t.table);
	guard_fini(&t.guard);
	return 0;
}

static void begin(uint32_t proto, const char *dst)
{
	struct flow_key key = {.proto = proto};

	memset(&t.flow, 0, sizeof(t.flow));
	t.flow.ops = &ops;
	assert_int_equal(addr_parse(&key.src, "10.0.0.1:40000"), 0);
	assert_int_equal(addr_parse(&key.dst, dst), 0);
	flow_add(&t.table, &t.flow, &key, 0);
}

static void end(void)
{
	policy_end(&t.policy, &t.flow, FLOW_CAUSE_CLOSED, 0);
	flow_remove(&t.flow);
}

/* The verdict about a new flow, which is forgotten. */
static enum verdict verdict_of(uint32_t proto, const char *dst)
{
	enum verdict v;

	begin(proto, dst);
	assert_true(policy_ask(&t.policy, &t.flow));
	v = t.flow.decision.verdict;
	end();
	return v;
}

static void without_hooks_the_default_decides(void **state)
{
	(void)state;
	assert_int_equal(verdict_of(IPPROTO_TCP, PUBLIC), VERDICT_ALLOW);
	t.policy.default_deny = true;
	assert_int_equal(verdict_of(IPPROTO_TCP, PUBLIC), VERDICT_DENY);
	assert_int_equal(verdict_of(IPPROTO_UDP, PUBLIC), VERDICT_DENY);
	assert_int_equal(verdict_of(IPPROTO_ICMP, PUBLIC), VERDICT_DROP);
	assert_int_equal(t.policy.allowed, 1);
	assert_int_equal(t.policy.denied, 2);
	assert_int_equal(t.policy.dropped, 1);
}

static void a_hook_without_opinion_leaves_it_to_the_default(void **state)
{
	(void)state;
	t.policy.hooks = &t.hooks;
	t.policy.default_deny = true;
	assert_int_equal(verdict_of(IPPROTO_TCP, PUBLIC), VERDICT_DENY);
	t.says.verdict = VERDICT_ALLOW;
	assert_int_equal(verdict_of(IPPROTO_TCP, PUBLIC), VERDICT_ALLOW);
	assert_int_equal(t.asked, 2);
	assert_int_equal(t.closed, 2);
}

static void the_guard_comes_last_and_only_a_name_passes_it(void **state)
{
	(void)state;
	assert_int_equal(verdict_of(IPPROTO_TCP, OF_HOST), VERDICT_DENY);
	assert_int_equal(verdict_of(IPPROTO_TCP, "[::ffff:203.0.113.66]:80"), VERDICT_DENY);
	assert_int_equal(verdict_of(IPPROTO_TCP, "127.0.0.1:80"), VERDICT_DENY);
	t.policy.hooks = &t.hooks;
	t.says = (struct decision){.verdict = VERDICT_ALLOW, .rule = (char *)"all"};
	begin(IPPROTO_TCP, OF_HOST);
	assert_true(policy_ask(&t.policy, &t.flow));
	assert_int_equal(t.flow.decision.verdict, VERDICT_DENY);
	assert_string_equal(t.flow.decision.rule, "guard"); /* no longer the rule that allowed */
	end();
	t.says.named = true;
	assert_int_equal(verdict_of(IPPROTO_TCP, OF_HOST), VERDICT_ALLOW);
}

static void a_redirect_meets_the_guard_where_it_leads(void **state)
{
	(void)state;
	t.policy.hooks = &t.hooks;
	t.says.verdict = VERDICT_REDIRECT;
	addr_parse(&t.says.target, OF_HOST);
	assert_int_equal(verdict_of(IPPROTO_TCP, PUBLIC), VERDICT_DENY);
	addr_parse(&t.says.target, PUBLIC);
	assert_int_equal(verdict_of(IPPROTO_TCP, OF_HOST), VERDICT_REDIRECT);
}

static void the_default_opens_no_way_around_names(void **state)
{
	(void)state;
	t.policy.by_name = true;
	assert_int_equal(verdict_of(IPPROTO_TCP, PUBLIC), VERDICT_ALLOW);
	assert_int_equal(verdict_of(IPPROTO_TCP, "203.0.113.7:853"), VERDICT_DENY);
	assert_int_equal(verdict_of(IPPROTO_UDP, "203.0.113.7:53"), VERDICT_DENY);
	assert_int_equal(verdict_of(IPPROTO_UDP, "[2001:db8::7]:443"), VERDICT_DENY);
	assert_int_equal(verdict_of(IPPROTO_TCP, "[2001:db8::7]:443"), VERDICT_ALLOW);
}

static void a_dry_run_allows_and_says_what_would_be_but_not_past_the_guard(void **state)
{
	(void)state;
	t.policy.default_deny = t.policy.dry_run = true;
	begin(IPPROTO_TCP, PUBLIC);
	assert_true(policy_ask(&t.policy, &t.flow));
	assert_int_equal(t.flow.decision.verdict, VERDICT_ALLOW);
	assert_int_equal(t.flow.decision.would, VERDICT_DENY);
	end();
	assert_int_equal(verdict_of(IPPROTO_TCP, OF_HOST), VERDICT_DENY);
}

static void a_late_answer_decides_once(void **state)
{
	struct decision d = {.rule = strdup("late")};

	(void)state;
	t.policy.hooks = &t.hooks;
	t.says.verdict = VERDICT_PENDING;
	begin(IPPROTO_TCP, PUBLIC);
	assert_false(policy_ask(&t.policy, &t.flow));
	assert_true(t.flow.waiting);
	policy_answer(&t.policy, &t.flow, VERDICT_DENY, &d);
	assert_int_equal(t.decided, 1);
	assert_false(t.flow.waiting);
	assert_int_equal(t.flow.decision.verdict, VERDICT_DENY);
	assert_string_equal(t.flow.decision.rule, "late");
	end();
	assert_int_equal(t.cancelled, 0);
}

static void who_ends_while_it_waits_cancels_the_question(void **state)
{
	(void)state;
	t.policy.hooks = &t.hooks;
	t.says.verdict = VERDICT_PENDING;
	begin(IPPROTO_TCP, PUBLIC);
	assert_false(policy_ask(&t.policy, &t.flow));
	policy_end(&t.policy, &t.flow, FLOW_CAUSE_CHILD_RESET, 7);
	policy_end(&t.policy, &t.flow, FLOW_CAUSE_CLOSED, 8); /* the first counts */
	assert_int_equal(t.cancelled, 1);
	assert_int_equal(t.closed, 1);
	assert_int_equal(t.cause, FLOW_CAUSE_CHILD_RESET);
	assert_true(t.flow.times.ended == 7);
	flow_remove(&t.flow);
}

static void first_bytes_can_only_end_what_was_allowed(void **state)
{
	(void)state;
	t.policy.hooks = &t.hooks;
	t.says = (struct decision){.verdict = VERDICT_ALLOW, .first_bytes = true};
	begin(IPPROTO_TCP, PUBLIC);
	assert_true(policy_ask(&t.policy, &t.flow));
	policy_opened(&t.policy, &t.flow);
	t.says = (struct decision){.verdict = VERDICT_MORE};
	assert_int_equal(policy_first_bytes(&t.policy, &t.flow, "a", 1, true), VERDICT_MORE);
	t.says = (struct decision){.verdict = VERDICT_ALLOW, .pass = 3};
	assert_int_equal(policy_first_bytes(&t.policy, &t.flow, "abc", 3, true), VERDICT_ALLOW);
	assert_true(t.flow.decision.first_bytes); /* asked again behind those */
	assert_int_equal(t.flow.decision.pass, 3);
	t.says = (struct decision){.verdict = VERDICT_REDIRECT};
	assert_int_equal(policy_first_bytes(&t.policy, &t.flow, "d", 1, true), VERDICT_DENY);
	assert_int_equal(t.flow.decision.style, DENY_STYLE_RESET);
	assert_int_equal(t.policy.denied, 1);
	end();
}

static void bytes_that_nobody_can_judge_any_more_do_not_pass(void **state)
{
	(void)state;
	t.policy.hooks = &t.hooks;
	t.says = (struct decision){.verdict = VERDICT_ALLOW, .first_bytes = true};
	begin(IPPROTO_TCP, PUBLIC);
	assert_true(policy_ask(&t.policy, &t.flow));
	policy_opened(&t.policy, &t.flow);
	t.says = (struct decision){.verdict = VERDICT_MORE};
	assert_int_equal(policy_first_bytes(&t.policy, &t.flow, "a", 1, false), VERDICT_DENY);
	t.hooks.first_bytes = NULL; /* a reload took the rules away */
	assert_int_equal(policy_first_bytes(&t.policy, &t.flow, "a", 1, true), VERDICT_DENY);
	assert_int_equal(policy_data(&t.policy, &t.flow, HOOK_DIR_OUT, "a", 1, NULL, NULL),
		-ECONNABORTED);
	end();
}

static void what_needs_a_dialer_is_never_dialed_directly(void **state)
{
	(void)state;
	t.policy.hooks = &t.hooks;
	t.says.verdict = VERDICT_VIA;
	begin(IPPROTO_TCP, PUBLIC);
	assert_true(policy_ask(&t.policy, &t.flow));
	assert_int_equal(policy_dial(&t.policy, &t.flow), -EOPNOTSUPP);
	t.hooks.dial = on_dial;
	t.dial = -ENOSYS;
	assert_int_equal(policy_dial(&t.policy, &t.flow), -EOPNOTSUPP);
	t.dial = -EINPROGRESS;
	assert_int_equal(policy_dial(&t.policy, &t.flow), -EINPROGRESS);
	policy_dialed(&t.policy, &t.flow, -ECONNREFUSED, NULL, 0);
	assert_int_equal(t.dialed, 1);
	assert_int_equal(t.fd, -ECONNREFUSED);
	end();
	t.says.verdict = VERDICT_ALLOW;
	t.dial = -ENOSYS;
	begin(IPPROTO_TCP, PUBLIC);
	assert_true(policy_ask(&t.policy, &t.flow));
	assert_int_equal(policy_dial(&t.policy, &t.flow), -ENOSYS);
	end();
}

static void an_address_that_became_the_hosts_is_closed(void **state)
{
	(void)state;
	begin(IPPROTO_TCP, PUBLIC);
	assert_true(policy_ask(&t.policy, &t.flow));
	assert_true(policy_still_allows(&t.policy, &t.flow));
	addr_parse(&t.flow.decision.target, OF_HOST);
	assert_false(policy_still_allows(&t.policy, &t.flow));
	assert_int_equal(t.flow.decision.verdict, VERDICT_DENY);
	assert_string_equal(t.flow.decision.rule, "guard");
	end();
}

static void who_calls_from_outside_is_led_nowhere_else(void **state)
{
	(void)state;
	t.policy.hooks = &t.hooks;
	for (int redirect = 0; redirect < 2; redirect++) {
		t.says.verdict = redirect ? VERDICT_REDIRECT : VERDICT_VIA;
		t.says.first_bytes = true;
		begin(IPPROTO_TCP, "127.0.0.1:5000"); /* the caller: the guard does not mind */
		t.flow.inbound = true;
		assert_true(policy_ask(&t.policy, &t.flow));
		assert_int_equal(t.flow.decision.verdict, redirect ? VERDICT_DENY : VERDICT_ALLOW);
		assert_false(t.flow.decision.first_bytes);
		assert_true(addr_equal(&t.flow.decision.target, &t.flow.key.src));
		end();
	}
}

#define policy_test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		policy_test(without_hooks_the_default_decides),
		policy_test(a_hook_without_opinion_leaves_it_to_the_default),
		policy_test(the_guard_comes_last_and_only_a_name_passes_it),
		policy_test(a_redirect_meets_the_guard_where_it_leads),
		policy_test(the_default_opens_no_way_around_names),
		policy_test(a_dry_run_allows_and_says_what_would_be_but_not_past_the_guard),
		policy_test(a_late_answer_decides_once),
		policy_test(who_ends_while_it_waits_cancels_the_question),
		policy_test(first_bytes_can_only_end_what_was_allowed),
		policy_test(bytes_that_nobody_can_judge_any_more_do_not_pass),
		policy_test(what_needs_a_dialer_is_never_dialed_directly),
		policy_test(an_address_that_became_the_hosts_is_closed),
		policy_test(who_calls_from_outside_is_led_nowhere_else),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
