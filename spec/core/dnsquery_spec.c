/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/base.h"
#include "core/dnsquery.h"
#include "spec/support/fake_resolver.h"
#include "spec/support/maker.h"
#include "spec/support/virtual_time.h"

/* ---- a policy ---- */

static enum verdict verdict;
static struct decision decision; /* copied; texts must not be set */
static const uint8_t *supplied;
static size_t supplied_len;
static struct dnsquery *judged;
static unsigned judgements, cancellations;
static char judged_name[DNSMSG_TEXT_MAX];

static enum verdict on_dns(void *arg, struct dnsquery *q, struct decision *d)
{
	assert_ptr_equal(arg, &judged);
	judgements++;
	judged = q;
	strcpy(judged_name, q->name);
	*d = decision;
	d->rule = strdup("rules.lua:7");
	if (supplied)
		assert_int_equal(dnsquery_supply(q, supplied, supplied_len), 0);
	return verdict;
}

static void on_dns_cancel(void *arg, struct dnsquery *q)
{
	assert_ptr_equal(arg, &judged);
	assert_ptr_equal(q, judged);
	cancellations++;
	judged = NULL;
}

/* ---- the front ---- */

static struct ev_loop *loop;
static struct resolver resolver;
static struct hooks hooks;
static struct policy policy;
static struct dnsquery_pool pool;
static struct maker question;
static unsigned answers, seen;
static bool silence, in_new;
static uint8_t answer[DNSMSG_MAX];
static size_t answer_len;
static struct dnsmsg answered;

static void on_answer(struct dnsquery *q, uint8_t *msg, size_t len)
{
	assert_false(in_new);
	assert_ptr_equal(q->owner, &answers);
	assert_false(list_linked(&q->mine));
	answers++;
	silence = !msg;
	if (!msg)
		return;
	memcpy(answer, msg, len);
	answer_len = len;
	assert_int_equal(dnsmsg_parse(&answered, answer, len), 0);
	assert_true(answered.response);
}

static void on_seen(void *arg, const struct dnsquery *q, const uint8_t *msg, size_t len)
{
	assert_ptr_equal(arg, &seen);
	assert_true(len >= DNSMSG_HEADER && msg[2] & 0x80);
	assert_string_equal(q->name, "a.example");
	seen++;
}

static int ask_from(const char *src, bool tcp, size_t len)
{
	struct addr from, to;
	struct dnsquery *q;

	addr_parse(&from, src);
	addr_parse(&to, "10.0.0.53:53");
	in_new = true;
	int err = dnsquery_new(&pool, &from, &to, tcp, question.data, len, on_answer, &answers, &q);
	in_new = false;
	return err;
}

static int ask(void)
{
	return ask_from("10.0.0.1:40000", false, question.len);
}

/* Asks what the resolver must not hear, and hears the answer. */
static unsigned refused(void)
{
	unsigned before = asked_total, count = answers;

	assert_int_equal(ask(), 0);
	assert_int_equal(answers, count); /* not at once */
	run_now(loop);
	assert_int_equal(answers, count + 1);
	assert_int_equal(asked_total, before);
	assert_false(silence);
	assert_int_equal(answered.id, 0x1234);
	return answered.rcode;
}

static int setup(void **state)
{
	(void)state;
	loop = ev_loop_new(0);
	hooks = (struct hooks){.arg = &judged, .dns = on_dns, .dns_cancel = on_dns_cancel};
	policy = (struct policy){0};
	asked_count = asked_total = answers = seen = judgements = cancellations = 0;
	resolver_error = 0;
	verdict = VERDICT_NONE;
	decision = (struct decision){0};
	supplied = NULL;
	judged = NULL;
	dnsquery_pool_init(&pool, loop, &resolver, &policy);
	begin(&question, "A.Example", DNSMSG_TYPE_A);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unsigned before = answers;
	dnsquery_pool_fini(&pool);
	int left = (int)(pool.count + asked_count + (answers - before));
	ev_loop_destroy(loop);
	return left;
}

/* ---- specs ---- */

