/* SPDX-License-Identifier: MIT */
#include "errand.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base.h"
#include "dgram.h"
#include "dial.h"
#include "expiry.h"
#include "guard.h"
#include "log.h"

/* Only one address is judged at a time, since a script may think about it. Meanwhile the flow wears
 * the guise of that one, dials of others go on, and the first that connects ends the thinking. */
enum state {
	BY_NAME,
	SEEKING,
	JUDGING,
	FAILED,
	CHOSEN,
	DIALING,
	DONE,
};

struct race_dial {
	struct errand *errand;
	struct dial dial;
	bool running;
};

struct errand {
	struct errands *all;
	struct flow *flow;
	struct synth_name *name; /* held */
	enum state state;
	struct quest_wait wait;
	struct guises guises;    /* empty while no address is known, and after the race */
	struct race_dial *dials; /* owned: of each; NULL = none was begun */
	size_t next;             /* to be judged */
	size_t chosen, denied;   /* index; guises.count = none */
	ev_timer stagger;
	int error; /* of the last dial that failed, positive; FAILED: of all */
};

static struct ev_loop *loop_of(const struct errand *er)
{
	return er->all->quests.loop;
}

/* All but the face are forgotten. */
static void forget_others(struct errand *er)
{
	ev_timer_stop(loop_of(er), &er->stagger);
	for (size_t i = 0; er->dials && i < er->guises.count; i++)
		if (er->dials[i].running)
			dial_stop(&er->dials[i].dial);
	free(er->dials);
	er->dials = NULL;
	guises_keep_face(&er->guises);
}

/* ---- the end ---- */

static void errand_end(void *arg, struct flow *f)
{
	struct errands *es = arg;
	struct errand *er = f->errand;

	quest_stop(&er->wait);
	forget_others(er);
	synth_release(es->synth, er->name, expiry_now());
	f->name = NULL;
	f->errand = NULL;
	es->count--;
	guises_fini(&er->guises);
	free(er);
}

/* The decision counts, and the flow is told: last, it may be gone. */
static void conclude(struct errand *er)
{
	struct flow *f = er->flow;

	policy_conclude(er->all->policy, f);
	f->ops->decided(f);
}

/* The dial will fail with @error. */
static void fail(struct errand *er, int error, const char *reason)
{
	struct decision *d = &er->flow->decision;

	er->state = FAILED;
	er->error = error;
	er->all->failed++;
	d->verdict = VERDICT_ALLOW;
	d->reason = reason ? strdup(reason) : NULL;
	if (reason && !er->all->policy->logged)
		log_info("%s: %s", er->name->text, reason);
	conclude(er); /* last: @er may be gone */
}

/* ---- judging ---- */

static void judge_next(struct errand *er);

static void set_stagger(struct errand *er)
{
	ev_timer_stop(loop_of(er), &er->stagger);
	if (er->next == er->guises.count)
		return;
	ev_timer_set(&er->stagger, ERRAND_STAGGER_S, 0);
	ev_timer_start(loop_of(er), &er->stagger);
}

static bool is_dialing(const struct errand *er)
{
	for (size_t i = 0; er->dials && i < er->guises.count; i++)
		if (er->dials[i].running)
			return true;
	return false;
}

/* TCP: the race is over. Takes @fd, or a negative errno. */
static void finish(struct errand *er, int fd)
{
	struct flow *f = er->flow;

	er->state = DONE;
	if (fd < 0)
		guises_wear(&er->guises, er->chosen);
	forget_others(er);
	guises_fini(&er->guises);
	er->next = er->chosen = er->denied = 0;
	f->ops->dialed(f, fd, NULL, 0); /* last: @f may be gone */
}

static void note_error(struct errand *er, int error)
{
	/* A refusal says more than a missing route of the other version. */
	if (er->error != ECONNREFUSED)
		er->error = error;
}

/* Somebody has failed: the next one, at once, or nobody is left. */
static void go_on(struct errand *er)
{
	if (er->flow->waiting)
		return; /* when it is judged */
	if (er->next < er->guises.count)
		judge_next(er);
	else if (!is_dialing(er))
		finish(er, -er->error);
}

