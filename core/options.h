/* SPDX-License-Identifier: MIT */
#ifndef NSNET_OPTIONS_H
#define NSNET_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "argtable.h" /* EXIT_USAGE */

/* options - the command line as a struct. All text is borrowed from argv; the arrays are owned. */

/* Exit codes of our own (sysexits.h), EXIT_USAGE aside; cmd's come through: 0..255, 128 + n for a
 * signal, 126 and 127 if it could not be started. */
#define EXIT_NO_INPUT 66  /* a script cannot be read */
#define EXIT_RULES 70     /* a script is wrong, or its on_start failed */
#define EXIT_NO_OUTPUT 73 /* a log, a capture or a report cannot be written */
#define EXIT_PREFLIGHT 71 /* the machine lacks something: see nsnet-host doctor */

enum options_command {
	OPTIONS_RUN,
	OPTIONS_CHECK, /* --check: load the rules, run nothing */
	OPTIONS_HELP,
	OPTIONS_VERSION,
};

struct options_script {
	bool code; /* -e TEXT rather than -s FILE */
	const char *text;
};

/* What an option gave that may be given several times, in that order. */
struct options_texts {
	const char **text; /* owned */
	size_t count;
};

struct options {
	enum options_command command;
	bool given[ARGTABLE_MAX]; /* which were on the command line: see options_refuse() */
	int argc;
	char **argv;    /* what follows the options, ended by NULL: cmd, or a subcommand */
	bool separated; /* "--" came before it: cmd for certain */

	struct options_script *scripts; /* owned; in the order given */
	size_t script_count;
	int verbose; /* -v: 1, -vv: 2 */

	bool root, keep_caps, linger;
	size_t mtu;              /* bytes */
	const char *net4, *net6; /* "10.0.0.1/24" */

	struct options_texts publish; /* -p */
	bool publish_auto;            /* -p auto */
	struct options_texts forward; /* -L */

	/* A namespace that is there, instead of a command: of a process, or as files. */
	size_t pid; /* 0: none */
	const char *netns, *userns;
	size_t ready_fd, exit_fd; /* SIZE_MAX: none */

	bool default_set, default_deny; /* --default: overrules the scripts */
	bool allow_host, dry_run;
	bool synthetic;      /* --dns=synthetic */
	bool watch;          /* load the scripts again when a file changes */
	const char *env;     /* names that scripts may read, comma separated; NULL = none */
	bool insecure_perms; /* run scripts that others can write */
	bool no_sandbox;     /* do not lock up the program after the start */
	bool coverage;       /* of the subcommand test */
	/* Of the subcommand explain; NULL = none. */
	const char *name, *sni, *http_host, *process, *src;
	bool inbound; /* likewise */

	size_t max_conns, max_flows;
	size_t memory_mb; /* for data in flight */
	double udp_idle_s, tcp_idle_s, dial_timeout_s, keepalive_s;

	const char *log, *log_json; /* a path, "-", "fd:N"; NULL = none */
	bool summary;               /* at the end, and on SIGUSR1 */
	const char *learn;          /* NULL: none */
	const char *metrics;        /* path of a socket; NULL = none */
	bool no_who;                /* logs do not ask which process it was */

	const char *pcap;                /* NULL = no capture */
	size_t snaplen;                  /* bytes; 0 = all */
	size_t pcap_size_mb, pcap_files; /* 0 = one file; 0 = keep all */
};

/* Fills @o from the command line, argv[0] aside. Returns 0, or EXIT_USAGE after one line on
 * stderr. In both cases options_fini() is due. */
int options_parse(struct options *o, int argc, char **argv);

/* Goes on where a subcommand found itself in o->argv: takes the options after it, which overrule
 * earlier ones, and leaves the rest in o->argc and o->argv. Returns as options_parse(). */
int options_parse_after(struct options *o);
void options_fini(struct options *o);

/* Refuses what would be taken for something that it is not: if one of @names (without dashes, ended
 * by NULL) was given, one line on stderr that ends with @remedy, and EXIT_USAGE. Else 0. */
int options_refuse(const struct options *o, const char *const *names, const char *remedy);

/* The options under their headings, as --help shows them. */
void options_print(FILE *to);

#endif
