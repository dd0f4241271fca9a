/* SPDX-License-Identifier: MIT */
#include "options.h"

#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "addr.h"
#include "argtable.h"
#include "base.h"
#include "inside.h"
#include "synth.h"

static int take_script(void *to, const struct argtable_row *row, const char *text);
static int take_default(void *to, const struct argtable_row *row, const char *text);
static int take_dns(void *to, const struct argtable_row *row, const char *text);
static int take_net(void *to, const struct argtable_row *row, const char *text);
static int take_publish(void *to, const struct argtable_row *row, const char *text);
static int take_texts(void *to, const struct argtable_row *row, const char *text);
static int take_command(void *to, const struct argtable_row *row, const char *text);

#define FIELD(name) offsetof(struct options, name)
#define HEADING(text)                                                                              \
	{                                                                                          \
		.heading = (text)                                                                  \
	}
#define ROW(l, n, v, text) .letter = (l), .name = (n), .value = (v), .help = (text)
#define FLAG(l, n, text, f)                                                                        \
	{                                                                                          \
		ROW(l, n, NULL, text), .kind = ARGTABLE_FLAG, .field = FIELD(f)                    \
	}
#define COUNT(l, n, text, f)                                                                       \
	{                                                                                          \
		ROW(l, n, NULL, text), .kind = ARGTABLE_COUNT, .field = FIELD(f)                   \
	}
#define TEXT(l, n, v, text, f)                                                                     \
	{                                                                                          \
		ROW(l, n, v, text), .kind = ARGTABLE_TEXT, .field = FIELD(f)                       \
	}
#define TEXTS(l, n, v, text, f)                                                                    \
	{                                                                                          \
		ROW(l, n, v, text), .kind = ARGTABLE_TAKEN, .take = take_texts, .field = FIELD(f)  \
	}
#define WHOLE(l, n, v, text, f, from, to)                                                          \
	{                                                                                          \
		ROW(l, n, v, text), .kind = ARGTABLE_WHOLE, .field = FIELD(f), .least = (from),    \
				    .most = (to)                                                   \
	}
#define NUMBER(l, n, v, text, f, from, to)                                                         \
	{                                                                                          \
		ROW(l, n, v, text), .kind = ARGTABLE_NUMBER, .field = FIELD(f), .least = (from),   \
				    .most = (to)                                                   \
	}
#define TAKEN(l, n, v, text, fn)                                                                   \
	{                                                                                          \
		ROW(l, n, v, text), .kind = ARGTABLE_TAKEN, .take = (fn)                           \
	}

/* clang-format off */
static const struct argtable_row rows[] = {
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

void options_print(FILE *to)
{
	argtable_print(rows, ARRAY_LEN(rows), to);
}

int options_refuse(const struct options *o, const char *const *names, const char *remedy)
{

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		for (const char *const *name = names; o->given[i] && *name; name++)
			if (strcmp(rows[i].name, *name) == 0)
				return argtable_wrong(&rows[i], NULL, remedy);
	return 0;
}

/* ---- values ---- */

static int add_text(struct options_texts *out, const struct argtable_row *row, const char *text)
{
	const char **grown = realloc(out->text, (out->count + 1) * sizeof(*grown));

	if (!grown)
		return argtable_wrong(row, text, "out of memory");
	out->text = grown;
	out->text[out->count++] = text;
	return 0;
}

static int take_texts(void *to, const struct argtable_row *row, const char *text)
{
	return add_text((void *)((char *)to + row->field), row, text);
}

static int take_script(void *to, const struct argtable_row *row, const char *text)
{
	struct options *o = to;
	struct options_script *grown = realloc(o->scripts, (o->script_count + 1) * sizeof(*grown));

	if (!grown)
		return argtable_wrong(row, text, "out of memory");
	o->scripts = grown;
	o->scripts[o->script_count++] = (struct options_script){row->letter == 'e', text};
	return 0;
}

static int take_default(void *to, const struct argtable_row *row, const char *text)
{
	struct options *o = to;
	o->default_set = true;
	o->default_deny = strcmp(text, "deny") == 0;
	if (!o->default_deny && strcmp(text, "allow") != 0)
		return argtable_wrong(row, text, "say allow or deny");
	return 0;
}

static int take_dns(void *to, const struct argtable_row *row, const char *text)
{
	struct options *o = to;
	o->synthetic = strcmp(text, "synthetic") == 0;
	if (!o->synthetic && strcmp(text, "host") != 0)
		return argtable_wrong(row, text, "say host or synthetic");
	return 0;
}

static int take_net(void *to, const struct argtable_row *row, const char *text)
{
	struct options *o = to;
	const bool four = row->name[3] == '4';

	*(four ? &o->net4 : &o->net6) = text;
	if (inside_is_network(text, four ? 4 : 6))
		return 0;
	return argtable_wrong(row, text,
		four ? "give an IPv4 address and a prefix of 8 to 24 bits, as 10.0.0.1/24"
		     : "give an IPv6 address and a prefix of 8 to 120 bits");
}

static int take_publish(void *to, const struct argtable_row *row, const char *text)
{
	struct options *o = to;
	if (strcmp(text, "auto") != 0)
		return add_text(&o->publish, row, text);
	o->publish_auto = true;
	return 0;
}

static int take_command(void *to, const struct argtable_row *row, const char *text)
{
	struct options *o = to;
	UNUSED(text);
	o->command = row->letter == 'h' ? OPTIONS_HELP
		: row->letter == 'V'    ? OPTIONS_VERSION
					: OPTIONS_CHECK;
	return 0;
}

/* ---- parsing ---- */

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
		return argtable_usage("--dns", "synthetic",
			"its addresses, " SYNTH_NET4 " and " SYNTH_NET6
			", are in the network of --net4 or --net6: choose another");
	return 0;
}

static int parse(struct options *o, int argc, char **argv)
{
	const int end = argtable_parse(rows, ARRAY_LEN(rows), o, o->given, argc, argv);

	if (end < 0)
		return -end;
	o->root |= o->keep_caps;
	o->separated = end > 1 && strcmp(argv[end - 1], "--") == 0;
	o->argv = argv + end;
	o->argc = argc - end;
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
