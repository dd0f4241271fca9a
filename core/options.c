/* SPDX-License-Identifier: MIT */
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "addr.h"
#include "base.h"
#include "inside.h"
#include "log.h"
#include "nearest.h"
#include "synth.h"

/* One option, and how its value is taken. The parser, --help and the specs read this one table. */
enum kind {
	KIND_FLAG,   /* bool: given or not */
	KIND_COUNT,  /* int: how often */
	KIND_TEXT,   /* const char * */
	KIND_TEXTS,  /* struct options_texts: repeatable */
	KIND_WHOLE,  /* size_t, between least and most */
	KIND_NUMBER, /* double, between least and most */
	KIND_TAKEN,  /* by take() */
};

struct row {
	const char *heading; /* a line of help instead of an option */
	char letter;         /* 0: none */
	const char *name;
	const char *value; /* what help calls it; NULL: the option has none */
	const char *help;
	enum kind kind;
	size_t field; /* of struct options */
	double least, most;
	int (*take)(struct options *o, const struct row *row, const char *text);
};

static int take_script(struct options *o, const struct row *row, const char *text);
static int take_default(struct options *o, const struct row *row, const char *text);
static int take_dns(struct options *o, const struct row *row, const char *text);
static int take_net(struct options *o, const struct row *row, const char *text);
static int take_publish(struct options *o, const struct row *row, const char *text);
static int take_command(struct options *o, const struct row *row, const char *text);

#define FIELD(name) offsetof(struct options, name)
#define HEADING(text)                                                                              \
	{                                                                                          \
		.heading = (text)                                                                  \
	}
#define ROW(l, n, v, text) .letter = (l), .name = (n), .value = (v), .help = (text)
#define FLAG(l, n, text, f)                                                                        \
	{                                                                                          \
		ROW(l, n, NULL, text), .kind = KIND_FLAG, .field = FIELD(f)                        \
	}
#define COUNT(l, n, text, f)                                                                       \
	{                                                                                          \
		ROW(l, n, NULL, text), .kind = KIND_COUNT, .field = FIELD(f)                       \
	}
#define TEXT(l, n, v, text, f)                                                                     \
	{                                                                                          \
		ROW(l, n, v, text), .kind = KIND_TEXT, .field = FIELD(f)                           \
	}
#define TEXTS(l, n, v, text, f)                                                                    \
	{                                                                                          \
		ROW(l, n, v, text), .kind = KIND_TEXTS, .field = FIELD(f)                          \
	}
#define WHOLE(l, n, v, text, f, from, to)                                                          \
	{                                                                                          \
		ROW(l, n, v, text), .kind = KIND_WHOLE, .field = FIELD(f), .least = (from),        \
				    .most = (to)                                                   \
	}
#define NUMBER(l, n, v, text, f, from, to)                                                         \
	{                                                                                          \
		ROW(l, n, v, text), .kind = KIND_NUMBER, .field = FIELD(f), .least = (from),       \
				    .most = (to)                                                   \
	}
#define TAKEN(l, n, v, text, fn)                                                                   \
	{                                                                                          \
		ROW(l, n, v, text), .kind = KIND_TAKEN, .take = (fn)                               \
	}

