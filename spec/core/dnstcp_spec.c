/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base.h"
#include "core/dnstcp.h"
#include "spec/support/fake_resolver.h"
#include "spec/support/maker.h"
#include "spec/support/virtual_time.h"

/* ---- a stack of arrays ---- */

#define CONNS (DNSTCP_CONNS_MAX + 8)

/* What stands for a TCP connection of the child. */
static struct fake {
	struct stack_conn *c; /* NULL: none, or freed */
	const struct stack_conn_ops *ops;
	uint8_t in[300000], out[300000];
	size_t in_len, out_len, room;
	bool wants_write, shut;
	int error; /* of stack_conn_send() */
	unsigned frees;
} fakes[CONNS];
static unsigned fake_count;
static int accept_error;

static struct fake *fake_of(const struct stack_conn *c)
{
	for (unsigned i = fake_count; i-- > 0;) {
		if (fakes[i].c == c)
			return &fakes[i];
	}
	return NULL;
}

int stack_conn_accept(struct stack *s, struct stack_conn *c, const struct stack_conn_ops *ops,
	const struct packet *syn)
{
	(void)s;
	(void)syn;
	if (accept_error)
		return accept_error;
	assert_true(fake_count < CONNS);
	struct fake *f = &fakes[fake_count++];
	*f = (struct fake){.c = c, .ops = ops, .room = sizeof(f->out)};
	c->ops = ops;
	return 0;
}

void stack_conn_input(struct stack_conn *c, struct buf *b, struct packet *p)
{
	(void)c;
	(void)b;
	(void)p;
	fail(); /* segments are the stack's */
}

size_t inbox_copy(const struct inbox *in, void *to, size_t max)
{
	const struct stack_conn *c = container_of(in, struct stack_conn, inbox);
	size_t n = MIN(max, in->len);

	memcpy(to, fake_of(c)->in, n);
	return n;
}

void inbox_settle(struct inbox *in)
{
	(void)in;
}

void stack_conn_consume(struct stack_conn *c, size_t n)
{
	struct fake *f = fake_of(c);

	assert_true(n <= c->inbox.len);
	memmove(f->in, f->in + n, f->in_len - n);
	f->in_len -= n;
	c->inbox.len -= n;
}

size_t stack_conn_room(const struct stack_conn *c)
{
	return MIN(fake_of(c)->room, (size_t)1460);
}

int stack_conn_send(struct stack_conn *c, struct buf *b, const uint8_t *data, size_t len)
{
	struct fake *f = fake_of(c);

	assert_true(len <= stack_conn_room(c) && !f->shut);
	if (!f->error) {
		memcpy(f->out + f->out_len, data, len);
		f->out_len += len;
		f->room -= len;
	}
	buf_put(b);
	return f->error;
}

void stack_conn_want_write(struct stack_conn *c)
{
	fake_of(c)->wants_write = true;
}

void stack_conn_shutdown(struct stack_conn *c)
{
	fake_of(c)->shut = true;
}

void stack_conn_free(struct stack_conn *c)
{
	struct fake *f = fake_of(c);

	assert_non_null(f);
	f->frees++;
	f->c = NULL;
}

/* ---- the child ---- */

static struct ev_loop *loop;
static struct resolver resolver;
static struct dnsquery_pool pool;
static struct flow_table flows;
static struct dnstcp tcp;

static int try_open(void)
{
	static uint16_t port = 20000;
	struct flow_key key = {.proto = IPPROTO_TCP};
	struct packet syn = {0};

	addr_parse(&key.src, "10.0.0.1");
	key.src.port = port++;
	addr_parse(&key.dst, "10.0.0.53:53");
	return dnstcp_open(&tcp, &key, &syn);
}

static struct fake *open_conn(void)
{
	assert_int_equal(try_open(), 0);
	struct fake *f = &fakes[fake_count - 1];
	f->c->opened = true;
	f->ops->opened(f->c);
	return f;
}

/* The child's bytes arrive. */
static void feed(struct fake *f, const void *bytes, size_t len)
{
	assert_true(f->in_len + len <= sizeof(f->in));
	memcpy(f->in + f->in_len, bytes, len);
	f->in_len += len;
	f->c->inbox.len += len;
	f->ops->readable(f->c);
}

/* A framed question into @out. Returns its length. */
static size_t framed(uint8_t *out, uint16_t id, const char *name)
{
	struct maker q;

	begin(&q, name, DNSMSG_TYPE_A);
	dnsmsg_set_id(q.data, id);
	put16(out, (unsigned)q.len);
	memcpy(out + 2, q.data, q.len);
	return 2 + q.len;
}

static void ask(struct fake *f, uint16_t id, const char *name)
{
	uint8_t bytes[512];

	feed(f, bytes, framed(bytes, id, name));
}

static void send_fin(struct fake *f)
{
	f->c->rx_fin = true;
	f->ops->readable(f->c);
}

static void make_room(struct fake *f, size_t n)
{
	f->room = n;
	assert_true(f->wants_write);
	f->wants_write = false;
	f->ops->writable(f->c);
}

