/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>

#include "core/log.h"
#include "core/pcapfile.h"
#include "core/pcapng.h"
#include "spec/core/blocks.h"

static struct ev_loop *loop;
static struct pcapfile file;
static struct blocks blocks;
static char dir[32], path[64];
static uint32_t next_packet; /* packets are numbered by their first bytes */

static int setup(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/nsnet-spec-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/out.pcapng", dir);
	loop = ev_loop_new(EVBACKEND_EPOLL);
	next_packet = 0;
	log_set_level(LOG_LEVEL_ERROR);
	return loop ? 0 : -1;
}

static int teardown(void **state)
{
	char command[64];

	(void)state;
	ev_loop_destroy(loop);
	snprintf(command, sizeof(command), "rm -r %s", dir);
	return system(command);
}

static void put_begin(void)
{
	uint8_t *out = pcapfile_room(&file, 512);

	assert_non_null(out);
	pcapfile_put(&file, pcapng_begin(out, 512, "spec", "tun0", 65535));
}

/* Puts a packet of @n bytes; false: there is no room. */
static bool put_packet(size_t n)
{
	static uint8_t data[65536];
	struct iovec iov = {data, n};
	struct pcapng_packet p = {.direction = PCAPNG_OUTBOUND, .iov = &iov, .n = 1};
	uint8_t *out = pcapfile_room(&file, n + 64);

	if (!out)
		return false;
	p.len = p.kept = n;
	memcpy(data, &next_packet, sizeof(next_packet));
	next_packet++;
	pcapfile_put(&file, pcapng_packet(out, n + 64, &p));
	return true;
}

static size_t size_of(const char *name)
{
	struct stat st;

	return stat(name, &st) == -1 ? 0 : (size_t)st.st_size;
}

/* Reads @name and checks that its packets are numbers @first, @first + 1, ...; returns how many. */
static size_t read_packets(const char *name, uint32_t first)
{
	size_t n;

	blocks_read(&blocks, name);
	n = blocks_count(&blocks, 6);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(blocks_u32(blocks_packet(&blocks, i).data), first + i);
	blocks_free(&blocks);
	return n;
}

static void on_late(struct ev_loop *l, ev_timer *t, int revents)
{
	(void)l;
	(void)revents;
	*(bool *)t->data = true;
}

/* Turns the loop until COND holds, or for 20 s. */
#define until(cond)                                                                                \
	do {                                                                                       \
		bool late = false;                                                                 \
		ev_timer patience;                                                                 \
		ev_timer_init(&patience, on_late, 20, 0);                                          \
		patience.data = &late;                                                             \
		ev_timer_start(loop, &patience);                                                   \
		while (!(cond) && !late)                                                           \
			ev_run(loop, EVRUN_ONCE);                                                  \
		ev_timer_stop(loop, &patience);                                                    \
		assert_false(late);                                                                \
	} while (0)

static void few_bytes_are_written_soon(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(pcapfile_open(&file, loop, path, 0), 0);
	put_begin();
	assert_true(put_packet(100));
	until(size_of(path) > 100);
	assert_int_equal(read_packets(path, 0), 1);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	/* and then nothing wakes the loop any more */
	assert_false(ev_run(loop, EVRUN_NOWAIT) && ev_is_active(&file.timer));
	pcapfile_close(&file);
}

static void many_bytes_do_not_wait_for_the_loop(void **state)
{
	(void)state;
	assert_int_equal(pcapfile_open(&file, loop, path, 0), 0);
	put_begin();
	for (int i = 0; i < 1000; i++) {
		while (!put_packet(60000)) /* a slow disk: 60 MB go through a queue of 8 */
			ev_run(loop, EVRUN_ONCE);
	}
	assert_true(size_of(path) > 40000000);
	pcapfile_close(&file);
	assert_int_equal(read_packets(path, 0), 1000);
}