/* clang-format off */
static const struct row rows[] = {
	HEADING("Rules"),
	TAKEN('s', "script", "FILE", "load a Lua rule script (repeatable, in this order)",
		take_script),
	TAKEN('e', "eval", "CODE", "the same, from the command line", take_script),
	TAKEN(0, "default", "WHAT", "allow or deny what no rule decides; overrules the scripts",
		take_default),
	FLAG(0, "dry-run", "decide and log denials, but allow", dry_run),
	TAKEN(0, "check", NULL, "load the rules and stop: 0 good, 66 unreadable, 70 wrong",
		take_command),
	FLAG(0, "watch", "load the scripts again when one changes (SIGHUP does too)", watch),
	TEXT(0, "env", "A,B,...", "environment variables that scripts may read", env),
	FLAG(0, "insecure-perms", "load scripts that others can write, too", insecure_perms),
	FLAG(0, "allow-host", "10.0.0.100 and fd6e:736e:6574::100 reach the host's loopback",
		allow_host),

	HEADING("The namespace"),
	FLAG(0, "root", "CMD sees itself as root", root),
	FLAG(0, "keep-caps", "and keeps the namespace's capabilities (implies --root)", keep_caps),
	WHOLE(0, "mtu", "BYTES", "1280..65520 [65520]", mtu, 1280, 65520),
	TAKEN(0, "net4", "ADDR/BITS", "CMD's address and network [" INSIDE_NET4 "]", take_net),
	TAKEN(0, "net6", "ADDR/BITS", "[" INSIDE_NET6 "]", take_net),
	TAKEN(0, "dns", "WHAT",
		"host: names are resolved when CMD asks; synthetic: when it connects [host]",
		take_dns),
	FLAG(0, "linger", "stay until the last process in the namespace ends", linger),

	HEADING("The way in, and to the host"),
	TAKEN('p', "publish", "SPEC",
		"let callers in: [ADDR:]HOSTPORT:PORT[/udp], /PATH:PORT, auto", take_publish),
	TEXTS('L', "forward", "SPEC",
		"CMD's loopback leads to the host's: PORT[:[ADDR:]HOSTPORT]", forward),

	HEADING("A namespace that is there, instead of CMD"),
	WHOLE(0, "pid", "PID", "give its network to the namespaces of this process", pid, 1,
		INT_MAX),
	TEXT(0, "netns", "FILE", "or to this network namespace", netns),
	TEXT(0, "userns", "FILE", "which this user namespace owns", userns),
	WHOLE(0, "ready-fd", "N", "write 1 to descriptor N when the network is there", ready_fd, 0,
		INT_MAX),
	WHOLE(0, "exit-fd", "N", "end when descriptor N is closed at its other end", exit_fd, 0,
		INT_MAX),

	HEADING("Limits"),
	WHOLE(0, "max-conns", "N", "TCP connections at a time [16384]", max_conns, 1, 1e6),
	WHOLE(0, "max-flows", "N", "UDP flows at a time; the idlest makes room [1024]", max_flows,
		1, 1e6),
	WHOLE(0, "memory", "MB", "data in flight, all flows together [256]", memory_mb, 8, 1e6),
	NUMBER(0, "dial-timeout", "S", "give up connecting after S seconds [0: the kernel's]",
		dial_timeout_s, 0, 1e6),
	NUMBER(0, "tcp-idle", "S", "end a TCP connection after S seconds without a byte [0: never]",
		tcp_idle_s, 0, 1e7),
	NUMBER(0, "udp-idle", "S", "end a UDP flow [60]", udp_idle_s, 0.1, 1e7),
	NUMBER(0, "keepalive", "S", "TCP keepalive towards the destination; 0 for none [60]",
		keepalive_s, 0, 32767),
	FLAG(0, "no-sandbox", "for debugging: keep the program's own rights after the start",
		no_sandbox),

	HEADING("Logs"),
	TEXT(0, "log", "FILE", "a line for each connection; - for stderr, fd:N for a descriptor",
		log),
	TEXT(0, "log-json", "FILE", "the same in JSON lines; core/LOG.md describes them", log_json),
	FLAG(0, "summary", "what it all came to, at the end and on SIGUSR1", summary),
	TEXT(0, "learn", "FILE", "write rules that allow what was seen, and nothing else", learn),
	TEXT(0, "metrics", "PATH", "counters for Prometheus: HTTP at a new unix socket", metrics),
	FLAG(0, "no-who", "logs do not look for the process of each connection", no_who),

	HEADING("Packets"),
	TEXT(0, "pcap", "FILE", "write CMD's packets for Wireshark; a pipe will do", pcap),
	WHOLE(0, "snaplen", "BYTES", "keep that much of each [all]", snaplen, 64, 262144),
	WHOLE(0, "pcap-size", "MB", "begin another file after so much: FILE-00001, ...",
		pcap_size_mb, 1, 1e6),
	WHOLE(0, "pcap-files", "N", "and keep the last N of them [all]", pcap_files, 1, 99999),

	HEADING("Of nsnet-host explain"),
	TEXT(0, "name", "NAME", "what the command was told the address is of", name),
	TEXT(0, "sni", "NAME", "it begins with TLS and names this server", sni),
	TEXT(0, "http-host", "NAME", "it begins with HTTP and names this host", http_host),
	TEXT(0, "process", "NAME", "who does: a short name, or an executable's path", process),
	TEXT(0, "src", "ADDR[:PORT]", "who connects [the command]", src),
	FLAG(0, "inbound", "and calls from outside, as with -p", inbound),

	HEADING("Of nsnet-host test"),
	FLAG(0, "coverage", "show which rules and handlers were of use", coverage),

	HEADING("Help"),
	COUNT('v', "verbose", "log connections, at their start, too (-vv: more)", verbose),
	TAKEN('h', "help", NULL, "this page", take_command),
	TAKEN('V', "version", NULL, "the version", take_command),
};
/* clang-format on */

/* ---- help ---- */

#define HELP_COLUMN 26

