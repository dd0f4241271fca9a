/* SPDX-License-Identifier: MIT */
#ifndef NSNET_SPEC_WRONGS_H
#define NSNET_SPEC_WRONGS_H

/* wrongs - what a script can do wrong in a hook, as bodies of functions in Lua. x is what the hook
 * was called about, kept the first x there was. Include it in one file, after rig.h. */

/* Raise, each from its own line. */
static const char *const errors[] = {
	"error 'boom'",
	"error()",
	"error {}",
	"error(print)",
	"error(x)",
	"error(nsnet.allow)",
	"error(coroutine.create(print))",
	"error(setmetatable({}, { __tostring = function() error 'again' end }))",
	"error(setmetatable({}, { __tostring = function() while true do end end }))",
	"assert(false, {})",
	"assert(nil)",
	"local t = nil return t.x",
	"return nope",
	"nope = 1",
	"return x.nope.nope",
	"return nsnet.alow",
	"nsnet.on_connect(print)",
	"coroutine.yield()",
	"coroutine.yield(nsnet.allow)",
	"coroutine.wrap(coroutine.yield)() coroutine.yield()",
	"coroutine.wrap(function() error 'inner' end)()",
	"coroutine.wrap(function() coroutine.wrap(error)() end)()",
	"table.sort({ 3, 2, 1 }, coroutine.yield)",
	"('x'):gsub('x', coroutine.yield)",
	"('x'):gsub('x', function() error {} end)",
	"local function f() return 1 + f() end return f()",
	"while true do end",
	"pcall(function() while true do end end) return nsnet.allow",
	"xpcall(error, function() while true do end end) return nsnet.allow",
	"coroutine.wrap(function() while true do end end)() return nsnet.allow",
	"setmetatable({}, { __index = function() while true do end end }).x()",
	"local s = ('x'):rep(1e9)",
	"local s = ('a'):rep(200):find '.-.-.-.-.-b'",
	"return (require 'no.such.module')",
};

/* Raise where no line of the body is left on the stack: then the function's place is told. */
static const char *const tails[] = {
	"return error()",
	"return error({})",
	"return ('x'):rep(1e9)",
	"return ('x'):find('%')",
	"return nsnet.redirect 'nonsense'",
	"return nsnet.deny(true)",
	"return nsnet.split_address 'nonsense'",
	"return coroutine.yield()",
	"return assert(false)",
};

/* Return what no hook may return. */
static const char *const answers[] = {
	"return 0",
	"return 1",
	"return {}",
	"return print",
	"return nsnet",
	"return nsnet.log",
	"return nsnet.json.null",
	"return coroutine.create(print)",
	"return setmetatable({}, { __index = function() return 'allow' end })",
	"return setmetatable({}, { __call = function() return nsnet.allow end })",
	"return nsnet.cidrs { '10.0.0.0/8' }",
	"return nsnet.bucket { rate = 1 }",
	"return timer",
	"return function() return nsnet.allow end",
	"return nsnet.allow, nsnet.allow",
	"return nsnet.allow, nil",
	"return nil, nil",
};

/* Wrong in some hooks, bits of enum some. */
enum some {
	VERDICTS = 1 << 0, /* where a verdict is expected */
	NO_WAIT = 1 << 1,  /* where nothing may wait */
	FLOWS = 1 << 2,    /* where x is a connection */
	NOT_ALLOW = 1 << 3,
	NOT_DENY = 1 << 4,
	NOT_AWAY = 1 << 5, /* neither redirect nor via */
	NOT_VIA = 1 << 6,
	NOT_TRUE = 1 << 7,
	NOT_TEXT = 1 << 8,
};

static const struct {
	const char *code;
	unsigned where;
} some[] = {
	{"return true", NOT_TRUE},
	{"return false", NOT_TRUE},
	{"return 'allow'", NOT_TEXT},
	{"return ''", NOT_TEXT},
	{"return x", VERDICTS},
	{"return x.ctx", FLOWS | VERDICTS},
	{"return kept", VERDICTS},
	{"return nsnet.allow", NOT_ALLOW},
	{"return nsnet.allow 'why'", NOT_ALLOW},
	{"return nsnet.deny", NOT_DENY},
	{"return nsnet.deny { style = 'reset' }", NOT_DENY},
	{"return nsnet.redirect '198.51.100.8:1'", NOT_AWAY},
	{"return nsnet.via(print)", NOT_AWAY},
	{"return nsnet.via(print)", NOT_VIA},
	{"nsnet.sleep(0)", NO_WAIT},
	{"nsnet.resolve 'a.test'", NO_WAIT},
	{"nsnet.dial('tcp', '127.0.0.1:1')", NO_WAIT},
	{"nsnet.spawn(function() end):join()", NO_WAIT},
	{"coroutine.wrap(nsnet.sleep)(0)", NO_WAIT},
	{"x:peek(1)", NO_WAIT | FLOWS},
	{"x.tag 'no colon'", FLOWS},
	{"x.dst_port = 1", FLOWS},
	{"x:limit { speed = 1 }", FLOWS},
};

/* The bodies in the order of the lists, from 1; each on a line of its own, the first on the first.
 * bodies[0] says nothing. */
static char code[32768];
static size_t bodies;
static enum {
	ANSWER,
	ERROR,
	TAIL
} kinds[256];

static void add(const char *body, int is)
{
	size_t n = strlen(code);
	kinds[++bodies] = is;
	snprintf(code + n, sizeof(code) - n, "bodies[%zu] = function(x) %s end\n", bodies, body);
}

/* Everything that is wrong in a hook of @kind, then @frame, which calls bodies[n](x). */
static const char *script(unsigned kind, const char *frame)
{
	code[0] = 0;
	bodies = 0;
	strcat(code,
		"local kept, bodies, timer = nil, { [0] = function() end }, nsnet.after(9e6, "
		"print) ");
	for (size_t i = 0; i < ARRAY_LEN(errors); i++)
		add(errors[i], ERROR);
	for (size_t i = 0; i < ARRAY_LEN(tails); i++)
		add(tails[i], TAIL);
	for (size_t i = 0; i < ARRAY_LEN(answers); i++)
		add(answers[i], ANSWER);
	for (size_t i = 0; i < ARRAY_LEN(some); i++) {
		if ((some[i].where & kind) == some[i].where)
			add(some[i].code, strncmp(some[i].code, "return", 6) ? ERROR : ANSWER);
	}
	strcat(code, frame);
	return code;
}

#endif