static void on_dialed(void *arg, int fd)
{
	struct race_dial *d = arg;
	struct errand *er = d->errand;
	struct flow *f = er->flow;

	d->running = false;
	if (fd >= 0) {
		if (f->waiting) /* a script still thinks about another address */
			guises_forget_face(&er->guises);
		guises_wear(&er->guises, (size_t)(d - er->dials));
		/* As in conn.c: the address may have become one of the host's own. */
		if (policy_still_allows(er->all->policy, f)) {
			finish(er, fd); /* last: @er may be gone */
			return;
		}
		close(fd);
		fd = -EACCES;
	}
	note_error(er, -fd);
	go_on(er); /* last: @er may be gone */
}

/* Begins the dial of the face, which is allowed. Returns a negative errno if it cannot be. */
static int dial_face(struct errand *er)
{
	struct race_dial *d = &er->dials[er->guises.face];
	int rc = dial_start(&d->dial, loop_of(er), &er->flow->decision.target,
		er->all->dial_timeout_s, on_dialed, d);

	d->errand = er;
	d->running = rc == 0;
	if (rc < 0)
		note_error(er, -rc);
	return rc;
}

/* UDP and echo have no handshake: a way to the address must do. */
static int probe(const struct errand *er)
{
	const struct flow *f = er->flow;
	int fd;

	if (f->key.proto == IPPROTO_TCP || f->decision.verdict == VERDICT_VIA)
		return 0;
	fd = dgram_open(&f->decision.target, f->key.proto == IPPROTO_ICMP);
	if (fd >= 0)
		close(fd);
	return fd < 0 ? fd : 0;
}

/* The face has been judged. True: another is to be. */
static bool settle(struct errand *er)
{
	const struct decision *d = &er->flow->decision;
	const size_t i = er->guises.face;
	int rc;

	if (d->verdict == VERDICT_DENY || d->verdict == VERDICT_DROP) {
		if (er->denied == er->guises.count)
			er->denied = i;
		guises_put_away(&er->guises);
		return true;
	}
	if (er->state == DIALING) {
		/* Where a rule sends this address, or a dialer, is no way to the name. */
		rc = d->verdict == VERDICT_ALLOW ? dial_face(er) : -EACCES;
		guises_wear(&er->guises, er->chosen);
		if (rc == 0)
			set_stagger(er);
		return rc < 0;
	}
	rc = probe(er);
	if (rc < 0) {
		note_error(er, -rc);
		er->chosen = i;
		guises_put_away(&er->guises);
		return true;
	}
	er->chosen = i;
	er->state = CHOSEN;
	conclude(er); /* last: @er may be gone */
	return false;
}

/* There is nothing left to be judged. */
static void exhausted(struct errand *er)
{
	if (er->state == DIALING) {
		if (!is_dialing(er))
			finish(er, -er->error); /* last: @er may be gone */
		else
			guises_wear(&er->guises, er->chosen);
	} else if (er->chosen != er->guises.count) {
		guises_wear(&er->guises, er->chosen);
		er->state = FAILED;
		conclude(er);
	} else {
		guises_wear(&er->guises, er->denied);
		conclude(er);
	}
}

static void judge_next(struct errand *er)
{
	struct flow *f = er->flow;

	do {
		if (er->next == er->guises.count) {
			exhausted(er); /* last: @er may be gone */
			return;
		}
		guises_wear(&er->guises, er->next++);
		if (!policy_judge(er->all->policy, f))
			return;
	} while (settle(er));
}

static void on_stagger(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct errand *er = container_of(w, struct errand, stagger);

	UNUSED(loop);
	UNUSED(revents);
	if (!er->flow->waiting)
		judge_next(er); /* last: @er may be gone */
}

/* ---- seeking ---- */

/* Datagrams go to one address only: rather one of the version that the child chose. */
static void prefer(const struct flow *f, const struct quest_answer *a, struct addr *out)
{
	const bool datagrams = f->key.proto != IPPROTO_TCP;
	size_t n = 0;

	for (int round = 0; round < 2; round++)
		for (size_t i = 0; i < a->count; i++)
			if ((datagrams && a->list[i].v != f->key.dst.v) == round)
				out[n++] = a->list[i];
}

static void on_sought(struct quest_wait *w, const struct quest_answer *a)
{
	struct errand *er = container_of(w, struct errand, wait);
	struct decision *d = &er->flow->decision;
	struct addr list[QUEST_ADDRESSES];

	if (a->denied) {
		d->verdict = VERDICT_DENY;
		d->rule = strdup(a->denied->rule ? a->denied->rule : "default");
		d->reason = a->denied->reason ? strdup(a->denied->reason) : NULL;
		er->state = FAILED;
		conclude(er); /* last: @er may be gone */
		return;
	}
	if (!a->count) {
		fail(er, EHOSTUNREACH, a->reason);
		return;
	}
	prefer(er->flow, a, list);
	if (guises_init(&er->guises, er->all->policy, er->flow, list, a->count) < 0) {
		fail(er, ENOMEM, NULL);
		return;
	}
	er->chosen = er->denied = a->count;
	er->state = JUDGING;
	judge_next(er); /* last: @er may be gone */
}