void options_print(FILE *to)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct row *r = &rows[i];
		char name[64];
		int n;

		if (r->heading) {
			fprintf(to, "\n%s\n", r->heading);
			continue;
		}
		n = snprintf(name, sizeof(name), "  %c%c%c --%s%s%s", r->letter ? '-' : ' ',
			r->letter ? r->letter : ' ', r->letter ? ',' : ' ', r->name,
			r->value ? " " : "", r->value ? r->value : "");
		fprintf(to, "%-*s%s%s\n", HELP_COLUMN - 1, name, n < HELP_COLUMN - 1 ? "" : " ",
			r->help);
	}
}

int options_usage(const char *what, const char *value, const char *remedy)
{
	if (value)
		log_error("%s '%s': %s", what, value, remedy);
	else
		log_error("%s: %s", what, remedy);
	return EXIT_USAGE;
}

/* Every value's message names the option as it is written. */
static int wrong(const struct row *row, const char *text, const char *remedy)
{
	char name[64];

	snprintf(name, sizeof(name), "--%s", row->name);
	return options_usage(name, text, remedy);
}

int options_refuse(const struct options *o, const char *const *names, const char *remedy)
{
	_Static_assert(ARRAY_LEN(rows) <= OPTIONS_MAX, "options.given is too short");

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		for (const char *const *name = names; o->given[i] && *name; name++)
			if (strcmp(rows[i].name, *name) == 0)
				return wrong(&rows[i], NULL, remedy);
	return 0;
}

/* ---- values ---- */

static int take_number(const struct row *row, const char *text, double *out)
{
	char range[80], *end;
	double n;

	errno = 0;
	n = strtod(text, &end);
	if (!*text || *end || errno || !isfinite(n) || n < row->least || n > row->most) {
		snprintf(range, sizeof(range), "give a number from %.6g to %.0f", row->least,
			row->most);
		return wrong(row, text, range);
	}
	*out = n;
	return 0;
}

static int take_whole(const struct row *row, const char *text, size_t *out)
{
	double n;
	int rc = take_number(row, text, &n);

	if (rc)
		return rc;
	if (n != floor(n))
		return wrong(row, text, "give a whole number");
	*out = (size_t)n;
	return 0;
}

static int take_texts(struct options_texts *out, const struct row *row, const char *text)
{
	const char **grown = realloc(out->text, (out->count + 1) * sizeof(*grown));

	if (!grown)
		return wrong(row, text, "out of memory");
	out->text = grown;
	out->text[out->count++] = text;
	return 0;
}

static int take_script(struct options *o, const struct row *row, const char *text)
{
	struct options_script *grown = realloc(o->scripts, (o->script_count + 1) * sizeof(*grown));

	if (!grown)
		return wrong(row, text, "out of memory");
	o->scripts = grown;
	o->scripts[o->script_count++] = (struct options_script){row->letter == 'e', text};
	return 0;
}

static int take_default(struct options *o, const struct row *row, const char *text)
{
	o->default_set = true;
	o->default_deny = strcmp(text, "deny") == 0;
	if (!o->default_deny && strcmp(text, "allow") != 0)
		return wrong(row, text, "say allow or deny");
	return 0;
}

static int take_dns(struct options *o, const struct row *row, const char *text)
{
	o->synthetic = strcmp(text, "synthetic") == 0;
	if (!o->synthetic && strcmp(text, "host") != 0)
		return wrong(row, text, "say host or synthetic");
	return 0;
}

static int take_net(struct options *o, const struct row *row, const char *text)
{
	const bool four = row->name[3] == '4';

	*(four ? &o->net4 : &o->net6) = text;
	if (inside_is_network(text, four ? 4 : 6))
		return 0;
	return wrong(row, text,
		four ? "give an IPv4 address and a prefix of 8 to 24 bits, as 10.0.0.1/24"
		     : "give an IPv6 address and a prefix of 8 to 120 bits");
}

static int take_publish(struct options *o, const struct row *row, const char *text)
{
	if (strcmp(text, "auto") != 0)
		return take_texts(&o->publish, row, text);
	o->publish_auto = true;
	return 0;
}

static int take_command(struct options *o, const struct row *row, const char *text)
{
	UNUSED(text);
	o->command = row->letter == 'h' ? OPTIONS_HELP
		: row->letter == 'V'    ? OPTIONS_VERSION
					: OPTIONS_CHECK;
	return 0;
}

static int take(struct options *o, const struct row *row, const char *text)
{
	void *field = (char *)o + row->field;

	switch (row->kind) {
	case KIND_FLAG:
		*(bool *)field = true;
		return 0;
	case KIND_COUNT:
		(*(int *)field)++;
		return 0;
	case KIND_TEXT:
		*(const char **)field = text;
		return 0;
	case KIND_TEXTS:
		return take_texts(field, row, text);
	case KIND_WHOLE:
		return take_whole(row, text, field);
	case KIND_NUMBER:
		return take_number(row, text, field);
	case KIND_TAKEN:
		return row->take(o, row, text);
	}
	return EXIT_USAGE;
}

