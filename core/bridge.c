/* SPDX-License-Identifier: MIT */
#include "bridge.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base.h"
#include "dnsquery.h"
#include "log.h"

/* What we know of a flow: struct flow.policy. */
struct note {
	struct bridge *bridge;
	struct flow *flow;
	void *data;     /* the user's */
	ev_io dialing;  /* its descriptor is owned: the dialer's socket, until it is connected */
	bool answering; /* the verdict is owed, so the decision may still be shaped */
	bool passes;    /* the guard, if the verdict is NSNET_ALLOW */
};

static struct nsnet_flow *shown(struct flow *f)
{
	return (struct nsnet_flow *)f;
}

static struct flow *flow_of(const struct nsnet_flow *f)
{
	return (struct flow *)(uintptr_t)f;
}

static void bridge_on_dialed(struct ev_loop *loop, ev_io *w, int revents);

/* NULL: no memory. */
static struct note *note_of(struct bridge *b, struct flow *f)
{
	struct note *note = f->policy;

	if (note)
		return note;
	note = calloc(1, sizeof(*note));
	if (!note)
		return NULL;
	note->bridge = b;
	note->flow = f;
	ev_io_init(&note->dialing, bridge_on_dialed, -1, EV_WRITE);
	f->policy = note;
	return note;
}

/* ---- verdicts ---- */

static enum verdict fail(struct decision *d, const char *reason)
{
	free(d->reason);
	d->reason = strdup(reason);
	d->style = DENY_STYLE_REFUSE;
	return VERDICT_DENY;
}

static enum verdict deny(struct decision *d, enum deny_style style)
{
	d->style = style;
	return VERDICT_DENY;
}

/* @v as hook.h has it. */
static enum verdict translate(const struct note *note, enum nsnet_verdict v, struct decision *d)
{
	d->named = v == NSNET_REDIRECT || (v == NSNET_ALLOW && note->passes);
	if (!d->rule)
		d->rule = strdup("hook");
	switch (v) {
	case NSNET_DEFAULT:
		free(d->rule); /* it is not the hook that decides */
		d->rule = NULL;
		return VERDICT_NONE;
	case NSNET_ALLOW:
		return VERDICT_ALLOW;
	case NSNET_DENY:
		return deny(d, DENY_STYLE_REFUSE);
	case NSNET_UNREACHABLE:
		return deny(d, DENY_STYLE_UNREACHABLE);
	case NSNET_PROHIBITED:
		return deny(d, DENY_STYLE_PROHIBITED);
	case NSNET_DROP:
		return VERDICT_DROP;
	case NSNET_REDIRECT:
		return d->target.v ? VERDICT_REDIRECT : fail(d, "a redirect to nowhere");
	case NSNET_PENDING:
		return fail(d, "a wait that nobody can end: hooks.cancel is missing");
	}
	return fail(d, "the hook returned no verdict");
}

static enum verdict ask(struct bridge *b,
	enum nsnet_verdict (*hook)(void *arg, struct nsnet_flow *f), struct flow *f,
	struct decision *d)
{
	struct note *note = note_of(b, f);
	enum nsnet_verdict v;

	if (!note)
		return fail(d, "out of memory");
	note->answering = true;
	b->depth++;
	v = hook(b->arg, shown(f));
	b->depth--;
	if (v == NSNET_PENDING && b->user.cancel)
		return VERDICT_PENDING;
	note->answering = false;
	return translate(note, v, d);
}

static enum verdict bridge_connect(void *arg, struct flow *f, struct decision *d)
{
	struct bridge *b = arg;

	return ask(b, b->user.connect, f, d);
}

static enum verdict bridge_flow(void *arg, struct flow *f, struct decision *d)
{
	struct bridge *b = arg;

	return ask(b, b->user.flow, f, d);
}

static enum verdict bridge_dns(void *arg, struct dnsquery *q, struct decision *d)
{
	static const struct note nobody = {0};
	struct bridge *b = arg;
	enum nsnet_verdict v;

	b->depth++;
	v = b->user.name(b->arg, q->name, q->m.type);
	b->depth--;
	return translate(&nobody, v, d);
}

/* ---- the dialer ---- */

static int take_socket(struct note *note, int fd)
{
	if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) == -1 ||
		fcntl(fd, F_SETFD, FD_CLOEXEC) == -1) {
		int rc = -errno;

		close(fd);
		return rc;
	}
	ev_io_set(&note->dialing, fd, EV_WRITE);
	ev_io_start(note->bridge->loop, &note->dialing);
	return -EINPROGRESS;
}

