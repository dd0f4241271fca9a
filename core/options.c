/* SPDX-License-Identifier: MIT */
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "addr.h"
#include "base.h"
#include "log.h"

enum {
	OPT_ALLOW_HOST = 256,
	OPT_CHECK,
	OPT_DEFAULT,
	OPT_DIAL_TIMEOUT,
	OPT_DRY_RUN,
	OPT_ENV,
	OPT_INSECURE_PERMS,
	OPT_KEEPALIVE,
	OPT_KEEP_CAPS,
	OPT_LINGER,
	OPT_MAX_CONNS,
	OPT_MAX_FLOWS,
	OPT_MEMORY,
	OPT_MTU,
	OPT_NET4,
	OPT_NET6,
	OPT_ROOT,
	OPT_TCP_IDLE,
	OPT_UDP_IDLE,
	OPT_WATCH,
};

static const struct option table[] = {
	{"allow-host", no_argument, NULL, OPT_ALLOW_HOST},
	{"check", no_argument, NULL, OPT_CHECK},
	{"default", required_argument, NULL, OPT_DEFAULT},
	{"dial-timeout", required_argument, NULL, OPT_DIAL_TIMEOUT},
	{"dry-run", no_argument, NULL, OPT_DRY_RUN},
	{"env", required_argument, NULL, OPT_ENV},
	{"eval", required_argument, NULL, 'e'},
	{"help", no_argument, NULL, 'h'},
	{"insecure-perms", no_argument, NULL, OPT_INSECURE_PERMS},
	{"keep-caps", no_argument, NULL, OPT_KEEP_CAPS},
	{"keepalive", required_argument, NULL, OPT_KEEPALIVE},
	{"linger", no_argument, NULL, OPT_LINGER},
	{"max-conns", required_argument, NULL, OPT_MAX_CONNS},
	{"max-flows", required_argument, NULL, OPT_MAX_FLOWS},
	{"memory", required_argument, NULL, OPT_MEMORY},
	{"mtu", required_argument, NULL, OPT_MTU},
	{"net4", required_argument, NULL, OPT_NET4},
	{"net6", required_argument, NULL, OPT_NET6},
	{"root", no_argument, NULL, OPT_ROOT},
	{"script", required_argument, NULL, 's'},
	{"tcp-idle", required_argument, NULL, OPT_TCP_IDLE},
	{"udp-idle", required_argument, NULL, OPT_UDP_IDLE},
	{"verbose", no_argument, NULL, 'v'},
	{"version", no_argument, NULL, 'V'},
	{"watch", no_argument, NULL, OPT_WATCH},
	{NULL, 0, NULL, 0},
};

static const char help[] =
	"usage: nsnet-host [OPTION]... -- CMD [ARG]...\n"
	"       nsnet-host --check -s FILE...\n"
	"       nsnet-host doctor\n"
	"\n"
	"Runs CMD in a network namespace of its own; Lua rules decide about every connection.\n"
	"\n"
	"Rules\n"
	"  -s, --script FILE      load a Lua rule script (repeatable, in this order)\n"
	"  -e, --eval CODE        the same, from the command line\n"
	"      --default WHAT     allow or deny what no rule decides; overrules the scripts\n"
	"      --dry-run          decide and log denials, but allow\n"
	"      --check            load the rules and stop: 0 good, 66 unreadable, 70 wrong\n"
	"      --watch            load the scripts again when one changes (SIGHUP does too)\n"
	"      --env A,B,...      environment variables that scripts may read\n"
	"      --insecure-perms   load scripts that others can write, too\n"
	"      --allow-host       10.0.0.100 and fd6e:736e:6574::100 reach the host's loopback\n"
	"\n"
	"The namespace\n"
	"      --root             CMD sees itself as root\n"
	"      --keep-caps        and keeps the namespace's capabilities (implies --root)\n"
	"      --mtu BYTES        1280..65520 [65520]\n"
	"      --net4 ADDR/BITS   CMD's address and network [10.0.0.1/24]\n"
	"      --net6 ADDR/BITS   [fd6e:736e:6574::1/64]\n"
	"      --linger           stay until the last process in the namespace ends\n"
	"\n"
	"Limits\n"
	"      --max-conns N      TCP connections at a time [16384]\n"
	"      --max-flows N      UDP flows at a time; the idlest makes room [1024]\n"
	"      --memory MB        data in flight, all flows together [256]\n"
	"      --dial-timeout S   give up connecting after S seconds [0: the kernel's]\n"
	"      --tcp-idle S       end a TCP connection after S seconds without a byte [0: never]\n"
	"      --udp-idle S       end a UDP flow [60]\n"
	"      --keepalive S      TCP keepalive towards the destination; 0 for none [60]\n"
	"\n"
	"  -v, --verbose          say what happens (-vv: more)\n"
	"  -h, --help   -V, --version\n"
	"\n"
	"Exits with CMD's status; 128+n: killed by signal n; 126, 127: CMD cannot be run; 2 "
	"usage;\n"
	"66 script unreadable; 70 script wrong; 71 the machine lacks something (doctor tells).\n";

