/* SPDX-License-Identifier: MIT */
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
#include <sys/stat.h>
#include <unistd.h>

#include "core/watch.h"

static struct ev_loop *loop;
static struct watch watch;
static char dir[64];
static char first[128], second[128]; /* watch_add() borrows them */
static unsigned told;
static ev_timer limit;

static void on_change(void *arg)
{
	told++;
	ev_break(arg, EVBREAK_ONE);
}

static void on_limit(struct ev_loop *l, ev_timer *w, int revents)
{
	(void)w;
	(void)revents;
	ev_break(l, EVBREAK_ONE);
}

static const char *in_dir(const char *name)
{
	static char path[2][128];
	static int turn;

	turn ^= 1;
	snprintf(path[turn], sizeof(path[turn]), "%s/%s", dir, name);
	return path[turn];
}

static void put(const char *name, const char *text)
{
	FILE *f = fopen(in_dir(name), "w");

	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
}

/* Runs the loop until somebody was told, @s seconds at most; how often. */
static unsigned within(double s)
{
	told = 0;
	ev_timer_init(&limit, on_limit, s, 0);
	ev_timer_start(loop, &limit);
	ev_run(loop, 0);
	ev_timer_stop(loop, &limit);
	return told;
}

static int setup(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/nsnet-watch.XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	loop = ev_default_loop(0);
	put("a.lua", "1");
	watch_init(&watch, loop, on_change, loop);
	strcpy(first, in_dir("a.lua"));
	return watch_add(&watch, first);
}

static int teardown(void **state)
{
	char command[128];

	(void)state;
	watch_fini(&watch);
	watch_fini(&watch);
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

#define PLENTY 30.0

static void sees_a_file_that_is_written_or_replaced(void **state)
{
	(void)state;
	put("a.lua", "2");
	assert_int_equal(within(PLENTY), 1);
	put("new", "3");
	assert_int_equal(rename(in_dir("new"), in_dir("a.lua")), 0);
	assert_int_equal(within(PLENTY), 1);
	/* Still the same name, another file. */
	put("a.lua", "4");
	assert_int_equal(within(PLENTY), 1);
}

static void tells_a_flurry_once_and_others_not_at_all(void **state)
{
	(void)state;
	for (int i = 0; i < 50; i++)
		put("a.lua", "again");
	assert_int_equal(within(PLENTY), 1);
	put("b.lua", "a neighbor");
	put("a.lua~", "a backup");
	assert_int_equal(within(0.5), 0);
}

static void sees_several_files_and_one_that_comes_back(void **state)
{
	(void)state;
	strcpy(second, in_dir("later.lua"));
	assert_int_equal(watch_add(&watch, second), 0); /* is not there yet */
	put("later.lua", "1");
	assert_int_equal(within(PLENTY), 1);
	assert_int_equal(unlink(in_dir("a.lua")), 0);
	put("a.lua", "back");
	assert_int_equal(within(PLENTY), 1);
}

/* Empty rules allow everything: they are not to be read from a file that has only been begun. */
static void waits_until_a_new_file_is_whole(void **state)
{
	FILE *f;

	(void)state;
	assert_int_equal(unlink(in_dir("a.lua")), 0);
	f = fopen(in_dir("a.lua"), "w");
	assert_non_null(f);
	assert_int_equal(within(0.5), 0);
	fputs("half", f);
	fflush(f);
	assert_int_equal(within(0.5), 0);
	fclose(f);
	assert_int_equal(within(PLENTY), 1);
	/* Another name for a file that is whole needs no writer. */
	put("whole", "1");
	assert_int_equal(unlink(in_dir("a.lua")), 0);
	assert_int_equal(link(in_dir("whole"), in_dir("a.lua")), 0);
	assert_int_equal(within(PLENTY), 1);
}

/* As where configuration is kept elsewhere, or is a release that a link points to. */
static void sees_where_links_lead_and_when_they_turn(void **state)
{
	static char path[128];

	(void)state;
	assert_int_equal(mkdir(in_dir("one"), 0700), 0);
	assert_int_equal(mkdir(in_dir("two"), 0700), 0);
	put("one/real.lua", "1");
	put("two/real.lua", "2");
	assert_int_equal(symlink("one", in_dir("now")), 0);
	assert_int_equal(symlink("now/real.lua", in_dir("l.lua")), 0);
	strcpy(path, in_dir("l.lua"));
	assert_int_equal(watch_add(&watch, path), 0);
	put("one/real.lua", "1b");
	assert_int_equal(within(PLENTY), 1);
	put("two/real.lua", "2b");
	assert_int_equal(within(0.5), 0);
	assert_int_equal(symlink("two", in_dir("then")), 0);
	assert_int_equal(rename(in_dir("then"), in_dir("now")), 0);
	assert_int_equal(within(PLENTY), 1);
	assert_int_equal(watch_add(&watch, path), 0); /* as a reload does */
	put("two/real.lua", "2c");
	assert_int_equal(within(PLENTY), 1);
	assert_int_equal(unlink(in_dir("l.lua")), 0);
	assert_int_equal(symlink(first, in_dir("l.lua")), 0); /* absolute */
	assert_int_equal(within(PLENTY), 1);
	assert_int_equal(watch_add(&watch, path), 0);

	assert_int_equal(symlink("round", in_dir("round")), 0);
	strcpy(path, in_dir("round"));
	assert_int_equal(watch_add(&watch, path), -ELOOP);
}

static void keeps_no_loop_alive(void **state)
{
	(void)state;
	ev_run(loop, 0); /* returns: nothing else is in it */
	assert_int_equal(watch_add(&watch, "/no/such/directory/x.lua"), -2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(sees_a_file_that_is_written_or_replaced, setup,
			teardown),
		cmocka_unit_test_setup_teardown(tells_a_flurry_once_and_others_not_at_all, setup,
			teardown),
		cmocka_unit_test_setup_teardown(sees_several_files_and_one_that_comes_back, setup,
			teardown),
		cmocka_unit_test_setup_teardown(waits_until_a_new_file_is_whole, setup, teardown),
		cmocka_unit_test_setup_teardown(sees_where_links_lead_and_when_they_turn, setup,
			teardown),
		cmocka_unit_test_setup_teardown(keeps_no_loop_alive, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
