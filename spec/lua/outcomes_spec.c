/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/time.h>

#include <cmocka.h>

#include "spec/lua/rig.h"

#include "spec/lua/asking.h"
#include "spec/lua/dial.h"
#include "spec/lua/wrongs.h"

/* Every hook is given every wrong thing that a script can do (wrongs.h), and each must cost what
 * the table of lua/README.md says: that flow, and no other. */

/* libev reads the time of day with it after a jump. */
int gettimeofday(struct timeval *restrict tv, void *restrict zone)
{
	struct timespec ts;

	(void)zone;
	clock_gettime(CLOCK_REALTIME, &ts);
	*tv = (struct timeval){.tv_sec = ts.tv_sec, .tv_usec = ts.tv_nsec / 1000};
	return 0;
}

/* What was said of body @i names its line, or what was returned. */
static void check_log(struct rig *r, size_t i, const char *returned)
{
	char line[64];
	const char *log = rig_log(r);
	snprintf(line, sizeof(line), "nsnet-host: rules.lua:%zu: ", i);
	assert_has(log, "nsnet-host: rules.lua:");
	if (kinds[i] != TAIL)
		assert_has(log, kinds[i] == ERROR ? line : returned);
	/* The same again within a second is not said, and ten errors in ten close a way. */
	advance(r->loop, 11);
}

static void say_which(size_t i)
{
	print_error("body %zu of\n%s\n", i, code);
}

/* Calls body 0 at port 1000, 1 at 1001, ... */
#define CALL "return bodies[x.dst_port - 1000](x) end)\n"

static enum verdict ask_port(struct rig *r, uint32_t proto, size_t port)
{
	char dst[32];
	snprintf(dst, sizeof(dst), proto == IPPROTO_TCP ? "198.51.100.7:%zu" : "[2001:db8::7]:%zu",
		port);
	return rig_verdict(r, proto, dst);
}

static void who_decides_about_a_flow_denies_it(void **state)
{
	static const struct {
		const char *frame, *returned;
		unsigned kind;
		uint32_t proto;
	} hooks[] = {
		{"nsnet.guard(function(x) kept = kept or x " CALL, "guard returned",
			VERDICTS | NO_WAIT | FLOWS | NOT_ALLOW | NOT_AWAY | NOT_VIA | NOT_TRUE |
				NOT_TEXT,
			IPPROTO_TCP},
		{"nsnet.guard(function(x) kept = kept or x " CALL, "guard returned",
			VERDICTS | NO_WAIT | FLOWS | NOT_ALLOW | NOT_AWAY | NOT_VIA | NOT_TRUE |
				NOT_TEXT,
			IPPROTO_UDP},
		{"nsnet.on_connect(function(x) kept = kept or x " CALL, "on_connect returned",
			VERDICTS | FLOWS | NOT_TRUE | NOT_TEXT, IPPROTO_TCP},
		{"nsnet.on_flow(function(x) kept = kept or x " CALL, "on_flow returned",
			VERDICTS | FLOWS | NOT_TRUE | NOT_TEXT, IPPROTO_UDP},
		{"nsnet.rules { { nsnet.allow, when = function(x) kept = kept or x return "
		 "bodies[x.dst_port - "
		 "1000](x) "
		 "end } }",
			"when returned",
			VERDICTS | FLOWS | NOT_ALLOW | NOT_DENY | NOT_AWAY | NOT_VIA | NOT_TEXT,
			IPPROTO_TCP},
		{"nsnet.rules { { nsnet.deny, when = function(x) kept = kept or x return "
		 "bodies[x.dst_port - "
		 "1000](x) "
		 "end } }",
			"when returned",
			VERDICTS | FLOWS | NOT_ALLOW | NOT_DENY | NOT_AWAY | NOT_VIA | NOT_TEXT,
			IPPROTO_UDP},
	};
	(void)state;
	for (size_t h = 0; h < ARRAY_LEN(hooks); h++) {
		uint32_t proto = hooks[h].proto;
		struct rig r;
		rig_open(&r);
		rig_run(&r, script(hooks[h].kind, hooks[h].frame));
		for (size_t i = 1; i <= bodies; i++) {
			enum verdict v = ask_port(&r, proto, 1000 + i);
			if (v != (proto == IPPROTO_TCP ? VERDICT_DENY : VERDICT_DROP)) {
				say_which(i);
				fail();
			}
			check_log(&r, i, hooks[h].returned);
			assert_int_equal(ask_port(&r, proto, 1000), VERDICT_ALLOW);
			assert_string_equal(rig_log(&r), "");
		}
		rig_close(&r);
	}
}

