/* SPDX-License-Identifier: MIT */
#include "lua/testflow.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

#include "core/base.h"
#include "core/packet.h"
#include "core/tell.h"
#include "lua/args.h"
#include "lua/connection.h"
#include "lua/verdict.h"

struct play *testflow_play(lua_State *L, int i)
{
	struct tester *t = tester_of(L);
	int id = luaL_checkint(L, i);
	struct list *e, *tmp;
	list_foreach (e, tmp, &t->plays) {
		struct play *p = container_of(e, struct play, link);
		if (p->id == id)
			return p;
	}
	luaL_error(L, "these rules are gone: they belong to the test that loaded them");
	return NULL;
}

static struct testflow *check_flow(lua_State *L, int i)
{
	struct tester *t = tester_of(L);
	int id = luaL_checkint(L, i);
	struct list *e, *tmp, *g, *gmp;
	list_foreach (e, tmp, &t->plays) {
		list_foreach (g, gmp, &container_of(e, struct play, link)->flows) {
			struct testflow *f = container_of(g, struct testflow, link);
			if (f->id == id)
				return f;
		}
	}
	luaL_error(L, "this connection is gone: it belongs to the test that made it");
	return NULL;
}

/* The flow of @op is gone: whoever waits does so until the file ends. */
static void testflow_leave(struct op *op)
{
	if (!op)
		return;
	vm_undefer(&op->later);
	op->flow = NULL;
}

static void testflow_free(struct testflow *f)
{
	testflow_leave(f->op);
	testflow_leave(f->queued);
	f->op = f->queued = NULL;
	trial_fini(&f->trial);
	list_del(&f->link);
	free(f);
}

void testflow_end_all(struct play *p)
{
	struct list *e, *tmp;
	list_foreach (e, tmp, &p->flows)
		testflow_free(container_of(e, struct testflow, link));
}

static void on_trial(void *arg)
{
	struct testflow *f = arg;
	if (f->op)
		op_end(f->op); /* last: @f may be gone */
}

/* An op about @f; @rc is what a step of its trial returned. */
static void step(struct op *op, int rc)
{
	if (rc == -EINPROGRESS)
		op->flow->op = op;
	else
		op_end(op);
}

/* --- asking ---------------------------------------------------------------------------------- */

struct ask {
	struct flow_key key;
	bool inbound, named;
	char name[DNAME_MAX];
};

static void ask_run(struct op *op)
{
	const struct ask *a = (const void *)op->bytes;
	struct testflow *f = op->flow;
	f->trial.flow.inbound = a->inbound;
	f->trial.flow.named = a->named;
	step(op, trial_ask(&f->trial, &a->key));
}

static int push_id(lua_State *L, void *arg)
{
	const struct op *op = arg;
	lua_pushinteger(L, op->flow->id);
	return 1;
}

static void check_addr(lua_State *L, int i, const char *key, bool port, struct addr *a)
{
	const char *text = luaL_checkstring(L, i);
	if (addr_parse(a, text) || (port && !a->port) || (!port && a->port))
		luaL_error(L, "%s=\"%s\" is no IP address%s", key, text,
			port ? " with a port, like \"192.0.2.1:443\"" : " (icmp has no ports)");
}

/* A call from outside: the flow's destination is its caller. */
static void ask_inbound(lua_State *L, struct ask *a, bool found)
{
	struct addr inside = a->key.dst;
	if (!a->key.src.v)
		luaL_error(L, "inbound=true needs src=, the caller outside");
	if (a->key.proto == IPPROTO_ICMP || a->name[0])
		luaL_error(L, "inbound=true is for tcp and udp, and without a name");
	a->key.dst = a->key.src;
	a->key.src = inside;
	a->inbound = true;
	a->named = !found;
}

/* ask(play, network, dst, src or nil, name or nil, inbound or nil, process or nil): a flow's
 * number. @inbound is "named" or "found". */
static int l_ask(lua_State *L)
{
	static const char *const networks[] = {"tcp", "udp", "icmp", NULL};
	static const uint32_t protos[] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP};
	struct play *p = testflow_play(L, 1);
	uint32_t proto = protos[args_enum(L, 2, "network", networks)];
	struct ask a = {.key.proto = proto};
	bool ports = proto != IPPROTO_ICMP;
	check_addr(L, 3, "dst", ports, &a.key.dst);
	if (!lua_isnoneornil(L, 4)) {
		check_addr(L, 4, "src", ports, &a.key.src);
		if (a.key.src.v != a.key.dst.v)
			return luaL_error(L, "src= and dst= are of different families");
	}
	const char *name = luaL_optstring(L, 5, NULL);
	if (name && dname_normalise(a.name, name, strlen(name)) < 0)
		return luaL_error(L, "name=\"%s\" is no name", name);
	const char *process = luaL_optstring(L, 7, NULL);
	if (!lua_isnoneornil(L, 6))
		ask_inbound(L, &a, !strcmp(luaL_checkstring(L, 6), "found"));
	struct op *op = op_new(L, "a connection", ask_run, push_id);
	struct testflow *f = calloc(1, sizeof(*f));
	struct ask *copy = malloc(sizeof(*copy));
	bool good = f && copy && !(name && stage_learn(&p->stage, &a.key.dst, name));
	if (good) {
		trial_init(&f->trial, &p->stage, on_trial, f);
		good = !process || !trial_process(&f->trial, process);
	}
	if (!good) {
		free(copy);
		free(op);
		free(f);
		return luaL_error(L, "not enough memory");
	}
	*copy = a;
	op->bytes = (char *)copy;
	f->id = ++op->t->next_id;
	f->play = p;
	f->trial.name = name ? strdup(a.name) : NULL;
	list_init(&f->link);
	list_add_tail(&p->flows, &f->link);
	op->play = p;
	op->flow = f;
	f->queued = op;
	return op_wait(L, op);
}

