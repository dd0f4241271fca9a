/* SPDX-License-Identifier: MIT */
#include "inspect.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base.h"
#include "buf.h"
#include "steady.h"
#include "tell.h"
#include "utf8.h"

static const char *state_name(enum flow_state s)
{
	static const char *const name[] = {
		[FLOW_STATE_ASKED] = "asked",
		[FLOW_STATE_DIALING] = "dialing",
		[FLOW_STATE_OPEN] = "open",
		[FLOW_STATE_ENDED] = "ended",
	};

	return (size_t)s < ARRAY_LEN(name) ? name[s] : "?";
}

static void add_text(cJSON *to, const char *key, const char *text)
{
	if (text)
		cJSON_AddStringToObject(to, key, text);
}

static void add_addr(cJSON *to, const char *key, const struct addr *a)
{
	char text[ADDR_TEXT_MAX];

	if (a->v)
		cJSON_AddStringToObject(to, key, addr_format(a, true, text));
}

static cJSON *describe(const struct inspect *i, const struct flow *f)
{
	cJSON *o = cJSON_CreateObject();

	cJSON_AddNumberToObject(o, "id", (double)f->id);
	cJSON_AddStringToObject(o, "network", f->ops->network);
	cJSON_AddStringToObject(o, "state", state_name(f->state));
	add_addr(o, "src", &f->key.src);
	add_addr(o, "dst", &f->key.dst);
	add_text(o, "name", i->name_of ? i->name_of(i->name_arg, f) : NULL);
	if (!addr_equal(&f->decision.target, &f->key.dst))
		add_addr(o, "target", &f->decision.target);
	add_text(o, "verdict", tell_verdict(f->decision.verdict));
	add_text(o, "rule", f->decision.rule);
	if (f->process) {
		char who[4 * PROCESS_NAME_MAX + 16];
		size_t n = utf8_escape(who, 4 * PROCESS_NAME_MAX, f->process->name);

		snprintf(who + n, sizeof(who) - n, "[%d]", (int)f->process->pid);
		add_text(o, "process", who);
	}
	cJSON_AddNumberToObject(o, "age", steady_now() - f->began);
	cJSON_AddNumberToObject(o, "up", (double)f->bytes_up);
	cJSON_AddNumberToObject(o, "down", (double)f->bytes_down);
	return o;
}

static int connections(void *arg, const char *argument, cJSON *reply)
{
	const struct inspect *i = arg;
	const struct flow_table *t = i->gate->flows;
	cJSON *list = cJSON_AddArrayToObject(reply, "connections");

	for (struct list *e = t->all.next; e != &t->all; e = e->next) {
		const struct flow *f = container_of(e, struct flow, all);

		/* What has ended stays only so that nobody is asked again. */
		if (f->state == FLOW_STATE_ENDED)
			continue;
		if (argument && strcmp(argument, f->ops->network) != 0)
			continue;
		cJSON_AddItemToArray(list, describe(i, f));
	}
	return 0;
}

static struct flow *by_id(const struct flow_table *t, const char *text)
{
	char *end;
	unsigned long long id;

	if (!text || *text < '0' || *text > '9')
		return NULL;
	errno = 0;
	id = strtoull(text, &end, 10);
	if (errno || *end)
		return NULL;
	for (struct list *e = t->all.next; e != &t->all; e = e->next) {
		struct flow *f = container_of(e, struct flow, all);

		if (f->id == id)
			return f->state == FLOW_STATE_ENDED ? NULL : f;
	}
	return NULL;
}

static int close_one(void *arg, const char *argument, cJSON *reply)
{
	const struct inspect *i = arg;
	struct flow *f = by_id(i->gate->flows, argument);
	char text[FLOW_TEXT_MAX];

	if (!f) {
		cJSON_AddStringToObject(reply, "error",
			"no such connection; give an id that connections lists");
		return -ENOENT;
	}
	cJSON_AddStringToObject(reply, "closed", flow_format(f, text));
	f->ops->abort(f, FLOW_CAUSE_ABORTED);
	return 0;
}

static void add_assoc(cJSON *to, const char *key, const struct assoc_set *s)
{
	cJSON *o = cJSON_AddObjectToObject(to, key);

	cJSON_AddNumberToObject(o, "open", (double)s->count);
	cJSON_AddNumberToObject(o, "max", (double)s->max);
	cJSON_AddNumberToObject(o, "opened", (double)s->opened);
	cJSON_AddNumberToObject(o, "evicted", (double)s->evicted);
	cJSON_AddNumberToObject(o, "expired", (double)s->expired);
	cJSON_AddNumberToObject(o, "up", (double)s->up);
	cJSON_AddNumberToObject(o, "down", (double)s->down);
	cJSON_AddNumberToObject(o, "dropped",
		(double)(s->up_dropped + s->waiting_dropped + s->unfit + s->no_memory));
	cJSON_AddNumberToObject(o, "refused", (double)s->refused);
	cJSON_AddNumberToObject(o, "errors", (double)s->errors);
}

