/* SPDX-License-Identifier: MIT */

/* Any bytes of a child. However they are cut, the same names are told in the same order, and the
 * same end comes of it: whole, byte by byte, and in pieces that the first byte chooses. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "spec/support/listener.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct listener l;
	static char whole[sizeof(l.said)];

	if (len < 2 || len > 8192)
		return 0;
	const size_t piece = 2 + data[0] / 2;
	const bool end = data[0] & 1;

	data++;
	len--;
	strcpy(whole, listen_to(&l, data, len, len, end));
	if (strcmp(listen_to(&l, data, len, 1, end), whole) != 0)
		abort();
	if (strcmp(listen_to(&l, data, len, piece, end), whole) != 0)
		abort();
	return 0;
}
