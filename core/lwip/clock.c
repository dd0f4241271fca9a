/* SPDX-License-Identifier: MIT */
#include "../stack.h"

#include <lwip/tcp.h>
#include <lwip/priv/tcp_priv.h>

#include "../base.h"

/* lwIP's timers, run only while there is something to time. They must see every connection; what
 * keeps the others off lwIP's list stands at the top of stack.c. */

/* lwIP delays an ACK by up to its fast timer; Linux by 40 ms (TCP_DELACK_MIN). */
#define DELACK_S 0.040

/* Shows lwIP's timer function all connections whose link is on @head. */
static void run_timer(struct list *head, size_t link, void (*timer)(void))
{
	struct list *e, *tmp;

	tcp_active_pcbs = NULL;
	list_foreach (e, tmp, head) {
		struct stack_conn *c = (void *)((char *)e - link);
		struct tcp_pcb *pcb = c->pcb;

		/* lwIP gives up LAST-ACK after TIME_WAIT's time, whatever is still to be sent. The
		 * limits of retransmission and of probes end what is dead. */
		if (pcb->state == LAST_ACK)
			pcb->tmr = tcp_ticks;
		/* An ACK of what was to be sent again, under a closed window, empties the queue and
		 * leaves the persist timer on (tcp_output() looks at the queue first). */
		if (!pcb->unsent)
			pcb->persist_backoff = 0;
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
	list_foreach (e, tmp, head) {
		struct stack_conn *c = (void *)((char *)e - link);

		if (!c->pcb)
			stack_conn_gone(c);
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
	list_foreach (e, tmp, &s->acks)
		list_del(e);
	stack_flush(s);
}

void stack_clock_init(struct stack *s)
{
	ev_init(&s->slow, on_slow);
	s->slow.repeat = TCP_TMR_INTERVAL / 1000.0;
	ev_init(&s->delack, on_delack);
	s->delack.repeat = DELACK_S;
}