void options_print_help(void)
{
	fputs(help, stdout);
}

static int usage(const char *what, const char *value, const char *remedy)
{
	if (value)
		log_error("%s '%s': %s", what, value, remedy);
	else
		log_error("%s: %s", what, remedy);
	return EXIT_USAGE;
}

static int number(const char *name, const char *text, double least, double most, double *out)
{
	char range[80], *end;
	double n;

	errno = 0;
	n = strtod(text, &end);
	if (!*text || *end || errno || !isfinite(n) || n < least || n > most) {
		snprintf(range, sizeof(range), "give a number from %.0f to %.0f", least, most);
		return usage(name, text, range);
	}
	*out = n;
	return 0;
}

static int whole(const char *name, const char *text, double least, double most, size_t *out)
{
	double n;
	int rc = number(name, text, least, most, &n);

	if (rc)
		return rc;
	if (n != floor(n))
		return usage(name, text, "give a whole number");
	*out = (size_t)n;
	return 0;
}

static int network(const char *name, const char *text, uint8_t v, const char **out)
{
	char copy[ADDR_TEXT_MAX], *slash, *end;
	struct addr a;
	long bits;

	if (strlen(text) < sizeof(copy)) {
		strcpy(copy, text);
		slash = strchr(copy, '/');
		if (slash) {
			*slash = '\0';
			bits = strtol(slash + 1, &end, 10);
			if (!addr_parse(&a, copy) && a.v == v && !a.port && !*end &&
				end > slash + 1 && bits >= 8 && bits <= (v == 4 ? 24 : 120)) {
				*out = text;
				return 0;
			}
		}
	}
	return usage(name, text,
		v == 4 ? "give an IPv4 address and a prefix of 8 to 24 bits, as 10.0.0.1/24"
		       : "give an IPv6 address and a prefix of 8 to 120 bits");
}

static int add_script(struct options *o, bool code, const char *text)
{
	struct options_script *grown = realloc(o->scripts, (o->script_count + 1) * sizeof(*grown));

	if (!grown)
		return usage("-s", text, "out of memory");
	o->scripts = grown;
	o->scripts[o->script_count++] = (struct options_script){code, text};
	return 0;
}

static int take_limit(struct options *o, int opt, const char *text)
{
	size_t n = 0;
	double s = 0;
	int rc;

	switch (opt) {
	case OPT_MAX_CONNS:
		return whole("--max-conns", text, 1, 1e6, &o->max_conns);
	case OPT_MAX_FLOWS:
		return whole("--max-flows", text, 1, 1e6, &o->max_flows);
	case OPT_MEMORY:
		rc = whole("--memory", text, 8, 1e6, &n);
		o->memory = n << 20;
		return rc;
	case OPT_DIAL_TIMEOUT:
		return number("--dial-timeout", text, 0, 1e6, &o->dial_timeout_s);
	case OPT_TCP_IDLE:
		return number("--tcp-idle", text, 0, 1e7, &o->tcp_idle_s);
	case OPT_UDP_IDLE:
		return number("--udp-idle", text, 0.1, 1e7, &o->udp_idle_s);
	case OPT_KEEPALIVE:
		rc = number("--keepalive", text, 0, 32767, &s);
		o->keepalive_s = (int)s;
		return rc;
	default:
		return EXIT_USAGE;
	}
}

