/* SPDX-License-Identifier: MIT */
#include "stack.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <time.h>

#include <lwip/init.h>
#include <lwip/ip.h>
#include <lwip/netif.h>
#include <lwip/pbuf.h>
#include <lwip/sys.h>
#include <lwip/tcp.h>
#include <lwip/priv/tcp_priv.h>

#include "base.h"

/* Theory of operation
 *
 * lwIP is used for TCP alone, and by its inner door: packet.c has parsed the IP header already and
 * flow.c has found the connection, so tcp_input() is called directly, with the global ip_data set up as
 * ip4_input() or ip6_input() would leave it. Any destination address and port works, because
 * nothing compares them with an interface.
 *
 * Accepting. One listener, bound to the netif and to no port. When the SYN of a connection may
 * proceed, the listener's port and argument are set for the length of one tcp_input(), which
 * makes a pcb with our struct as its callback_arg.
 *
 * Private lists. lwIP finds a pcb by walking tcp_active_pcbs: 38 us at 10 000 connections. Here the
 * global list holds only the pcb in work: enter() puts it there, leave() looks what became
 * of it. With the raw API every list operation on an active pcb concerns the current one, so
 * this is sound under two rules: no function of lwIP is called on one connection from a callback
 * of another (owners hear events only from stack_flush()), and the timers, which must see
 * all, get a list of all (run_timer). A pcb that is gone from the list after leave() has been freed, or has
 * moved to TIME_WAIT, where lwIP alone keeps it, calls nobody, and answers stray segments.
 * TIME_WAIT is hidden while a SYN is accepted: the wire is a pipe that holds no old segments, so
 * a port may be used again at once.
 *
 * No copies. A packet from the tun goes in as a custom pbuf around its struct buf. A buffer for the child is
 * given to tcp_write() without copying, and pinned on the connection's FIFO until its last byte is acknowledged.
 * Small amounts are copied, both ways, so that a byte never pins 64 KB for long.
 *
 * Three facts of lwIP: after tcp_err the pcb is already gone (or about to be: it must only be
 * forgotten); ERR_ABRT is returned only after tcp_abort; ERR_MEM from tcp_write means to wait.
 */

/* What is shorter is copied rather than pinned. To the child: the copy costs less than a pinned
 * buffer's cache misses (measured). From the child: a queue of small segments behind a slow destination
 * must not hold a buffer each. */
#define COPY_BELOW_TX 8192
#define COPY_BELOW_RX 16384

/* Reading from the world goes on when this much of the send buffer is free. */
#define TX_LOW_WATER (256 * 1024)

/* lwIP delays an ACK by up to its fast timer; Linux by 40 ms (TCP_DELACK_MIN). */
#define DELACK_S 0.040

#define PIECES_MAX 1024 /* of one packet to the child: UIO_MAXIOV */

enum {
	EVENT_OPENED = 1,
	EVENT_READABLE = 2,
	EVENT_WRITABLE = 4,
	EVENT_CLOSED = 8,
	EVENT_RESET = 16, /* with CLOSED */
};

static struct netif nif;
static struct tcp_pcb_listen *listener;
static struct stack *stack;

static_assert(sizeof(struct pbuf_custom) <= sizeof(((struct buf *)0)->opaque), "pbuf does not fit");

u32_t sys_now(void) /* lwIP's clock, milliseconds */
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
	return (u32_t)(t.tv_sec * 1000 + t.tv_nsec / 1000000);
}

/* ---- events ---- */

static void post(struct stack_conn *c, unsigned events)
{
	c->events |= (uint8_t)events;
	if (!list_linked(&c->dirty))
		list_add_tail(&c->stack->dirty, &c->dirty);
}

static void gone(struct stack_conn *c)
{
	c->pcb = NULL;
	list_del(&c->all);
	list_del(&c->acks);
	c->stack->count--;
	post(c, EVENT_CLOSED);
}

/* ---- private lists ---- */

