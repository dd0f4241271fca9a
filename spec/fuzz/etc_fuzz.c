/* SPDX-License-Identifier: MIT */

/* The host's files about names, which other programs write: the input is one and the other. What is
 * taken from hosts(5) is names in normal form, each found by its address; what is taken from
 * resolv.conf(5) is within its limits, and the file that the command gets says the same. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/dname.h"
#include "core/hosts.h"
#include "core/log.h"
#include "core/resolvconf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static char path[] = "/tmp/etc-fuzz.XXXXXX";
static int fd;

static void at_end(void)
{
	unlink(path);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	log_set_level((enum log_level) - 1);
	fd = mkstemp(path);
	if (fd == -1)
		abort();
	atexit(at_end);
	return 0;
}

static int check_name(void *arg, const char *text)
{
	char name[DNAME_MAX];

	++*(size_t *)arg;
	if (dname_normalise(name, text, strlen(text)) < 0 || strcmp(name, text) != 0)
		abort();
	return 0;
}

/* Counts the names of each address that a line of @text begins with. */
static size_t count_names(const struct hosts *h, char *text)
{
	size_t n = 0;

	for (char *line = strsep(&text, "\n"); line; line = strsep(&text, "\n")) {
		char *rest = line, *word = strtok_r(rest, " \t\r#", &rest);
		struct addr ip;

		if (word && addr_parse(&ip, word) >= 0 && !ip.port)
			hosts_each(h, &ip, check_name, &n);
	}
	return n;
}

static void try_hosts(const uint8_t *data, size_t len)
{
	struct hosts h;
	char *text = malloc(len + 1);

	if (!text || ftruncate(fd, 0) || pwrite(fd, data, len, 0) != (ssize_t)len ||
		hosts_init(&h, path))
		abort();
	memcpy(text, data, len);
	text[len] = '\0';
	if (count_names(&h, text) < h.len)
		abort();
	hosts_fini(&h);
	free(text);
}

static void try_resolvconf(const uint8_t *data, size_t len)
{
	static struct resolvconf c, again;
	static const struct addr four = {.v = 4, .ip = {10, 0, 0, 53}}, none;
	char text[RESOLVCONF_TEXT_MAX];
	size_t n;

	if (!c.path && (resolvconf_init(&c, "/dev/null") || resolvconf_init(&again, "/dev/null")))
		abort();
	resolvconf_parse(&c, (const char *)data, len);
	if (!c.servers || c.servers > RESOLVCONF_SERVERS_MAX || c.timeout_s < 1 ||
		c.timeout_s > 30 || c.attempts < 1 || c.attempts > 5)
		abort();
	n = resolvconf_render(&c, &four, &none, text, sizeof(text));
	if (n >= sizeof(text) || strlen(text) != n)
		abort();
	resolvconf_parse(&again, text, n);
	if (again.servers != 1 || !addr_equal_ip(&again.server[0].addr, &four) ||
		strcmp(again.search, c.search) != 0 || strcmp(again.options, c.options) != 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	try_hosts(data, len);
	try_resolvconf(data, len);
	return 0;
}