static int bridge_dial(void *arg, struct flow *f)
{
	struct bridge *b = arg;
	struct note *note = note_of(b, f);
	int rc;

	if (!note)
		return -ENOMEM;
	b->depth++;
	rc = b->user.dial(b->arg, shown(f));
	b->depth--;
	if (rc >= 0)
		return take_socket(note, rc);
	if (rc == -EINPROGRESS && !b->user.cancel) {
		log_error("the dialer waits, but hooks.cancel is missing");
		return -EINVAL;
	}
	return rc;
}

/* Gives up the waiting; the socket is the caller's. */
static int stop_dialing(struct note *note)
{
	int fd = note->dialing.fd;

	ev_io_stop(note->bridge->loop, &note->dialing);
	ev_io_set(&note->dialing, -1, EV_WRITE);
	return fd;
}

static void bridge_on_dialed(struct ev_loop *loop, ev_io *w, int revents)
{
	struct note *note = container_of(w, struct note, dialing);
	int fd = stop_dialing(note), error = 0;
	struct sockaddr_storage peer;
	socklen_t len = sizeof(error), peer_len = sizeof(peer);

	UNUSED(loop);
	UNUSED(revents);
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == -1)
		error = errno;
	else if (!error && getpeername(fd, (struct sockaddr *)&peer, &peer_len) == -1)
		error = errno; /* its connect(2) had failed at once */
	if (error) {
		close(fd);
		fd = -error;
	}
	policy_dialed(note->bridge->policy, note->flow, fd, NULL, 0); /* last: it may be gone */
}

static void bridge_cancel(void *arg, struct flow *f)
{
	struct bridge *b = arg;
	struct note *note = f->policy;

	if (ev_is_active(&note->dialing)) {
		close(stop_dialing(note));
		return;
	}
	note->answering = false;
	b->depth++;
	b->user.cancel(b->arg, shown(f));
	b->depth--;
}

/* ---- the others ---- */

static int bridge_data(void *arg, struct flow *f, enum hook_dir dir, const void *bytes, size_t n,
	void **other, size_t *other_len)
{
	struct bridge *b = arg;
	int rc;

	b->depth++;
	rc = b->user.data(b->arg, shown(f), dir == HOOK_DIR_OUT ? NSNET_OUT : NSNET_IN, bytes, n,
		other, other_len);
	b->depth--;
	return rc;
}

static bool bridge_packet(void *arg, enum hook_dir dir, struct packet *p)
{
	struct bridge *b = arg;
	bool pass;

	b->depth++;
	pass = b->user.packet(b->arg, dir == HOOK_DIR_OUT ? NSNET_OUT : NSNET_IN, p->data, p->len);
	b->depth--;
	return pass;
}

static void bridge_close(void *arg, struct flow *f)
{
	struct bridge *b = arg;

	b->depth++;
	if (b->user.close)
		b->user.close(b->arg, shown(f));
	b->depth--;
	free(f->policy);
	f->policy = NULL;
}

void bridge_init(struct bridge *b, struct ev_loop *loop, struct policy *policy,
	const struct nsnet_hooks *user, void *arg)
{
	*b = (struct bridge){.loop = loop, .policy = policy, .user = *user, .arg = arg};
	b->hooks = (struct hooks){
		.arg = b,
		.connect = user->connect ? bridge_connect : NULL,
		.flow = user->flow ? bridge_flow : NULL,
		.dns = user->name ? bridge_dns : NULL,
		.dial = user->dial ? bridge_dial : NULL,
		.data = user->data ? bridge_data : NULL,
		.packet = user->packet ? bridge_packet : NULL,
		.cancel = bridge_cancel,
		.close = bridge_close,
	};
	policy->hooks = &b->hooks;
}

/* ---- flows, as nsnet.h has them ---- */

uint64_t nsnet_flow_id(const struct nsnet_flow *f)
{
	return flow_of(f)->id;
}

const char *nsnet_flow_network(const struct nsnet_flow *f)
{
	return flow_of(f)->ops->network;
}

bool nsnet_flow_is_inbound(const struct nsnet_flow *f)
{
	return flow_of(f)->inbound;
}

static struct bridge *bridge_of(const struct nsnet_flow *f)
{
	const struct note *note = flow_of(f)->policy;

	return note ? note->bridge : NULL;
}

