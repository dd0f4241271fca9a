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
#include "core/quest.h"
#include "spec/support/fake_resolver.h"
#include "spec/support/virtual_time.h"

static struct ev_loop *loop;
static struct resolver resolver;
static struct hooks hooks;
static struct policy policy;
static struct dnsquery_pool pool;
static struct synth synth;
static struct quests quests;
static enum verdict verdict;

/* One who wants to know. */
struct seeker {
	struct quest_wait wait;
	struct flow flow;
	unsigned answers;
	bool denied;
	char text[512]; /* addresses, or the reason */
};
static struct seeker seeker[2 * QUEST_MAX];

static enum verdict on_dns(void *arg, struct dnsquery *q, struct decision *d)
{
	UNUSED(arg);
	UNUSED(q);
	d->rule = strdup("rules.lua:7");
	return verdict;
}

static void on_sought(struct quest_wait *w, const struct quest_answer *a)
{
	struct seeker *s = container_of(w, struct seeker, wait);
	char one[ADDR_TEXT_MAX];
	size_t n = 0;

	s->answers++;
	s->denied = a->denied;
	snprintf(s->text, sizeof(s->text), "%s", a->denied ? a->denied->rule : a->reason);
	for (size_t i = 0; i < a->count; i++)
		n += (size_t)snprintf(s->text + n, sizeof(s->text) - n, "%s%s", i ? " " : "",
			addr_format(&a->list[i], true, one));
}

static void seek(unsigned i, const char *name)
{
	struct synth_name *n = synth_give(&synth, name, 0);

	assert_int_equal(quest_start(&quests, n, &seeker[i].flow, &seeker[i].wait, on_sought), 0);
	assert_int_equal(seeker[i].answers, 0);
}

static int setup(void **state)
{
	UNUSED(state);
	loop = ev_loop_new(0);
	hooks = (struct hooks){.dns = on_dns};
	policy = (struct policy){.hooks = &hooks};
	verdict = VERDICT_NONE;
	asked_count = asked_total = 0;
	resolver_error = 0;
	memset(seeker, 0, sizeof(seeker));
	dnsquery_pool_init(&pool, loop, &resolver, &policy);
	quests_init(&quests, loop, &pool);
	return synth_init(&synth);
}

static int teardown(void **state)
{
	UNUSED(state);
	quests_fini(&quests);
	int left = (int)(pool.count + asked_count + quests.under_way);
	dnsquery_pool_fini(&pool);
	synth_fini(&synth);
	ev_loop_destroy(loop);
	return left;
}

/* Answers the question for @type that was asked first with @n addresses, the last byte of the first
 * being @first. */
static void answer(unsigned type, size_t n, uint8_t first)
{
	const size_t size = type == DNSMSG_TYPE_A ? 4 : 16;
	struct resolver_query *q = NULL;
	uint8_t msg[1024] = {0};
	struct dnsmsg m;

	for (unsigned i = 0; i < asked_count && !q; i++) {
		assert_int_equal(dnsmsg_parse(&m, asked[i]->msg, asked[i]->len), 0);
		if (m.type == type)
			q = asked[i];
	}
	assert_non_null(q);
	size_t len = m.question_end;
	memcpy(msg, q->msg, len);
	msg[2] |= 0x80;
	msg[7] = (uint8_t)n;
	msg[11] = 0;
	for (size_t i = 0; i < n; i++) {
		const uint8_t head[] = {0xc0, 12, 0, (uint8_t)type, 0, 1, 0, 0, 0, 9, 0,
			(uint8_t)size};
		memcpy(msg + len, head, sizeof(head));
		len += sizeof(head) + size;
		msg[len - size] = size == 4 ? 203 : 0x20;
		msg[len - 1] = (uint8_t)(first + i);
	}
	resolver_cancel(q);
	q->done(q, msg, len);
}

static void both_versions_come_in_turns(void **state)
{
	UNUSED(state);
	virtual_stopped = true; /* the second answer is in time */
	seek(0, "a.test");
	assert_int_equal(asked_total, 2);
	assert_true(asked_whole);
	answer(DNSMSG_TYPE_A, 3, 1);
	run_now(loop);
	assert_int_equal(seeker[0].answers, 0);
	virtual_stopped = false;
	answer(DNSMSG_TYPE_AAAA, 2, 1);
	assert_int_equal(seeker[0].answers, 0); /* from the loop */
	run_now(loop);
	assert_int_equal(seeker[0].answers, 1);
	assert_string_equal(seeker[0].text, "2000::1 203.0.0.1 2000::2 203.0.0.2 203.0.0.3");
}

static void many_addresses_are_cut_evenly(void **state)
{
	UNUSED(state);
	seek(0, "a.test");
	answer(DNSMSG_TYPE_AAAA, 20, 1);
	answer(DNSMSG_TYPE_A, 20, 1);
	run_now(loop);
	assert_string_equal(seeker[0].text,
		"2000::1 203.0.0.1 2000::2 203.0.0.2 2000::3 203.0.0.3 2000::4 203.0.0.4");
}

