/* SPDX-License-Identifier: MIT */
#include "port.h"

#include <assert.h>
#include <string.h>
#include <time.h>

#include <lwip/init.h>
#include <lwip/ip.h>
#include <lwip/sys.h>
#include <lwip/priv/tcp_priv.h>

#include "../base.h"

#define PIECES_MAX 1024 /* of one packet to the child: UIO_MAXIOV */

struct netif port_netif;
static struct tun *port_tun;

static_assert(sizeof(struct pbuf_custom) <= sizeof(((struct buf *)0)->opaque), "pbuf does not fit");

u32_t sys_now(void) /* lwIP's clock, milliseconds */
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
	return (u32_t)(t.tv_sec * 1000 + t.tv_nsec / 1000000);
}

static void segment_header(struct virtio_net_hdr *vh, uint8_t *ip, size_t len, unsigned mtu)
{
	const bool v6 = ip[0] >> 4 == 6;
	const size_t ihl = v6 ? 40 : 20; /* lwIP sends no options and no extension headers */
	const size_t thl = (size_t)(ip[ihl + 12] >> 4) * 4;
	uint32_t sum = (uint32_t)(IP_PROTO_TCP + (len - ihl));
	const uint8_t *a = ip + (v6 ? 8 : 12);

	for (size_t i = 0; i < (v6 ? 32u : 8u); i += 2)
		sum += (uint32_t)a[i] << 8 | a[i + 1];
	sum = (sum >> 16) + (sum & 0xffff);
	sum += sum >> 16;
	ip[ihl + 16] = (uint8_t)(sum >> 8);
	ip[ihl + 17] = (uint8_t)sum;

	memset(vh, 0, sizeof(*vh));
	vh->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	vh->csum_start = (uint16_t)ihl;
	vh->csum_offset = 16;
	if (len > mtu) {
		vh->gso_type = v6 ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4;
		vh->gso_size = (uint16_t)(mtu - ihl - thl);
		vh->hdr_len = (uint16_t)(ihl + thl);
	}
}

/* Small writes that waited for the window may be more pieces than a system call takes. */
static void flatten(struct iovec *iov, const struct pbuf *p)
{
	static uint8_t flat[UINT16_MAX];

	iov->iov_base = flat;
	iov->iov_len = pbuf_copy_partial(p, flat, p->tot_len, 0);
}

static err_t output(struct netif *n, struct pbuf *p)
{
	struct iovec iov[PIECES_MAX];
	struct virtio_net_hdr vh;
	int pieces = 1;

	UNUSED(n);
	/* The headers lie in the first pbuf: lwIP builds them there. */
	segment_header(&vh, p->payload, p->tot_len, port_tun->mtu);
	for (struct pbuf *q = p; q; q = q->next) {
		if (unlikely(pieces == PIECES_MAX)) {
			flatten(&iov[1], p);
			pieces = 2;
			break;
		}
		iov[pieces].iov_base = q->payload;
		iov[pieces++].iov_len = q->len;
	}
	tun_writev(port_tun, &vh, iov, pieces);
	return ERR_OK;
}

static err_t output4(struct netif *n, struct pbuf *p, const ip4_addr_t *dst)
{
	UNUSED(dst);
	return output(n, p);
}

static err_t output6(struct netif *n, struct pbuf *p, const ip6_addr_t *dst)
{
	UNUSED(dst);
	return output(n, p);
}

static err_t nif_init(struct netif *n)
{
	n->name[0] = 't';
	n->name[1] = 'u';
	n->mtu = 65535; /* larger packets are cut by the device, see segment_header() */
	n->output = output4;
	n->output_ip6 = output6;
	n->flags = NETIF_FLAG_UP | NETIF_FLAG_LINK_UP;
	return ERR_OK;
}

static void copy_addr(ip_addr_t *to, const struct addr *from)
{
	if (from->v == 4) {
		IP_SET_TYPE_VAL(*to, IPADDR_TYPE_V4);
		memcpy(&ip_2_ip4(to)->addr, from->ip, 4);
	} else {
		IP_SET_TYPE_VAL(*to, IPADDR_TYPE_V6);
		memcpy(ip_2_ip6(to)->addr, from->ip, 16);
	}
}

/* What ip4_input() and ip6_input() would do. */
void port_input(struct pbuf *pbuf, const struct packet *p)
{
	uint8_t *ip = pbuf->payload;

	ip_data.current_netif = ip_data.current_input_netif = &port_netif;
	ip_data.current_ip4_header = p->v == 4 ? (void *)ip : NULL;
	ip_data.current_ip6_header = p->v == 6 ? (void *)ip : NULL;
	ip_data.current_ip_header_tot_len = p->l4;
	copy_addr(&ip_data.current_iphdr_src, &p->src);
	copy_addr(&ip_data.current_iphdr_dest, &p->dst);
	pbuf_remove_header(pbuf, p->l4);
	tcp_input(pbuf, &port_netif);
}

static void wrapper_free(struct pbuf *pbuf)
{
	struct pbuf_custom *pc = (struct pbuf_custom *)pbuf;

	buf_put(container_of((void *)pc, struct buf, opaque));
}

struct pbuf *port_wrap(struct buf *b, const struct packet *p)
{
	struct pbuf_custom *pc = (struct pbuf_custom *)(void *)b->opaque;

	pc->custom_free_function = wrapper_free;
	return pbuf_alloced_custom(PBUF_RAW, (u16_t)p->len, PBUF_REF, pc, p->data, (u16_t)p->len);
}

void port_init(struct tun *tun)
{
	static bool initialized;

	port_tun = tun;
	if (initialized)
		return;
	lwip_init();
	netif_add_noaddr(&port_netif, NULL, nif_init, ip_input);
	netif_set_default(&port_netif); /* with LWIP_SINGLE_NETIF the only one that is found */
	initialized = true;
}

struct tcp_pcb_listen *port_listen(tcp_accept_fn accept)
{
	struct tcp_pcb *pcb = tcp_new_ip_type(IPADDR_TYPE_ANY), *l;

	if (!pcb)
		return NULL;
	/* Bound to the netif, so that what is accepted is routed without looking at addresses. The
	 * port only satisfies tcp_listen(). */
	tcp_bind_netif(pcb, &port_netif);
	l = tcp_bind(pcb, IP_ANY_TYPE, 1) == ERR_OK ? tcp_listen(pcb) : NULL;
	if (!l) {
		tcp_close(pcb);
		return NULL;
	}
	l->local_port = 0;
	tcp_accept(l, accept);
	return (struct tcp_pcb_listen *)l;
}

struct tcp_pcb *port_connect(const struct addr *from, const struct addr *to, tcp_connected_fn fn)
{
	struct tcp_pcb *pcb = tcp_new_ip_type(from->v == 4 ? IPADDR_TYPE_V4 : IPADDR_TYPE_V6);
	ip_addr_t dst;

	if (!pcb)
		return NULL;
	/* As tcp_bind() would, which knows only addresses of ours. */
	tcp_bind_netif(pcb, &port_netif);
	copy_addr(&pcb->local_ip, from);
	pcb->local_port = from->port;
	copy_addr(&dst, to);
	if (tcp_connect(pcb, &dst, to->port, fn) != ERR_OK) {
		/* It is on no list, and the port not one of lwIP's: nothing but memory. */
		pcb->local_port = 0;
		tcp_abort(pcb);
		return NULL;
	}
	return pcb;
}
