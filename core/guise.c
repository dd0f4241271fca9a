/* SPDX-License-Identifier: MIT */
#include "guise.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int guises_init(struct guises *g, struct policy *policy, struct flow *f, const struct addr *list,
	size_t count)
{
	*g = (struct guises){.policy = policy, .flow = f};
	g->list = calloc(count, sizeof(*g->list));
	if (!g->list)
		return -ENOMEM;
	g->count = g->face = count;
	for (size_t i = 0; i < count; i++) {
		g->list[i].to = list[i];
		g->list[i].to.port = f->key.dst.port;
	}
	return 0;
}

void guises_put_away(struct guises *g)
{
	struct flow *f = g->flow;

	if (g->face == g->count)
		return;
	g->list[g->face].decision = f->decision;
	g->list[g->face].policy = f->policy;
	memset(&f->decision, 0, sizeof(f->decision));
	f->policy = NULL;
	g->face = g->count;
}

void guises_wear(struct guises *g, size_t i)
{
	struct guise *one = &g->list[i];
	struct flow *f = g->flow;

	guises_put_away(g);
	f->decision = one->decision;
	f->policy = one->policy;
	f->dst = one->to;
	memset(&one->decision, 0, sizeof(one->decision));
	one->policy = NULL;
	g->face = i;
}

void guises_forget_face(struct guises *g)
{
	const struct hooks *hooks = g->policy->hooks;
	struct flow *f = g->flow;

	if (f->waiting) {
		f->waiting = false;
		hooks->cancel(hooks->arg, f);
	}
	if (f->policy && hooks && hooks->forget)
		hooks->forget(hooks->arg, f);
	f->policy = NULL;
	decision_fini(&f->decision);
	g->face = g->count;
}

void guises_keep_face(struct guises *g)
{
	const size_t face = g->face;

	for (size_t i = 0; i < g->count; i++) {
		const struct guise *one = &g->list[i];

		if (i == face || (!one->policy && one->decision.verdict == VERDICT_NONE))
			continue;
		guises_wear(g, i);
		guises_forget_face(g);
	}
	if (g->face != face)
		guises_wear(g, face);
}

void guises_fini(struct guises *g)
{
	free(g->list);
	g->list = NULL;
	g->count = g->face = 0;
}