static void one_version_is_not_waited_for_long(void **state)
{
	UNUSED(state);
	seek(0, "a.test");
	answer(DNSMSG_TYPE_A, 1, 1);
	advance(loop, QUEST_REST_S / 2);
	assert_int_equal(seeker[0].answers, 0);
	advance(loop, QUEST_REST_S);
	assert_string_equal(seeker[0].text, "203.0.0.1");
	assert_int_equal(asked_count, 0); /* the other question was given up */
}

static void without_addresses_there_is_a_reason(void **state)
{
	UNUSED(state);
	seek(0, "a.test");
	resolve(DNSMSG_RCODE_NXDOMAIN, false);
	advance(loop, 2 * QUEST_REST_S);
	assert_int_equal(seeker[0].answers, 0); /* the other may have some */
	resolve(DNSMSG_RCODE_NXDOMAIN, false);
	run_now(loop);
	assert_string_equal(seeker[0].text, "no such name");
	seek(1, "b.test");
	resolve(DNSMSG_RCODE_NXDOMAIN, false);
	resolve(0, true);
	run_now(loop);
	assert_string_equal(seeker[1].text, "no name server tells the name's address");
	seek(2, "c.test");
	resolve(DNSMSG_RCODE_NOERROR, false);
	resolve(DNSMSG_RCODE_NOERROR, false);
	run_now(loop);
	assert_string_equal(seeker[2].text, "the name has no address");
}

static void what_policy_denies_is_not_asked(void **state)
{
	UNUSED(state);
	verdict = VERDICT_DENY;
	seek(0, "a.test");
	assert_int_equal(asked_total, 0);
	run_now(loop);
	assert_int_equal(seeker[0].answers, 1);
	assert_true(seeker[0].denied);
	assert_string_equal(seeker[0].text, "rules.lua:7");
}

static void those_who_want_the_same_share(void **state)
{
	struct process other = {.holds = 1};

	UNUSED(state);
	seek(0, "a.test");
	seek(1, "a.test");
	assert_int_equal(asked_total, 2);
	seeker[2].flow.process = &other; /* to whom rules may answer otherwise */
	seek(2, "a.test");
	assert_int_equal(asked_total, 4);
	quest_stop(&seeker[0].wait);
	answer(DNSMSG_TYPE_A, 1, 1);
	answer(DNSMSG_TYPE_AAAA, 0, 1);
	run_now(loop);
	assert_int_equal(seeker[0].answers, 0);
	assert_string_equal(seeker[1].text, "203.0.0.1");
	assert_int_equal(seeker[2].answers, 0);
	quest_stop(&seeker[2].wait);
	assert_int_equal(asked_count, 0); /* nobody wants the answer any more */
	assert_int_equal(other.holds, 1);
	seek(1 + 2, "a.test"); /* an answer is not kept */
	assert_int_equal(asked_total, 6);
}

static void stop_other(struct quest_wait *w, const struct quest_answer *a)
{
	on_sought(w, a);
	quest_stop(&seeker[1].wait);
}

static void one_may_stop_another(void **state)
{
	struct synth_name *n = synth_give(&synth, "a.test", 0);

	UNUSED(state);
	assert_int_equal(quest_start(&quests, n, &seeker[0].flow, &seeker[0].wait, stop_other), 0);
	seek(1, "a.test");
	answer(DNSMSG_TYPE_A, 1, 1);
	answer(DNSMSG_TYPE_AAAA, 0, 1);
	run_now(loop);
	assert_int_equal(seeker[0].answers, 1);
	assert_int_equal(seeker[1].answers, 0);
}

static void many_wait_for_their_turn(void **state)
{
	char name[32];
	unsigned answers = 0;

	UNUSED(state);
	for (unsigned i = 0; i < ARRAY_LEN(seeker); i++) {
		snprintf(name, sizeof(name), "n%u.test", i);
		seek(i, name);
	}
	assert_int_equal(asked_total, 2 * QUEST_MAX);
	quest_stop(&seeker[QUEST_MAX].wait); /* before its turn */
	for (unsigned turn = 0; turn < 2; turn++) {
		while (asked_count)
			resolve(DNSMSG_RCODE_NXDOMAIN, false);
		run_now(loop);
	}
	for (unsigned i = 0; i < ARRAY_LEN(seeker); i++)
		answers += seeker[i].answers;
	assert_int_equal(answers, ARRAY_LEN(seeker) - 1);
	assert_int_equal(seeker[QUEST_MAX].answers, 0);
	assert_int_equal(asked_total, 2 * (ARRAY_LEN(seeker) - 1));
}

static void the_end_tells_nobody(void **state)
{
	UNUSED(state);
	seek(0, "a.test");
	seek(1, "b.test");
	quests_fini(&quests);
	assert_int_equal(asked_count, 0);
	quest_stop(&seeker[0].wait); /* is safe */
	assert_int_equal(seeker[0].answers + seeker[1].answers, 0);
}

#define spec(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		spec(both_versions_come_in_turns),
		spec(many_addresses_are_cut_evenly),
		spec(one_version_is_not_waited_for_long),
		spec(without_addresses_there_is_a_reason),
		spec(what_policy_denies_is_not_asked),
		spec(those_who_want_the_same_share),
		spec(one_may_stop_another),
		spec(many_wait_for_their_turn),
		spec(the_end_tells_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
