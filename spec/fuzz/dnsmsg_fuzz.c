/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "core/dnsmsg.h"

/* Any bytes as a message. What was read must hold together: texts go back to the same name, the
 * answers we make of it are well-formed and as short as promised. */

#define CHECK(x)                                                                                   \
	do {                                                                                       \
		if (!(x))                                                                          \
			abort();                                                                   \
	} while (0)

static void check_name(const uint8_t *data, size_t len, size_t at)
{
	uint8_t wire[DNSMSG_WIRE_MAX], back[DNSMSG_WIRE_MAX];
	char text[DNSMSG_TEXT_MAX], again[DNSMSG_TEXT_MAX];
	size_t next = 0;
	int n = dnsmsg_name(data, len, at, wire, &next);

	if (n < 0)
		return;
	CHECK(n <= DNSMSG_WIRE_MAX && next > at && next <= len && wire[n - 1] == 0);
	CHECK(strlen(dnsmsg_text(wire, text)) < DNSMSG_TEXT_MAX);
	CHECK(dnsmsg_wire(text, back) == n);
	CHECK(!strcmp(dnsmsg_text(back, again), text));
}

static void check_error(const struct dnsmsg *q)
{
	uint8_t out[DNSMSG_ERROR_MAX];
	struct dnsmsg m;
	size_t len = dnsmsg_error(out, q, q->id & 15, q->id & 16);

	CHECK(len <= sizeof(out));
	CHECK(dnsmsg_parse(&m, out, len) == 0 && m.end == len && m.response && m.id == q->id);
	CHECK(!q->name_len || dnsmsg_same_question(q, &m));
	CHECK(!q->opt == !m.opt);
}

static void check_truncate(const struct dnsmsg *q, int err, size_t max)
{
	uint8_t *copy = malloc(q->len);
	struct dnsmsg m;

	CHECK(copy);
	memcpy(copy, q->data, q->len);
	size_t len = dnsmsg_truncate(copy, q->len, max);
	CHECK(len <= q->len);
	if (!err && q->len <= max)
		CHECK(len == q->len && !memcmp(copy, q->data, len));
	else
		/* Without TC only if nothing but bytes behind the last record went. */
		CHECK(len <= max && !dnsmsg_parse(&m, copy, len) && m.end == len &&
			(m.truncated || (!err && len == q->end)));
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct dnsmsg m;
	struct dnsmsg_record r;
	size_t at = 0;
	unsigned n = 0;
	int err = dnsmsg_parse(&m, data, len);

	if (!m.data)
		return 0;
	CHECK(m.end <= len && m.question_end <= m.end && m.udp_size >= 512);
	CHECK(m.whole == !err);
	while (err != -74 /* EBADMSG */ && dnsmsg_next(&m, &at, &n, &r) > 0) {
		check_name(data, len, r.owner);
		check_name(data, len, r.data);
		CHECK((size_t)r.data + r.data_len <= len);
	}
	check_error(&m);
	check_truncate(&m, err, 512);
	check_truncate(&m, err, 1232);
	check_truncate(&m, err, len > 512 ? len : 512);
	return 0;
}
