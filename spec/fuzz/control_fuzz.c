/* SPDX-License-Identifier: MIT */

/* What a client writes to the control socket, in pieces that the first byte chooses: each line gets
 * one line of JSON that says whether it is "ok", and the commands about traffic find what there is:
 * nothing. */
#include <cjson/cJSON.h>
#include <errno.h>
#include <ev.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/control.h"
#include "core/log.h"

#define TURNS_MAX 100000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static struct ev_loop *loop;
static struct control control;
static char dir[] = "/tmp/control-fuzz.XXXXXX";

static int echo(void *arg, const char *argument, cJSON *reply)
{
	(void)arg;
	cJSON_AddStringToObject(reply, "said", argument ? argument : "");
	return 0;
}

static int refuse(void *arg, const char *argument, cJSON *reply)
{
	(void)arg;
	(void)reply;
	return argument ? -ENOENT : -EINVAL;
}

static void at_end(void)
{
	control_close(&control);
	strcat(strcpy(control.path, dir), "/nsnet-host");
	rmdir(control.path);
	rmdir(dir);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	log_set_level((enum log_level) - 1);
	loop = ev_loop_new(EVFLAG_AUTO);
	if (!loop || !mkdtemp(dir) || setenv("XDG_RUNTIME_DIR", dir, 1) ||
		control_open(&control, loop))
		abort();
	control_add(&control, &(struct control_command){"echo", "TEXT", "says it", echo, NULL});
	control_add(&control, &(struct control_command){"refuse", "", "does not", refuse, NULL});
	atexit(at_end);
	return 0;
}

/* True if the line is an answer. */
static void check(const char *line, size_t len)
{
	cJSON *answer = cJSON_ParseWithLength(line, len);
	const cJSON *ok = cJSON_GetObjectItemCaseSensitive(answer, "ok");

	if (!cJSON_IsBool(ok))
		abort();
	if (cJSON_IsFalse(ok) && !cJSON_IsString(cJSON_GetObjectItemCaseSensitive(answer, "error")))
		abort();
	cJSON_Delete(answer);
}

/* Takes the whole lines out of the @len bytes at @text; returns how many there were. */
static size_t take(char *text, size_t *len)
{
	size_t n = 0;
	char *end;

	while ((end = memchr(text, '\n', *len))) {
		check(text, (size_t)(end - text));
		*len -= (size_t)(end - text) + 1;
		memmove(text, end + 1, *len);
		n++;
	}
	return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static char text[1 << 20];
	size_t sent = 0, got = 0, wanted = 0, answers = 0, piece;
	int fd;

	if (len < 2 || len >= CONTROL_LINE_MAX)
		return 0;
	piece = 1 + data[0] * 16u;
	data++;
	len--;
	for (size_t i = 0; i < len; i++)
		wanted += data[i] == '\n';
	fd = control_connect(control.path);
	if (fd < 0)
		abort();
	for (unsigned turn = 0; sent < len || answers < wanted; turn++) {
		ssize_t n = 0;

		if (sent < len)
			n = send(fd, data + sent, len - sent < piece ? len - sent : piece,
				MSG_NOSIGNAL);
		if (n > 0)
			sent += (size_t)n;
		ev_run(loop, EVRUN_NOWAIT);
		n = recv(fd, text + got, sizeof(text) - got, 0);
		if (n > 0)
			got += (size_t)n;
		answers += take(text, &got);
		if (n == 0 || turn == TURNS_MAX)
			abort();
	}
	close(fd);
	while (control.count)
		ev_run(loop, EVRUN_NOWAIT);
	if (got || answers != wanted)
		abort();
	return 0;
}