static void an_answer_goes_to_the_asker(void **state)
{
	(void)state;
	pool.seen = on_seen;
	pool.seen_arg = &seen;
	add_opt(&question, 4096, 8);
	assert_int_equal(ask(), 0);
	assert_int_equal(asked_total, 1);
	assert_false(asked_whole);
	assert_int_equal(asked_server.v, 0);
	assert_int_equal(asked_len, question.len); /* EDNS untouched */
	assert_memory_equal(asked_msg, question.data, asked_len);
	run_now(loop);
	assert_int_equal(answers, 0);
	resolve(DNSMSG_RCODE_NXDOMAIN, false);
	assert_int_equal(answers, 1);
	assert_int_equal(seen, 1);
	assert_int_equal(answered.id, 0x1234);
	assert_int_equal(answered.rcode, DNSMSG_RCODE_NXDOMAIN);
	assert_int_equal(pool.count, 0);
	assert_int_equal(pool.rcode[3], 1);
}

static void silence_of_the_world_is_servfail(void **state)
{
	(void)state;
	assert_int_equal(ask(), 0);
	resolve(0, true);
	assert_int_equal(answered.rcode, DNSMSG_RCODE_SERVFAIL);
	/* Known at once, told later. */
	resolver_error = -ENETUNREACH;
	assert_int_equal(ask(), 0);
	assert_int_equal(answers, 1);
	run_now(loop);
	assert_int_equal(answers, 2);
	assert_int_equal(answered.rcode, DNSMSG_RCODE_SERVFAIL);
	assert_int_equal(pool.failed, 2);
}

static void no_question_gets_no_answer(void **state)
{
	(void)state;
	for (size_t n = 0; n < DNSMSG_HEADER; n++)
		assert_int_equal(ask_from("10.0.0.1:4", false, n), -EBADMSG);
	question.data[2] |= 0x80; /* a response: two servers would talk for ever */
	assert_int_equal(ask(), -EBADMSG);
	question.data[2] &= 0x7f;
	assert_int_equal(ask_from("10.0.0.1:4", false, DNSQUERY_LEN_MAX + 1), -EBADMSG);
	assert_int_equal(pool.malformed, 14);
	run_now(loop);
	assert_int_equal(answers, 0);
}

static void refuses_what_the_judge_could_not_judge(void **state)
{
	(void)state;
	policy.hooks = &hooks;
	question.len = 14;
	assert_int_equal(refused(), DNSMSG_RCODE_FORMERR);

	begin(&question, "a.example", 1); /* two questions */
	count(&question, 0);
	memcpy(question.data + question.len, "\1b\0\0\1\0\1", 7);
	question.len += 7;
	assert_int_equal(refused(), DNSMSG_RCODE_FORMERR);

	begin(&question, "a.example", 1); /* none */
	question.data[5] = 0;
	question.len = 12;
	assert_int_equal(refused(), DNSMSG_RCODE_FORMERR);

	begin(&question, "a.example", 1); /* with a record to carry something out */
	add_record(&question, 1, 16, 100);
	assert_int_equal(refused(), DNSMSG_RCODE_FORMERR);

	begin(&question, "a.example", 1);
	add_opt(&question, 512, 0);
	add_opt(&question, 512, 0);
	assert_int_equal(refused(), DNSMSG_RCODE_FORMERR);

	begin(&question, "a.example", 1);
	question.data[2] |= 5 << 3; /* UPDATE */
	assert_int_equal(refused(), DNSMSG_RCODE_NOTIMP);

	begin(&question, "a.example", DNSMSG_TYPE_AXFR);
	assert_int_equal(refused(), DNSMSG_RCODE_REFUSED);
	begin(&question, "a.example", DNSMSG_TYPE_IXFR);
	add_record(&question, 2, 6, 30);
	assert_int_equal(refused(), DNSMSG_RCODE_REFUSED);
	assert_int_equal(judgements, 0);
}

static void cuts_what_is_behind_the_question(void **state)
{
	size_t len = question.len;

	(void)state;
	memset(question.data + len, 'x', 200);
	assert_int_equal(ask_from("10.0.0.1:4", true, len + 200), 0);
	assert_int_equal(asked_len, len);
	assert_true(asked_whole); /* TCP: a truncated answer is of no use */
}

static void a_repeated_question_is_asked_once(void **state)
{
	(void)state;
	assert_int_equal(ask(), 0);
	assert_int_equal(ask(), -EALREADY);
	assert_int_equal(ask_from("10.0.0.1:40001", false, question.len), 0);
	question.data[0] ^= 1;
	assert_int_equal(ask(), 0);
	question.data[0] ^= 1;
	question.data[13] ^= 1;
	assert_int_equal(ask(), 0);
	question.data[13] ^= 1;
	assert_int_equal(ask_from("10.0.0.1:40000", true, question.len), 0);
	assert_int_equal(ask_from("10.0.0.1:40000", true, question.len), 0); /* each on a stream */
	assert_int_equal(asked_total, 6);
	while (asked_count)
		resolve(0, false);
	assert_int_equal(answers, 6);
	assert_int_equal(ask(), 0); /* that one is answered: a new question */
	assert_int_equal(pool.repeated, 1);
}