/* --- bytes ----------------------------------------------------------------------------------- */

static int push_out(lua_State *L, void *arg)
{
	const struct op *op = arg;
	const struct trial *t = &op->flow->trial;
	lua_pushlstring(L, t->out ? t->out : "", t->out_len);
	return 1;
}

static void say_run(struct op *op)
{
	step(op, trial_say(&op->flow->trial, op->bytes, op->len, op->flag));
}

static void hear_run(struct op *op)
{
	trial_hear(&op->flow->trial, op->bytes, op->len);
	op_end(op);
}

static void read_run(struct op *op)
{
	step(op, trial_read(&op->flow->trial));
}

static void stop_run(struct op *op)
{
	trial_end(&op->flow->trial, (enum flow_cause)op->number);
	op_end(op);
}

static struct testflow *check_open(lua_State *L, const char *verb)
{
	struct testflow *f = check_flow(L, 1);
	if (f->trial.flow.state != FLOW_STATE_OPEN)
		luaL_error(L, "%s: the connection is not open", verb);
	if (f->op || f->queued)
		luaL_error(L, "%s: the connection is busy with another step", verb);
	return f;
}

/* An op on the open flow at 1, with the bytes at 2 if there are any. */
static struct op *flow_op(lua_State *L, const char *verb, void (*run)(struct op *op),
	vm_push_fn *push)
{
	struct testflow *f = check_open(L, verb);
	size_t n = 0;
	const char *bytes = lua_isstring(L, 2) ? lua_tolstring(L, 2, &n) : "";
	struct op *op = op_new(L, verb, run, push);
	op->bytes = malloc(n + 1);
	if (!op->bytes) {
		free(op);
		luaL_error(L, "not enough memory");
		return NULL;
	}
	memcpy(op->bytes, bytes, n);
	op->len = n;
	op->flow = f;
	f->queued = op;
	return op;
}

static int l_say(lua_State *L)
{
	bool more = lua_toboolean(L, 3);
	struct op *op = flow_op(L, "say", say_run, push_out);
	op->flag = more;
	return op_wait(L, op);
}

static int l_hear(lua_State *L)
{
	return op_wait(L, flow_op(L, "hear", hear_run, push_out));
}

static int l_read(lua_State *L)
{
	return op_wait(L, flow_op(L, "hear", read_run, push_out));
}

static int l_stop(lua_State *L)
{
	static const char *const names[] = {"closed", "reset by child", "reset by world", "idle",
		NULL};
	static const enum flow_cause causes[] = {FLOW_CAUSE_CLOSED, FLOW_CAUSE_CHILD_RESET,
		FLOW_CAUSE_WORLD_RESET, FLOW_CAUSE_IDLE};
	enum flow_cause cause = causes[args_enum(L, 2, "cause", names)];
	struct op *op = flow_op(L, "close", stop_run, NULL);
	op->number = cause;
	return op_wait(L, op);
}

/* --- packets --------------------------------------------------------------------------------- */

static void packet_run(struct op *op)
{
	const struct hooks *h = op->play->stage.policy.hooks;
	struct packet p;
	int err = packet_parse(&p, (uint8_t *)op->bytes, op->len);
	if (err == 0 || err == -EPROTONOSUPPORT)
		op->flag = !h->packet || h->packet(h->arg, (enum hook_dir)op->number, &p);
	else
		op->number = -1;
	op_end(op);
}

static int push_pass(lua_State *L, void *arg)
{
	const struct op *op = arg;
	if (op->number < 0)
		lua_pushnil(L);
	else
		lua_pushboolean(L, op->flag);
	return 1;
}

