/* SPDX-License-Identifier: MIT */

/* The shim's message, with as many descriptors as the first byte says. What is
 * accepted must be safe to use: descriptors that came, text with an end. */
#include "core/hello.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct hello hello;
	unsigned version;
	uint8_t *copy;
	int n_fds;

	if (size == 0)
		return 0;
	n_fds = data[0];
	/* Of its exact size, so that a byte read beyond it is seen. */
	copy = malloc(size);
	if (!copy)
		return 0;
	memcpy(copy, data + 1, size - 1);
	if (hello_parse(copy, size - 1, n_fds, &hello, &version) == 0) {
		if (strnlen(hello.step, sizeof(hello.step)) == sizeof(hello.step))
			abort();
		if (hello.tun >= n_fds || hello.diag >= n_fds)
			abort();
		for (size_t i = 0; i < hello.n_listen; i++)
			if (hello.listen[i].index >= n_fds || !hello.listen[i].port)
				abort();
		if (hello.error ? hello.tun != -1 : hello.tun < 0)
			abort();
	}
	free(copy);
	return 0;
}
