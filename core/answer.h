/* SPDX-License-Identifier: MIT */
#ifndef NSNET_ANSWER_H
#define NSNET_ANSWER_H

#include "flow.h"
#include "packet.h"
#include "tun.h"

/* answer - tells the child that its TCP connection may not or cannot be, so that connect() fails
 * there as the real one does (net/ipv4/icmp.c icmp_err_convert; net/ipv6/icmp.c). @p is the SYN. */

void answer_rst(struct tun *tun, const struct packet *p);

/* Policy said no, in this style. */
void answer_denied(struct tun *tun, const struct packet *p, enum deny_style style);

/* The host's own connect() failed with @error, a positive errno. No packet says ETIMEDOUT: it
 * becomes host unreachable. */
void answer_failed(struct tun *tun, const struct packet *p, int error);

#endif
