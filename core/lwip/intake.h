/* SPDX-License-Identifier: MIT */
#ifndef NSNET_INTAKE_H
#define NSNET_INTAKE_H

#include <stdbool.h>
#include <stddef.h>

#include "../inbox.h"
#include "../packet.h"

/* intake - which of the child's TCP segments lwIP is shown. What is not shown is as if lost: a
 * child that was right to send it sends it again.
 */
struct tcp_pcb;

/* False for what no pbuf can hold. */
bool intake_fits(const struct packet *p);

/* False if the memory limit, the window or a FIN forbids to take in the segment @p of @pcb, whose
 * bytes go into @inbox; there are @conns connections. */
bool intake_admits(const struct inbox *inbox, const struct tcp_pcb *pcb, size_t conns,
	const struct packet *p);

#endif
