/* SPDX-License-Identifier: MIT */
#include "lua/testask.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

#include "core/base.h"
#include "lua/testflow.h"
#include "lua/verdict.h"

#define REASON_MAX 512

/* A question, and what came of it: op.bytes. */
struct question {
	struct addr src, server;
	bool tcp, known; /* known: t.resolves has the name */
	uint16_t type;
	char name[DNSMSG_TEXT_MAX];
	uint8_t wire[DNSMSG_WIRE_MAX];
	size_t wire_len;
	struct dnsquery *q; /* under way, or NULL */
	enum verdict verdict;
	enum deny_style style;
	struct addr target;
	char rule[REASON_MAX], reason[REASON_MAX]; /* "" = none */
	uint8_t *msg;                              /* owned: the scripts' answer; NULL = none */
	size_t len;
};

static struct question *question_of(const struct op *op)
{
	return (struct question *)op->bytes;
}

/* The record's address; v 0 if it is none. */
static struct addr record_addr(const uint8_t *msg, const struct dnsmsg_record *r)
{
	struct addr a = {0};
	if (r->section == 1 && r->type == DNSMSG_TYPE_A && r->data_len == 4)
		a.v = 4;
	if (r->section == 1 && r->type == DNSMSG_TYPE_AAAA && r->data_len == 16)
		a.v = 6;
	if (a.v)
		memcpy(a.ip, msg + r->data, r->data_len);
	return a;
}

static void learn_answer(struct stage *s, const struct question *w)
{
	struct dnsmsg m;
	struct dnsmsg_record r;
	size_t at = 0;
	unsigned n = 0;
	if (dnsmsg_parse(&m, w->msg, w->len))
		return;
	while (dnsmsg_next(&m, &at, &n, &r) > 0) {
		struct addr a = record_addr(w->msg, &r);
		if (a.v)
			stage_learn(s, &a, w->name);
	}
}

/* True if an address of @a's kind answers a question of @type. */
static bool is_asked(uint16_t type, const struct addr *a)
{
	return type == (a->v == 4 ? DNSMSG_TYPE_A : DNSMSG_TYPE_AAAA);
}

/* What the world's name servers say. */
static void learn_world(struct op *op, struct question *w)
{
	const struct addr *list;
	char name[DNAME_MAX];
	int n = dname_normalise(name, w->name, strlen(w->name)) < 0
		? -ENOENT
		: peers_addresses(&op->t->peers, name, &list);
	w->known = n >= 0;
	for (int i = 0; i < n; i++) {
		if (is_asked(w->type, &list[i]))
			stage_learn(&op->play->stage, &list[i], name);
	}
}

static void question_end(struct deferred *d)
{
	op_end(container_of(d, struct op, later));
}

/* The test goes on from the loop: @q is still in use here. */
static void on_answer(struct dnsquery *q, uint8_t *msg, size_t len)
{
	struct op *op = q->owner;
	struct question *w = question_of(op);
	const struct decision *d = &q->decision;
	w->q = NULL;
	w->verdict = d->verdict;
	w->style = d->style;
	w->target = d->target;
	snprintf(w->rule, sizeof(w->rule), "%s", d->rule ? d->rule : "");
	snprintf(w->reason, sizeof(w->reason), "%s", d->reason ? d->reason : "");
	w->msg = msg ? malloc(len) : NULL;
	if (w->msg) {
		memcpy(w->msg, msg, len);
		w->len = len;
		learn_answer(&op->play->stage, w);
	} else if (!msg && (d->verdict == VERDICT_ALLOW || d->verdict == VERDICT_REDIRECT)) {
		learn_world(op, w);
	}
	op->later.run = question_end;
	vm_defer(op->task->vm, &op->later);
}