static void enter(struct stack_conn *c)
{
	struct tcp_pcb *pcb = c->pcb;

	if (pcb)
		pcb->next = NULL;
	tcp_active_pcbs = pcb;
}

static void leave(struct stack_conn *c)
{
	struct tcp_pcb *pcb = tcp_active_pcbs;

	tcp_active_pcbs = NULL;
	if (unlikely(!pcb)) {
		if (c->pcb)
			gone(c);
		return;
	}
	if (pcb->flags & TF_ACK_DELAY && !list_linked(&c->acks)) {
		list_add_tail(&c->stack->acks, &c->acks);
		if (!ev_is_active(&c->stack->delack))
			ev_timer_again(c->stack->tun->loop, &c->stack->delack);
	}
}

/* ---- lwIP's callbacks: they only note ---- */

static err_t on_accept(void *arg, struct tcp_pcb *pcb, err_t err)
{
	struct stack_conn *c = arg;
	const unsigned headers = IP_IS_V6_VAL(pcb->remote_ip) ? 60 : 40;
	const unsigned unit = c->stack->tun->mtu - headers;

	if (err != ERR_OK)
		return ERR_VAL;
	/* Segments as large as IP carries: the device cuts them (GSO). lwIP has limited the size
	 * to the MTU that the SYN announced. */
	pcb->mss = (u16_t)MIN((65535 - headers) / unit * unit, (unsigned)TCP_MSS);
	/* No network lies between us and the child: nothing to probe. */
	pcb->cwnd = pcb->ssthresh = TCP_SND_BUF;
	post(c, EVENT_OPENED);
	return ERR_OK;
}

/* The memory that a queued pbuf stands for: a whole buffer, or a copy. */
static size_t weight(const struct pbuf *q)
{
	return q->flags & PBUF_FLAG_IS_CUSTOM ? sizeof(struct buf) : sizeof(*q) + q->len;
}

static err_t on_recv(void *arg, struct tcp_pcb *pcb, struct pbuf *p, err_t err)
{
	struct stack_conn *c = arg;

	UNUSED(pcb);
	UNUSED(err);
	post(c, EVENT_READABLE);
	if (!p) {
		c->rx_fin = true;
		return ERR_OK;
	}
	if (c->rx_tail)
		((struct pbuf *)c->rx_tail)->next = p;
	else
		c->rx_head = p;
	c->rx_len += p->tot_len;
	for (; p; p = p->next) {
		c->rx_tail = p;
		c->rx_held += weight(p);
		if (!(p->flags & PBUF_FLAG_IS_CUSTOM))
			buf_charge(weight(p));
	}
	return ERR_OK;
}

static bool roomy(const struct stack_conn *c)
{
	const struct tcp_pcb *pcb = c->pcb;

	return pcb && pcb->snd_buf >= TX_LOW_WATER &&
		pcb->snd_queuelen <= TCP_SND_QUEUELEN / 2;
}

static err_t on_sent(void *arg, struct tcp_pcb *pcb, u16_t len)
{
	struct stack_conn *c = arg;

	UNUSED(pcb);
	c->tx_acked += len;
	while (c->tx_head && c->tx_head->mark <= c->tx_acked) {
		struct buf *b = c->tx_head;

		c->tx_head = b->next;
		c->tx_held -= sizeof(*b);
		buf_put(b);
	}
	if (!c->tx_head)
		c->tx_tail = NULL;
	if (c->want_write && (roomy(c) || c->tx_acked == c->tx_sent))
		post(c, EVENT_WRITABLE);
	return ERR_OK;
}

static void on_error(void *arg, err_t err)
{
	struct stack_conn *c = arg;

	/* The pcb is being freed: leave() or run_timer() will miss it. */
	if (c && err != ERR_CLSD)
		c->events |= EVENT_RESET;
}

/* ---- towards the child ---- */

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

