/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <linux/sockios.h>

#include "plane.h"

#include "core/pair.h"

/* A client, a pair, a server: two connections on the loopback. */

static struct {
	struct pair pair;
	struct flow flow;
	int child, world; /* the far ends */
	int ended;        /* 1 + enum relay_end */
	unsigned waits;
	size_t pool; /* what buffers were in use before */
} t;

static void on_end(void *arg, enum relay_end how)
{
	assert_ptr_equal(arg, &t);
	t.ended = 1 + (int)how;
	pair_stop(&t.pair, how != RELAY_END_CLOSED);
}

static void on_waits(void *arg)
{
	assert_ptr_equal(arg, &t);
	t.waits++;
}

static int connected(int *far)
{
	struct addr at;
	struct sockaddr_storage ss;
	int listener = plane_listen(4, &at), near;
	socklen_t len = addr_to_sockaddr(&at, &ss);

	*far = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(*far, (struct sockaddr *)&ss, len), 0);
	assert_int_equal(fcntl(*far, F_SETFL, O_NONBLOCK), 0);
	near = plane_accept(listener);
	close(listener);
	return near;
}

static int setup(void **state)
{
	int rc = plane_setup(state), child, world;

	if (rc || world_missing)
		return rc;
	memset(&t, 0, sizeof(t));
	t.pool = buf_used();
	child = connected(&t.child);
	world = connected(&t.world);
	pair_start(&t.pair, w.loop, &t.flow, child, world, on_end, &t);
	t.pair.waits = on_waits;
	return 0;
}

static int teardown(void **state)
{
	if (!world_missing) {
		pair_stop(&t.pair, true);
		assert_int_equal(buf_used(), t.pool);
		close(t.child);
		close(t.world);
	}
	return plane_teardown(state);
}

static void say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

static void carries_bytes_and_ends_both_ways(void **state)
{
	NEEDS_WORLD;
	say(t.child, "question");
	plane_read(t.world, "question", 8);
	say(t.world, "answer");
	plane_read(t.child, "answer", 6);
	assert_int_equal(t.flow.bytes_up, 8);
	assert_int_equal(t.flow.bytes_down, 6);
	assert_int_equal(buf_used(), t.pool); /* nothing is held while nothing waits */
	shutdown(t.child, SHUT_WR);
	plane_read_end(t.world, 0);
	assert_int_equal(t.ended, 0);
	say(t.world, "more");
	plane_read(t.child, "more", 4);
	shutdown(t.world, SHUT_WR);
	plane_read_end(t.child, 0);
	world_until(t.ended);
	assert_int_equal(t.ended, 1 + RELAY_END_CLOSED);
}

static void passes_a_reset_on_after_the_bytes_before_it(void **state)
{
	NEEDS_WORLD;
	say(t.world, "last words");
	plane_reset(t.world);
	t.world = -1;
	plane_read(t.child, "last words", 10);
	plane_read_end(t.child, ECONNRESET);
	assert_int_equal(t.ended, 1 + RELAY_END_WORLD_RESET);
}

static void passes_the_child_s_reset_on(void **state)
{
	NEEDS_WORLD;
	say(t.child, "last words");
	plane_reset(t.child);
	t.child = -1;
	plane_read(t.world, "last words", 10);
	plane_read_end(t.world, ECONNRESET);
	assert_int_equal(t.ended, 1 + RELAY_END_CHILD_RESET);
}

/* Sends until the socket takes no more, and nothing moves any longer; how many bytes. */
static size_t stuff(int fd, size_t most)
{
	static const uint8_t zeros[65536];
	size_t sum = 0;

	for (int idle = 0; idle < 3 && sum < most;) {
		ssize_t n = send(fd, zeros, sizeof(zeros), MSG_NOSIGNAL);

		if (n > 0) {
			sum += (size_t)n;
			idle = 0;
		} else {
			settle();
			idle++;
		}
	}
	return sum;
}

static size_t swallow(int fd, size_t want)
{
	static uint8_t bytes[65536];
	size_t sum = 0;

	while (sum < want) {
		ssize_t n;

		plane_wait(fd);
		n = recv(fd, bytes, sizeof(bytes), 0);
		if (n <= 0)
			break;
		sum += (size_t)n;
	}
	return sum;
}

static void waits_for_who_does_not_read_and_loses_nothing(void **state)
{
	const size_t most = (size_t)64 << 20;
	size_t sent;

	NEEDS_WORLD;
	sent = stuff(t.child, most);
	assert_true(sent < most);
	assert_true(buf_used() - t.pool <= 2 * sizeof(struct buf)); /* one of 64 KB waits here */
	assert_true(pair_undelivered(&t.pair));
	/* The other direction goes on. */
	say(t.world, "answer");
	plane_read(t.child, "answer", 6);
	shutdown(t.child, SHUT_WR);
	assert_int_equal(swallow(t.world, sent), sent);
	plane_read_end(t.world, 0);
	assert_false(pair_undelivered(&t.pair));
	assert_int_equal(t.flow.bytes_up, sent);
}

