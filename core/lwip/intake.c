/* SPDX-License-Identifier: MIT */
#include "intake.h"

#include <lwip/tcp.h>
#include <lwip/priv/tcp_priv.h>

#include "../base.h"
#include "../buf.h"

/* pbufs count in 16 bits; the 40 bytes above that exist only with IPv6. */
bool intake_fits(const struct packet *p)
{
	return p->len <= UINT16_MAX;
}

/* True if a FIN waits out of order, and stands before @end: bytes behind it are nobody's (RFC 9293
 * 3.10.7.4), and lwIP would move it behind them, beyond its window. */
static bool is_behind_fin(const struct tcp_pcb *pcb, uint32_t end)
{
	const struct tcp_seg *last = pcb->ooseq;

	if (likely(!last))
		return false;
	while (last->next)
		last = last->next;
	return TCPH_FLAGS(last->tcphdr) & TCP_FIN &&
		(int32_t)(end - (last->tcphdr->seqno + last->len)) > 0;
}

bool intake_admits(const struct inbox *inbox, const struct tcp_pcb *pcb, size_t conns,
	const struct packet *p)
{
	const uint32_t seq = packet_get32(p->data + p->l4 + 4), ahead = seq - pcb->rcv_nxt;
	const uint32_t len = (uint32_t)(p->len - p->payload);

	if (!len)
		return true;
	if (is_behind_fin(pcb, seq + len))
		return false;
	if ((int32_t)ahead <= 0)
		return !buf_pressure(inbox->held, conns);
	/* lwIP looks only at where a segment begins that comes out of order, and would take more
	 * than its window has. */
	if (ahead + len + !!(p->tcp_flags & PACKET_TCP_FIN) > pcb->rcv_wnd)
		return false;
	/* What is out of order pins a buffer, is no part of the inbox, and brings nobody on. */
	return !buf_pressure(SIZE_MAX, 1);
}