static int take_default(struct options *o, const char *text)
{
	o->default_set = true;
	o->default_deny = strcmp(text, "deny") == 0;
	if (!o->default_deny && strcmp(text, "allow") != 0)
		return usage("--default", text, "say allow or deny");
	return 0;
}

static int take(struct options *o, int opt, char *text)
{
	size_t mtu;
	int rc;

	switch (opt) {
	case 's':
	case 'e':
		return add_script(o, opt == 'e', text);
	case 'v':
		o->verbose++;
		return 0;
	case 'h':
		o->command = OPTIONS_HELP;
		return 0;
	case 'V':
		o->command = OPTIONS_VERSION;
		return 0;
	case OPT_CHECK:
		o->command = OPTIONS_CHECK;
		return 0;
	case OPT_DEFAULT:
		return take_default(o, text);
	case OPT_ENV:
		o->env = text;
		return 0;
	case OPT_WATCH:
		o->watch = true;
		return 0;
	case OPT_INSECURE_PERMS:
		o->insecure_perms = true;
		return 0;
	case OPT_DRY_RUN:
		o->dry_run = true;
		return 0;
	case OPT_ALLOW_HOST:
		o->allow_host = true;
		return 0;
	case OPT_KEEP_CAPS:
		o->keep_caps = o->root = true;
		return 0;
	case OPT_ROOT:
		o->root = true;
		return 0;
	case OPT_LINGER:
		o->linger = true;
		return 0;
	case OPT_MTU:
		rc = whole("--mtu", text, 1280, 65520, &mtu);
		o->mtu = (unsigned)mtu;
		return rc;
	case OPT_NET4:
		return network("--net4", text, 4, &o->net4);
	case OPT_NET6:
		return network("--net6", text, 6, &o->net6);
	default:
		return take_limit(o, opt, text);
	}
}

static int unknown(int argc, char **argv, int opt)
{
	const char *word = optind <= argc ? argv[optind - 1] : "";
	char letter[3] = {'-', (char)optopt, '\0'};

	if (optopt && optopt < 256 && word[0] == '-' && word[1] != '-')
		word = letter;
	return usage("option", word,
		opt == ':' ? "needs a value; see nsnet-host --help"
			   : "unknown or without its value; see nsnet-host --help");
}

int options_parse(struct options *o, int argc, char **argv)
{
	int opt, rc;

	*o = (struct options){
		.mtu = 65520,
		.max_conns = 16384,
		.max_flows = 1024,
		.memory = (size_t)256 << 20,
		.udp_idle_s = 60,
		.keepalive_s = 60,
	};
	optind = 1;
	opterr = 0;
	while ((opt = getopt_long(argc, argv, "+:s:e:vhV", table, NULL)) != -1) {
		if (opt == '?' || opt == ':')
			return unknown(argc, argv, opt);
		rc = take(o, opt, optarg);
		if (rc)
			return rc;
	}
	o->argv = argv + optind;
	if (o->command != OPTIONS_RUN)
		return 0;
	if (optind < argc && strcmp(argv[optind], "doctor") == 0 &&
		strcmp(argv[optind - 1], "--") != 0) {
		o->command = OPTIONS_DOCTOR;
		return optind + 1 == argc ? 0
					  : usage("doctor", argv[optind + 1], "takes no argument");
	}
	if (optind == argc)
		return usage("no command", NULL,
			"name one after --, as in: nsnet-host -- curl URL");
	return 0;
}

void options_fini(struct options *o)
{
	free(o->scripts);
	o->scripts = NULL;
}
