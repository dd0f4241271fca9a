/* SPDX-License-Identifier: MIT */
#include "dnstcp.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base.h"
#include "log.h"

/* An answer that waits for room in the child's window, framed. */
struct answer {
	struct answer *next;
	size_t len, sent;
	uint8_t bytes[];
};

struct dnstcp_conn {
	struct flow flow;
	struct stack_conn child;
	struct dnstcp *tcp;
	struct list link;    /* dnstcp.conns */
	struct list queries; /* struct dnsquery.mine */
	unsigned count;      /* of them */
	ev_timer idle;
	struct answer *first, *last; /* owned */
	size_t unsent;               /* their bytes */
	bool shut;                   /* our FIN is on its way */
	size_t in_len;
	uint8_t in[2 + DNSQUERY_LEN_MAX]; /* the question being collected, framed */
};

void dnstcp_init(struct dnstcp *t, struct ev_loop *loop, struct stack *stack,
	struct flow_table *flows, struct dnsquery_pool *pool)
{
	memset(t, 0, sizeof(*t));
	t->loop = loop;
	t->stack = stack;
	t->flows = flows;
	t->pool = pool;
	list_init(&t->conns);
}

static void conn_free(struct dnstcp_conn *c, enum flow_cause cause)
{
	struct dnstcp *t = c->tcp;

	while (!list_empty(&c->queries))
		dnsquery_free(container_of(c->queries.next, struct dnsquery, mine));
	while (c->first) {
		struct answer *a = c->first;
		c->first = a->next;
		free(a);
	}
	ev_timer_stop(t->loop, &c->idle);
	stack_conn_free(&c->child);
	flow_set_state(&c->flow, FLOW_STATE_ENDED);
	c->flow.cause = cause;
	flow_remove(&c->flow);
	list_del(&c->link);
	t->count--;
	free(c);
}

void dnstcp_fini(struct dnstcp *t)
{
	while (!list_empty(&t->conns))
		conn_free(container_of(t->conns.next, struct dnstcp_conn, link),
			FLOW_CAUSE_ABORTED);
}

/* Something has moved: the idle time begins anew. */
static void conn_progress(struct dnstcp_conn *c)
{
	ev_timer_again(c->tcp->loop, &c->idle);
	list_del(&c->link);
	list_add_tail(&c->tcp->conns, &c->link);
}

/* Sends what there is room for; says FIN when the child has and all is answered. Returns 0, or a
 * negative errno: the connection is beyond help. */
static int conn_send(struct dnstcp_conn *c)
{
	struct answer *a;

	while ((a = c->first)) {
		size_t n = MIN(stack_conn_room(&c->child), a->len - a->sent);
		if (!n) {
			stack_conn_want_write(&c->child);
			return 0;
		}
		struct buf *b = buf_get();
		if (!b)
			return -ENOMEM;
		memcpy(b->data, a->bytes + a->sent, n = MIN(n, (size_t)BUF_DATA_MAX));
		int err = stack_conn_send(&c->child, b, b->data, n);
		if (err < 0)
			return err;
		a->sent += n;
		c->unsent -= n;
		c->flow.bytes_down += n;
		conn_progress(c);
		if (a->sent == a->len) {
			c->first = a->next;
			free(a);
		}
	}
	c->last = NULL;
	if (!c->count && stack_conn_eof(&c->child) && !c->shut) {
		c->shut = true;
		stack_conn_shutdown(&c->child);
	}
	return 0;
}

static int conn_queue(struct dnstcp_conn *c, const uint8_t *msg, size_t len)
{
	struct answer *a = malloc(sizeof(*a) + 2 + len);

	if (!a)
		return -ENOMEM;
	a->next = NULL;
	a->len = 2 + len;
	a->sent = 0;
	a->bytes[0] = (uint8_t)(len >> 8);
	a->bytes[1] = (uint8_t)len;
	memcpy(a->bytes + 2, msg, len);
	if (c->last)
		c->last->next = a;
	else
		c->first = a;
	c->last = a;
	c->unsent += a->len;
	return 0;
}

static void conn_go_on(struct dnstcp_conn *c);

static void conn_on_answer(struct dnsquery *q, uint8_t *msg, size_t len)
{
	struct dnstcp_conn *c = q->owner;

	c->count--;
	if (msg && conn_queue(c, msg, len) < 0)
		conn_free(c, FLOW_CAUSE_ABORTED);
	else
		conn_go_on(c);
}

/* Takes up the question collected in c->in. Returns 0, or a negative errno: hang up. */
static int conn_question(struct dnstcp_conn *c)
{
	struct dnsquery *q;
	uint8_t text[DNSMSG_ERROR_MAX];
	struct dnsmsg m;
	const uint8_t *msg = c->in + 2;
	size_t len = c->in_len - 2;
	int err = dnsquery_new(c->tcp->pool, &c->flow.key.src, &c->flow.key.dst, true, msg, len,
		conn_on_answer, c, &q);

	c->in_len = 0;
	if (!err) {
		c->count++;
		list_add_tail(&c->queries, &q->mine);
		return 0;
	}
	if (err != -EBUSY)
		return err;
	/* On a stream silence would be a riddle. */
	(void)dnsmsg_parse(&m, msg, len);
	return conn_queue(c, text, dnsmsg_error(text, &m, DNSMSG_RCODE_SERVFAIL, false));
}

