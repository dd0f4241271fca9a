/* SPDX-License-Identifier: MIT */
#include "lua/trial.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base.h"
#include "core/process.h"
#include "lua/connection.h"
#include "lua/rules.h"

#define READ_MAX 65536

static void trial_decided(struct flow *f);
static void trial_dialed(struct flow *f, int fd, const void *early, size_t n);
static void trial_abort(struct flow *f, enum flow_cause cause);

#define OPS(word)                                                                                  \
	{                                                                                          \
		.network = (word), .decided = trial_decided, .dialed = trial_dialed,               \
		.abort = trial_abort,                                                              \
	}
static const struct flow_ops tcp_ops = OPS("tcp"), udp_ops = OPS("udp"), icmp_ops = OPS("icmp");

static struct trial *trial_of(const struct flow *f)
{
	return (struct trial *)((const char *)f - offsetof(struct trial, flow));
}

/* --- notes ----------------------------------------------------------------------------------- */

static void trial_note(const struct flow *f, const struct handler *h, const struct rule *r,
	enum trace_event e, enum verdict v, const struct decision *d)
{
	struct trial *t = trial_of(f);
	struct trial_note *note = realloc(t->note, (t->notes + 1) * sizeof(*note));
	if (!note)
		return; /* a report with a line less */
	t->note = note;
	note[t->notes++] = (struct trial_note){
		.kind = r ? "rule" : h->name,
		.where = strdup(r ? r->label : h->where),
		.event = e,
		.verdict = v,
		.reason = d && d->reason ? strdup(d->reason) : NULL,
	};
}

static const char *trial_name_of(const struct flow *f)
{
	return trial_of(f)->name;
}

const struct stage_watch trial_watch = {.name_of = trial_name_of, .note = trial_note};

/* --- life ------------------------------------------------------------------------------------ */

static void on_soon(struct ev_loop *loop, ev_timer *w, int revents)
{
	UNUSED(loop);
	UNUSED(revents);
	struct trial *t = container_of(w, struct trial, soon);
	t->fn(t->arg); /* last: @t may be gone */
}

/* The step that waited is done. Its caller goes on from the loop, not from inside the policy. */
static void trial_rest(struct trial *t)
{
	ev_timer_set(&t->soon, 0., 0.);
	ev_timer_start(t->stage->loop, &t->soon);
}

static void on_readable(struct ev_loop *loop, ev_io *w, int revents);
static void on_limit(struct ev_loop *loop, ev_timer *w, int revents);

void trial_init(struct trial *t, struct stage *s, trial_fn *fn, void *arg)
{
	memset(t, 0, sizeof(*t));
	t->stage = s;
	t->fn = fn;
	t->arg = arg;
	t->fd = -1;
	ev_init(&t->soon, on_soon);
	ev_init(&t->readable, on_readable);
	ev_timer_init(&t->limit, on_limit, TRIAL_READ_SECONDS, 0.);
}

static void trial_stop(struct trial *t)
{
	ev_timer_stop(t->stage->loop, &t->soon);
	ev_io_stop(t->stage->loop, &t->readable);
	ev_timer_stop(t->stage->loop, &t->limit);
}

static void trial_clear(struct trial *t)
{
	free(t->out);
	t->out = NULL;
	t->out_len = 0;
}

void trial_end(struct trial *t, enum flow_cause cause)
{
	if (!t->asked || t->flow.state == FLOW_STATE_ENDED)
		return;
	const struct connection *c = t->flow.policy;
	if (c) {
		t->said = c->said;
		t->tags = c->tags ? strdup(c->tags) : NULL;
	}
	policy_end(&t->stage->policy, &t->flow, cause, ev_now(t->stage->loop));
	if (t->fd >= 0)
		close(t->fd);
	t->fd = -1;
}

enum verdict trial_verdict(const struct trial *t)
{
	const struct connection *c = t->flow.policy;
	enum verdict v = t->flow.decision.verdict, said = c ? c->said : t->said;
	return v == VERDICT_ALLOW && (said == VERDICT_REDIRECT || said == VERDICT_VIA) ? said : v;
}

void trial_fini(struct trial *t)
{
	trial_stop(t);
	trial_end(t, FLOW_CAUSE_ABORTED);
	if (t->asked)
		flow_remove(&t->flow);
	else
		process_put(t->flow.process);
	for (size_t i = 0; i < t->notes; i++) {
		free(t->note[i].where);
		free(t->note[i].reason);
	}
	trial_clear(t);
	free(t->note);
	free(t->name);
	free(t->tags);
	free(t->early);
	free(t->held);
}

/* --- the way there --------------------------------------------------------------------------- */