static void the_number_under_way_is_bounded(void **state)
{
	(void)state;
	for (unsigned i = 0; i < DNSQUERY_MAX; i++) {
		put16(question.data, i);
		assert_int_equal(ask(), 0);
	}
	put16(question.data, DNSQUERY_MAX);
	assert_int_equal(ask(), -EBUSY);
	assert_int_equal(pool.overflow, 1);
	resolve(0, false);
	assert_int_equal(ask(), 0);
}

static void verdicts_decide(void **state)
{
	static const struct {
		enum verdict verdict;
		enum deny_style style;
		bool default_deny, dry_run;
		int rcode; /* -1 = asked */
	} row[] = {
		{VERDICT_NONE, 0, false, false, -1},
		{VERDICT_NONE, 0, true, false, DNSMSG_RCODE_REFUSED},
		{VERDICT_NONE, 0, true, true, -1},
		{VERDICT_ALLOW, 0, false, false, -1},
		{VERDICT_ALLOW, 0, true, false, -1},
		{VERDICT_DENY, DENY_STYLE_REFUSE, false, false, DNSMSG_RCODE_REFUSED},
		{VERDICT_DENY, DENY_STYLE_UNREACHABLE, false, false, DNSMSG_RCODE_NXDOMAIN},
		{VERDICT_DENY, DENY_STYLE_PROHIBITED, false, false, DNSMSG_RCODE_REFUSED},
		{VERDICT_DENY, DENY_STYLE_RESET, false, false, DNSMSG_RCODE_SERVFAIL},
		{VERDICT_DENY, 0, false, true, -1},
		{VERDICT_DROP, 0, false, true, -1},
		/* What makes no sense is no permission, not even in a dry run. */
		{VERDICT_REDIRECT, 0, false, true, DNSMSG_RCODE_REFUSED},
		{VERDICT_VIA, 0, false, true, DNSMSG_RCODE_REFUSED},
		{(enum verdict)99, 0, false, true, DNSMSG_RCODE_REFUSED},
	};

	(void)state;
	policy.hooks = &hooks;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		verdict = row[i].verdict;
		decision.style = row[i].style;
		policy.default_deny = row[i].default_deny;
		policy.dry_run = row[i].dry_run;
		if (row[i].rcode >= 0) {
			assert_int_equal(refused(), row[i].rcode);
			continue;
		}
		assert_int_equal(ask(), 0);
		assert_int_equal(asked_count, 1);
		resolve(0, false);
	}
	assert_int_equal(judgements, ARRAY_LEN(row));
	assert_string_equal(judged_name, "a.example");
	/* The default stands also where no hook is. */
	policy = (struct policy){.default_deny = true};
	assert_int_equal(refused(), DNSMSG_RCODE_REFUSED);
}

static void a_dropped_question_is_silence(void **state)
{
	(void)state;
	policy.hooks = &hooks;
	verdict = VERDICT_DROP;
	assert_int_equal(ask(), 0);
	run_now(loop);
	assert_int_equal(answers, 1);
	assert_true(silence);
	assert_int_equal(asked_total, 0);
	assert_int_equal(pool.dropped, 1);
}

static void a_redirected_question_goes_elsewhere(void **state)
{
	char text[ADDR_TEXT_MAX];

	(void)state;
	policy.hooks = &hooks;
	verdict = VERDICT_REDIRECT;
	addr_parse(&decision.target, "192.0.2.1");
	assert_int_equal(ask(), 0);
	assert_string_equal(addr_format(&asked_server, true, text), "192.0.2.1:53");
	resolve(0, false);
	decision.target.port = 5353;
	assert_int_equal(ask(), 0);
	assert_string_equal(addr_format(&asked_server, true, text), "192.0.2.1:5353");
}

static void a_verdict_may_take_its_time(void **state)
{
	struct decision d = {0};

	(void)state;
	policy.hooks = &hooks;
	verdict = VERDICT_PENDING;
	assert_int_equal(ask(), 0);
	advance(loop, 10);
	assert_int_equal(answers + asked_total, 0);
	dnsquery_decide(judged, VERDICT_ALLOW, &d);
	assert_int_equal(asked_total, 1);
	resolve(0, false);
	assert_int_equal(answers, 1);

	assert_int_equal(ask(), 0);
	d.rule = strdup("rules.lua:9"); /* taken */
	dnsquery_decide(judged, VERDICT_DENY, &d);
	assert_int_equal(answers, 1);
	run_now(loop);
	assert_int_equal(answers, 2);
	assert_int_equal(answered.rcode, DNSMSG_RCODE_REFUSED);
	assert_int_equal(cancellations, 0);
}