static void question_run(struct op *op)
{
	struct question *w = question_of(op);
	struct play *p = op->play;
	uint8_t msg[DNSMSG_HEADER + DNSMSG_WIRE_MAX + 4] = {0, 0, 1, 0, 0,
		1}; /* RD, one question */
	uint8_t *end = msg + DNSMSG_HEADER + w->wire_len;
	memcpy(msg + DNSMSG_HEADER, w->wire, w->wire_len);
	end[0] = (uint8_t)(w->type >> 8);
	end[1] = (uint8_t)w->type;
	end[3] = 1; /* IN */
	if (!p->questions.loop) {
		dnsquery_pool_init(&p->questions, p->stage.loop, NULL, &p->stage.policy);
		list_init(&p->asking);
	}
	if (!w->src.port)
		w->src.port = p->stage.port++;
	op->number = dnsquery_new(&p->questions, &w->src, &w->server, w->tcp, msg,
		(size_t)(end - msg) + 4, on_answer, op, &w->q);
	if (op->number)
		op_end(op);
	else
		list_add_tail(&p->asking, &w->q->mine);
}

static void question_cancel(struct op *op)
{
	struct question *w = question_of(op);
	if (w->q)
		dnsquery_free(w->q);
	free(w->msg);
}

void testask_end_all(struct play *p)
{
	struct list *e, *tmp;
	if (!p->questions.loop)
		return;
	list_foreach (e, tmp, &p->asking) {
		struct dnsquery *q = container_of(e, struct dnsquery, mine);
		question_of(q->owner)->q = NULL;
		dnsquery_free(q);
	}
}

/* --- what came of it ------------------------------------------------------------------------- */

static void set_text(lua_State *L, const char *key, const char *text)
{
	lua_pushstring(L, text && *text ? text : NULL);
	lua_setfield(L, -2, key);
}

/* Adds @text to the list @key of the table on top. */
static void append_text(lua_State *L, const char *key, const char *text, size_t len)
{
	lua_getfield(L, -1, key);
	if (lua_isnil(L, -1)) {
		lua_pop(L, 1);
		lua_newtable(L);
		lua_pushvalue(L, -1);
		lua_setfield(L, -3, key);
	}
	lua_pushlstring(L, text, len);
	lua_rawseti(L, -2, (int)lua_objlen(L, -2) + 1);
	lua_pop(L, 1);
}

static void append_addr(lua_State *L, const struct addr *a)
{
	char text[ADDR_TEXT_MAX];
	addr_format(a, false, text);
	append_text(L, a->v == 4 ? "a" : "aaaa", text, strlen(text));
}

/* The strings of a TXT record (RFC 1035 3.3.14), as one. */
static void append_txt(lua_State *L, const uint8_t *data, size_t n)
{
	luaL_Buffer b;
	luaL_buffinit(L, &b);
	for (size_t at = 0; at < n && at + 1 + data[at] <= n; at += 1 + data[at])
		luaL_addlstring(&b, (const char *)data + at + 1, data[at]);
	luaL_pushresult(&b);
	lua_insert(L, -2);
	size_t len;
	const char *text = lua_tolstring(L, -2, &len);
	append_text(L, "txt", text, len);
	lua_remove(L, -2);
}

static void set_answer(lua_State *L, const struct question *w)
{
	struct dnsmsg m;
	struct dnsmsg_record r;
	size_t at = 0;
	unsigned n = 0;
	char text[DNSMSG_TEXT_MAX];
	uint8_t wire[DNSMSG_WIRE_MAX];
	if (dnsmsg_parse(&m, w->msg, w->len))
		return;
	set_text(L, "rcode", dnsmsg_rcode_name(m.rcode, text));
	while (dnsmsg_next(&m, &at, &n, &r) > 0) {
		struct addr a = record_addr(w->msg, &r);
		if (r.section != 1)
			continue;
		lua_pushinteger(L, (lua_Integer)r.ttl);
		lua_setfield(L, -2, "ttl");
		if (a.v)
			append_addr(L, &a);
		else if (r.type == DNSMSG_TYPE_CNAME &&
			dnsmsg_name(w->msg, w->len, r.data, wire, NULL) > 0)
			set_text(L, "cname", dnsmsg_text(wire, text));
		else if (r.type == DNSMSG_TYPE_TXT)
			append_txt(L, w->msg + r.data, r.data_len);
	}
}

