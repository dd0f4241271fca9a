/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <cjson/cJSON.h>

#include "plane.h"

#include "core/inspect.h"

static struct control control; /* never opened: its commands are called from here */
static struct inspect inspect;

static const char *name_of(void *arg, const struct flow *f)
{
	return arg == &inspect && f->key.dst.v == 4 ? "a.test" : NULL;
}

static int up(void **state)
{
	memset(&control, 0, sizeof(control));
	inspect = (struct inspect){.gate = &plane.gate, .name_of = name_of, .name_arg = &inspect};
	inspect_init(&inspect, &control);
	return plane_setup(state);
}

/* The answer to a command that gives @rc. */
static cJSON *call(const char *name, const char *argument, int rc)
{
	cJSON *reply = cJSON_CreateObject();

	for (size_t i = 0; i < control.command_count; i++) {
		if (strcmp(control.commands[i].name, name) != 0)
			continue;
		assert_int_equal(control.commands[i].fn(control.commands[i].arg, argument, reply),
			rc);
		return reply;
	}
	fail_msg("no command %s", name);
	return NULL;
}

static const char *text(const cJSON *o, const char *key)
{
	return cJSON_GetStringValue(cJSON_GetObjectItem(o, key));
}

static double number(const cJSON *o, const char *key)
{
	assert_true(cJSON_IsNumber(cJSON_GetObjectItem(o, key)));
	return cJSON_GetObjectItem(o, key)->valuedouble;
}

static size_t count(const char *network)
{
	cJSON *reply = call("connections", network, 0);
	int n = cJSON_GetArraySize(cJSON_GetObjectItem(reply, "connections"));

	cJSON_Delete(reply);
	return (size_t)n;
}

static void tells_of_what_is_open(void **state)
{
	struct addr at;
	struct talk t;
	cJSON *reply, *one;
	char id[32], dst[ADDR_TEXT_MAX];
	int listener, fd;

	NEEDS_WORLD;
	assert_int_equal(count(NULL), 0);
	listener = plane_listen(4, &at);
	t = talk_new("10.0.0.1:40000", &at);
	talk_syn(&t, talk_linux, sizeof(talk_linux));
	fd = plane_accept(listener);
	talk_expect(&t, SYN | ACK);
	talk_send(&t, ACK, "hello", 5);
	plane_read(fd, "hello", 5);

	assert_int_equal(count("udp"), 0);
	assert_int_equal(count("tcp"), 1);
	/* Since then somebody has set the clock back by a day: it is no day younger for that. */
	container_of(inspect.gate->flows->all.next, struct flow, all)->times.asked += 86400;
	reply = call("connections", NULL, 0);
	one = cJSON_GetArrayItem(cJSON_GetObjectItem(reply, "connections"), 0);
	assert_string_equal(text(one, "network"), "tcp");
	assert_string_equal(text(one, "state"), "open");
	assert_string_equal(text(one, "src"), "10.0.0.1:40000");
	assert_string_equal(text(one, "dst"), addr_format(&at, true, dst));
	assert_string_equal(text(one, "name"), "a.test");
	assert_null(text(one, "target")); /* says nothing new */
	assert_int_equal(number(one, "up"), 5);
	assert_int_equal(number(one, "down"), 0);
	assert_true(number(one, "age") >= 0);
	snprintf(id, sizeof(id), "%.0f", number(one, "id"));
	cJSON_Delete(reply);

	reply = call("close", id, 0);
	assert_non_null(text(reply, "closed"));
	cJSON_Delete(reply);
	assert_int_equal(w.cause, FLOW_CAUSE_ABORTED);
	plane_read_end(fd, ECONNRESET);
	assert_int_equal(count(NULL), 0);
	close(fd);
	close(listener);
}

static void leaves_out_what_has_ended(void **state)
{
	struct addr at = world_addr("192.0.2.1:80");
	struct talk t = talk_new("10.0.0.1:40000", &at);

	NEEDS_WORLD;
	w.verdict = VERDICT_DROP;
	talk_syn(&t, talk_linux, sizeof(talk_linux));
	settle();
	assert_int_equal(w.flows.count, 1); /* so that its repeated SYN asks nobody */
	assert_int_equal(count(NULL), 0);
	cJSON_Delete(call("close", "1", -ENOENT));
}

static void closes_nothing_that_is_not_named(void **state)
{
	static const char *const bad[] = {NULL, "", "0", "99", "x", "-1", "1x", "1e0",
		"99999999999999999999999"};

	NEEDS_WORLD;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		cJSON *reply = call("close", bad[i], -ENOENT);

		assert_non_null(text(reply, "error"));
		cJSON_Delete(reply);
	}
}

static void counts(void **state)
{
	cJSON *reply;

	NEEDS_WORLD;
	w.policy.allowed = 7;
	plane.gate.frag->evicted = 8;
	plane.gate.dns->pool.overflow = 9;
	reply = call("stats", NULL, 0);
	assert_int_equal(number(reply, "pid"), getpid());
	assert_int_equal(number(cJSON_GetObjectItem(reply, "policy"), "allowed"), 7);
	assert_int_equal(number(cJSON_GetObjectItem(reply, "tcp"), "max"), plane.conns.max);
	assert_int_equal(number(cJSON_GetObjectItem(reply, "udp"), "max"), w.udp.set.max);
	assert_int_equal(number(cJSON_GetObjectItem(reply, "flows"), "ever"), 0);
	assert_int_equal(number(cJSON_GetObjectItem(reply, "fragments"), "evicted"), 8);
	assert_int_equal(number(cJSON_GetObjectItem(reply, "dns"), "overflow"), 9);
	cJSON_Delete(reply);
}

static const struct CMUnitTest tests[] = {
#define IT(name) cmocka_unit_test_setup_teardown(name, up, plane_teardown)
	IT(tells_of_what_is_open),
	IT(leaves_out_what_has_ended),
	IT(closes_nothing_that_is_not_named),
	IT(counts),
};

int main(void)
{
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, world_enter, NULL);
}
