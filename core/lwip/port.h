/* SPDX-License-Identifier: MIT */
#ifndef NSNET_LWIP_PORT_H
#define NSNET_LWIP_PORT_H

#include <lwip/netif.h>
#include <lwip/pbuf.h>
#include <lwip/tcp.h>

#include "../buf.h"
#include "../packet.h"
#include "../tun.h"

/* port - lwIP's feet: IP packets out to the tun, IP packets in to tcp_input(), and the clock. For
 * core/stack.c only. lwIP is global, and so is this.
 */

/* Initializes lwIP (once) and lets it write to @tun (borrowed until the next call). */
void port_init(struct tun *tun);

/* The one interface. */
extern struct netif port_netif;

/* A listener on that interface and on port 0, which no segment has; NULL: no memory. */
struct tcp_pcb_listen *port_listen(tcp_accept_fn accept);

/* A connection from @from to @to, with ports: the SYN is out, and it stands on tcp_active_pcbs,
 * which must be empty before. NULL: no memory. */
struct tcp_pcb *port_connect(const struct addr *from, const struct addr *to, tcp_connected_fn fn);

/* A pbuf around the packet @p in @b, without a copy: takes @b, which the pbuf's end gives back. The
 * packet has at most 65535 bytes. */
struct pbuf *port_wrap(struct buf *b, const struct packet *p);

/* Gives the packet in @pbuf (taken), parsed as @p, to tcp_input(). */
void port_input(struct pbuf *pbuf, const struct packet *p);

#endif