static void open_port(struct rig *r, struct rig_flow *f, size_t port)
{
	char dst[32];
	snprintf(dst, sizeof(dst), "198.51.100.7:%zu", port);
	assert_true(rig_ask(r, f, IPPROTO_TCP, dst));
	assert_int_equal(f->flow.decision.verdict, VERDICT_ALLOW);
	flow_set_state(&f->flow, FLOW_STATE_DIALING);
	flow_set_state(&f->flow, FLOW_STATE_OPEN);
}

static void who_hears_the_first_bytes_resets(void **state)
{
	struct rig r;
	struct rig_flow f;
	(void)state;
	rig_open(&r);
	rig_run(&r,
		script(VERDICTS | FLOWS | NOT_AWAY | NOT_VIA | NOT_TRUE | NOT_TEXT,
			"nsnet.on_first_bytes(function(x) kept = kept or x " CALL));
	for (size_t i = 1; i <= bodies; i++) {
		open_port(&r, &f, 1000 + i);
		if (policy_first_bytes(&r.policy, &f.flow, "x", 1, true) != VERDICT_DENY) {
			say_which(i);
			fail();
		}
		rig_end(&r, &f, FLOW_CAUSE_DENIED);
		check_log(&r, i, "on_first_bytes returned");
		open_port(&r, &f, 1000);
		assert_int_equal(policy_first_bytes(&r.policy, &f.flow, "x", 1, true),
			VERDICT_ALLOW);
		rig_end(&r, &f, FLOW_CAUSE_CLOSED);
	}
	rig_close(&r);
}

static void who_sees_the_data_resets(void **state)
{
	struct rig r;
	struct rig_flow f;
	void *other = NULL;
	size_t len = 0;
	(void)state;
	rig_open(&r);
	rig_run(&r,
		script(VERDICTS | NO_WAIT | FLOWS | NOT_ALLOW | NOT_AWAY | NOT_VIA | NOT_TRUE,
			"nsnet.on_data(function(x) kept = kept or x " CALL));
	for (size_t i = 1; i <= bodies; i++) {
		enum hook_dir dir = i % 2 ? HOOK_DIR_OUT : HOOK_DIR_IN;
		open_port(&r, &f, 1000 + i);
		if (policy_data(&r.policy, &f.flow, dir, "x", 1, &other, &len) != -ECONNABORTED) {
			say_which(i);
			fail();
		}
		assert_null(other);
		rig_end(&r, &f, FLOW_CAUSE_ABORTED);
		check_log(&r, i, "on_data returned");
		open_port(&r, &f, 1000);
		assert_int_equal(policy_data(&r.policy, &f.flow, dir, "x", 1, &other, &len), 0);
		rig_end(&r, &f, FLOW_CAUSE_CLOSED);
	}
	rig_close(&r);
}

/* A UDP packet to @port in @bytes; returns its length. */
static size_t datagram(uint8_t *bytes, uint16_t port)
{
	const size_t len = 28;
	memset(bytes, 0, len);
	bytes[0] = 0x45;
	bytes[3] = (uint8_t)len;
	bytes[8] = 64;
	bytes[9] = IPPROTO_UDP;
	memcpy(bytes + 12, (uint8_t[]){10, 0, 0, 1, 198, 51, 100, 7}, 8);
	bytes[22] = (uint8_t)(port >> 8);
	bytes[23] = (uint8_t)port;
	bytes[25] = 8;
	uint16_t sum = packet_sum_fold(packet_sum(bytes, 20, 0));
	memcpy(bytes + 10, &sum, 2);
	return len;
}

static void who_looks_at_packets_drops(void **state)
{
	struct rig r;
	(void)state;
	rig_open(&r);
	rig_run(&r,
		script(VERDICTS | NO_WAIT | NOT_ALLOW | NOT_DENY | NOT_AWAY | NOT_VIA | NOT_TRUE |
				NOT_TEXT,
			"nsnet.on_packet(function(x) kept = kept or x " CALL));
	for (size_t i = 1; i <= bodies; i++) {
		uint8_t bytes[64];
		struct packet p;
		size_t len = datagram(bytes, (uint16_t)(1000 + i));
		assert_int_equal(packet_parse(&p, bytes, len), 0);
		if (r.policy.hooks->packet(r.policy.hooks->arg, HOOK_DIR_OUT, &p)) {
			say_which(i);
			fail();
		}
		check_log(&r, i, "on_packet returned");
		len = datagram(bytes, 1000);
		assert_int_equal(packet_parse(&p, bytes, len), 0);
		if (!r.policy.hooks->packet(r.policy.hooks->arg, HOOK_DIR_IN, &p))
			fail_msg("after body %zu: %s", i, rig_log(&r));
	}
	rig_close(&r);
}

