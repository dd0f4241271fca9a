/* SPDX-License-Identifier: MIT */
#ifndef NSNET_LWIP_CC_H
#define NSNET_LWIP_CC_H

/* cc - what lwIP must know of the compiler and the C library; <lwip/arch.h> has the rest. */

#include <stdio.h>
#include <stdlib.h>

#define LWIP_ERRNO_STDINCLUDE 1

/* A failed assertion of lwIP is a bug of ours. Stop where it is seen, with a line that says so. */
#define LWIP_PLATFORM_ASSERT(text)                                                                 \
	do {                                                                                       \
		fprintf(stderr, "nsnet-host: lwIP: %s (%s:%d)\n", text, __FILE__, __LINE__);       \
		abort();                                                                           \
	} while (0)

#define LWIP_PLATFORM_DIAG(args)                                                                   \
	do {                                                                                       \
		printf args;                                                                       \
	} while (0)

#endif