static void held_bytes_are_not_written_until_let_go(void **state)
{
	uint64_t place;
	uint8_t *at;

	(void)state;
	assert_int_equal(pcapfile_open(&file, loop, path, 0), 0);
	put_begin();
	assert_true(put_packet(100));
	place = pcapfile_end(&file);
	assert_true(put_packet(100));
	pcapfile_hold(&file, place);
	assert_true(put_packet(100));
	until(size_of(path) > 100);
	assert_int_equal(read_packets(path, 0), 1);
	at = pcapfile_at(&file, place);
	assert_non_null(at);
	assert_int_equal(pcapng_type(at), PCAPNG_PACKET);
	assert_null(pcapfile_at(&file, 0));
	pcapfile_hold(&file, PCAPFILE_NO_HOLD);
	until(size_of(path) > 400);
	assert_null(pcapfile_at(&file, place));
	pcapfile_close(&file);
	assert_int_equal(read_packets(path, 0), 3);
}

static void hold_ends_by_itself(void **state)
{
	(void)state;
	assert_int_equal(pcapfile_open(&file, loop, path, 0), 0);
	put_begin();
	pcapfile_hold(&file, pcapfile_end(&file));
	assert_true(put_packet(100));
	until(read_packets(path, 0) == 1); /* by time */
	pcapfile_hold(&file, pcapfile_end(&file));
	for (int i = 0; i < 40; i++)
		assert_true(put_packet(60000)); /* by what has come since */
	until(size_of(path) > 1000000);
	pcapfile_close(&file);
	assert_int_equal(read_packets(path, 0), 41);
}

static void insertion_moves_what_follows(void **state)
{
	struct addr a;
	uint64_t place;
	uint8_t name[64], *at;
	size_t n;

	(void)state;
	addr_parse(&a, "203.0.113.9");
	n = pcapng_name(name, sizeof(name), &a, "a.test");
	assert_int_equal(pcapfile_open(&file, loop, path, 0), 0);
	put_begin();
	assert_true(put_packet(100));
	place = pcapfile_end(&file);
	assert_true(put_packet(100));
	pcapfile_hold(&file, place);
	at = pcapfile_insert(&file, place, n);
	assert_non_null(at);
	memcpy(at, name, n);
	assert_int_equal(pcapng_type(pcapfile_at(&file, place + n)), PCAPNG_PACKET);
	at = pcapfile_insert(&file, pcapfile_end(&file), n);
	assert_non_null(at);
	memcpy(at, name, n);
	assert_true(file.held == place + n); /* the block that was held still is */
	pcapfile_close(&file);
	blocks_read(&blocks, path);
	assert_int_equal(blocks.count, 2 + 4);
	assert_int_equal(blocks.at[2].type, 6);
	assert_int_equal(blocks.at[3].type, 4);
	assert_int_equal(blocks.at[4].type, 6);
	assert_int_equal(blocks.at[5].type, 4);
	blocks_free(&blocks);
}

static void section_begins_a_file_and_old_ones_go(void **state)
{
	char name[96];

	(void)state;
	assert_int_equal(pcapfile_open(&file, loop, path, 2), 0);
	for (int i = 0; i < 4; i++) {
		put_begin();
		for (int k = 0; k < 10; k++)
			assert_true(put_packet(1000));
	}
	pcapfile_close(&file);
	for (int i = 1; i <= 4; i++) {
		snprintf(name, sizeof(name), "%s/out-%05d.pcapng", dir, i);
		if (i <= 2)
			assert_int_equal(access(name, F_OK), -1);
		else
			assert_int_equal(read_packets(name, (uint32_t)(i - 1) * 10), 10);
	}
	assert_int_equal(access(path, F_OK), -1);
}

static void number_goes_before_the_ending_of_the_name_only(void **state)
{
	char name[96];

	(void)state;
	snprintf(path, sizeof(path), "%s/a.d", dir);
	assert_int_equal(mkdir(path, 0700), 0);
	strcat(path, "/out");
	assert_int_equal(pcapfile_open(&file, loop, path, UINT_MAX), 0);
	put_begin();
	pcapfile_close(&file);
	snprintf(name, sizeof(name), "%s-00001", path);
	assert_int_equal(read_packets(name, 0), 0);
}

static void missing_folder_is_an_error(void **state)
{
	(void)state;
	snprintf(path, sizeof(path), "%s/none/out", dir);
	assert_int_equal(pcapfile_open(&file, loop, path, 0), -ENOENT);
}

