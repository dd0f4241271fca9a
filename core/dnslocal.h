/* SPDX-License-Identifier: MIT */
#ifndef NSNET_DNSLOCAL_H
#define NSNET_DNSLOCAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dnsmsg.h"
#include "hosts.h"
#include "resolvconf.h"
#include "synth.h"

/* dnslocal - what our resolver answers without a name server: names in the host's file, and all
 * addresses under --dns=synthetic. */
#define DNSLOCAL_MAX 4096 /* bytes of an answer */

struct dnslocal {
	struct hosts *hosts;           /* borrowed; NULL = none */
	struct synth *synth;           /* borrowed; NULL = addresses are the true ones */
	const struct resolvconf *conf; /* borrowed; NULL = no search list */
};

/* Who wants to know. */
enum dnslocal_for {
	DNSLOCAL_FOR_CHILD,
	DNSLOCAL_FOR_CHILD_IT_EXISTS, /* and the name is known to have an address */
	DNSLOCAL_FOR_US,              /* of the true addresses only */
};

/* What the answer is about. */
enum dnslocal_kind {
	DNSLOCAL_TRUE,      /* what is so */
	DNSLOCAL_SYNTHETIC, /* addresses that stand for a name */
	/* There is none, since the name may be one that libc tries (resolvconf_completes()): a
	 * name server is to be asked, and if it has an address, this again
	 * FOR_CHILD_IT_EXISTS. */
	DNSLOCAL_TENTATIVE,
};

/* The answer to @q that nobody needs to allow, since it tells only what the child was told: the
 * name of a synthetic address. Writes it to @out (DNSLOCAL_MAX), returns its length, or 0. */
size_t dnslocal_known(const struct dnslocal *l, uint8_t *out, const struct dnsmsg *q);

/* The answer to @q, which is allowed; likewise. 0: a name server is to be asked. */
size_t dnslocal_answer(const struct dnslocal *l, uint8_t *out, const struct dnsmsg *q,
	enum dnslocal_for whom, double now, enum dnslocal_kind *kind);

/* What is wrong with the question @m of the child, as dnsmsg_parse() left it with @err: the rcode
 * of its answer, 0 = nothing. */
unsigned dnslocal_refuses(const struct dnsmsg *m, int err);

#endif