/* ---- parsing ---- */

/* getopt_long(3) reads our rows in its own form; row i is told by LONG_BASE + i. */
#define LONG_BASE 256

static void make_getopt(char *letters, struct option *longs)
{
	size_t n = 0, l = 0;

	letters[l++] = '+'; /* stop at the first word that is no option */
	letters[l++] = ':'; /* tell a missing value from an unknown option */
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct row *r = &rows[i];

		if (r->heading)
			continue;
		longs[n++] = (struct option){r->name, r->value ? required_argument : no_argument,
			NULL, LONG_BASE + (int)i};
		if (r->letter)
			letters[l++] = r->letter;
		if (r->letter && r->value)
			letters[l++] = ':';
	}
	letters[l] = '\0';
	longs[n] = (struct option){0};
}

static const struct row *row_of(int opt)
{
	if (opt >= LONG_BASE)
		return &rows[opt - LONG_BASE];
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (rows[i].letter == opt && opt)
			return &rows[i];
	return NULL;
}

/* The reason and the remedy, in @text where that is needed. */
static const char *none_of_this_name(const char *word, char text[96])
{
	char name[NEAREST_MAX + 4]; /* of more it is near to none */
	struct nearest n = nearest_to(name + 2);

	snprintf(name, sizeof(name), "%.*s", (int)strcspn(word, "="), word);
	for (size_t i = 0; i < ARRAY_LEN(rows) && strncmp(name, "--", 2) == 0; i++) {
		if (rows[i].name)
			nearest_try(&n, rows[i].name);
	}
	if (!n.best)
		return "there is none of this name; see nsnet-host --help";
	snprintf(text, 96, "there is none of this name; did you mean --%s?", n.best);
	return text;
}

static int unknown(int argc, char **argv, int opt)
{
	const char *word = optind <= argc ? argv[optind - 1] : "";
	char letter[3] = {'-', (char)optopt, '\0'}, text[96];

	if (optopt && optopt < LONG_BASE && word[0] == '-' && word[1] != '-')
		word = letter;
	return options_usage("option", word,
		opt == ':'                    ? "needs a value; see nsnet-host --help"
			: optopt >= LONG_BASE ? "takes no value"
					      : none_of_this_name(word, text));
}

static bool overlap(const char *network, const char *other)
{
	const struct cidr a = inside_network(network);
	struct cidr b;

	return cidr_parse(&b, other) || cidr_has(&a, &b.net) || cidr_has(&b, &a.net);
}

/* What each option cannot see by itself. */
static int check(const struct options *o)
{
	if (o->synthetic && (overlap(o->net4, SYNTH_NET4) || overlap(o->net6, SYNTH_NET6)))
		return options_usage("--dns", "synthetic",
			"its addresses, " SYNTH_NET4 " and " SYNTH_NET6
			", are in the network of --net4 or --net6: choose another");
	return 0;
}

static int parse(struct options *o, int argc, char **argv)
{
	char letters[2 * ARRAY_LEN(rows) + 3];
	struct option longs[ARRAY_LEN(rows) + 1];
	const struct row *row;
	int opt, rc;

	make_getopt(letters, longs);
	optind = 0; /* 0 and not 1: glibc forgets its place in an earlier argv */
	opterr = 0;
	while ((opt = getopt_long(argc, argv, letters, longs, NULL)) != -1) {
		row = opt == '?' || opt == ':' ? NULL : row_of(opt);
		if (!row)
			rc = unknown(argc, argv, opt);
		else if (row->value && strcmp(optarg, "--") == 0)
			rc = wrong(row, optarg, "that ends the options: the value is missing");
		else
			rc = take(o, row, optarg);
		if (rc)
			return rc;
		o->given[row - rows] = true;
	}
	o->root |= o->keep_caps;
	o->separated = optind > 1 && strcmp(argv[optind - 1], "--") == 0;
	o->argv = argv + optind;
	o->argc = argc - optind;
	return check(o);
}

int options_parse(struct options *o, int argc, char **argv)
{
	*o = (struct options){
		.mtu = 65520,
		.net4 = INSIDE_NET4,
		.net6 = INSIDE_NET6,
		.max_conns = 16384,
		.max_flows = 1024,
		.memory_mb = 256,
		.udp_idle_s = 60,
		.keepalive_s = 60,
		.ready_fd = SIZE_MAX,
		.exit_fd = SIZE_MAX,
	};
	return parse(o, argc, argv);
}

int options_parse_after(struct options *o)
{
	return parse(o, o->argc, o->argv);
}

void options_fini(struct options *o)
{
	free(o->scripts);
	o->scripts = NULL;
	free(o->publish.text);
	free(o->forward.text);
	o->publish = o->forward = (struct options_texts){0};
}
