/* SPDX-License-Identifier: MIT */
#include "stack.h"

#include <errno.h>
#include <string.h>

#include <lwip/pbuf.h>
#include <lwip/tcp.h>
#include <lwip/priv/tcp_priv.h>

#include "base.h"
#include "lwip/intake.h"
#include "lwip/port.h"

/* Theory of operation
 *
 * lwIP is used for TCP alone, and by its inner door: packet.c has parsed the IP header already and
 * flow.c has found the connection, so tcp_input() is called directly, with the global ip_data set
 * up as ip4_input() or ip6_input() would leave it. Any destination address and port works, because
 * nothing compares them with an interface.
 *
 * Accepting. One listener, bound to the netif and to no port. When the SYN of a connection may
 * proceed, the listener's port and argument are set for the length of one tcp_input(), which
 * makes a pcb with our struct as its callback_arg.
 *
 * Private lists. lwIP finds a pcb by walking tcp_active_pcbs: 38 us at 10 000 connections. Here the
 * global list holds only the pcb in work: enter() puts it there, leave() looks what became of it.
 * With the raw API every list operation on an active pcb concerns the current one, so this is sound
 * under two rules: no function of lwIP is called on one connection from a callback of another
 * (owners hear events only from stack_flush()), and the timers, which must see all, get a list of
 * all (lwip/clock.c). A pcb that is gone from the list after leave() has been freed, or has moved
 * to TIME_WAIT, where lwIP alone keeps it, calls nobody, and answers stray segments. TIME_WAIT is
 * hidden while a SYN is accepted: the wire is a pipe that holds no old segments, so a port may be
 * used again at once.
 *
 * No copies. A packet from the tun goes in as a custom pbuf around its struct buf. A buffer for the
 * child is given to tcp_write() without copying, and pinned on the connection's FIFO until its last
 * byte is acknowledged. Small amounts are copied, both ways, so that a byte never pins 64 KB for
 * long.
 *
 * Three facts of lwIP: after tcp_err the pcb is already gone (or about to be: it must only be
 * forgotten); ERR_ABRT is returned only after tcp_abort; ERR_MEM from tcp_write means to wait.
 */

/* What is shorter is copied rather than pinned: that costs less than a pinned buffer's cache misses
 * (measured), and a byte must not hold 64 KB. */
#define COPY_BELOW 8192

/* Reading from the world goes on when this much of the send buffer is free. */
#define TX_LOW_WATER (256 * 1024)

enum {
	EVENT_OPENED = 1,
	EVENT_READABLE = 2,
	EVENT_WRITABLE = 4,
	EVENT_CLOSED = 8,
	EVENT_RESET = 16, /* with CLOSED */
};

static struct tcp_pcb_listen *listener;

/* ---- events ---- */

static void post(struct stack_conn *c, unsigned events)
{
	c->events |= (uint8_t)events;
	if (!list_linked(&c->dirty))
		list_add_tail(&c->stack->dirty, &c->dirty);
}

void stack_conn_gone(struct stack_conn *c)
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
			stack_conn_gone(c);
		return;
	}
	if (pcb->flags & TF_ACK_DELAY && !list_linked(&c->acks)) {
		list_add_tail(&c->stack->acks, &c->acks);
		if (!ev_is_active(&c->stack->delack))
			ev_timer_again(c->stack->tun->loop, &c->stack->delack);
	}
}

/* ---- lwIP's callbacks: they only note ---- */

/* The handshake is complete, whoever began it. */
static err_t on_open(void *arg, struct tcp_pcb *pcb, err_t err)
{
	struct stack_conn *c = arg;
	const unsigned headers = IP_IS_V6_VAL(pcb->remote_ip) ? 60 : 40;
	const unsigned unit = c->stack->tun->mtu - headers;

	if (err != ERR_OK)
		return ERR_VAL;
	/* Segments as large as IP carries: the device cuts them (GSO). lwIP has limited the size
	 * to the MTU that the SYN announced. */
	pcb->mss = (u16_t)MIN((65535 - headers) / unit * unit, (unsigned)TCP_MSS);
	post(c, EVENT_OPENED);
	return ERR_OK;
}