const char *nsnet_flow_host(const struct nsnet_flow *f)
{
	const struct bridge *b = bridge_of(f);

	return b ? b->policy->name_of(b->policy->name_arg, flow_of(f)) : NULL;
}

socklen_t nsnet_flow_source(const struct nsnet_flow *f, struct sockaddr_storage *a)
{
	return addr_to_sockaddr(&flow_of(f)->key.src, a);
}

socklen_t nsnet_flow_destination(const struct nsnet_flow *f, struct sockaddr_storage *a)
{
	return addr_to_sockaddr(&flow_of(f)->key.dst, a);
}

socklen_t nsnet_flow_target(const struct nsnet_flow *f, struct sockaddr_storage *a)
{
	const struct flow *flow = flow_of(f);

	return addr_to_sockaddr(flow->decision.target.v ? &flow->decision.target : &flow->key.dst,
		a);
}

uint64_t nsnet_flow_bytes_out(const struct nsnet_flow *f)
{
	return flow_of(f)->bytes_up;
}

uint64_t nsnet_flow_bytes_in(const struct nsnet_flow *f)
{
	return flow_of(f)->bytes_down;
}

const char *nsnet_flow_cause(const struct nsnet_flow *f)
{
	const struct flow *flow = flow_of(f);

	return flow->state == FLOW_STATE_ENDED ? flow_cause_name(flow->cause) : "";
}

void *nsnet_flow_data(const struct nsnet_flow *f)
{
	const struct note *note = flow_of(f)->policy;

	return note ? note->data : NULL;
}

void nsnet_flow_set_data(struct nsnet_flow *f, void *data)
{
	struct note *note = flow_of(f)->policy;

	note->data = data;
}

/* The decision that a hook may still shape, or NULL. */
static struct decision *open_decision(struct nsnet_flow *f)
{
	struct flow *flow = flow_of(f);
	const struct note *note = flow->policy;

	return note && note->answering ? &flow->decision : NULL;
}

int nsnet_flow_redirect(struct nsnet_flow *f, const struct sockaddr *to, socklen_t len)
{
	struct decision *d = open_decision(f);
	struct sockaddr_storage ss = {0};
	struct addr a;

	if (!d)
		return -EALREADY;
	if (len > sizeof(ss))
		return -EINVAL;
	memcpy(&ss, to, len);
	if (len < (ss.ss_family == AF_INET6 ? sizeof(struct sockaddr_in6)
					    : sizeof(struct sockaddr_in)) ||
		addr_from_sockaddr(&a, &ss) < 0)
		return -EINVAL;
	d->target = a;
	return 0;
}

int nsnet_flow_pass_guard(struct nsnet_flow *f)
{
	struct note *note = flow_of(f)->policy;

	if (!open_decision(f))
		return -EALREADY;
	note->passes = true;
	return 0;
}

int nsnet_flow_show_data(struct nsnet_flow *f)
{
	struct decision *d = open_decision(f);

	if (!d)
		return -EALREADY;
	d->data = true;
	return 0;
}

int nsnet_flow_explain(struct nsnet_flow *f, const char *reason)
{
	struct decision *d = open_decision(f);
	char *copy;

	if (!d)
		return -EALREADY;
	copy = strdup(reason);
	if (!copy)
		return -ENOMEM;
	free(d->reason);
	d->reason = copy;
	return 0;
}

int nsnet_flow_answer(struct nsnet_flow *f, enum nsnet_verdict verdict)
{
	struct flow *flow = flow_of(f);
	struct note *note = flow->policy;
	struct decision d;
	enum verdict v;

	if (!note || !note->answering || !flow->waiting)
		return -EALREADY;
	note->answering = false;
	d = flow->decision;
	flow->decision = (struct decision){0};
	v = translate(note, verdict, &d);
	policy_answer(note->bridge->policy, flow, v, &d); /* last: @f may be gone */
	return 0;
}

int nsnet_flow_dialed(struct nsnet_flow *f, int fd)
{
	struct flow *flow = flow_of(f);
	struct note *note = flow->policy;
	int rc = fd;

	if (!note || note->answering || !flow->waiting || ev_is_active(&note->dialing)) {
		if (fd >= 0)
			close(fd);
		return -EALREADY;
	}
	if (fd >= 0)
		rc = take_socket(note, fd);
	if (rc != -EINPROGRESS) /* last: @f may be gone */
		policy_dialed(note->bridge->policy, flow, rc, NULL, 0);
	return 0;
}