static void add_gate(cJSON *to, const struct gate *g)
{
	cJSON *o = cJSON_AddObjectToObject(to, "packets");

	cJSON_AddNumberToObject(o, "from_command", (double)g->tun->rx_packets);
	cJSON_AddNumberToObject(o, "from_command_bytes", (double)g->tun->rx_bytes);
	cJSON_AddNumberToObject(o, "to_command", (double)g->tun->tx_packets);
	cJSON_AddNumberToObject(o, "to_command_bytes", (double)g->tun->tx_bytes);
	cJSON_AddNumberToObject(o, "to_command_dropped", (double)g->tun->tx_dropped);
	cJSON_AddNumberToObject(o, "malformed", (double)g->malformed);
	cJSON_AddNumberToObject(o, "unsupported", (double)g->unsupported);
	cJSON_AddNumberToObject(o, "multicast", (double)g->multicast);
	cJSON_AddNumberToObject(o, "filtered", (double)g->filtered);
}

static void add_frag(cJSON *to, const struct frag *f)
{
	cJSON *o = cJSON_AddObjectToObject(to, "fragments");

	cJSON_AddNumberToObject(o, "complete", (double)f->complete);
	cJSON_AddNumberToObject(o, "malformed", (double)f->malformed);
	cJSON_AddNumberToObject(o, "spoiled", (double)f->spoiled);
	cJSON_AddNumberToObject(o, "expired", (double)f->expired);
	cJSON_AddNumberToObject(o, "evicted", (double)f->evicted);
}

static void add_dns(cJSON *to, const struct dns *d)
{
	cJSON *o = cJSON_AddObjectToObject(to, "dns");

	cJSON_AddNumberToObject(o, "udp_in", (double)d->udp_in);
	cJSON_AddNumberToObject(o, "udp_out", (double)d->udp_out);
	cJSON_AddNumberToObject(o, "udp_bad", (double)d->udp_bad);
	cJSON_AddNumberToObject(o, "asked", (double)d->pool.asked);
	cJSON_AddNumberToObject(o, "answered", (double)d->pool.answered);
	cJSON_AddNumberToObject(o, "denied", (double)d->pool.denied);
	cJSON_AddNumberToObject(o, "malformed", (double)d->pool.malformed);
	cJSON_AddNumberToObject(o, "repeated", (double)d->pool.repeated);
	cJSON_AddNumberToObject(o, "overflow", (double)d->pool.overflow);
	cJSON_AddNumberToObject(o, "failed", (double)d->pool.failed);
}

static int stats(void *arg, const char *argument, cJSON *reply)
{
	const struct inspect *i = arg;
	const struct gate *g = i->gate;
	cJSON *o;

	UNUSED(argument);
	cJSON_AddNumberToObject(reply, "pid", (double)getpid());
	o = cJSON_AddObjectToObject(reply, "policy");
	cJSON_AddNumberToObject(o, "allowed", (double)g->policy->allowed);
	cJSON_AddNumberToObject(o, "denied", (double)g->policy->denied);
	cJSON_AddNumberToObject(o, "dropped", (double)g->policy->dropped);
	o = cJSON_AddObjectToObject(reply, "tcp");
	cJSON_AddNumberToObject(o, "open", (double)g->conns->count);
	cJSON_AddNumberToObject(o, "max", (double)g->conns->max);
	cJSON_AddNumberToObject(o, "refused", (double)g->conns->refused);
	cJSON_AddNumberToObject(o, "quiet", (double)g->conns->quiet_count);
	cJSON_AddNumberToObject(o, "resets_sent", (double)g->stack->resets_sent);
	add_assoc(reply, "udp", &g->udp->set);
	add_assoc(reply, "icmp", &g->ping->set);
	add_dns(reply, g->dns);
	add_gate(reply, g);
	add_frag(reply, g->frag);
	o = cJSON_AddObjectToObject(reply, "flows");
	cJSON_AddNumberToObject(o, "now", (double)g->flows->count);
	cJSON_AddNumberToObject(o, "peak", (double)g->flows->peak);
	cJSON_AddNumberToObject(o, "ever", (double)(g->flows->next_id - 1));
	o = cJSON_AddObjectToObject(reply, "memory");
	cJSON_AddNumberToObject(o, "in_flight", (double)buf_used());
	return 0;
}

void inspect_init(struct inspect *i, struct control *c)
{
	const struct control_command all[] = {
		{"connections", "[tcp|udp|icmp]", "what is open now", connections, i},
		{"close", "ID", "end a connection", close_one, i},
		{"stats", "", "counters since the start", stats, i},
	};

	for (size_t k = 0; k < ARRAY_LEN(all); k++)
		control_add(c, &all[k]);
}