static err_t on_recv(void *arg, struct tcp_pcb *pcb, struct pbuf *p, err_t err)
{
	struct stack_conn *c = arg;

	UNUSED(pcb);
	UNUSED(err);
	if (p)
		inbox_push(&c->inbox, p);
	else
		c->rx_fin = true;
	post(c, EVENT_READABLE);
	return ERR_OK;
}

static bool roomy(const struct stack_conn *c)
{
	const struct tcp_pcb *pcb = c->pcb;

	return pcb && pcb->snd_buf >= TX_LOW_WATER && pcb->snd_queuelen <= TCP_SND_QUEUELEN / 2;
}

static err_t on_sent(void *arg, struct tcp_pcb *pcb, u16_t len)
{
	struct stack_conn *c = arg;

	UNUSED(pcb);
	outbox_ack(&c->outbox, len);
	if (c->want_write && (roomy(c) || outbox_empty(&c->outbox)))
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

void stack_stray(struct stack *s, struct buf *b, struct packet *p)
{
	UNUSED(s);
	if (!intake_fits(p)) {
		buf_put(b);
		return;
	}
	tcp_active_pcbs = NULL;
	port_input(port_wrap(b, p), p);
}

void stack_conn_input(struct stack_conn *c, struct buf *b, struct packet *p)
{
	struct tcp_pcb *pcb = c->pcb;
	u16_t mss = 0;

	if (unlikely(!pcb)) {
		stack_stray(c->stack, b, p);
		return;
	}
	if (unlikely(!intake_fits(p) || !intake_admits(&c->inbox, pcb, c->stack->count, p))) {
		buf_put(b);
		return;
	}
	/* lwIP heeds the MSS option of any segment. It is for the SYN alone (RFC 9293 3.2), and
	 * what waits to be sent is as long as the old one let it be. */
	if (pcb->state >= ESTABLISHED)
		mss = pcb->mss;
	enter(c);
	port_input(port_wrap(b, p), p);
	leave(c);
	pcb = c->pcb;
	if (pcb && mss)
		pcb->mss = mss;
}

static void begin(struct stack *s, struct stack_conn *c, const struct stack_conn_ops *ops)
{
	memset(c, 0, sizeof(*c));
	c->ops = ops;
	c->stack = s;
	list_init(&c->all);
	list_init(&c->acks);
	list_init(&c->dirty);
}

/* @pcb is new, and alone on the global list. */
static void adopt(struct stack_conn *c, struct tcp_pcb *pcb)
{
	struct stack *s = c->stack;

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
}

int stack_conn_accept(struct stack *s, struct stack_conn *c, const struct stack_conn_ops *ops,
	const struct packet *syn)
{
	struct tcp_pcb *waiting = tcp_tw_pcbs, *pcb;
	struct buf *b = buf_get();
	struct packet p = *syn;

	if (!b)
		return -ENOMEM;
	/* lwIP changes the header in place, and reads one byte beyond an option that is cut off. */
	p.data = b->data;
	memcpy(p.data, syn->data, syn->len);
	p.data[syn->len] = 0;
	begin(s, c, ops);

	listener->local_port = syn->dst.port;
	listener->callback_arg = c;
	tcp_active_pcbs = NULL;
	tcp_tw_pcbs = NULL;
	port_input(port_wrap(b, &p), &p);
	pcb = tcp_active_pcbs;
	tcp_active_pcbs = NULL;
	tcp_tw_pcbs = waiting;
	listener->local_port = 0;
	listener->callback_arg = NULL;
	if (!pcb)
		return -ENOMEM;
	adopt(c, pcb);
	return 0;
}

int stack_conn_connect(struct stack *s, struct stack_conn *c, const struct stack_conn_ops *ops,
	const struct addr *from, const struct addr *to)
{
	struct tcp_pcb *pcb;

	begin(s, c, ops);
	tcp_active_pcbs = NULL;
	pcb = port_connect(from, to, on_open);
	tcp_active_pcbs = NULL;
	if (!pcb)
		return -ENOMEM;
	adopt(c, pcb);
	return 0;
}

/* ---- what the owner reads ---- */

void stack_conn_consume(struct stack_conn *c, size_t n)
{
	inbox_consume(&c->inbox, n);
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

/* ---- what the owner writes ---- */

size_t stack_conn_room(const struct stack_conn *c)
{
	const struct tcp_pcb *pcb = c->pcb;
	size_t unit;

	if (!pcb || c->tx_fin)
		return 0;
	/* tcp_write() cuts at half of the largest window seen: reading more at a time would make
	 * one large and one small segment of each read. */
	unit = MIN(pcb->mss, pcb->snd_wnd_max / 2);
	/* No window yet: tcp_write() would cut at the MSS now, and take that segment for a shorter
	 * one when there is a window. One byte keeps its persist timer going. */
	if (unlikely(!unit)) {
		if (pcb->unsent)
			return 0;
		unit = 1;
	}
	if (pcb->snd_buf < unit || pcb->snd_queuelen > TCP_SND_QUEUELEN - 64)
		return 0;
	if (unlikely(buf_pressure(c->outbox.held, c->stack->count)))
		return 0;
	return unit;
}

int stack_conn_send(struct stack_conn *c, struct buf *b, const uint8_t *data, size_t len)
{
	const bool copy = len < COPY_BELOW;
	err_t err;

	if (!c->pcb || c->tx_fin) {
		buf_put(b);
		return -EPIPE;
	}
	enter(c);
	err = tcp_write(c->pcb, data, (u16_t)len, copy ? TCP_WRITE_FLAG_COPY : 0);
	if (likely(err == ERR_OK)) {
		outbox_push(&c->outbox, len, copy ? NULL : b);
		if (!copy)
			b = NULL;
		tcp_output(c->pcb);
	}
	leave(c);
	buf_put(b);
	return likely(err == ERR_OK) ? 0 : -ENOMEM;
}

void stack_conn_want_write(struct stack_conn *c)
{
	c->want_write = true;
	if (c->pcb && outbox_empty(&c->outbox))
		post(c, EVENT_WRITABLE);
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
		stack_conn_gone(c);
		c->stack->resets_sent++;
	}
	list_del(&c->dirty);
	inbox_clear(&c->inbox);
	outbox_clear(&c->outbox);
	memset(c, 0, sizeof(*c));
}

/* ---- turns of the loop ---- */

/* No network lies between us and the child: nothing to probe. (lwIP sets its own initial window
 * after the accept callback.) */
static void open_wide(struct stack_conn *c)
{
	struct tcp_pcb *pcb = c->pcb;

	c->opened = true;
	if (pcb)
		pcb->cwnd = pcb->ssthresh = TCP_SND_BUF;
}

static void dispatch(struct stack_conn *c)
{
	/* One at a time, and none is remembered across a call: it may free @c. */
	unsigned e = c->events;

	if (e & EVENT_OPENED) {
		c->events &= (uint8_t)~EVENT_OPENED;
		open_wide(c);
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
		/* What the owner left waits for a slow destination. */
		if (unlikely(c->inbox.tail != c->inbox.settled))
			inbox_settle(&c->inbox);
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

int stack_init(struct stack *s, struct ev_loop *loop, struct tun *tun)
{
	memset(s, 0, sizeof(*s));
	s->tun = tun;
	list_init(&s->all);
	list_init(&s->acks);
	list_init(&s->dirty);
	stack_clock_init(s);
	ev_prepare_init(&s->prepare, on_prepare);
	ev_prepare_start(loop, &s->prepare);
	ev_unref(loop);
	port_init(tun);
	listener = port_listen(on_open);
	return listener ? 0 : -ENOMEM;
}

void stack_fini(struct stack *s)
{
	ev_ref(s->tun->loop);
	ev_prepare_stop(s->tun->loop, &s->prepare);
	ev_timer_stop(s->tun->loop, &s->slow);
	ev_timer_stop(s->tun->loop, &s->delack);
	tcp_active_pcbs = NULL;
	while (tcp_tw_pcbs)
		tcp_abort(tcp_tw_pcbs); /* TIME_WAIT: frees, sends nothing */
	if (listener)
		tcp_close((struct tcp_pcb *)listener);
	listener = NULL;
}