/* How many bytes of the present frame are missing; 0 = it is complete; negative errno: too long. */
static ssize_t conn_missing(const struct dnstcp_conn *c)
{
	if (c->in_len < 2)
		return (ssize_t)(2 - c->in_len);
	size_t len = (size_t)c->in[0] << 8 | c->in[1];
	return len > DNSQUERY_LEN_MAX ? -EMSGSIZE : (ssize_t)(2 + len - c->in_len);
}

/* Moves up to @n bytes of the inbox behind those in c->in. */
static void conn_take(struct dnstcp_conn *c, size_t n)
{
	size_t done = inbox_copy(&c->child.inbox, c->in + c->in_len, n);

	stack_conn_consume(&c->child, done);
	c->in_len += done;
	c->flow.bytes_up += done;
}

/* Reads questions as far as the bounds allow. Returns 0, or a negative errno: hang up. */
static int conn_read(struct dnstcp_conn *c)
{
	while (c->count < DNSTCP_QUERIES_MAX && c->unsent < DNSTCP_UNSENT_MAX) {
		ssize_t missing = conn_missing(c);
		int err = 0;

		if (missing < 0)
			return (int)missing;
		if (missing > 0) {
			if (!c->child.inbox.len)
				return 0;
			conn_take(c, (size_t)missing);
			conn_progress(c);
		} else {
			err = conn_question(c);
		}
		if (err < 0)
			return err;
	}
	inbox_settle(&c->child.inbox);
	return 0;
}

static void conn_go_on(struct dnstcp_conn *c)
{
	char text[FLOW_TEXT_MAX];
	int err = conn_read(c);

	if (!err)
		err = conn_send(c);
	if (!err)
		return;
	log_info("dns: %s: %s; connection reset", flow_format(&c->flow, text),
		err == -EBADMSG || err == -EMSGSIZE ? "not DNS" : strerror(-err));
	conn_free(c, FLOW_CAUSE_ABORTED);
}

static void conn_on_opened(struct stack_conn *s)
{
	UNUSED(s);
}

static void conn_on_event(struct stack_conn *s)
{
	conn_go_on(container_of(s, struct dnstcp_conn, child)); /* last: it may be gone */
}

static void conn_on_closed(struct stack_conn *s, bool reset)
{
	conn_free(container_of(s, struct dnstcp_conn, child),
		reset ? FLOW_CAUSE_CHILD_RESET : FLOW_CAUSE_CLOSED);
}

static const struct stack_conn_ops conn_stack_ops = {
	.opened = conn_on_opened,
	.readable = conn_on_event,
	.writable = conn_on_event,
	.closed = conn_on_closed,
};

static void conn_input(struct flow *f, struct buf *b, struct packet *p)
{
	stack_conn_input(&container_of(f, struct dnstcp_conn, flow)->child, b, p);
}

static void conn_abort(struct flow *f, enum flow_cause cause)
{
	conn_free(container_of(f, struct dnstcp_conn, flow), cause);
}

/* .decided and .dialed are missing: policy is asked by question, and nothing is dialed. */
static const struct flow_ops conn_flow_ops = {
	.network = "tcp",
	.input = conn_input,
	.abort = conn_abort,
};

static void conn_on_idle(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct dnstcp_conn *c = container_of(w, struct dnstcp_conn, idle);

	UNUSED(loop);
	UNUSED(revents);
	if (c->count)
		return; /* the questions have limits of their own; the timer repeats */
	if (c->shut || c->first || !c->child.opened) {
		conn_free(c, FLOW_CAUSE_IDLE);
		return;
	}
	c->shut = true;
	stack_conn_shutdown(&c->child);
}

/* Ends the connection that has been without progress for longest and owes no answer. */
static bool make_room(struct dnstcp *t)
{
	struct list *e, *tmp;

	list_foreach (e, tmp, &t->conns) {
		struct dnstcp_conn *c = container_of(e, struct dnstcp_conn, link);
		if (c->count)
			continue;
		t->evicted++;
		conn_free(c, FLOW_CAUSE_EVICTED);
		return true;
	}
	return false;
}

int dnstcp_open(struct dnstcp *t, const struct flow_key *key, const struct packet *p)
{
	int err = -EBUSY;
	struct dnstcp_conn *c = NULL;

	if (t->count < DNSTCP_CONNS_MAX || make_room(t)) {
		c = calloc(1, sizeof(*c));
		err = c ? stack_conn_accept(t->stack, &c->child, &conn_stack_ops, p) : -ENOMEM;
	}
	if (err < 0) {
		free(c);
		t->refused++;
		return err;
	}
	c->tcp = t;
	list_init(&c->queries);
	list_init(&c->link);
	list_add_tail(&t->conns, &c->link);
	t->count++;
	t->accepted++;
	ev_timer_init(&c->idle, conn_on_idle, DNSTCP_IDLE_S, DNSTCP_IDLE_S);
	ev_timer_again(t->loop, &c->idle);
	c->flow.ops = &conn_flow_ops;
	flow_add(t->flows, &c->flow, key, ev_now(t->loop));
	flow_set_state(&c->flow, FLOW_STATE_OPEN);
	return 0;
}