/* The answers that arrived at the child, as text: their identifiers and rcodes. */
static const char *answers(const struct fake *f)
{
	static char text[4096];
	size_t n = 0, at = 0;

	text[0] = 0;
	while (at + 2 <= f->out_len) {
		struct dnsmsg m;
		size_t len = (size_t)f->out[at] << 8 | f->out[at + 1];
		if (at + 2 + len > f->out_len)
			break;
		assert_int_equal(dnsmsg_parse(&m, f->out + at + 2, len), 0);
		assert_true(m.response);
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%u:%u ", m.id, m.rcode);
		at += 2 + len;
	}
	return text;
}

static int set_up(void **state)
{
	(void)state;
	loop = ev_loop_new(0);
	fake_count = asked_count = asked_total = 0;
	accept_error = resolver_error = 0;
	dnsquery_pool_init(&pool, loop, &resolver, NULL);
	dnstcp_init(&tcp, loop, NULL, &flows, &pool);
	return loop && flow_table_init(&flows) == 0 ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	dnstcp_fini(&tcp);
	int left = (int)(tcp.count + pool.count + flows.count + asked_count);
	for (unsigned i = 0; i < fake_count; i++)
		left += fakes[i].frees != 1;
	dnsquery_pool_fini(&pool);
	flow_table_fini(&flows);
	buf_pool_fini();
	ev_loop_destroy(loop);
	return left;
}

/* ---- specs ---- */

static void questions_come_in_any_pieces(void **state)
{
	uint8_t bytes[512];
	size_t len = framed(bytes, 7, "a.example");
	struct fake *f = open_conn();

	(void)state;
	for (size_t i = 0; i < len; i++) {
		assert_int_equal(asked_total, 0);
		feed(f, bytes + i, 1);
	}
	assert_int_equal(asked_total, 1);
	assert_true(asked_whole);
	resolve(DNSMSG_RCODE_NXDOMAIN, false);
	assert_string_equal(answers(f), "7:3 ");
	/* Two and a half at once. */
	uint8_t more[1024];
	size_t n = framed(more, 8, "b.example");
	n += framed(more + n, 9, "c.example");
	size_t half = framed(more + n, 10, "d.example") / 2;
	feed(f, more, n + half);
	assert_int_equal(asked_total, 3);
	feed(f, more + n + half, framed(bytes, 10, "d.example") - half);
	assert_int_equal(asked_total, 4);
	while (asked_count)
		resolve(0, false);
	assert_string_equal(answers(f), "7:3 8:0 10:0 9:0 ");
	struct flow *flow = container_of(flows.all.next, struct flow, all);
	assert_int_equal(flow->bytes_down, f->out_len);
	assert_int_equal(flow->bytes_up, len + n + framed(bytes, 10, "d.example"));
}

static void what_is_no_question_ends_the_connection(void **state)
{
	static const uint8_t too_long[] = {0xff, 0xff}, empty[] = {0, 0},
			     no_header[] = {0, 3, 1, 2, 3};
	uint8_t bytes[512];
	size_t len = framed(bytes, 1, "a.example");

	(void)state;
	struct fake *f = open_conn();
	feed(f, too_long, sizeof(too_long));
	assert_null(f->c);
	f = open_conn();
	feed(f, empty, sizeof(empty));
	assert_null(f->c);
	f = open_conn();
	feed(f, no_header, sizeof(no_header));
	assert_null(f->c);
	f = open_conn(); /* an answer; and with it goes the question before */
	ask(f, 2, "b.example");
	bytes[4] |= 0x80;
	feed(f, bytes, len);
	assert_null(f->c);
	assert_int_equal(asked_count, 0);
	assert_int_equal(tcp.count, 0);
}

static void so_many_questions_are_under_way(void **state)
{
	struct fake *f = open_conn();

	(void)state;
	for (unsigned i = 0; i < DNSTCP_QUERIES_MAX + 5; i++)
		ask(f, (uint16_t)i, "a.example");
	assert_int_equal(asked_count, DNSTCP_QUERIES_MAX);
	assert_true(f->c->inbox.len > 0); /* the window closes */
	resolve(0, false);
	assert_int_equal(asked_count, DNSTCP_QUERIES_MAX);
	while (asked_count)
		resolve(0, false);
	assert_int_equal(asked_total, DNSTCP_QUERIES_MAX + 5);
	assert_int_equal(f->c->inbox.len, 0);
}

static void answers_wait_for_room(void **state)
{
	struct fake *f = open_conn();

	(void)state;
	f->room = 0;
	ask(f, 1, "a.example");
	ask(f, 2, "b.example");
	resolve(0, false);
	resolve(0, false);
	assert_int_equal(f->out_len, 0);
	make_room(f, 1);
	assert_int_equal(f->out_len, 1);
	while (f->wants_write)
		make_room(f, 3);
	assert_string_equal(answers(f), "1:0 2:0 ");
}

