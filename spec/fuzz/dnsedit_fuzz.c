/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/dnsedit.h"
#include "core/dnsmsg.h"

/* Any bytes as an answer on its way to the child. What is written is well-formed, of the same
 * question, has nothing left to take out, and breaks off nowhere. */

#define CHECK(x)                                                                                   \
	do {                                                                                       \
		if (!(x))                                                                          \
			abort();                                                                   \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static uint8_t out[DNSMSG_MAX], again[DNSMSG_MAX];
	struct dnsmsg from, to;
	struct dnsmsg_record r;
	size_t at = 0;
	unsigned n = 0;
	ssize_t got = dnsedit_strip(out, data, len, false);

	if (got <= 0)
		return 0;
	CHECK(dnsmsg_parse(&from, data, len) != -EBADMSG);
	CHECK(dnsmsg_parse(&to, out, (size_t)got) == 0 && to.end == (size_t)got);
	CHECK(to.id == from.id && to.rcode == from.rcode && to.truncated == from.truncated);
	CHECK(!from.name_len || dnsmsg_same_question(&from, &to));
	CHECK(to.answers <= from.answers && to.authorities <= from.authorities &&
		to.additionals <= from.additionals);
	while (dnsmsg_next(&to, &at, &n, &r) > 0)
		CHECK(r.type != 46 || r.data_len < 2 || (out[r.data + 1] & 0xfe) != 64 ||
			out[r.data]);
	ssize_t twice = dnsedit_strip(again, out, (size_t)got, false);
	CHECK(twice == 0 || (twice == got && !memcmp(out, again, (size_t)got)));
	return 0;
}
