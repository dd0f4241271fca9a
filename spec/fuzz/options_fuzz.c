/* SPDX-License-Identifier: MIT */
#include <assert.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "core/options.h"

/* The command line: words with a NUL between. What is accepted must be within the limits that
 * --help names, and whole. */

#define WORDS_MAX 32

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	log_set_level((enum log_level) - 1); /* usage errors are the rule here */
	return 0;
}

static void check(const struct options *o)
{
	assert(o->mtu >= 1280 && o->mtu <= 65520);
	assert(o->max_conns >= 1 && o->max_flows >= 1);
	assert(o->memory_mb >= 8 && o->memory_mb <= 1000000);
	assert(isfinite(o->udp_idle_s) && o->udp_idle_s > 0);
	assert(isfinite(o->tcp_idle_s) && o->tcp_idle_s >= 0);
	assert(isfinite(o->dial_timeout_s) && o->dial_timeout_s >= 0);
	assert(isfinite(o->keepalive_s) && o->keepalive_s >= 0 && o->keepalive_s <= 32767);
	assert(strchr(o->net4, '/') && strchr(o->net6, '/'));
	for (size_t i = 0; i < o->script_count; i++)
		assert(o->scripts[i].text);
	assert(o->argc >= 0 && !o->argv[o->argc]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *argv[WORDS_MAX + 2] = {(char *)"nsnet-host"};
	char *text = malloc(size + 1);
	struct options o;
	int argc = 1;

	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	for (char *at = text; argc <= WORDS_MAX && at <= text + size; at += strlen(at) + 1)
		argv[argc++] = at;
	if (options_parse(&o, argc, argv) == 0)
		check(&o);
	options_fini(&o);
	free(text);
	return 0;
}