static void full_disk_stops_it_and_nothing_else(void **state)
{
	(void)state;
	log_set_level((enum log_level) - 1);
	assert_int_equal(pcapfile_open(&file, loop, "/dev/full", 0), 0);
	put_begin();
	assert_true(put_packet(100));
	until(!pcapfile_works(&file));
	assert_false(put_packet(100));
	assert_null(pcapfile_at(&file, 0));
	pcapfile_close(&file);
}

/* A file at its limit takes a part of a write: the file must end with a whole packet. */
static void file_at_its_limit_ends_with_a_whole_packet(void **state)
{
	struct rlimit old, small;
	void (*was)(int) = signal(SIGXFSZ, SIG_IGN);

	(void)state;
	log_set_level((enum log_level) - 1);
	getrlimit(RLIMIT_FSIZE, &old);
	small = old;
	small.rlim_cur = 100001;
	assert_int_equal(pcapfile_open(&file, loop, path, 0), 0);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	put_begin();
	for (int i = 0; i < 50; i++)
		assert_true(put_packet(3000));
	until(!pcapfile_works(&file));
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	signal(SIGXFSZ, was);
	pcapfile_close(&file);
	assert_int_equal(read_packets(path, 0), 32);
}

/* ---- pipes ---- */

static uint8_t *got;
static size_t got_len;

static void drain(int fd)
{
	ssize_t n;

	got = realloc(got, got_len + 70000);
	n = read(fd, got + got_len, 70000);
	got_len += n > 0 ? (size_t)n : 0;
}

/* Reads all that is in the pipe. */
static void empty(int fd)
{
	size_t before;

	do {
		before = got_len;
		drain(fd);
	} while (got_len != before);
}

static void pipe_is_written_as_it_is_read(void **state)
{
	int fd, packets = 0;

	(void)state;
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(pcapfile_open(&file, loop, path, 0), -ENXIO); /* nobody reads */
	fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	assert_int_equal(pcapfile_open(&file, loop, path, 0), 0);
	put_begin();
	while (put_packet(30000))
		packets++;
	assert_true(packets > 100); /* the queue took them, and then was full */
	assert_true(ev_is_active(&file.io));
	got_len = 0;
	while (file.head != file.end) {
		drain(fd);
		ev_run(loop, EVRUN_NOWAIT);
	}
	empty(fd);
	assert_true(put_packet(30000));
	pcapfile_close(&file);
	empty(fd);
	close(fd);
	blocks_parse(&blocks, got, got_len);
	got = NULL;
	assert_int_equal(blocks_count(&blocks, 6), next_packet);
	for (uint32_t i = 0; i < next_packet; i++)
		assert_int_equal(blocks_u32(blocks_packet(&blocks, i).data), i);
	blocks_free(&blocks);
}

static void reader_that_goes_stops_it(void **state)
{
	void (*was)(int) = signal(SIGPIPE, SIG_IGN);
	int fd;

	(void)state;
	log_set_level((enum log_level) - 1);
	assert_int_equal(mkfifo(path, 0600), 0);
	fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	assert_int_equal(pcapfile_open(&file, loop, path, 0), 0);
	close(fd);
	put_begin();
	until(!pcapfile_works(&file));
	pcapfile_close(&file);
	signal(SIGPIPE, was);
}

#define SPEC(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SPEC(few_bytes_are_written_soon),
		SPEC(many_bytes_do_not_wait_for_the_loop),
		SPEC(held_bytes_are_not_written_until_let_go),
		SPEC(hold_ends_by_itself),
		SPEC(insertion_moves_what_follows),
		SPEC(section_begins_a_file_and_old_ones_go),
		SPEC(number_goes_before_the_ending_of_the_name_only),
		SPEC(missing_folder_is_an_error),
		SPEC(full_disk_stops_it_and_nothing_else),
		SPEC(file_at_its_limit_ends_with_a_whole_packet),
		SPEC(pipe_is_written_as_it_is_read),
		SPEC(reader_that_goes_stops_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