/* A child that asks and never reads: no more is read from it at DNSTCP_UNSENT_MAX bytes. */
static void a_child_that_does_not_read_is_not_read(void **state)
{
	struct fake *f = open_conn();
	unsigned asked_before;
	char name[32];

	(void)state;
	f->room = 0;
	for (unsigned i = 0; i < 6000; i++) {
		snprintf(name, sizeof(name), "n%u.example", i);
		ask(f, (uint16_t)i, name);
		while (asked_count)
			resolve(0, false);
	}
	asked_before = asked_total;
	assert_true(asked_before < 6000);
	assert_true(f->c->inbox.len > 0);
	while (f->wants_write || asked_count) {
		if (asked_count)
			resolve(0, false);
		else
			make_room(f, 1460);
	}
	assert_int_equal(asked_total, 6000);
	assert_int_equal(f->c->inbox.len, 0);
}

static void what_was_asked_before_fin_is_answered(void **state)
{
	struct fake *f = open_conn();

	(void)state;
	ask(f, 1, "a.example");
	send_fin(f);
	assert_non_null(f->c);
	assert_false(f->shut);
	f->room = 0;
	resolve(0, false);
	assert_false(f->shut);
	make_room(f, 1000);
	assert_string_equal(answers(f), "1:0 ");
	assert_true(f->shut);
	f->ops->closed(f->c, false);
	assert_null(f->c);
	/* In the middle of a question: it will never be whole. */
	f = open_conn();
	feed(f, "\0\50abc", 5);
	send_fin(f);
	assert_true(f->shut);
}

static void a_reset_cancels_what_was_asked(void **state)
{
	struct fake *f = open_conn();

	(void)state;
	ask(f, 1, "a.example");
	f->ops->closed(f->c, true);
	assert_null(f->c);
	assert_int_equal(asked_count, 0);
	/* The stack cannot send any more. */
	f = open_conn();
	ask(f, 1, "a.example");
	ask(f, 2, "b.example");
	f->error = -ENOMEM;
	resolve(0, false);
	assert_null(f->c);
	assert_int_equal(asked_count, 0);
}

static void idle_connections_are_closed(void **state)
{
	struct fake *f = open_conn(), *busy = open_conn(), *half_open;

	(void)state;
	assert_int_equal(try_open(), 0); /* the handshake never ends */
	half_open = &fakes[fake_count - 1];
	ask(busy, 1, "a.example");
	advance(loop, DNSTCP_IDLE_S - 1);
	assert_false(f->shut);
	advance(loop, 2);
	assert_true(f->shut);
	assert_null(half_open->c);
	assert_false(busy->shut);
	advance(loop, DNSTCP_IDLE_S + 1);
	assert_null(f->c); /* the child did not care for our FIN */
	assert_non_null(busy->c);
	resolve(0, false);
	assert_string_equal(answers(busy), "1:0 ");
	advance(loop, DNSTCP_IDLE_S + 1);
	assert_true(busy->shut);
}

static void the_idlest_makes_room(void **state)
{
	struct fake *first = open_conn(), *second = open_conn();

	(void)state;
	ask(first, 1, "a.example");
	for (unsigned i = 2; i < DNSTCP_CONNS_MAX; i++)
		open_conn();
	assert_int_equal(tcp.count, DNSTCP_CONNS_MAX);
	open_conn();
	assert_non_null(first->c); /* it owes an answer */
	assert_null(second->c);
	assert_int_equal(tcp.count, DNSTCP_CONNS_MAX);
	assert_int_equal(tcp.evicted, 1);
	/* None can go. */
	for (unsigned i = 0; i < fake_count; i++) {
		if (fakes[i].c && &fakes[i] != first)
			ask(&fakes[i], 1, "b.example");
	}
	assert_int_equal(try_open(), -EBUSY);
	assert_int_equal(tcp.refused, 1);
	while (asked_count)
		resolve(0, false);
	accept_error = -ENOMEM;
	assert_int_equal(try_open(), -ENOMEM);
	assert_int_equal(flows.count, tcp.count);
}

static void too_many_questions_everywhere_are_answered_with_a_failure(void **state)
{
	struct fake *f = NULL;
	uint16_t id = 0;

	(void)state;
	for (unsigned i = 0; i < DNSQUERY_MAX; i++) {
		if (i % DNSTCP_QUERIES_MAX == 0)
			f = open_conn();
		ask(f, id++, "a.example");
	}
	f = open_conn();
	ask(f, 4711, "b.example");
	assert_string_equal(answers(f), "4711:2 ");
	resolve(0, false);
	ask(f, 4712, "c.example");
	assert_int_equal(asked_total, DNSQUERY_MAX + 1);
}

#define spec(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		spec(questions_come_in_any_pieces),
		spec(what_is_no_question_ends_the_connection),
		spec(so_many_questions_are_under_way),
		spec(answers_wait_for_room),
		spec(a_child_that_does_not_read_is_not_read),
		spec(what_was_asked_before_fin_is_answered),
		spec(a_reset_cancels_what_was_asked),
		spec(idle_connections_are_closed),
		spec(the_idlest_makes_room),
		spec(too_many_questions_everywhere_are_answered_with_a_failure),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