/* The dial has ended: @fd, -1 for a destination that nobody plays, or a negative errno below. */
static void trial_connected(struct trial *t, int fd, int err)
{
	if (err) {
		t->flow.error = -err;
		trial_end(t, FLOW_CAUSE_DIAL_FAILED);
		return;
	}
	t->fd = fd;
	policy_opened(&t->stage->policy, &t->flow);
}

/* The decision is final. 0 or -EINPROGRESS. */
static int trial_go(struct trial *t)
{
	struct flow *f = &t->flow;
	if (f->decision.verdict == VERDICT_DENY || f->decision.verdict == VERDICT_DROP) {
		trial_end(t, FLOW_CAUSE_DENIED);
		return 0;
	}
	flow_set_state(f, FLOW_STATE_DIALING);
	if (t->stage->no_dial || f->inbound) {
		trial_connected(t, -1, 0);
		return 0;
	}
	int rc = policy_dial(&t->stage->policy, f);
	if (rc == -EINPROGRESS)
		return rc;
	if (rc == -ENOSYS) {
		rc = t->stage->reach ? t->stage->reach(t->stage->reach_arg, f) : -ENODATA;
		trial_connected(t, rc >= 0 ? rc : -1, rc == -ENODATA || rc >= 0 ? 0 : rc);
	} else {
		trial_connected(t, -1, rc);
	}
	return 0;
}

static int trial_let(struct trial *t);

static void trial_decided(struct flow *f)
{
	struct trial *t = trial_of(f);
	if (f->state == FLOW_STATE_OPEN ? trial_let(t) : trial_go(t))
		return;
	trial_rest(t);
}

static void trial_dialed(struct flow *f, int fd, const void *early, size_t n)
{
	struct trial *t = trial_of(f);
	if (fd >= 0 && n) {
		t->early = malloc(n);
		if (t->early) {
			memcpy(t->early, early, n);
			t->early_len = n;
		}
	}
	trial_connected(t, fd >= 0 ? fd : -1, fd >= 0 ? 0 : fd);
	trial_rest(t);
}

/* conn:close(), from the loop. */
static void trial_abort(struct flow *f, enum flow_cause cause)
{
	struct trial *t = trial_of(f);
	bool waits = f->waiting || ev_is_active(&t->readable);
	trial_stop(t);
	trial_end(t, cause);
	if (waits)
		trial_rest(t);
}

int trial_process(struct trial *t, const char *text)
{
	const char *slash = strrchr(text, '/');
	const char *name = slash ? slash + 1 : text;
	size_t n = strlen(name);
	if (!n || (slash && *text != '/') || (!slash && n >= PROCESS_NAME_MAX))
		return -EINVAL;
	struct process *p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	p->holds = 1;
	p->pid = TRIAL_PID;
	memcpy(p->name, name, n < PROCESS_NAME_MAX ? n : PROCESS_NAME_MAX - 1);
	p->exe = slash ? strdup(text) : NULL;
	process_put(t->flow.process);
	t->flow.process = p;
	t->flow.sought = true;
	return 0;
}

int trial_ask(struct trial *t, const struct flow_key *key)
{
	struct flow_key k = *key;
	struct flow *f = &t->flow;
	assert(!t->asked);
	f->ops = k.proto == IPPROTO_TCP ? &tcp_ops : k.proto == IPPROTO_UDP ? &udp_ops : &icmp_ops;
	if (!k.src.v)
		addr_parse(&k.src, k.dst.v == 4 ? "10.0.0.1" : "fd6e:736e:6574::1");
	struct addr *caller = f->inbound ? &k.dst : &k.src;
	if (!caller->port)
		caller->port = t->stage->port++;
	if (k.proto == IPPROTO_ICMP)
		k.dst.port = k.src.port; /* the identifier */
	flow_add(&t->stage->flows, f, &k, ev_now(t->stage->loop));
	t->asked = true;
	return policy_ask(&t->stage->policy, f) ? trial_go(t) : -EINPROGRESS;
}

/* --- bytes ----------------------------------------------------------------------------------- */

static void trial_append(char **to, size_t *len, const void *bytes, size_t n)
{
	char *grown = n ? realloc(*to, *len + n) : NULL;
	if (!grown)
		return;
	memcpy(grown + *len, bytes, n);
	*to = grown;
	*len += n;
}

