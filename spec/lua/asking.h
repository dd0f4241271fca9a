/* SPDX-License-Identifier: MIT */
#ifndef NSNET_SPEC_ASKING_H
#define NSNET_SPEC_ASKING_H

/* asking - a rig with the resolver's front: questions of a command, judged by scripts. The name
 * servers are fake_resolver.h. Include it after rig.h, in one file. */

#include "core/dnsquery.h"
#include "spec/support/fake_resolver.h"
#include "spec/support/maker.h"
#include "spec/support/virtual_time.h"
#define ASKING_UNUSED __attribute__((unused))

static struct dnsquery_pool pool;
static struct resolver fake;
static struct maker question;
static unsigned heard;
static bool silence;
static uint8_t answer[DNSMSG_MAX];
static size_t answer_len;
static struct dnsmsg answered;

static ASKING_UNUSED void on_heard(struct dnsquery *q, uint8_t *msg, size_t len)
{
	(void)q;
	heard++;
	silence = !msg;
	if (!msg)
		return;
	memcpy(answer, msg, len);
	answer_len = len;
	assert_int_equal(dnsmsg_parse(&answered, answer, len), 0);
	assert_true(answered.response);
}

static ASKING_UNUSED void asking_open(struct rig *r, const char *code)
{
	rig_open(r);
	heard = asked_total = 0;
	dnsquery_pool_init(&pool, r->loop, &fake, &r->policy);
	rig_run(r, code);
}

static ASKING_UNUSED void asking_close(struct rig *r)
{
	dnsquery_pool_fini(&pool);
	assert_int_equal(asked_count, 0);
	rig_close(r);
}

static ASKING_UNUSED void put_question(bool tcp)
{
	static uint16_t port = 30000;
	struct addr src, dst;
	struct dnsquery *q;

	addr_parse(&src, "10.0.0.1");
	src.port = port++;
	addr_parse(&dst, "10.0.0.53:53");
	assert_int_equal(dnsquery_new(&pool, &src, &dst, tcp, question.data, question.len, on_heard,
				 NULL, &q),
		0);
}

/* Asks. Returns the rcode of the answer that came without a name server, -1: silence, -2: a name
 * server was asked (and says NOERROR). */
static ASKING_UNUSED int ask_type(struct rig *r, const char *name, unsigned type)
{
	unsigned before = heard, total = asked_total;

	begin(&question, name, type);
	add_opt(&question, 1232, 0);
	put_question(false);
	for (int i = 0; i < 10000 && heard == before && asked_total == total; i++)
		ev_run(r->loop, EVRUN_ONCE);
	if (asked_total > total) {
		resolve(0, false);
		assert_int_equal(heard, before + 1);
		return -2;
	}
	assert_int_equal(heard, before + 1);
	return silence ? -1 : answered.rcode;
}

static ASKING_UNUSED int ask(struct rig *r, const char *name)
{
	return ask_type(r, name, DNSMSG_TYPE_A);
}

/* The answer's records as text: "a.example A 60 192.0.2.1; ". */
static ASKING_UNUSED const char *records(void)
{
	static char text[4096];
	struct dnsmsg_record rec;
	size_t at = 0, len = 0;
	unsigned n = 0;

	text[0] = 0;
	while (dnsmsg_next(&answered, &at, &n, &rec) > 0) {
		uint8_t wire[DNSMSG_WIRE_MAX];
		char name[DNSMSG_TEXT_MAX], type[16], data[DNSMSG_TEXT_MAX] = "";
		struct addr a = {.v = rec.type == DNSMSG_TYPE_A ? 4 : 6};
		if (rec.type == DNSMSG_TYPE_OPT)
			continue;
		assert_true(dnsmsg_name(answer, answer_len, rec.owner, wire, NULL) > 0);
		dnsmsg_text(wire, name);
		if (rec.type == DNSMSG_TYPE_A || rec.type == DNSMSG_TYPE_AAAA) {
			memcpy(a.ip, answer + rec.data, rec.data_len);
			addr_format(&a, false, data);
		} else if (rec.type == DNSMSG_TYPE_CNAME) {
			assert_true(dnsmsg_name(answer, answer_len, rec.data, wire, NULL) > 0);
			dnsmsg_text(wire, data);
		} else {
			snprintf(data, sizeof(data), "%u bytes", (unsigned)rec.data_len);
		}
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s %s %u %s; ", name,
			dnsmsg_type_name(rec.type, type), (unsigned)rec.ttl, data);
	}
	return text;
}

#endif
