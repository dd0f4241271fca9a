/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/outlet.h"

/* Standard error is a pipe. */
static struct ev_loop *loop;
static struct outlet o;
static int saved_stderr, out[2];

static int setup(void **state)
{
	(void)state;
	loop = ev_loop_new(0);
	saved_stderr = dup(STDERR_FILENO);
	if (!loop || pipe(out) == -1 || dup2(out[1], STDERR_FILENO) == -1)
		return -1;
	fcntl(out[0], F_SETFL, O_NONBLOCK);
	log_set_level(LOG_LEVEL_WARN);
	memset(&o, 0, sizeof(o));
	return outlet_start(&o, loop);
}

static int teardown(void **state)
{
	(void)state;
	outlet_stop(&o);
	dup2(saved_stderr, STDERR_FILENO);
	close(saved_stderr);
	close(out[0]);
	close(out[1]);
	ev_loop_destroy(loop);
	return 0;
}

/* What was written since the last call, "" if nothing. */
static const char *written(void)
{
	static char text[1 << 17];
	size_t n = 0;
	ssize_t k;

	while (n < sizeof(text) - 1 && (k = read(out[0], text + n, sizeof(text) - 1 - n)) > 0)
		n += (size_t)k;
	text[n] = '\0';
	return text;
}

static void turn(void)
{
	ev_run(loop, EVRUN_NOWAIT);
}

static void a_turn_writes_its_lines_at_once(void **state)
{
	(void)state;
	log_warn("one");
	log_text(LOG_LEVEL_WARN, "100 %d", 6);
	log_info("nobody wants to know");
	assert_string_equal(written(), "");
	turn();
	assert_string_equal(written(), "nsnet-host: one\nnsnet-host: 100 %d\n");
	turn();
	assert_string_equal(written(), "");
}

static void an_error_does_not_wait(void **state)
{
	(void)state;
	log_warn("before");
	log_error("broken");
	assert_string_equal(written(), "nsnet-host: before\nnsnet-host: broken\n");
}

static void on_sent_to_the_command(struct ev_loop *l, ev_prepare *prepare, int revents)
{
	(void)l;
	(void)revents;
	snprintf(prepare->data, 64, "%s", written());
}

/* The stack sends in a prepare watcher of the usual priority. */
static void lines_are_written_before_what_the_turn_sends(void **state)
{
	ev_prepare stack;
	char seen[64] = "";

	(void)state;
	ev_prepare_init(&stack, on_sent_to_the_command);
	stack.data = seen;
	ev_prepare_start(loop, &stack);
	log_warn("denied");
	turn();
	ev_prepare_stop(loop, &stack);
	assert_string_equal(seen, "nsnet-host: denied\n");
}

static void it_can_be_flushed_before_others_write(void **state)
{
	(void)state;
	log_warn("mine");
	log_flush();
	assert_string_equal(written(), "nsnet-host: mine\n");
}

/* More than a pipe holds. */
static void fill(char *all, int from, int to)
{
	char text[1001];

	memset(text, 'x', sizeof(text));
	for (int i = from; i < to; i++) {
		snprintf(text, sizeof(text), "%08d", i);
		text[8] = 'x';
		text[1000] = '\0';
		log_warn("%s", text);
		sprintf(all + strlen(all), "nsnet-host: %s\n", text);
	}
}

static void a_reader_may_sleep_and_loses_nothing(void **state)
{
	char *all = calloc(1, 1 << 20), *got = calloc(1, 1 << 20);

	(void)state;
	for (int i = 0; i < 200; i++) {
		fill(all + strlen(all), i, i + 1);
		turn(); /* returns, though nobody reads */
	}
	for (int i = 0; i < 1000 && strlen(got) < strlen(all); i++) {
		strcat(got, written());
		turn();
	}
	assert_string_equal(got, all);
	free(all);
	free(got);
}

static void *reader(void *arg)
{
	char *got = arg;
	size_t n = 0;
	ssize_t k;

	fcntl(out[0], F_SETFL, 0);
	while (n < 300 * 1013 && (k = read(out[0], got + n, (1 << 20) - 1 - n)) > 0)
		n += (size_t)k;
	return NULL;
}

static void the_end_waits_for_the_reader(void **state)
{
	char *all = calloc(1, 1 << 20), *got = calloc(1, 1 << 20);
	pthread_t thread;

	(void)state;
	fill(all, 0, 300);
	turn();
	assert_int_equal(pthread_create(&thread, NULL, reader, got), 0);
	outlet_stop(&o);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_string_equal(got, all);
	log_warn("direct again"); /* and once more is safe */
	outlet_stop(&o);
	fcntl(out[0], F_SETFL, O_NONBLOCK);
	assert_string_equal(written(), "nsnet-host: direct again\n");
	free(all);
	free(got);
}

static void who_ends_the_process_can_still_say_all(void **state)
{
	(void)state;
	log_warn("last");
	log_rescue();
	assert_string_equal(written(), "nsnet-host: last\n");
}

static void without_a_reader_it_goes_on(void **state)
{
	(void)state;
	signal(SIGPIPE, SIG_IGN);
	close(out[0]);
	for (int i = 0; i < 3; i++) {
		log_warn("nobody hears");
		log_error("this");
		turn();
	}
	assert_true(o.writer.dead);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define IT(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		IT(a_turn_writes_its_lines_at_once),
		IT(an_error_does_not_wait),
		IT(lines_are_written_before_what_the_turn_sends),
		IT(it_can_be_flushed_before_others_write),
		IT(a_reader_may_sleep_and_loses_nothing),
		IT(the_end_waits_for_the_reader),
		IT(who_ends_the_process_can_still_say_all),
		IT(without_a_reader_it_goes_on),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