/* To who plays the destination. What does not fit at once is more than a test needs. */
static void trial_send(struct trial *t, const char *bytes, size_t n)
{
	while (t->fd >= 0 && n) {
		ssize_t sent = send(t->fd, bytes, n, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (sent == -1 && errno == EINTR)
			continue;
		if (sent == -1) {
			t->flow.error = errno;
			trial_end(t, FLOW_CAUSE_WORLD_RESET);
			return;
		}
		bytes += sent;
		n -= (size_t)sent;
	}
}

/* Bytes on their way, past the scripts that want to see them, to t->out. */
static void trial_pass(struct trial *t, enum hook_dir dir, const void *bytes, size_t n)
{
	struct flow *f = &t->flow;
	void *other = NULL;
	size_t len = n;
	int rc = 0;
	if (f->decision.data)
		rc = policy_data(&t->stage->policy, f, dir, bytes, n, &other, &len);
	if (rc < 0) {
		trial_end(t, FLOW_CAUSE_ABORTED);
		return;
	}
	if (!rc)
		len = n;
	const char *now = rc ? other : bytes;
	trial_append(&t->out, &t->out_len, now, len);
	*(dir == HOOK_DIR_OUT ? &f->bytes_up : &f->bytes_down) += len;
	if (dir == HOOK_DIR_OUT)
		trial_send(t, now, len);
	free(other);
}

/* As many of the held bytes as may go. */
static void trial_release(struct trial *t)
{
	char *held = t->held;
	size_t all = t->held_len, n = MIN(t->may, all);
	t->held = NULL;
	t->held_len = 0;
	if (n)
		trial_pass(t, HOOK_DIR_OUT, held, n);
	if (t->may != UINT64_MAX)
		t->may -= n;
	if (n < all)
		trial_append(&t->held, &t->held_len, held + n, all - n);
	free(held);
}

/* Held bytes go on as far as they may, and those behind them are shown to the scripts. */
static int trial_flow(struct trial *t)
{
	struct flow *f = &t->flow;
	for (;;) {
		trial_release(t);
		if (f->state != FLOW_STATE_OPEN || t->may || (!t->held_len && t->more))
			return 0;
		bool end = !t->held_len;
		enum verdict v = policy_first_bytes(&t->stage->policy, f, t->held ? t->held : "",
			t->held_len, t->more && t->held_len < TRIAL_HELD_MAX);
		if (v == VERDICT_PENDING)
			return -EINPROGRESS;
		if (v == VERDICT_MORE)
			return 0;
		if (v != VERDICT_ALLOW) {
			trial_end(t, FLOW_CAUSE_DENIED);
			return 0;
		}
		t->may = f->decision.pass ? f->decision.pass : UINT64_MAX;
		if (end)
			return 0;
	}
}

/* The late verdict on first bytes. */
static int trial_let(struct trial *t)
{
	const struct decision *d = &t->flow.decision;
	if (d->verdict != VERDICT_ALLOW && d->verdict != VERDICT_REDIRECT &&
		d->verdict != VERDICT_VIA) {
		trial_end(t, FLOW_CAUSE_DENIED);
		return 0;
	}
	t->may = d->pass ? d->pass : UINT64_MAX;
	return t->held_len ? trial_flow(t) : 0;
}

int trial_say(struct trial *t, const void *bytes, size_t n, bool more)
{
	trial_clear(t);
	if (!t->begun)
		t->may = t->flow.decision.first_bytes ? 0 : UINT64_MAX;
	t->begun = true;
	t->more = more;
	if (t->may == UINT64_MAX) { /* nothing is held */
		trial_pass(t, HOOK_DIR_OUT, bytes, n);
		return 0;
	}
	trial_append(&t->held, &t->held_len, bytes, MIN(n, TRIAL_HELD_MAX - t->held_len));
	return trial_flow(t);
}

void trial_hear(struct trial *t, const void *bytes, size_t n)
{
	trial_clear(t);
	trial_pass(t, HOOK_DIR_IN, bytes, n);
}

/* Reads what is there. False: nothing yet. */
static bool read_now(struct trial *t)
{
	static char bytes[READ_MAX];
	ssize_t n = recv(t->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n > 0)
		trial_pass(t, HOOK_DIR_IN, bytes, (size_t)n);
	return true;
}

static void on_readable(struct ev_loop *loop, ev_io *w, int revents)
{
	UNUSED(loop);
	UNUSED(revents);
	struct trial *t = container_of(w, struct trial, readable);
	if (!read_now(t))
		return;
	trial_stop(t);
	trial_rest(t);
}

static void on_limit(struct ev_loop *loop, ev_timer *w, int revents)
{
	UNUSED(loop);
	UNUSED(revents);
	struct trial *t = container_of(w, struct trial, limit);
	trial_stop(t);
	trial_rest(t);
}

int trial_read(struct trial *t)
{
	trial_clear(t);
	if (t->early) {
		trial_pass(t, HOOK_DIR_IN, t->early, t->early_len);
		free(t->early);
		t->early = NULL;
		return 0;
	}
	if (t->fd < 0 || read_now(t))
		return 0;
	ev_io_set(&t->readable, t->fd, EV_READ);
	ev_io_start(t->stage->loop, &t->readable);
	ev_timer_set(&t->limit, TRIAL_READ_SECONDS, 0.);
	ev_timer_start(t->stage->loop, &t->limit);
	return -EINPROGRESS;
}
