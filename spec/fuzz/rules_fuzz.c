/* SPDX-License-Identifier: MIT */

/* What a rule is made of. The input is a list of names, a byte 255, a list of networks, a byte
 * 255, and values for the conditions of a rule, one a line. The lists are files, as people write
 * them: either they cannot be read, and nothing is loaded, or whatever they name is denied. */
#include <ev.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/addr.h"
#include "core/dname.h"
#include "core/log.h"
#include "lua/api.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerInitialize(int *argc, char ***argv);

#define SEPARATOR 255

static struct ev_loop *loop;
static struct guard guard;
static struct flow_table table;
static const char *told; /* the name of every address */
static char dir[] = "/tmp/rules-fuzz.XXXXXX";
static int home; /* where libFuzzer keeps its corpus: it goes by relative paths */

static void at_end(void)
{
	if (rmdir(dir))
		perror(dir);
}

static void say_nothing(void *arg, enum log_level level, const char *line)
{
	(void)arg;
	(void)level;
	(void)line;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	log_set_sink(say_nothing, NULL); /* errors are the rule here */
	loop = ev_loop_new(EVFLAG_AUTO);
	if (!loop || guard_init(&guard) || flow_table_init(&table) || !mkdtemp(dir))
		abort();
	home = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (home == -1)
		abort();
	atexit(at_end);
	return 0;
}

static int names_of(void *arg, const struct addr *ip, int (*fn)(void *, const char *), void *fn_arg)
{
	(void)arg;
	(void)ip;
	return told ? fn(fn_arg, told) : 0;
}

static void write_list(const char *path, const uint8_t *data, size_t len)
{
	FILE *f = fopen(path, "w");

	if (!f || fwrite(data, 1, len, f) != len || fclose(f))
		abort();
}

/* A condition: a word, a number, true, or a list of words, by its first byte. */
static int condition(char *out, size_t max, const char *key, const uint8_t *v, size_t len)
{
	const unsigned how = len ? v[0] & 3 : 0;
	char text[4 * 64 + 1] = "";

	for (size_t i = 1; i < len && i < 64; i++)
		sprintf(text + strlen(text), "\\%03u", v[i]);
	if (how == 1)
		return snprintf(out, max, "%s = tonumber('%s') or true, ", key, text);
	return snprintf(out, max, how == 2 ? "%s = { '%s', 'a' }, " : "%s = '%s', ", key, text);
}

static void write_code(char *out, size_t max, const uint8_t *v, size_t len)
{
	static const char *const keys[] = {"port", "cidr", "network", "domain", "sni", "http_host",
		"ech", "inbound", "process", "name"};
	size_t n = (size_t)snprintf(out, max, "nsnet.rules { { ");

	for (size_t i = 0; len && i < sizeof(keys) / sizeof(keys[0]); i++) {
		const uint8_t *end = memchr(v, '\n', len);
		const size_t some = end ? (size_t)(end - v) : len;

		if (some)
			n += (size_t)condition(out + n, max - n, keys[i], v, some);
		len -= end ? some + 1 : some;
		v += end ? some + 1 : some;
	}
	snprintf(out + n, max - n, "nsnet.allow } }");
}

static void ignore(struct flow *f, enum flow_cause cause)
{
	(void)f;
	(void)cause;
}

/* The verdict on a connection. */
static enum verdict ask(struct policy *p, uint32_t proto, const struct addr *dst)
{
	static const struct flow_ops ops = {.network = "tcp", .abort = ignore};
	struct flow f = {.ops = &ops};
	struct flow_key key = {.proto = proto, .dst = *dst};
	enum verdict v;

	addr_parse(&key.src, "192.0.2.9:40000");
	flow_add(&table, &f, &key, 0);
	if (!policy_ask(p, &f))
		abort(); /* nothing in there waits */
	v = f.decision.verdict;
	if (f.decision.first_bytes)
		policy_first_bytes(p, &f, "SSH-2.0-x\r\n", 11, true);
	policy_end(p, &f, FLOW_CAUSE_CLOSED, 0);
	flow_remove(&f);
	return v;
}

/* Every line of the list must be denied. What a zero byte is in is none. */
static void check_lists(struct policy *p, const uint8_t *data, size_t len, bool names)
{
	char *text = malloc(len + 1), *rest = text, *line;
	char name[DNAME_MAX];
	enum dname_kind kind;
	struct addr dst;
	struct cidr c;

	for (size_t i = 0; text && i < len; i++)
		text[i] = data[i] ? (char)data[i] : '?';
	if (text)
		text[len] = '\0';
	addr_parse(&dst, "198.51.100.7:80");
	while (text && (line = strsep(&rest, "\r\n"))) {
		told = NULL;
		line[strcspn(line, "# \t")] = '\0';
		if (names && dname_pattern(name, &kind, line, strlen(line)) > 0 &&
			(kind & DNAME_EXACT)) {
			told = name;
			if (ask(p, IPPROTO_UDP, &dst) != VERDICT_DENY)
				abort();
		} else if (!names && cidr_parse(&c, line) == 0) {
			c.net.port = 80;
			if (ask(p, IPPROTO_TCP, &c.net) == VERDICT_ALLOW)
				abort();
		}
	}
	free(text);
	told = NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const char lists[] = "nsnet.rules { { domain = nsnet.domains 'names', nsnet.deny },"
				    " { cidr = nsnet.cidrs 'networks', nsnet.deny } }";
	const uint8_t *names = data, *networks = memchr(data, SEPARATOR, len), *rest = NULL;
	struct policy policy = {.guard = &guard, .loop = loop, .logged = true};
	struct lua_options o = {.loop = loop, .policy = &policy, .names_of = names_of};
	struct lua_host *host = lua_host_new(&o);
	char code[8192];
	struct addr dst;

	if (networks)
		rest = memchr(networks + 1, SEPARATOR, (size_t)(data + len - networks - 1));
	if (!host || !rest || chdir(dir)) {
		lua_host_free(host);
		return 0;
	}
	write_list("names", names, (size_t)(networks - names));
	write_list("networks", networks + 1, (size_t)(rest - networks - 1));
	write_code(code, sizeof(code), rest + 1, (size_t)(data + len - rest - 1));
	if (lua_host_add_code(host, "lists", lists) || lua_host_add_code(host, "rule", code))
		abort();
	if (lua_host_load(host) == 0) {
		policy.hooks = lua_host_hooks(host);
		check_lists(&policy, names, (size_t)(networks - names), true);
		check_lists(&policy, networks + 1, (size_t)(rest - networks - 1), false);
		addr_parse(&dst, "[2001:db8::7]:443");
		told = "a.test";
		ask(&policy, IPPROTO_TCP, &dst);
		told = NULL;
	}
	lua_host_free(host);
	unlink("names");
	unlink("networks");
	if (fchdir(home))
		abort();
	return 0;
}