static void set_world(lua_State *L, struct op *op, const struct question *w)
{
	const struct addr *list;
	char name[DNAME_MAX];
	if (!w->known || dname_normalise(name, w->name, strlen(w->name)) < 0)
		return;
	int n = peers_addresses(&op->t->peers, name, &list);
	set_text(L, "rcode", n > 0 ? "NOERROR" : "NXDOMAIN");
	for (int i = 0; i < n; i++) {
		if (is_asked(w->type, &list[i]))
			append_addr(L, &list[i]);
	}
}

/* "answer" where nobody was asked for it. */
static const char *action(const struct question *w)
{
	bool open = w->verdict == VERDICT_ALLOW || w->verdict == VERDICT_NONE;
	return open && w->msg ? "answer" : verdict_word(w->verdict);
}

static int push_question(lua_State *L, void *arg)
{
	struct op *op = arg;
	struct question *w = question_of(op);
	static const char *const styles[] = {
		[DENY_STYLE_REFUSE] = "refuse",
		[DENY_STYLE_UNREACHABLE] = "unreachable",
		[DENY_STYLE_PROHIBITED] = "prohibited",
		[DENY_STYLE_RESET] = "reset",
	};
	char text[ADDR_TEXT_MAX];
	if (op->number)
		return luaL_error(L, "rules:ask: %s", strerror(-op->number));
	lua_newtable(L);
	set_text(L, "name", w->name);
	set_text(L, "action", action(w));
	set_text(L, "decided_by", w->rule);
	set_text(L, "reason", w->reason);
	if (w->verdict == VERDICT_DENY)
		set_text(L, "style", styles[w->style]);
	if (w->verdict == VERDICT_REDIRECT)
		set_text(L, "server", addr_format(&w->target, true, text));
	if (w->msg)
		set_answer(L, w);
	else
		set_world(L, op, w);
	free(w->msg);
	return 1;
}

static void check_addr(lua_State *L, int i, const char *otherwise, struct addr *a)
{
	const char *text = luaL_optstring(L, i, otherwise);
	if (addr_parse(a, text))
		luaL_error(L, "rules:ask: \"%s\" is no IP address", text);
}

/* question(play, name, type, tcp, src or nil, server or nil): a table. */
static int l_question(lua_State *L)
{
	struct play *p = testflow_play(L, 1);
	const char *name = luaL_checkstring(L, 2), *kind = luaL_checkstring(L, 3);
	struct question w = {.tcp = lua_toboolean(L, 4)};
	int n = dnsmsg_wire(name, w.wire), type = dnsmsg_type_of(kind);
	if (n < 0)
		return luaL_error(L, "rules:ask: name=\"%s\" is no name", name);
	if (type < 0)
		return luaL_error(L, "rules:ask: type=\"%s\" is no type of DNS record", kind);
	w.wire_len = (size_t)n;
	w.type = (uint16_t)type;
	dnsmsg_text(w.wire, w.name);
	check_addr(L, 5, "10.0.0.1", &w.src);
	check_addr(L, 6, w.src.v == 4 ? "10.0.0.53:53" : "[fd6e:736e:6574::53]:53", &w.server);
	struct op *op = op_new(L, "rules:ask", question_run, push_question);
	struct question *copy = malloc(sizeof(*copy));
	if (!copy) {
		free(op);
		return luaL_error(L, "not enough memory");
	}
	*copy = w;
	op->bytes = (char *)copy;
	op->play = p;
	op->cancel = question_cancel;
	return op_wait(L, op);
}

void testask_open(lua_State *L)
{
	lua_pushcfunction(L, l_question);
	lua_setfield(L, -2, "question");
}
