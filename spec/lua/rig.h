/* SPDX-License-Identifier: MIT */
#ifndef NSNET_SPEC_RIG_H
#define NSNET_SPEC_RIG_H

/* rig - a Lua host with a real policy and fake flows, for specs: no namespace, no network. What
 * goes to stderr is kept in a memory file. Include it after cmocka's headers.
 */

#include <errno.h>
#include <ev.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base.h"
#include "core/flow.h"
#include "core/guard.h"
#include "core/policy.h"
#include "lua/api.h"

struct rig {
	struct ev_loop *loop;
	struct guard guard;
	struct policy policy;
	struct flow_table table;
	struct lua_host *host;
	int saved_stderr, log;
	uint16_t port; /* of the next flow's source */
};

struct rig_flow {
	struct flow flow;
	struct rig *rig;
	int decided; /* times */
	int dialed;
	int fd; /* of dialed, or negative errno */
	char early[64];
	size_t early_len;
	int aborted;
};

static int rig_open_log = -1, rig_open_stderr; /* a failed assertion leaves them open */

static void rig_decided(struct flow *f)
{
	container_of(f, struct rig_flow, flow)->decided++;
}

static void rig_dialed(struct flow *f, int fd, const void *early, size_t n)
{
	struct rig_flow *r = container_of(f, struct rig_flow, flow);
	r->dialed++;
	r->fd = fd;
	assert_true(n <= sizeof(r->early));
	if (n)
		memcpy(r->early, early, n);
	r->early_len = n;
}

static void rig_abort(struct flow *f, enum flow_cause cause)
{
	struct rig_flow *r = container_of(f, struct rig_flow, flow);
	r->aborted++;
	policy_end(&r->rig->policy, f, cause, ev_now(r->rig->loop));
}

static const struct flow_ops rig_tcp = {.network = "tcp",
	.decided = rig_decided,
	.dialed = rig_dialed,
	.abort = rig_abort};
static const struct flow_ops rig_udp = {.network = "udp",
	.decided = rig_decided,
	.dialed = rig_dialed,
	.abort = rig_abort};
static const struct flow_ops rig_icmp = {.network = "icmp",
	.decided = rig_decided,
	.dialed = rig_dialed,
	.abort = rig_abort};

static inline void rig_open(struct rig *r)
{
	memset(r, 0, sizeof(*r));
	r->loop = ev_loop_new(EVFLAG_AUTO);
	r->port = 40000;
	assert_int_equal(guard_init(&r->guard), 0);
	assert_int_equal(flow_table_init(&r->table), 0);
	r->policy.guard = &r->guard;
	r->policy.logged = true; /* the scripts' messages are looked at, not ours */
	fflush(NULL);
	r->saved_stderr = dup(2);
	r->log = memfd_create("log", MFD_CLOEXEC);
	assert_true(r->saved_stderr >= 0 && r->log >= 0);
	dup2(r->log, 2);
	struct lua_options o = {.loop = r->loop, .policy = &r->policy};
	r->host = lua_host_new(&o);
	assert_non_null(r->host);
	rig_open_log = r->log;
	rig_open_stderr = r->saved_stderr;
}

/* What was logged so far, and forgets it. Valid until the next call. */
static inline const char *rig_log(struct rig *r)
{
	static char text[8192];
	ssize_t n = pread(r->log, text, sizeof(text) - 1, 0);
	assert_true(n >= 0);
	text[n] = 0;
	assert_int_equal(ftruncate(r->log, 0), 0);
	lseek(r->log, 0, SEEK_SET);
	return text;
}

/* Loads @code as the file "rules.lua" would be. Returns the status. */
static inline int rig_load(struct rig *r, const char *code)
{
	assert_int_equal(lua_host_add_code(r->host, "rules.lua", code), 0);
	int status = lua_host_load(r->host);
	r->policy.hooks = status ? NULL : lua_host_hooks(r->host);
	return status;
}

/* Loads what must load. */
static inline void rig_run(struct rig *r, const char *code)
{
	int status = rig_load(r, code);
	if (status)
		print_error("%s", rig_log(r));
	assert_int_equal(status, 0);
}

static inline void rig_close(struct rig *r)
{
	rig_open_log = -1;
	lua_host_free(r->host);
	fflush(NULL);
	dup2(r->saved_stderr, 2);
	close(r->saved_stderr);
	close(r->log);
	flow_table_fini(&r->table);
	guard_fini(&r->guard);
	ev_loop_destroy(r->loop);
}

/* After each test: if an assertion has left the rig open, gives stderr back with what it holds. */
static inline int rig_teardown(void **state)
{
	char text[4096];
	(void)state;
	if (rig_open_log < 0)
		return 0;
	fflush(NULL);
	ssize_t n = pread(rig_open_log, text, sizeof(text), 0);
	rig_open_log = -1;
	dup2(rig_open_stderr, 2);
	return n > 0 && write(2, text, (size_t)n) != n;
}

#define rig_test(f) cmocka_unit_test_teardown(f, rig_teardown)

/* A new flow to @dst, asked about. True if the decision is final. */
static inline bool rig_ask(struct rig *r, struct rig_flow *f, uint32_t proto, const char *dst)
{
	struct flow_key key = {.proto = proto};
	memset(f, 0, sizeof(*f));
	f->rig = r;
	f->fd = -1;
	f->flow.ops = proto == IPPROTO_TCP ? &rig_tcp : proto == IPPROTO_UDP ? &rig_udp : &rig_icmp;
	assert_int_equal(addr_parse(&key.dst, dst), 0);
	assert_int_equal(addr_parse(&key.src, key.dst.v == 4 ? "10.0.0.1" : "fd6e::1"), 0);
	key.src.port = r->port++;
	flow_add(&r->table, &f->flow, &key, ev_now(r->loop));
	return policy_ask(&r->policy, &f->flow);
}

/* Runs the loop until @f is decided. */
static inline void rig_wait(struct rig *r, struct rig_flow *f)
{
	for (int i = 0; !f->decided && i < 1000; i++)
		ev_run(r->loop, EVRUN_ONCE);
	assert_int_equal(f->decided, 1);
}

static inline void rig_end(struct rig *r, struct rig_flow *f, enum flow_cause cause)
{
	policy_end(&r->policy, &f->flow, cause, ev_now(r->loop));
	flow_remove(&f->flow);
}

/* Asks for a flow to @dst, ends it, and returns the verdict. */
static inline enum verdict rig_verdict(struct rig *r, uint32_t proto, const char *dst)
{
	struct rig_flow f;
	if (!rig_ask(r, &f, proto, dst))
		rig_wait(r, &f);
	enum verdict v = f.flow.decision.verdict;
	rig_end(r, &f, FLOW_CAUSE_DENIED);
	return v;
}

#define assert_has(text, part)                                                                     \
	do {                                                                                       \
		const char *text_ = (text);                                                        \
		if (!strstr(text_, part)) {                                                        \
			print_error("\"%s\" is not in: %s\n", part, text_);                        \
			fail();                                                                    \
		}                                                                                  \
	} while (0)

#endif
