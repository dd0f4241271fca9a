/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <cjson/cJSON.h>

#include "plane.h"

#include "core/metrics.h"

static struct metrics metrics;

static int up(void **state)
{
	metrics = (struct metrics){.gate = &plane.gate, .started = 1.5};
	return plane_setup(state);
}

/* True if the exposition has the whole line. */
static bool has(const char *line)
{
	char wanted[256], *text;
	size_t len;
	bool found;

	snprintf(wanted, sizeof(wanted), "\n%s\n", line);
	text = metrics_text(&metrics, &len);
	assert_non_null(text);
	assert_int_equal(strlen(text), len);
	assert_string_equal(text + len - 6, "# EOF\n");
	found = strstr(text, wanted);
	free(text);
	return found;
}

static void counts_what_flows_do(void **state)
{
	struct addr at;
	struct talk t;
	int listener, fd;

	NEEDS_WORLD;
	assert_true(has("nsnet_start_time_seconds 1.500"));
	assert_true(has("nsnet_flows_open{network=\"tcp\"} 0"));
	assert_true(has("nsnet_verdicts_total{network=\"tcp\",verdict=\"allow\"} 0"));
	listener = plane_listen(4, &at);
	t = talk_new("10.0.0.1:40000", &at);
	talk_syn(&t, talk_linux, sizeof(talk_linux));
	fd = plane_accept(listener);
	talk_expect(&t, SYN | ACK);
	talk_send(&t, ACK, "hello", 5);
	plane_read(fd, "hello", 5);

	/* the bytes are the same before the end and after it */
	assert_true(has("nsnet_flows_open{network=\"tcp\"} 1"));
	assert_true(has("nsnet_verdicts_total{network=\"tcp\",verdict=\"allow\"} 1"));
	assert_true(has("nsnet_payload_bytes_total{network=\"tcp\",direction=\"up\"} 5"));
	talk_send(&t, RST, NULL, 0);
	settle();
	assert_true(has("nsnet_flows_open{network=\"tcp\"} 0"));
	assert_true(has("nsnet_payload_bytes_total{network=\"tcp\",direction=\"up\"} 5"));
	assert_true(has("nsnet_payload_bytes_total{network=\"tcp\",direction=\"down\"} 0"));
	assert_true(has("nsnet_flows_ended_total{network=\"tcp\",cause=\"reset by child\"} 1"));
	assert_true(has("nsnet_dial_failures_total{network=\"tcp\"} 0"));
	close(fd);
	close(listener);
}

static void counts_verdicts(void **state)
{
	struct addr at = world_addr("192.0.2.1:80");
	struct talk t = talk_new("10.0.0.1:40000", &at);

	NEEDS_WORLD;
	w.verdict = VERDICT_DROP;
	talk_syn(&t, talk_linux, sizeof(talk_linux));
	settle();
	assert_int_equal(w.flows.count, 1); /* so that its repeated SYN asks nobody */
	assert_true(has("nsnet_verdicts_total{network=\"tcp\",verdict=\"drop\"} 1"));
	assert_true(has("nsnet_flows_open{network=\"tcp\"} 0"));
	assert_true(has("nsnet_flows_ended_total{network=\"tcp\",cause=\"denied\"} 1"));
}

static void has_a_line_for_each_on_request(void **state)
{
	static struct control control; /* never opened */
	cJSON *reply = cJSON_CreateObject(), *list;

	NEEDS_WORLD;
	metrics_control(&metrics, &control);
	assert_int_equal(control.command_count, 1);
	assert_int_equal(control.commands[0].fn(control.commands[0].arg, NULL, reply), 0);
	list = cJSON_GetObjectItem(reply, "lines");
	assert_true(cJSON_GetArraySize(list) > 50);
	assert_string_equal(cJSON_GetStringValue(cJSON_GetArrayItem(list, 0)),
		"# TYPE nsnet_build info");
	assert_string_equal(
		cJSON_GetStringValue(cJSON_GetArrayItem(list, cJSON_GetArraySize(list) - 1)),
		"# EOF");
	cJSON_Delete(reply);
}

static const struct CMUnitTest tests[] = {
#define IT(name) cmocka_unit_test_setup_teardown(name, up, plane_teardown)
	IT(counts_what_flows_do),
	IT(counts_verdicts),
	IT(has_a_line_for_each_on_request),
};

int main(void)
{
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, world_enter, NULL);
}
