/* SPDX-License-Identifier: MIT */
#ifndef NSNET_DNSLOCAL_H
#define NSNET_DNSLOCAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dnsmsg.h"
#include "hosts.h"
#include "synth.h"

/* dnslocal - what our resolver answers without a name server: names in the host's file, and all
 * addresses under --dns=synthetic. */
#define DNSLOCAL_MAX 4096 /* bytes of an answer */

struct dnslocal {
	struct hosts *hosts; /* borrowed; NULL = none */
	struct synth *synth; /* borrowed; NULL = addresses are the true ones */
};

/* The answer to @q that nobody needs to allow, since it tells only what the child was told: the
 * name of a synthetic address. Writes it to @out (DNSLOCAL_MAX), returns its length, or 0. */
size_t dnslocal_known(const struct dnslocal *l, uint8_t *out, const struct dnsmsg *q);

/* The answer to @q, which is allowed; likewise. @real: of the true addresses only. *@synthetic:
 * it is about addresses that stand for names. 0: a name server is to be asked. */
size_t dnslocal_answer(const struct dnslocal *l, uint8_t *out, const struct dnsmsg *q, bool real,
	double now, bool *synthetic);

#endif