static err_t output(struct netif *n, struct pbuf *p)
{
	struct iovec iov[PIECES_MAX];
	struct virtio_net_hdr vh;
	int pieces = 1;

	UNUSED(n);
	for (struct pbuf *q = p; q; q = q->next) {
		if (pieces == PIECES_MAX)
			return ERR_BUF;
		iov[pieces].iov_base = q->payload;
		iov[pieces++].iov_len = q->len;
	}
	/* The headers lie in the first pbuf: lwIP builds them there. */
	segment_header(&vh, p->payload, p->tot_len, stack->tun->mtu);
	tun_writev(stack->tun, &vh, iov, pieces);
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

/* ---- from the child ---- */

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

/* What ip4_input() and ip6_input() would do. Takes @pbuf, whose payload is the IP header. */
static void inject(struct pbuf *pbuf, const struct packet *p)
{
	uint8_t *ip = pbuf->payload;

	ip_data.current_netif = ip_data.current_input_netif = &nif;
	ip_data.current_ip4_header = p->v == 4 ? (void *)ip : NULL;
	ip_data.current_ip6_header = p->v == 6 ? (void *)ip : NULL;
	ip_data.current_ip_header_tot_len = p->l4;
	copy_addr(&ip_data.current_iphdr_src, &p->src);
	copy_addr(&ip_data.current_iphdr_dest, &p->dst);
	pbuf_remove_header(pbuf, p->l4);
	tcp_input(pbuf, &nif);
}

static void wrapper_free(struct pbuf *pbuf)
{
	struct pbuf_custom *pc = (struct pbuf_custom *)pbuf;

	buf_put(container_of((void *)pc, struct buf, opaque));
}

static struct pbuf *wrap(struct buf *b, const struct packet *p)
{
	struct pbuf_custom *pc = (struct pbuf_custom *)(void *)b->opaque;

	pc->custom_free_function = wrapper_free;
	return pbuf_alloced_custom(PBUF_RAW, (u16_t)p->len, PBUF_REF, pc, p->data, (u16_t)p->len);
}

/* pbufs count in 16 bits; the 40 bytes above that exist only with jumbo IPv6 payloads. */
static bool fits(const struct packet *p)
{
	return p->len <= UINT16_MAX;
}

void stack_stray(struct stack *s, struct buf *b, struct packet *p)
{
	UNUSED(s);
	if (!fits(p)) {
		buf_put(b);
		return;
	}
	tcp_active_pcbs = NULL;
	inject(wrap(b, p), p);
	tcp_active_pcbs = NULL;
}

void stack_conn_input(struct stack_conn *c, struct buf *b, struct packet *p)
{
	if (unlikely(!c->pcb)) {
		stack_stray(c->stack, b, p);
		return;
	}
	/* Over the memory limit, what the child will send again is not taken in. */
	if (unlikely(!fits(p) ||
		    (p->len > p->payload && buf_pressure(c->rx_held, c->stack->count)))) {
		buf_put(b);
		return;
	}
	enter(c);
	inject(wrap(b, p), p);
	leave(c);
}

int stack_conn_accept(struct stack *s, struct stack_conn *c, const struct stack_conn_ops *ops,
	const struct packet *syn)
{
	struct tcp_pcb *waiting = tcp_tw_pcbs, *pcb;
	struct pbuf *pbuf = pbuf_alloc(PBUF_RAW, (u16_t)syn->len, PBUF_RAM);

	if (!pbuf)
		return -ENOMEM;
	memcpy(pbuf->payload, syn->data, syn->len); /* lwIP changes the header in place */
	memset(c, 0, sizeof(*c));
	c->ops = ops;
	c->stack = s;
	list_init(&c->all);
	list_init(&c->acks);
	list_init(&c->dirty);

	listener->local_port = syn->dst.port;
	listener->callback_arg = c;
	tcp_active_pcbs = NULL;
	tcp_tw_pcbs = NULL;
	inject(pbuf, syn);
	pcb = tcp_active_pcbs;
	tcp_active_pcbs = NULL;
	tcp_tw_pcbs = waiting;
	listener->local_port = 0;
	listener->callback_arg = NULL;
	if (!pcb)
		return -ENOMEM;

	tcp_arg(pcb, c);
	tcp_recv(pcb, on_recv);
	tcp_sent(pcb, on_sent);
	tcp_err(pcb, on_error);
	tcp_nagle_disable(pcb);
	c->pcb = pcb;
	list_add_tail(&s->all, &c->all);
	s->count++;
	if (!ev_is_active(&s->slow))
		ev_timer_again(s->tun->loop, &s->slow);
	return 0;
}

/* ---- what the owner reads ---- */

int stack_conn_peek(struct stack_conn *c, struct iovec *iov, int max, size_t *len)
{
	uint32_t skip = c->rx_offset;
	size_t sum = 0;
	int n = 0;

	for (struct pbuf *q = c->rx_head; q && n < max; q = q->next) {
		iov[n].iov_base = (uint8_t *)q->payload + skip;
		iov[n].iov_len = q->len - skip;
		sum += iov[n++].iov_len;
		skip = 0;
	}
	*len = sum;
	return n;
}

static void rx_pop(struct stack_conn *c)
{
	struct pbuf *q = c->rx_head;

	c->rx_head = q->next;
	if (!q->next)
		c->rx_tail = NULL;
	if (c->rx_settled == q)
		c->rx_settled = NULL;
	c->rx_held -= weight(q);
	if (!(q->flags & PBUF_FLAG_IS_CUSTOM))
		buf_release(weight(q));
	q->next = NULL;
	q->tot_len = q->len;
	pbuf_free(q);
}

void stack_conn_consume(struct stack_conn *c, size_t n)
{
	size_t left = n + c->rx_offset;

	c->rx_len -= n;
	while (c->rx_head && left >= ((struct pbuf *)c->rx_head)->len) {
		left -= ((struct pbuf *)c->rx_head)->len;
		rx_pop(c);
	}
	c->rx_offset = (uint32_t)left;
	if (!c->pcb)
		return;
	enter(c);
	while (n) {
		u16_t piece = (u16_t)MIN(n, (size_t)UINT16_MAX);

		tcp_recved(c->pcb, piece);
		n -= piece;
	}
	leave(c);
}

/* What stays queued after the owner had its turn waits for a slow destination: small segments
 * leave their buffers. */
static void rx_settle(struct stack_conn *c)
{
	struct pbuf *before = c->rx_settled;
	struct pbuf *q = before ? before->next : c->rx_head;

	for (; q; before = q, q = q->next) {
		struct pbuf *copy;

		if (q->len >= COPY_BELOW_RX || !(q->flags & PBUF_FLAG_IS_CUSTOM))
			continue;
		copy = pbuf_alloc(PBUF_RAW, q->len, PBUF_RAM);
		if (!copy) /* the buffer stays pinned: costs memory, loses nothing */
			continue;
		memcpy(copy->payload, q->payload, q->len);
		copy->next = q->next;
		if (before)
			before->next = copy;
		else
			c->rx_head = copy;
		c->rx_held -= weight(q);
		c->rx_held += weight(copy);
		buf_charge(weight(copy));
		q->next = NULL;
		q->tot_len = q->len;
		pbuf_free(q);
		q = copy;
	}
	c->rx_tail = c->rx_settled = before;
}

bool stack_conn_eof(const struct stack_conn *c)
{
	return c->rx_fin && !c->rx_len;
}

/* ---- what the owner writes ---- */

size_t stack_conn_room(const struct stack_conn *c)
{
	const struct tcp_pcb *pcb = c->pcb;
	size_t unit;

	if (!pcb || c->tx_fin)
		return 0;
	/* tcp_write() cuts at half of the largest window seen: reading more at a time would make
	 * one large and one small segment of each read. */
	unit = pcb->snd_wnd_max / 2 ? MIN(pcb->mss, pcb->snd_wnd_max / 2) : pcb->mss;
	if (pcb->snd_buf < unit || pcb->snd_queuelen > TCP_SND_QUEUELEN - 64)
		return 0;
	if (unlikely(buf_pressure(c->tx_held, c->stack->count)))
		return 0;
	return unit;
}

int stack_conn_send(struct stack_conn *c, struct buf *b, const uint8_t *data, size_t len)
{
	const bool copy = len < COPY_BELOW_TX;
	err_t err;

	if (!c->pcb || c->tx_fin) {
		buf_put(b);
		return -EPIPE;
	}
	enter(c);
	err = tcp_write(c->pcb, data, (u16_t)len, copy ? TCP_WRITE_FLAG_COPY : 0);
	if (likely(err == ERR_OK)) {
		c->tx_sent += len;
		if (!copy) {
			b->mark = c->tx_sent;
			b->next = NULL;
			if (c->tx_tail)
				c->tx_tail->next = b;
			else
				c->tx_head = b;
			c->tx_tail = b;
			c->tx_held += sizeof(*b);
			b = NULL;
		}
		tcp_output(c->pcb);
	}
	leave(c);
	buf_put(b);
	return likely(err == ERR_OK) ? 0 : -ENOMEM;
}

void stack_conn_want_write(struct stack_conn *c)
{
	c->want_write = true;
	if (c->tx_acked == c->tx_sent)
		post(c, EVENT_WRITABLE);
}

uint64_t stack_conn_unacked(const struct stack_conn *c)
{
	return c->pcb ? c->tx_sent - c->tx_acked : 0;
}

void stack_conn_shutdown(struct stack_conn *c)
{
	if (c->tx_fin)
		return;
	c->tx_fin = true;
	if (!c->pcb)
		return;
	enter(c);
	/* Out of memory for the FIN: lwIP remembers and sends it from its timer. */
	tcp_shutdown(c->pcb, 0, 1);
	leave(c);
}

void stack_conn_free(struct stack_conn *c)
{
	if (!c->stack)
		return;
	if (c->pcb) {
		enter(c);
		tcp_err(c->pcb, NULL);
		tcp_abort(c->pcb);
		tcp_active_pcbs = NULL;
		gone(c);
		c->stack->resets_sent++;
	}
	list_del(&c->dirty);
	while (c->rx_head)
		rx_pop(c);
	while (c->tx_head) {
		struct buf *b = c->tx_head;

		c->tx_head = b->next;
		buf_put(b);
	}
	memset(c, 0, sizeof(*c));
}

/* ---- turns of the loop ---- */

static void dispatch(struct stack_conn *c)
{
	/* One event at a time, and none is remembered across a call: it may free @c, which
	 * takes it off the list. */
	unsigned e = c->events;

	if (e & EVENT_OPENED) {
		c->events &= (uint8_t)~EVENT_OPENED;
		c->opened = true;
		c->ops->opened(c);
	} else if (e & EVENT_READABLE) {
		c->events &= (uint8_t)~EVENT_READABLE;
		c->ops->readable(c);
	} else if (e & EVENT_WRITABLE) {
		c->events &= (uint8_t)~EVENT_WRITABLE;
		if (c->want_write) {
			c->want_write = false;
			c->ops->writable(c);
		}
	} else if (e & EVENT_CLOSED) {
		c->events = 0;
		c->ops->closed(c, e & EVENT_RESET);
	} else {
		list_del(&c->dirty);
		if (unlikely(c->rx_tail != c->rx_settled))
			rx_settle(c);
	}
}

void stack_flush(struct stack *s)
{
	while (!list_empty(&s->dirty))
		dispatch(container_of(s->dirty.next, struct stack_conn, dirty));
}

/* No event waits for the next packet: an owner may have caused one from a socket's callback. */
static void on_prepare(struct ev_loop *loop, ev_prepare *w, int revents)
{
	UNUSED(loop);
	UNUSED(revents);
	stack_flush(container_of(w, struct stack, prepare));
}

/* Shows lwIP's timer function all connections whose link is on @head. */
static void run_timer(struct list *head, size_t link, void (*timer)(void))
{
	struct list *e, *tmp;

	tcp_active_pcbs = NULL;
	list_foreach(e, tmp, head) {
		struct stack_conn *c = (void *)((char *)e - link);
		struct tcp_pcb *pcb = c->pcb;

		pcb->next = tcp_active_pcbs;
		tcp_active_pcbs = pcb;
		c->pcb = NULL;
	}
	timer();
	while (tcp_active_pcbs) {
		struct tcp_pcb *pcb = tcp_active_pcbs;

		tcp_active_pcbs = pcb->next;
		pcb->next = NULL;
		((struct stack_conn *)pcb->callback_arg)->pcb = pcb;
	}
	list_foreach(e, tmp, head) {
		struct stack_conn *c = (void *)((char *)e - link);

		if (!c->pcb)
			gone(c);
	}
}

static void on_slow(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct stack *s = container_of(w, struct stack, slow);

	UNUSED(revents);
	run_timer(&s->all, offsetof(struct stack_conn, all), tcp_tmr);
	if (list_empty(&s->all) && !tcp_tw_pcbs)
		ev_timer_stop(loop, w);
	stack_flush(s);
}

static void on_delack(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct stack *s = container_of(w, struct stack, delack);
	struct list *e, *tmp;

	UNUSED(revents);
	ev_timer_stop(loop, w);
	run_timer(&s->acks, offsetof(struct stack_conn, acks), tcp_fasttmr);
	list_foreach(e, tmp, &s->acks)
		list_del(e);
	stack_flush(s);
}

int stack_init(struct stack *s, struct ev_loop *loop, struct tun *tun)
{
	static bool initialized;
	struct tcp_pcb *pcb;

	memset(s, 0, sizeof(*s));
	s->tun = tun;
	list_init(&s->all);
	list_init(&s->acks);
	list_init(&s->dirty);
	ev_init(&s->slow, on_slow);
	s->slow.repeat = TCP_TMR_INTERVAL / 1000.0;
	ev_init(&s->delack, on_delack);
	s->delack.repeat = DELACK_S;
	ev_prepare_init(&s->prepare, on_prepare);
	ev_prepare_start(loop, &s->prepare);
	ev_unref(loop);
	stack = s;

	if (!initialized) {
		lwip_init();
		netif_add_noaddr(&nif, NULL, nif_init, ip_input);
		initialized = true;
	}
	pcb = tcp_new_ip_type(IPADDR_TYPE_ANY);
	if (!pcb)
		return -ENOMEM;
	/* Bound to the netif, so that what is accepted is routed without looking at addresses. The port
	 * only satisfies tcp_listen(). */
	tcp_bind_netif(pcb, &nif);
	if (tcp_bind(pcb, IP_ANY_TYPE, 1) != ERR_OK) {
		tcp_close(pcb);
		return -EADDRINUSE;
	}
	listener = (struct tcp_pcb_listen *)tcp_listen(pcb);
	if (!listener)
		return -ENOMEM;
	listener->local_port = 0;
	tcp_accept((struct tcp_pcb *)listener, on_accept);
	return 0;
}

void stack_fini(struct stack *s)
{
	ev_ref(s->tun->loop);
	ev_prepare_stop(s->tun->loop, &s->prepare);
	ev_timer_stop(s->tun->loop, &s->slow);
	ev_timer_stop(s->tun->loop, &s->delack);
	tcp_active_pcbs = NULL;
	while (tcp_tw_pcbs) {
		struct tcp_pcb *pcb = tcp_tw_pcbs;

		tcp_abort(pcb); /* TIME_WAIT: frees, sends nothing */
	}
	if (listener)
		tcp_close((struct tcp_pcb *)listener);
	listener = NULL;
	stack = NULL;
}
