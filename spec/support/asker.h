/* SPDX-License-Identifier: MIT */
#ifndef NSNET_SPEC_ASKER_H
#define NSNET_SPEC_ASKER_H

/* asker - one who asks a resolver whose name servers are played by dns_server.h. Functions are
 * static, so that a spec is one file. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/resolver.h"
#include "spec/support/dns_server.h"
#include "spec/support/virtual_time.h"
#define ASKER_UNUSED __attribute__((unused))

static struct ev_loop *loop;
static struct resolvconf conf;
static struct resolver resolver;
static struct dns_server server[3];

/* One who asks, and what was heard. */
struct asker {
	struct resolver_query q;
	uint8_t question[512], answer[DNSMSG_MAX];
	size_t question_len, len;
	unsigned done;
	bool silent; /* the answer was: none */
};
static struct asker asker;
static unsigned answers_total;

static ASKER_UNUSED void on_answer(struct resolver_query *q, uint8_t *msg, size_t len)
{
	struct asker *a = container_of(q, struct asker, q);

	assert_null(q->resolver);
	a->done++;
	answers_total++;
	a->silent = !msg;
	a->len = len;
	if (msg)
		memcpy(a->answer, msg, len);
}

static ASKER_UNUSED int ask_as(struct asker *a, const char *name, bool whole, const struct addr *at)
{
	a->done = 0;
	a->len = 0;
	a->question_len = dns_question(a->question, 0x4711, name, DNSMSG_TYPE_TXT);
	return resolver_ask(&resolver, &a->q, a->question, a->question_len, whole, at, on_answer);
}

static ASKER_UNUSED void ask(const char *name)
{
	assert_int_equal(ask_as(&asker, name, false, NULL), 0);
	assert_int_equal(asker.done, 0);
}

static ASKER_UNUSED void expect(unsigned rcode)
{
	struct dnsmsg m;

	assert_true(run_until(loop, &asker.done, 1));
	assert_int_equal(asker.done, 1);
	assert_false(asker.silent);
	assert_int_equal(dnsmsg_parse(&m, asker.answer, asker.len), 0);
	assert_int_equal(m.rcode, rcode);
}

static ASKER_UNUSED void expect_nothing(void)
{
	assert_true(run_until(loop, &asker.done, 1));
	assert_true(asker.silent);
}

/* ---- ways to answer ---- */

static ASKER_UNUSED void answer(struct dns_client *c, uint8_t *msg, size_t len)
{
	uint8_t out[4096];

	dns_server_send(c, out, dns_answer(out, msg, len, 1, 0));
}

static ASKER_UNUSED void say_servfail(struct dns_client *c, uint8_t *msg, size_t len)
{
	uint8_t out[4096];

	dns_server_send(c, out, dns_answer(out, msg, len, 0, DNSMSG_RCODE_SERVFAIL));
}

static ASKER_UNUSED void say_refused(struct dns_client *c, uint8_t *msg, size_t len)
{
	uint8_t out[4096];

	dns_server_send(c, out, dns_answer(out, msg, len, 0, DNSMSG_RCODE_REFUSED));
}

/* UDP: one record and TC. TCP: 100 records. */
static ASKER_UNUSED void answer_long(struct dns_client *c, uint8_t *msg, size_t len)
{
	static uint8_t out[DNSMSG_MAX];
	size_t n = dns_answer(out, msg, len, c->tcp ? 100 : 1, 0);

	if (!c->tcp)
		out[2] |= 2;
	dns_server_send(c, out, n);
}

/* ---- set-up ---- */

static ASKER_UNUSED void use_servers(int n, const char *options)
{
	char text[512];
	size_t len = 0;

	conf.port = server[0].at.port;
	for (int i = 0; i < n; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "nameserver 127.0.0.%d\n",
			20 + i);
	len += (size_t)snprintf(text + len, sizeof(text) - len, "options %s\n", options);
	resolvconf_parse(&conf, text, len);
}

/* Starts @n servers that answer, on one port, and names them. */
static ASKER_UNUSED void start(int n, const char *options)
{
	dns_server_start(&server[0], loop, 20, 0, true);
	for (int i = 1; i < n; i++)
		dns_server_start(&server[i], loop, 20 + i, server[0].at.port, true);
	for (int i = 0; i < n; i++)
		server[i].on_query = answer;
	use_servers(n, options);
}

static ASKER_UNUSED int setup(void **state)
{
	(void)state;
	loop = ev_loop_new(0);
	memset(&asker, 0, sizeof(asker));
	answers_total = 0;
	if (!loop || resolvconf_init(&conf, "/nonexistent/resolv.conf") < 0)
		return -1;
	return resolver_init(&resolver, loop, &conf);
}

static ASKER_UNUSED int teardown(void **state)
{
	(void)state;
	int left = (int)resolver.udp.count;

	resolver_fini(&resolver);
	left += (int)resolver.tcp.count;
	for (int i = 0; i < 3; i++)
		dns_server_stop(&server[i]);
	resolvconf_fini(&conf);
	ev_loop_destroy(loop);
	return left; /* a socket that stayed is a failure */
}

#define spec(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

#endif