static void keeps_a_reset_until_a_slow_reader_has_all(void **state)
{
	size_t sent, waiting;
	int left = 1;

	NEEDS_WORLD;
	sent = stuff(t.world, (size_t)64 << 20);
	/* What the server's own kernel still has is lost by its reset, as without us. */
	assert_int_equal(ioctl(t.world, SIOCOUTQ, &left), 0);
	waiting = sent - (size_t)left;
	plane_reset(t.world);
	t.world = -1;
	settle();
	assert_int_equal(t.ended, 0);
	assert_true(swallow(t.child, waiting) >= waiting);
	world_until(t.ended);
	assert_int_equal(t.ended, 1 + RELAY_END_WORLD_RESET);
}

static void hears_of_a_reset_when_it_writes(void **state)
{
	NEEDS_WORLD;
	shutdown(t.world, SHUT_WR);
	plane_read_end(t.child, 0);
	plane_reset(t.world); /* of it nothing is read any more */
	t.world = -1;
	settle();
	assert_int_equal(t.ended, 0);
	say(t.child, "to nobody");
	world_until(t.ended);
	assert_int_equal(t.ended, 1 + RELAY_END_WORLD_RESET);
	assert_int_equal(send(t.child, "x", 1, MSG_NOSIGNAL), -1);
	assert_int_equal(errno, EPIPE);
}

static void finds_a_reset_that_nobody_tells_of(void **state)
{
	NEEDS_WORLD;
	shutdown(t.child, SHUT_WR);
	plane_read_end(t.world, 0);
	plane_reset(t.child);
	t.child = -1;
	settle();
	assert_int_equal(t.ended, 0);
	pair_look(&t.pair);
	world_until(t.ended);
	assert_int_equal(t.ended, 1 + RELAY_END_CHILD_RESET);
}

static void holds_what_is_to_be_judged(void **state)
{
	NEEDS_WORLD;
	t.pair.held = true;
	say(t.world, "banner"); /* the server may speak first */
	plane_read(t.child, "banner", 6);
	say(t.child, "abc");
	world_until(t.waits == 1);
	assert_int_equal(t.pair.child.len, 3);
	say(t.child, "def");
	world_until(t.waits == 2);
	assert_memory_equal(t.pair.child.buf->data + t.pair.child.at, "abcdef", 6);
	plane_read_none(t.world);
	pair_release(&t.pair, 4); /* so many, then the rest is shown */
	plane_read(t.world, "abcd", 4);
	world_until(t.waits == 3);
	assert_memory_equal(t.pair.child.buf->data + t.pair.child.at, "ef", 2);
	say(t.child, "g");
	world_until(t.waits == 4);
	assert_memory_equal(t.pair.child.buf->data + t.pair.child.at, "efg", 3);
	shutdown(t.child, SHUT_WR);
	world_until(t.waits == 5);
	assert_true(t.pair.child.ended);
	plane_read_none(t.world);
	pair_release(&t.pair, UINT64_MAX);
	plane_read(t.world, "efg", 3);
	plane_read_end(t.world, 0);
}

static void holds_no_more_than_can_be_judged(void **state)
{
	NEEDS_WORLD;
	t.pair.held = true;
	stuff(t.child, (size_t)64 << 20);
	assert_int_equal(t.pair.child.len, HOOK_FIRST_BYTES_MAX);
	plane_read_none(t.world);
}

static void ends_with_a_child_that_resets_while_it_is_held(void **state)
{
	NEEDS_WORLD;
	t.pair.held = true;
	say(t.child, "abc");
	world_until(t.waits == 1);
	plane_reset(t.child);
	t.child = -1;
	plane_read_end(t.world, ECONNRESET); /* and not a byte before it */
	assert_int_equal(t.ended, 1 + RELAY_END_CHILD_RESET);
}

static void resets_both_when_it_is_stopped(void **state)
{
	NEEDS_WORLD;
	say(t.child, "abc");
	plane_read(t.world, "abc", 3);
	pair_stop(&t.pair, true);
	plane_read_end(t.child, ECONNRESET);
	plane_read_end(t.world, ECONNRESET);
	pair_stop(&t.pair, true); /* again: nothing */
	assert_int_equal(t.ended, 0);
}

static const struct CMUnitTest tests[] = {
#define IT(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	IT(carries_bytes_and_ends_both_ways),
	IT(passes_a_reset_on_after_the_bytes_before_it),
	IT(passes_the_child_s_reset_on),
	IT(waits_for_who_does_not_read_and_loses_nothing),
	IT(keeps_a_reset_until_a_slow_reader_has_all),
	IT(hears_of_a_reset_when_it_writes),
	IT(finds_a_reset_that_nobody_tells_of),
	IT(holds_what_is_to_be_judged),
	IT(holds_no_more_than_can_be_judged),
	IT(ends_with_a_child_that_resets_while_it_is_held),
	IT(resets_both_when_it_is_stopped),
};

int main(void)
{
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, world_enter, NULL);
}
