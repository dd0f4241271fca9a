/* SPDX-License-Identifier: MIT */
#ifndef NSNET_SPEC_SAMPLE_H
#define NSNET_SPEC_SAMPLE_H

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/dnsquery.h"
#include "core/observe.h"
#include "core/policy.h"

/* sample - flows as observers see them, made by hand: for the specs of those who only look. */

static const struct flow_ops sample_tcp = {.network = "tcp"}, sample_udp = {.network = "udp"},
			     sample_icmp = {.network = "icmp"};

static inline struct addr sample_addr(const char *text)
{
	struct addr a;

	assert_int_equal(addr_parse(&a, text), 0);
	return a;
}

/* One that was allowed and closed: begun at 1.5 s after 1970, opened 0.25 s later, ended after
 * 2 s. The strings are the caller's. */
static inline struct flow sample_flow(uint32_t proto, const char *dst)
{
	struct flow f = {
		.key = {.src = sample_addr("10.0.0.1:40000"),
			.dst = sample_addr(dst),
			.proto = proto},
		.ops = proto == IPPROTO_TCP    ? &sample_tcp
			: proto == IPPROTO_UDP ? &sample_udp
					       : &sample_icmp,
		.id = 7,
		.state = FLOW_STATE_ENDED,
		.cause = FLOW_CAUSE_CLOSED,
		.times = {.asked = 1.5,
			.decided = 1.5,
			.dialing = 1.5,
			.opened = 1.75,
			.ended = 3.5},
		.bytes_up = 517,
		.bytes_down = 34100,
		.decision = {.verdict = VERDICT_ALLOW},
	};

	f.decision.target = f.key.dst;
	return f;
}

static inline struct process sample_process(const char *name)
{
	struct process p = {.holds = 1, .pid = 4712};

	snprintf(p.name, sizeof(p.name), "%s", name);
	return p;
}

/* A file that nobody else has, at @path (of 32 bytes). */
static inline void sample_path(char *path)
{
	int fd;

	strcpy(path, "/tmp/nsnet-spec-XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	close(fd);
}

/* What is in it, ended by zero, the caller's to free; it is gone then. */
static inline char *sample_text(const char *path)
{
	char *text = calloc(1, 1 << 20);
	FILE *f = fopen(path, "r");

	assert_non_null(f);
	assert_true(fread(text, 1, (1 << 20) - 1, f) < (1 << 20) - 1);
	fclose(f);
	unlink(path);
	return text;
}

#endif
