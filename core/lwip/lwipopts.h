/* SPDX-License-Identifier: MIT */
#ifndef NSNET_LWIPOPTS_H
#define NSNET_LWIPOPTS_H

/* lwipopts - what of lwIP is built, and with which limits.
 *
 * Only TCP is used of it: core/stack.c parses IP itself and calls tcp_input() directly; UDP, ICMP
 * and fragments are ours. Whatever is off here is code that a hostile child cannot reach. The
 * limits are build constants because lwIP checks them with the preprocessor.
 */

/* One thread, callbacks only, and time comes from core/stack.c (sys_now, tcp_tmr). */
#define NO_SYS 1
#define SYS_LIGHTWEIGHT_PROT 0
#define LWIP_TIMERS 0
#define LWIP_NETCONN 0
#define LWIP_SOCKET 0
#define LWIP_STATS 0

/* One interface, without a link layer. A single netif also removes the zones of IPv6 addresses. */
#define LWIP_SINGLE_NETIF 1
#define LWIP_HAVE_LOOPIF 0
#define LWIP_NETIF_LOOPBACK 0
#define LWIP_ETHERNET 0
#define LWIP_ARP 0

/* IP carries segments outwards and nothing else. */
#define LWIP_IPV4 1
#define LWIP_IPV6 1
#define IP_FORWARD 0
#define IP_REASSEMBLY 0
#define IP_FRAG 0
#define LWIP_IPV6_REASS 0
#define LWIP_IPV6_FRAG 0
#define LWIP_ICMP 0
#define LWIP_ICMP6 1 /* ip6.c does not link without; nothing calls it */
#define LWIP_IGMP 0
#define LWIP_RAW 0
#define LWIP_UDP 0
#define LWIP_DHCP 0
#define LWIP_DNS 0
#define LWIP_IPV6_MLD 0
#define LWIP_IPV6_AUTOCONFIG 0
#define LWIP_IPV6_SEND_ROUTER_SOLICIT 0
#define LWIP_IPV6_DUP_DETECT_ATTEMPTS 0
#define LWIP_IPV6_DHCP6 0
#define LWIP_ND6_ALLOW_RA_UPDATES 0
#define LWIP_ND6_TCP_REACHABILITY_HINTS 0
#define LWIP_ND6_QUEUEING 0

/* Everything from malloc: the windows and the number of flows bound it, not pools. */
#define MEM_LIBC_MALLOC 1
#define MEMP_MEM_MALLOC 1
#define MEM_ALIGNMENT 8
#define LWIP_SUPPORT_CUSTOM_PBUF 1 /* packets go in without a copy */

/* The kernel sums TCP, on both sides of the tun (virtio_net_hdr). Segments from the child carry
 * partial sums, so a check would refuse all of them. The IPv4 header the kernel does verify. */
#define CHECKSUM_GEN_IP 1
#define CHECKSUM_GEN_TCP 0
#define CHECKSUM_CHECK_IP 0
#define CHECKSUM_CHECK_TCP 0
#define LWIP_CHECKSUM_ON_COPY 0

/* A segment is at most what an IP packet holds: 65535 - 20 - 20, less room for options, and below
 * 65536 - 60 for IPv6, which lwIP also computes in 16 bits. */
#define LWIP_TCP 1
#define TCP_MSS 65476

/* Measured: below 1 MB the download loses 20 %, 4 MB is a little better still. The scale is the
 * smallest that can announce 4 MB: 65535 << 7. */
#define LWIP_WND_SCALE 1
#define TCP_RCV_SCALE 7
#define TCP_WND (4 * 1024 * 1024)
#define TCP_SND_BUF (4 * 1024 * 1024)
#define TCP_SND_QUEUELEN 2048 /* counts pbufs: two for a segment that is not copied */
#define TCP_SNDLOWAT 32768
#define TCP_OVERSIZE 0 /* useless when nothing is copied */

/* The tun drops when its queue is full. Out-of-order segments are kept, but each may pin a whole
 * buffer, so their number is bounded as well as their bytes. */
#define TCP_QUEUE_OOSEQ 1
#define TCP_OOSEQ_MAX_BYTES TCP_WND
#define TCP_OOSEQ_MAX_PBUFS 64
#define LWIP_TCP_SACK_OUT 1
#define LWIP_TCP_TIMESTAMPS 0

/* TIME_WAIT lasts 2 s: between the child and us no stray segment can linger, and lwIP searches
 * the list of such connections for each SYN. */
#define TCP_MSL 1000UL
#define TCP_LISTEN_BACKLOG 0

/* Time-outs are counted in slow ticks, two of these intervals: at lwIP's own 500 ms a lost segment
 * would cost a second. The first time-out, before a round trip was measured, as RFC 6298 has it. */
#define TCP_TMR_INTERVAL 100
#define LWIP_TCP_RTO_TIME 1000

/* lwIP's sanity checks think of pbuf pools and of sockets, which are not built. */
#define LWIP_DISABLE_TCP_SANITY_CHECKS 1
#define PBUF_POOL_SIZE 16
#define PBUF_POOL_BUFSIZE 256

/* Segments are written to the tun before output returns, so nobody holds a reference to them. */
#define LWIP_IP_CHECK_PBUF_REF_COUNT_FOR_TX(p)

/* The sanitizer, valgrind and fuzz builds define NSNET_LWIP_ASSERT. */
#ifndef NSNET_LWIP_ASSERT
#define LWIP_NOASSERT 1
#endif

#endif
