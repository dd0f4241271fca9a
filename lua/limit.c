/* SPDX-License-Identifier: MIT */
#include "lua/limit.h"

#include <lauxlib.h>

#include "core/bucket.h"
#include "core/shape.h"
#include "lua/args.h"
#include "lua/connection.h"
#include "lua/text.h"
#include "lua/udata.h"

#define BURST_SECONDS .1   /* a burst that nobody chose: so much of a second, */
#define BURST_LEAST 16384. /* but not less than a few segments */

struct bucket_object {
	struct bucket *bucket; /* a reference */
};

static int bucket_gc(lua_State *L)
{
	struct bucket_object *o = lua_touserdata(L, 1);
	bucket_unref(o->bucket);
	o->bucket = NULL;
	return 0;
}

static const struct udata_class bucket_class = {.name = "bucket", .gc = bucket_gc};

/* The number under @key, or @otherwise; raises unless within @low and @high. */
static double number(lua_State *L, int table, const char *key, double otherwise, double low,
	double high)
{
	char kind[TEXT_KIND_MAX];
	lua_getfield(L, table, key);
	if (lua_isnil(L, -1)) {
		lua_pop(L, 1);
		return otherwise;
	}
	if (lua_type(L, -1) != LUA_TNUMBER)
		luaL_error(L, "%s= must be a number, not %s", key, text_kind(L, -1, kind));
	double n = lua_tonumber(L, -1);
	if (!(n >= low && n <= high))
		luaL_error(L, "%s=%s is not within %f and %f", key, lua_tostring(L, -1), low, high);
	lua_pop(L, 1);
	return n;
}

static double default_burst(double rate)
{
	return rate * BURST_SECONDS > BURST_LEAST ? rate * BURST_SECONDS : BURST_LEAST;
}

/* Pushes an object with a new bucket. */
static struct bucket *push_bucket(lua_State *L, double rate, double burst)
{
	struct bucket_object *o = udata_new(L, &bucket_class, sizeof(*o));
	o->bucket = bucket_new(rate, burst);
	if (!o->bucket)
		luaL_error(L, "not enough memory");
	return o->bucket;
}

static int l_bucket(lua_State *L)
{
	static const char *const keys[] = {"rate", "burst", NULL};
	luaL_checktype(L, 1, LUA_TTABLE);
	args_keys(L, 1, keys, "nsnet.bucket");
	double rate = number(L, 1, "rate", 0, 1, 1e12);
	if (rate <= 0)
		return luaL_error(L, "nsnet.bucket: rate= (bytes a second) is missing");
	push_bucket(L, rate, number(L, 1, "burst", default_burst(rate), 1, 1e12));
	return 1;
}

/* The bucket for the rate or bucket under @key, lent by the object pushed; NULL and nil pushed for
 * none. */
static struct bucket *read_rate(lua_State *L, const char *key)
{
	lua_getfield(L, 2, key);
	struct bucket_object *o = udata_test(L, -1, &bucket_class);
	if (o)
		return o->bucket;
	if (lua_isnil(L, -1))
		return NULL;
	lua_pop(L, 1);
	double rate = number(L, 2, key, 0, 1, 1e12);
	return push_bucket(L, rate, number(L, 2, "burst", default_burst(rate), 1, 1e12));
}

static bool rate_is_number(lua_State *L, const char *key)
{
	lua_getfield(L, 2, key);
	bool is = lua_type(L, -1) == LUA_TNUMBER;
	lua_pop(L, 1);
	return is;
}

int limit_conn(lua_State *L)
{
	static const char *const keys[] = {"up", "down", "burst", "latency", "jitter",
		"reset_after", "seed", NULL};
	struct connection *c = connection_check(L, 1, "limit");
	if (!c)
		return luaL_error(L, "conn:limit: the connection has ended");
	luaL_checktype(L, 2, LUA_TTABLE);
	args_keys(L, 2, keys, "conn:limit");
	if (c->facts.network != FILTER_TCP)
		return luaL_error(L, "conn:limit is for TCP");
	if (c->flow->state >= FLOW_STATE_OPEN)
		return luaL_error(L,
			"conn:limit must come before the connection is made: use it in "
			"on_connect or a dialer");
	lua_getfield(L, 2, "burst");
	if (!lua_isnil(L, -1) && !rate_is_number(L, "up") && !rate_is_number(L, "down"))
		return luaL_error(L,
			"conn:limit: burst= belongs to an up= or down= that is a number; "
			"a bucket has its own");
	struct bucket *up = read_rate(L, "up"), *down = read_rate(L, "down");
	double latency = number(L, 2, "latency", 0, 0, 60);
	double jitter = number(L, 2, "jitter", 0, 0, 60);
	double reset = number(L, 2, "reset_after", 0, 1, 1e15);
	double seed = number(L, 2, "seed", (double)c->flow->id, 0, 9e15);
	/* All is read: from here on nothing raises while it holds something. */
	struct shape *s = c->flow->shape ? c->flow->shape : shape_new();
	if (!s)
		return luaL_error(L, "not enough memory");
	c->flow->shape = s;
	if (up) {
		bucket_unref(s->up);
		s->up = bucket_ref(up);
	}
	if (down) {
		bucket_unref(s->down);
		s->down = bucket_ref(down);
	}
	s->latency_s = latency > 0 ? latency : s->latency_s;
	s->jitter_s = jitter > 0 ? jitter : s->jitter_s;
	s->reset_after = reset > 0 ? (uint64_t)reset : s->reset_after;
	s->random = (uint64_t)seed;
	return 0;
}

void limit_open(lua_State *L)
{
	udata_class(L, &bucket_class);
	lua_pushcfunction(L, l_bucket);
	lua_setfield(L, -2, "bucket");
}