/* packet(play, "out" or "in", bytes): true: it passes; false: dropped; nil: no packet. */
static int l_packet(lua_State *L)
{
	static const char *const dirs[] = {"out", "in", NULL};
	struct play *p = testflow_play(L, 1);
	int dir = args_enum(L, 2, "dir", dirs);
	size_t n;
	const char *bytes = luaL_checklstring(L, 3, &n);
	struct op *op = op_new(L, "a packet", packet_run, push_pass);
	op->bytes = malloc(n + 1);
	if (!op->bytes) {
		free(op);
		return luaL_error(L, "not enough memory");
	}
	memcpy(op->bytes, bytes, n);
	op->len = n;
	op->play = p;
	op->number = dir;
	return op_wait(L, op);
}

/* --- what became of it ----------------------------------------------------------------------- */

static void set_text(lua_State *L, const char *key, const char *text)
{
	lua_pushstring(L, text);
	lua_setfield(L, -2, key);
}

static void set_number(lua_State *L, const char *key, double n)
{
	lua_pushnumber(L, n);
	lua_setfield(L, -2, key);
}

static void set_flag(lua_State *L, const char *key, bool flag)
{
	lua_pushboolean(L, flag);
	lua_setfield(L, -2, key);
}

static void set_addr(lua_State *L, const char *key, const struct addr *a, bool port)
{
	char text[ADDR_TEXT_MAX];
	set_text(L, key, a->v ? addr_format(a, port, text) : NULL);
}

static void set_limits(lua_State *L, const struct shape *s)
{
	lua_newtable(L);
	if (s && s->up)
		set_number(L, "up", s->up->rate);
	if (s && s->down)
		set_number(L, "down", s->down->rate);
	if (s && s->latency_s > 0)
		set_number(L, "latency", s->latency_s);
	if (s && s->jitter_s > 0)
		set_number(L, "jitter", s->jitter_s);
	if (s && s->reset_after)
		set_number(L, "reset_after", (double)s->reset_after);
	lua_setfield(L, -2, "limits");
}

static void set_notes(lua_State *L, const struct trial *t)
{
	static const char *const events[] = {
		[TRACE_SKIPPED] = "no match",
		[TRACE_LATER] = "decided by the first bytes",
		[TRACE_SILENT] = "no opinion",
		[TRACE_VERDICT] = "verdict",
		[TRACE_FAILED] = "error",
	};
	lua_newtable(L);
	for (size_t i = 0; i < t->notes; i++) {
		const struct trial_note *n = &t->note[i];
		lua_newtable(L);
		set_text(L, "kind", n->kind);
		set_text(L, "where", n->where);
		set_text(L, "said",
			n->event == TRACE_VERDICT ? verdict_word(n->verdict) : events[n->event]);
		set_text(L, "reason", n->reason);
		lua_rawseti(L, -2, (int)i + 1);
	}
	lua_setfield(L, -2, "asked");
}

static void set_verdict(lua_State *L, const struct trial *t)
{
	static const char *const styles[] = {
		[DENY_STYLE_REFUSE] = "refuse",
		[DENY_STYLE_UNREACHABLE] = "unreachable",
		[DENY_STYLE_PROHIBITED] = "prohibited",
		[DENY_STYLE_RESET] = "reset",
	};
	const struct decision *d = &t->flow.decision;
	enum verdict v = trial_verdict(t);
	set_text(L, "action", verdict_word(v));
	if (v == VERDICT_DENY)
		set_text(L, "style", styles[d->style]);
	set_text(L, "decided_by", d->rule);
	set_text(L, "reason", d->reason);
	set_flag(L, "waits", d->first_bytes && !(t->begun && t->may));
}

/* info(flow): a table of what is to be said about it. */
static int l_info(lua_State *L)
{
	const struct trial *t = &check_flow(L, 1)->trial;
	const struct flow *f = &t->flow;
	const struct connection *c = f->policy;
	bool ports = f->key.proto != IPPROTO_ICMP, ended = f->state == FLOW_STATE_ENDED;
	lua_newtable(L);
	set_verdict(L, t);
	set_text(L, "network", f->ops->network);
	set_addr(L, "address", f->inbound ? &f->key.src : &f->key.dst, ports);
	set_addr(L, "target", &f->decision.target, ports);
	set_flag(L, "open", f->state == FLOW_STATE_OPEN);
	set_text(L, "close_reason", ended ? tell_end(f) : NULL);
	set_text(L, "error", f->error ? strerror(f->error) : NULL);
	set_text(L, "dial_error", tell_dial_error(f));
	set_text(L, "tags", c ? c->tags : t->tags);
	set_number(L, "bytes_up", (double)f->bytes_up);
	set_number(L, "bytes_down", (double)f->bytes_down);
	set_limits(L, f->shape);
	set_notes(L, t);
	return 1;
}

void testflow_open(lua_State *L)
{
	static const luaL_Reg functions[] = {{"ask", l_ask}, {"say", l_say}, {"hear", l_hear},
		{"read", l_read}, {"stop", l_stop}, {"packet", l_packet}, {"info", l_info},
		{NULL, NULL}};
	luaL_setfuncs(L, functions, 0);
}