/* 0, or a negative errno. */
static int seek(struct errand *er)
{
	er->state = SEEKING;
	return quest_start(&er->all->quests, er->name, er->flow, &er->wait, on_sought);
}

/* ---- by name ---- */

/* The name alone was judged. True: the decision is final. */
static bool settle_name(struct errand *er)
{
	const struct hooks *h = er->all->policy->hooks;
	struct flow *f = er->flow;

	switch (f->decision.verdict) {
	case VERDICT_REDIRECT:
	case VERDICT_VIA:
		break;
	case VERDICT_ALLOW:
		if (h->dials && h->dials(h->arg, f))
			break;
		/* fall through */
	default: /* an address may change the verdict */
		guises_forget_face(&er->guises);
		return false;
	}
	er->state = CHOSEN;
	return true;
}

static void errand_judged(void *arg, struct flow *f)
{
	struct errand *er = f->errand;

	UNUSED(arg);
	if (er->state == BY_NAME) {
		if (settle_name(er))
			conclude(er); /* last: @er may be gone */
		else if (seek(er) < 0)
			fail(er, ENOMEM, NULL);
		return;
	}
	if (settle(er))
		judge_next(er); /* last: @er may be gone */
}

static int errand_ask(void *arg, struct flow *f)
{
	struct errands *es = arg;
	const struct hooks *h = es->policy->hooks;
	const struct addr to = guard_canonical(&f->key.dst);
	struct synth_name *n = synth_find(es->synth, &to);
	struct errand *er = n ? calloc(1, sizeof(*er)) : NULL;

	/* Policy judges the address as it stands: the guard knows that it leads nowhere. */
	if (!er)
		return 0;
	er->all = es;
	er->flow = f;
	er->guises = (struct guises){.policy = es->policy, .flow = f};
	er->name = n;
	ev_timer_init(&er->stagger, on_stagger, 0, 0);
	synth_hold(n);
	es->count++;
	f->by_name = true;
	f->name = n->text;
	f->errand = er;
	f->dst = (struct addr){.port = f->key.dst.port};
	if (h && h->dials) {
		if (!policy_judge(es->policy, f))
			return -EINPROGRESS;
		if (settle_name(er)) {
			policy_conclude(es->policy, f);
			return 1;
		}
	}
	if (seek(er) == 0)
		return -EINPROGRESS;
	f->decision.verdict = VERDICT_ALLOW;
	er->state = FAILED;
	er->error = ENOMEM;
	policy_conclude(es->policy, f);
	return 1;
}

static int errand_dial(void *arg, struct flow *f)
{
	struct errand *er = f->errand;
	const struct decision *d = &f->decision;

	UNUSED(arg);
	if (er->state == FAILED)
		return -er->error;
	if (!d->target.v) /* only a dialer could have taken it */
		return -EOPNOTSUPP;
	if (f->key.proto != IPPROTO_TCP || d->verdict != VERDICT_ALLOW ||
		er->next == er->guises.count)
		return -ENOSYS;
	er->dials = calloc(er->guises.count, sizeof(*er->dials));
	if (!er->dials)
		return -ENOMEM;
	er->state = DIALING;
	if (dial_face(er) == 0) {
		set_stagger(er);
		return -EINPROGRESS;
	}
	/* From the loop, like every answer: the next address at once. */
	ev_timer_set(&er->stagger, 0, 0);
	ev_timer_start(loop_of(er), &er->stagger);
	return -EINPROGRESS;
}

void errands_init(struct errands *es, struct ev_loop *loop, struct policy *policy,
	struct synth *synth, struct dnsquery_pool *pool)
{
	memset(es, 0, sizeof(*es));
	es->policy = policy;
	es->synth = synth;
	quests_init(&es->quests, loop, pool);
	es->ops = (struct errand_ops){.arg = es,
		.ask = errand_ask,
		.judged = errand_judged,
		.dial = errand_dial,
		.end = errand_end};
	policy->errands = &es->ops;
}

void errands_fini(struct errands *es)
{
	quests_fini(&es->quests);
}
