/* SPDX-License-Identifier: MIT */
#ifndef NSNET_SPEC_OWNER_H
#define NSNET_SPEC_OWNER_H

/* owner - of one struct stack_conn: it does nothing by itself, and what the stack tells it is there
 * for the spec to read. The world of world.h with a stack, and no more. */

#include "segment.h"

static const struct {
	const char *self, *peer;
	unsigned headers;
} family[] = {{"10.0.0.1:40000", "192.0.2.1:80", 40}, {"[fd00::1]:40000", "[2001:db8::1]:80", 60}};

static uint8_t pattern[1 << 20];

static struct {
	struct stack_conn c;
	unsigned opened, readable, writable, closed;
	bool reset, wants; /* asks for room again while it is told of some and has none */
} o;

static void on_opened(struct stack_conn *c)
{
	assert_ptr_equal(c, &o.c);
	o.opened++;
}

static void on_readable(struct stack_conn *c)
{
	assert_ptr_equal(c, &o.c);
	o.readable++;
}

static void on_writable(struct stack_conn *c)
{
	assert_ptr_equal(c, &o.c);
	if (++o.writable > 1000)
		fail_msg("the stack tells the same for ever");
	if (o.wants && !stack_conn_room(c))
		stack_conn_want_write(c);
}

static void on_closed(struct stack_conn *c, bool reset)
{
	assert_ptr_equal(c, &o.c);
	o.closed++;
	o.reset = reset;
}

static const struct stack_conn_ops ops = {on_opened, on_readable, on_writable, on_closed};

static void on_input(void *arg, struct buf *b, uint8_t *ip, size_t len)
{
	struct packet p;

	(void)arg;
	if (packet_parse(&p, ip, len) < 0) {
		buf_put(b);
	} else if (o.c.stack) {
		stack_conn_input(&o.c, b, &p);
	} else if (p.tcp_flags == SYN) {
		assert_int_equal(stack_conn_accept(&stack, &o.c, &ops, &p), 0);
		buf_put(b);
	} else {
		stack_stray(&stack, b, &p);
	}
}

static void on_batch(void *arg)
{
	(void)arg;
	stack_flush(&stack);
}

static WORLD_UNUSED int setup(void **state)
{
	int rc = world_setup(state);

	if (rc || world_missing)
		return rc;
	memset(&o, 0, sizeof(o));
	for (size_t i = 0; i < sizeof(pattern); i++)
		pattern[i] = (uint8_t)((i * 2654435761u) >> 13);
	stack_up(65520);
	w.tun.on_input = on_input;
	w.tun.on_batch = on_batch;
	tun_start(&w.tun);
	return 0;
}

static WORLD_UNUSED int teardown(void **state)
{
	if (!world_missing) {
		stack_conn_free(&o.c);
		stack_down();
		buf_set_limit((size_t)256 << 20);
	}
	return world_teardown(state);
}

static WORLD_UNUSED struct talk talk_to(size_t f)
{
	struct addr peer = world_addr(family[f].peer);

	return talk_new(family[f].self, &peer);
}

/* A connection with this window (in units of 128 bytes): both know that the handshake is over. */
static WORLD_UNUSED struct talk opened_with(size_t f, uint16_t window)
{
	struct talk t = talk_to(f);

	talk_syn(&t, talk_linux, sizeof(talk_linux));
	talk_expect(&t, SYN | ACK);
	t.window = window;
	talk_send(&t, ACK, NULL, 0);
	world_until(o.opened == 1);
	return t;
}

static WORLD_UNUSED struct talk opened(size_t f)
{
	return opened_with(f, 65535);
}

/* Ends what is there, so that another connection can begin. */
static WORLD_UNUSED void again(void)
{
	settle();
	stack_conn_free(&o.c);
	while (world_child_has())
		segment_next();
	memset(&o, 0, sizeof(o));
}

static WORLD_UNUSED void give(const void *data, size_t n)
{
	const uint8_t *at = data;

	while (n) {
		size_t piece = MIN(n, stack_conn_room(&o.c));
		struct buf *b = buf_get();

		assert_true(piece > 0);
		memcpy(b->data, at, piece);
		assert_int_equal(stack_conn_send(&o.c, b, b->data, piece), 0);
		at += piece;
		n -= piece;
	}
}

/* @n bytes equal to @data arrive at the owner, who takes them. */
static WORLD_UNUSED void take(const void *data, size_t n)
{
	uint8_t *copy = malloc(n + 1);

	world_until(o.c.inbox.len >= n);
	assert_int_equal(inbox_copy(&o.c.inbox, copy, n + 1), n);
	assert_memory_equal(copy, data, n);
	free(copy);
	stack_conn_consume(&o.c, n);
}

#endif