static void who_answers_questions_fails_them(void **state)
{
	struct rig r;
	char name[32];
	(void)state;
	asking_open(&r,
		script(VERDICTS | NOT_VIA | NOT_TRUE | NOT_TEXT,
			"nsnet.on_dns(function(x) kept = kept or x\n"
			"return bodies[tonumber(x.name:match '%d+')](x) end)"));
	for (size_t i = 1; i <= bodies; i++) {
		snprintf(name, sizeof(name), "n%zu.example", i);
		if (ask(&r, name) != DNSMSG_RCODE_SERVFAIL) {
			say_which(i);
			fail();
		}
		check_log(&r, i, "on_dns returned");
		assert_int_equal(ask(&r, "n0.example"), -2);
	}
	asking_close(&r);
}

static void who_dials_fails_to(void **state)
{
	static const char *const frames[] = {
		"nsnet.dialer(function(_, _, x) kept = kept or x " CALL,
		"nsnet.on_connect(function(x) return nsnet.via(function(_, _, x) " CALL " end)",
		"nsnet.rules { { nsnet.via(function(_, _, x) " CALL " } }",
	};
	(void)state;
	for (size_t k = 0; k < ARRAY_LEN(frames); k++) {
		struct rig r;
		struct rig_flow f;
		char dst[32];
		rig_open(&r);
		rig_run(&r,
			script(VERDICTS | FLOWS | NOT_ALLOW | NOT_DENY | NOT_AWAY | NOT_VIA |
					NOT_TRUE | NOT_TEXT,
				frames[k]));
		for (size_t i = 0; i <= bodies; i++) {
			snprintf(dst, sizeof(dst), "198.51.100.7:%zu", 1000 + i);
			if (dial(&r, &f, IPPROTO_TCP, dst) != -ECONNREFUSED) {
				say_which(i);
				fail();
			}
			assert_non_null(f.flow.why);
			rig_end(&r, &f, FLOW_CAUSE_DIAL_FAILED);
			check_log(&r, i, "the dialer returned");
		}
		rig_close(&r);
	}
}

static void who_hears_of_the_end_changes_nothing(void **state)
{
	struct rig r;
	(void)state;
	rig_open(&r);
	rig_run(&r,
		script(NO_WAIT | FLOWS,
			"nsnet.on_close(function(x) print('closed', x.dst_port) end)\n"
			"nsnet.on_close(function(x) " CALL));
	for (size_t i = 1; i <= bodies; i++) {
		char text[64];
		assert_int_equal(ask_port(&r, IPPROTO_TCP, 1000 + i), VERDICT_ALLOW);
		const char *log = rig_log(&r);
		snprintf(text, sizeof(text), "nsnet-host: closed\t%zu\n", 1000 + i);
		if (strncmp(log, text, strlen(text)))
			fail_msg("body %zu: %s", i, log);
		const char *rest = log + strlen(text);
		snprintf(text, sizeof(text), "nsnet-host: rules.lua:%zu: ", i);
		/* What it returns is nobody's business. */
		bool right = kinds[i] == ANSWER ? !*rest
			: kinds[i] == TAIL      ? !strncmp(rest, text, 22)
						: !strncmp(rest, text, strlen(text));
		if (!right) {
			say_which(i);
			fail_msg("%s", log);
		}
	}
	rig_close(&r);
}

