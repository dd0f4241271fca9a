/* SPDX-License-Identifier: MIT */
#include "lua/scripts.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base.h"
#include "core/log.h"
#include "lua/chain.h"
#include "lua/connection.h"
#include "lua/dialer.h"
#include "lua/dnschain.h"
#include "lua/greeting.h"
#include "lua/rules.h"
#include "lua/tamper.h"
#include "lua/text.h"
#include "lua/view.h"

/* The functions of struct hooks: from a flow to the rule set that answers for it. A new flow asks
 * the current one; one that was asked before stays with its own. */

static enum verdict hook_ask(void *arg, struct flow *f, struct decision *d)
{
	struct lua_host *h = arg;
	struct connection *c = connection_get(h->current, f);
	if (!c) {
		log_error("no memory for a connection: denied");
		return VERDICT_DENY;
	}
	return chain_ask(c, d);
}

/* A flow without a connection was never asked about, so no dialer is for it. */
static int hook_dial(void *arg, struct flow *f)
{
	UNUSED(arg);
	return f->policy ? dialer_dial(f->policy) : -ENOSYS;
}

static bool hook_dials(void *arg, struct flow *f)
{
	UNUSED(arg);
	return f->policy && dialer_would(f->policy);
}

static void hook_forget(void *arg, struct flow *f)
{
	UNUSED(arg);
	if (f->policy)
		connection_free(f->policy);
}

static enum verdict hook_first_bytes(void *arg, struct flow *f, const void *bytes, size_t n,
	bool more, struct decision *d)
{
	UNUSED(arg);
	return f->policy ? greeting_ask(f->policy, bytes, n, more, d) : VERDICT_DENY;
}

static int hook_data(void *arg, struct flow *f, enum hook_dir dir, const void *bytes, size_t n,
	void **other, size_t *other_len)
{
	UNUSED(arg);
	return f->policy ? tamper_ask(f->policy, dir, bytes, n, other, other_len) : -ECONNABORTED;
}

static bool hook_packet(void *arg, enum hook_dir dir, struct packet *p)
{
	struct lua_host *h = arg;
	return view_ask(h->current, dir, p);
}

static enum verdict hook_dns(void *arg, struct dnsquery *q, struct decision *d)
{
	struct lua_host *h = arg;
	return dnschain_ask(h->current, q, d);
}

static void hook_dns_cancel(void *arg, struct dnsquery *q)
{
	UNUSED(arg);
	dnschain_cancel(q);
}

static void hook_cancel(void *arg, struct flow *f)
{
	UNUSED(arg);
	if (f->policy)
		connection_cancel(f->policy);
}

static void hook_close(void *arg, struct flow *f)
{
	UNUSED(arg);
	struct connection *c = f->policy;
	if (!c)
		return;
	connection_cancel(c);
	chain_closed(c);
	connection_free(c);
}

/* Some flow may go to a dialer, which wants names. A handler that answers nsnet.via is not known
 * before it does. */
static bool has_dialers(const struct ruleset *rs)
{
	for (size_t i = 0; i < rs->chain.len; i++) {
		const struct rules *r = rs->chain.v[i].rules;
		for (size_t k = 0; r && k < r->len; k++) {
			if (r->rule[k].dialer_ref != LUA_NOREF)
				return true;
		}
	}
	return rs->dialers.len != 0;
}

/* A hook that nobody registered stays NULL. */
void scripts_set_hooks(struct lua_host *h)
{
	const struct ruleset *rs = h->current;
	/* Dialers and on_close want to know every flow from its beginning. */
	bool tcp = rs->guards.len || rs->closers.len || rs->dialers.len, flow = tcp, dns = false;
	tcp |= rs->greeters.len || rs->data.len;
	for (size_t i = 0; i < rs->chain.len; i++) {
		tcp |= rs->chain.v[i].networks & FILTER_TCP;
		flow |= (rs->chain.v[i].networks & (FILTER_UDP | FILTER_ICMP)) != 0;
		dns |= rs->chain.v[i].rules || rs->chain.v[i].networks & FILTER_DNS;
	}
	h->hooks.arg = h;
	h->hooks.connect = tcp ? hook_ask : NULL;
	h->hooks.flow = flow ? hook_ask : NULL;
	h->hooks.dns = dns ? hook_dns : NULL;
	h->hooks.packet = rs->packets.len ? hook_packet : NULL;
	/* These also serve the flows and questions of earlier rule sets. */
	h->hooks.dns_cancel = hook_dns_cancel;
	h->hooks.first_bytes = hook_first_bytes;
	h->hooks.data = hook_data;
	h->hooks.dial = hook_dial;
	h->hooks.dials = has_dialers(rs) ? hook_dials : NULL;
	h->hooks.forget = hook_forget;
	h->hooks.cancel = hook_cancel;
	h->hooks.close = hook_close;
	h->options.policy->by_name = rs->has_names;
	h->options.policy->by_process = rs->has_process;
	if (!h->options.default_fixed)
		h->options.policy->default_deny = rs->default_deny;
}

const struct hooks *lua_host_hooks(struct lua_host *h)
{
	return &h->hooks;
}

struct lua_host *lua_host_new(const struct lua_options *o)
{
	struct lua_host *h = calloc(1, sizeof(*h));
	if (!h)
		return NULL;
	h->options = *o;
	h->witness = (struct loader_witness){.opened = o->opened, .arg = o->opened_arg};
	if (!h->options.memory_max)
		h->options.memory_max = 64 << 20;
	return h;
}

void lua_host_free(struct lua_host *h)
{
	if (!h)
		return;
	if (h->current)
		ruleset_put(h->current);
	for (size_t i = 0; i < h->script_len; i++) {
		free(h->script[i].name);
		free(h->script[i].text);
	}
	free(h->script);
	free(h);
}

static int add(struct lua_host *h, const char *name, const char *text)
{
	struct script *v = realloc(h->script, (h->script_len + 1) * sizeof(*v));
	if (!v)
		return -ENOMEM;
	h->script = v;
	struct script *s = &v[h->script_len];
	s->name = strdup(name);
	s->text = text ? strdup(text) : NULL;
	if (!s->name || (text && !s->text)) {
		free(s->name);
		free(s->text);
		return -ENOMEM;
	}
	h->script_len++;
	return 0;
}

int lua_host_add_file(struct lua_host *h, const char *path)
{
	return add(h, path, NULL);
}

int lua_host_add_code(struct lua_host *h, const char *name, const char *text)
{
	size_t n = strlen(name), same = 1;
	char numbered[TEXT_WHERE_MAX];
	for (size_t i = 0; i < h->script_len; i++)
		same += h->script[i].text && !strncmp(h->script[i].name, name, n) &&
			(!h->script[i].name[n] || h->script[i].name[n] == '#');
	snprintf(numbered, sizeof(numbered), "%s#%zu", name, same);
	return add(h, same > 1 ? numbered : name, text);
}

size_t lua_host_memory(const struct lua_host *h)
{
	lua_State *L = h->current ? h->current->vm.L : NULL;

	return L ? (size_t)lua_gc(L, LUA_GCCOUNT, 0) * 1024 + (size_t)lua_gc(L, LUA_GCCOUNTB, 0)
		 : 0;
}

unsigned long long lua_host_errors(const struct lua_host *h)
{
	return h->current ? h->current->vm.report.total : 0;
}