static void a_verdict_that_never_comes_is_servfail(void **state)
{
	(void)state;
	policy.hooks = &hooks;
	verdict = VERDICT_PENDING;
	assert_int_equal(ask(), 0);
	advance(loop, DNSQUERY_JUDGING_S + 1);
	assert_int_equal(answers, 1);
	assert_int_equal(answered.rcode, DNSMSG_RCODE_SERVFAIL);
	assert_int_equal(cancellations, 1);
	/* The end of all does the same without an answer: see teardown(). */
	assert_int_equal(ask(), 0);
	dnsquery_pool_fini(&pool);
	assert_int_equal(cancellations, 2);
	assert_int_equal(answers, 1);
}

static void a_front_may_leave_at_any_time(void **state)
{
	struct addr a;
	struct dnsquery *q;

	(void)state;
	addr_parse(&a, "10.0.0.1:5");
	policy.hooks = &hooks;
	for (int i = 0; i < 3; i++) {
		verdict = (enum verdict[]){VERDICT_PENDING, VERDICT_ALLOW, VERDICT_DENY}[i];
		assert_int_equal(dnsquery_new(&pool, &a, &a, true, question.data, question.len,
					 on_answer, &answers, &q),
			0);
		dnsquery_free(q);
	}
	advance(loop, 60);
	assert_int_equal(answers, 0);
	assert_int_equal(cancellations, 1);
	assert_int_equal(pool.count, 0);
	assert_int_equal(asked_count, 0);
}

static void policy_may_answer_itself(void **state)
{
	struct maker own;

	(void)state;
	begin(&own, "a.example", DNSMSG_TYPE_A);
	own.data[2] |= 0x80;
	put16(own.data, 99); /* whatever */
	add_record(&own, 1, DNSMSG_TYPE_A, 4);
	policy.hooks = &hooks;
	verdict = VERDICT_ALLOW;
	supplied = own.data;
	supplied_len = own.len;
	assert_int_equal(refused(), 0);
	assert_int_equal(answered.answers, 1);

	/* DENY after that is DENY, DROP is silence. */
	verdict = VERDICT_DENY;
	assert_int_equal(refused(), DNSMSG_RCODE_REFUSED);
	assert_int_equal(answered.answers, 0);
	verdict = VERDICT_DROP;
	assert_int_equal(ask(), 0);
	run_now(loop);
	assert_true(silence);
}

static void policy_answers_the_question_that_was_asked(void **state)
{
	struct maker own;

	(void)state;
	policy.hooks = &hooks;
	verdict = VERDICT_PENDING;
	assert_int_equal(ask(), 0);
	begin(&own, "b.example", DNSMSG_TYPE_A);
	own.data[2] |= 0x80;
	assert_int_equal(dnsquery_supply(judged, own.data, own.len), -EBADMSG);
	begin(&own, "a.example", DNSMSG_TYPE_A);
	assert_int_equal(dnsquery_supply(judged, own.data, own.len), -EBADMSG); /* no response */
	own.data[2] |= 0x80;
	assert_int_equal(dnsquery_supply(judged, own.data, own.len - 1), -EBADMSG);
	assert_int_equal(dnsquery_supply(judged, own.data, own.len), 0);
	assert_int_equal(dnsquery_supply(judged, own.data, own.len), 0); /* the last one counts */
}

#define spec(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		spec(an_answer_goes_to_the_asker),
		spec(silence_of_the_world_is_servfail),
		spec(no_question_gets_no_answer),
		spec(refuses_what_the_judge_could_not_judge),
		spec(cuts_what_is_behind_the_question),
		spec(a_repeated_question_is_asked_once),
		spec(the_number_under_way_is_bounded),
		spec(verdicts_decide),
		spec(a_dropped_question_is_silence),
		spec(a_redirected_question_goes_elsewhere),
		spec(a_verdict_may_take_its_time),
		spec(a_verdict_that_never_comes_is_servfail),
		spec(a_front_may_leave_at_any_time),
		spec(policy_may_answer_itself),
		spec(policy_answers_the_question_that_was_asked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