/* With observe = true the same costs nothing but a message. */
static void who_only_looks_changes_nothing(void **state)
{
	static const char frame[] =
		"nsnet.on_connect({ observe = true }, function(x) kept = kept or x " CALL
		"nsnet.on_flow({ observe = true }, function(x) kept = kept or x " CALL
		"nsnet.on_first_bytes({ observe = true, port = '3000-3999' }, function(x)\n"
		"return bodies[x.dst_port - 3000](x) end)\n"
		"nsnet.on_dns({ observe = true }, function(x) kept = kept or x\n"
		"return bodies[tonumber(x.name:match '%d+')](x) end)\n"
		"bodies[2000] = bodies[0] for i = 1, 999 do bodies[2000 + i] = bodies[0] end";
	struct rig r;
	struct rig_flow f;
	char name[32];
	(void)state;
	asking_open(&r,
		script(VERDICTS | FLOWS | NOT_ALLOW | NOT_DENY | NOT_AWAY | NOT_VIA | NOT_TRUE |
				NOT_TEXT,
			frame));
	for (size_t i = 1; i <= bodies; i++) {
		assert_int_equal(ask_port(&r, IPPROTO_TCP, 1000 + i), VERDICT_ALLOW);
		check_log(&r, i, "; an observer answers nothing");
		assert_int_equal(ask_port(&r, IPPROTO_UDP, 1000 + i), VERDICT_ALLOW);
		check_log(&r, i, "; an observer answers nothing");
		open_port(&r, &f, 3000 + i);
		assert_int_equal(policy_first_bytes(&r.policy, &f.flow, "x", 1, true),
			VERDICT_ALLOW);
		rig_end(&r, &f, FLOW_CAUSE_CLOSED);
		check_log(&r, i, "; an observer answers nothing");
	}
	asking_close(&r);
	/* What is about a connection is wrong for a question. */
	asking_open(&r,
		script(VERDICTS | NOT_ALLOW | NOT_DENY | NOT_AWAY | NOT_VIA | NOT_TRUE | NOT_TEXT,
			frame));
	for (size_t i = 1; i <= bodies; i++) {
		snprintf(name, sizeof(name), "n%zu.example", i);
		assert_int_equal(ask(&r, name), -2);
		check_log(&r, i, "; an observer answers nothing");
	}
	asking_close(&r);
}

static void timers_and_tasks_go_on(void **state)
{
	struct rig r;
	(void)state;
	rig_open(&r);
	rig_run(&r,
		script(0,
			"local n = 0\n"
			"local beat = nsnet.every(0.001, function()\n"
			"  n = n + 1 if n <= #bodies then return bodies[n]({}) end\n"
			"end)\n"
			"for i = 1, #bodies do nsnet.after(0, function() return bodies[i]({}) end) "
			"end\n"
			"for i = 1, #bodies do nsnet.spawn(function() return bodies[i]({}) end) "
			"end\n"
			"nsnet.on_connect(function(x) return x.dst_port == 1 and n > #bodies + 2 "
			"and "
			"nsnet.allow or nsnet.deny end)"));
	enum verdict v = VERDICT_DENY;
	for (int i = 0; i < 20000 && v == VERDICT_DENY; i++) {
		advance(r.loop, 0.001);
		v = ask_port(&r, IPPROTO_TCP, 1);
		rig_log(&r);
	}
	assert_int_equal(v, VERDICT_ALLOW);
	/* Each error three times: every, after, spawn. */
	assert_true(lua_host_errors(r.host) >= 3 * ARRAY_LEN(errors));
	rig_close(&r);
}

static void a_start_that_goes_wrong_is_none(void **state)
{
	static const char *const frame[] = {
		"nsnet.on_start(function() return bodies[%zu]({}) end)",
		"nsnet.on_exit(function() print 'exit' return bodies[%zu]({}) end)\n"
		"nsnet.on_exit(function() print 'last' end)",
	};
	(void)state;
	(void)script(NOT_TEXT, "");
	for (size_t i = 1; i <= bodies; i++) {
		for (size_t k = 0; k < ARRAY_LEN(frame); k++) {
			struct rig r;
			char line[256];
			snprintf(line, sizeof(line), frame[k], i);
			rig_open(&r);
			rig_run(&r, script(NOT_TEXT, line));
			int status = lua_host_start(r.host);
			if (status != (k ? 0 : 70)) {
				say_which(i);
				fail();
			}
			lua_host_exit(r.host, 0);
			const char *log = rig_log(&r);
			if (k) {
				assert_has(log, "nsnet-host: exit\n");
				assert_has(log, "nsnet-host: last\n");
			} else {
				assert_has(log, "nsnet-host: rules.lua:");
			}
			rig_close(&r);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		rig_test(who_decides_about_a_flow_denies_it),
		rig_test(who_hears_the_first_bytes_resets),
		rig_test(who_sees_the_data_resets),
		rig_test(who_looks_at_packets_drops),
		rig_test(who_answers_questions_fails_them),
		rig_test(who_dials_fails_to),
		rig_test(who_hears_of_the_end_changes_nothing),
		rig_test(who_only_looks_changes_nothing),
		rig_test(timers_and_tasks_go_on),
		rig_test(a_start_that_goes_wrong_is_none),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
