/* SPDX-License-Identifier: MIT */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base.h"
#include "console.h"
#include "ctl.h"
#include "host.h"
#include "inherit.h"
#include "log.h"
#include "options.h"
#include "preflight.h"
#include "report.h"
#include "tools.h"
#include "top.h"
#include "version.h"

/* A first word that is no command to run. Behind "--" it is one all the same. */
struct subcommand {
	const char *name;
	const char *usage;
	/* o->argv begins with the name; returns the exit status. */
	int (*run)(struct options *o, const struct inherit *inherit);
};

static int run_doctor(struct options *o, const struct inherit *inherit)
{
	if (o->argc > 1)
		return argtable_usage("doctor", o->argv[1], "takes no argument");
	return preflight_run(stdout, true, NULL, inherit) ? EXIT_PREFLIGHT : 0;
}

static int run_ctl(struct options *o, const struct inherit *inherit)
{
	UNUSED(inherit);
	return ctl_run(o->argc, o->argv);
}

static int run_console(struct options *o, const struct inherit *inherit)
{
	UNUSED(inherit);
	return console_run(o->argc, o->argv);
}

static int run_top(struct options *o, const struct inherit *inherit)
{
	UNUSED(inherit);
	return top_run(o->argc, o->argv);
}

static int run_test(struct options *o, const struct inherit *inherit)
{
	UNUSED(inherit);
	return tools_test(o);
}

static int run_report(struct options *o, const struct inherit *inherit)
{
	UNUSED(inherit);
	return report_run(o->argc, o->argv);
}

static int run_explain(struct options *o, const struct inherit *inherit)
{
	UNUSED(inherit);
	return tools_explain(o);
}

static int run_lua_init(struct options *o, const struct inherit *inherit)
{
	UNUSED(inherit);
	return tools_lua_init(o);
}

static const struct subcommand subcommands[] = {
	{"console", "console [--pid PID]", run_console},
	{"ctl", "ctl [--pid PID] [--json] COMMAND [ARGUMENT]", run_ctl},
	{"doctor", "doctor", run_doctor},
	{"explain", "explain -s FILE... tcp|udp|icmp ADDRESS [OPTION]...", run_explain},
	{"lua-init", "lua-init [DIR]", run_lua_init},
	{"report", "report LOG.jsonl [-o PAGE.html]", run_report},
	{"test", "test [-v] [--coverage] FILE...", run_test},
	{"top", "top [--pid PID]", run_top},
};

static const struct subcommand *subcommand(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(subcommands); i++)
		if (strcmp(name, subcommands[i].name) == 0)
			return &subcommands[i];
	return NULL;
}

/* Anywhere behind a subcommand: none takes a word like these. */
static bool asks_help(const struct options *o)
{
	for (int i = 1; i < o->argc; i++)
		if (strcmp(o->argv[i], "--help") == 0 || strcmp(o->argv[i], "-h") == 0)
			return true;
	return false;
}

static int print_usage(const struct subcommand *s)
{
	printf("usage: nsnet-host %s\nnsnet-host(1) tells what it does.\n", s->usage);
	return 0;
}

static int print_help(void)
{
	puts("usage: nsnet-host [OPTION]... -- CMD [ARG]...\n"
	     "       nsnet-host [OPTION]... --pid PID | --netns FILE\n"
	     "       nsnet-host --check -s FILE...");
	for (size_t i = 0; i < ARRAY_LEN(subcommands); i++)
		printf("       nsnet-host %s\n", subcommands[i].usage);
	puts("\nRuns CMD in a network namespace of its own; Lua rules decide about every "
	     "connection.");
	options_print(stdout);
	puts("\nExits with CMD's status; 128+n: killed by signal n; 126, 127: CMD cannot be run;\n"
	     "2 usage; 66 script unreadable; 70 script wrong; 71 the machine lacks something "
	     "(doctor\ntells); 73 a log or capture cannot be written.");
	return 0;
}

static int run_check(const struct options *o)
{
	if (o->argc)
		return argtable_usage("--check", o->argv[0],
			"it loads scripts and runs nothing; scripts are named by -s");
	if (!o->script_count)
		return argtable_usage("--check", NULL, "name a script, as in: --check -s FILE");
	return host_check(o);
}

static int run_attached(struct options *o, const struct inherit *inherit)
{
	if (o->argc)
		return argtable_usage("command", o->argv[0],
			"with --pid or --netns there is none: the namespace has its own");
	if (o->pid && (o->netns || o->userns))
		return argtable_usage("--pid", NULL,
			"name a process, or files by --netns and --userns");
	if (o->root || o->keep_caps || o->linger)
		return argtable_usage("--root, --keep-caps, --linger", NULL,
			"they are about a command: with --pid or --netns there is none");
	return host_run(o, inherit);
}

static int run_command(struct options *o, const struct inherit *inherit)
{
	/* A --src does not move the command's address, though it looks so. */
	static const char *const tools[] = {"name", "sni", "http-host", "process", "src", "inbound",
		"coverage", NULL};
	const struct subcommand *s = o->argc && !o->separated ? subcommand(o->argv[0]) : NULL;
	int rc;

	if (s && asks_help(o))
		return print_usage(s);
	if (s)
		return s->run(o, inherit);
	rc = options_refuse(o, tools, "is for nsnet-host explain or test, and does nothing here");
	if (rc)
		return rc;
	if (o->pid || o->netns)
		return run_attached(o, inherit);
	if (o->userns || o->ready_fd != SIZE_MAX || o->exit_fd != SIZE_MAX)
		return argtable_usage("no namespace", NULL,
			"--userns, --ready-fd and --exit-fd go with --pid or --netns");
	if (!o->argc)
		return argtable_usage("no command", NULL,
			"name one after --, as in: nsnet-host -- curl URL");
	return host_run(o, inherit);
}

static int run(struct options *o, const struct inherit *inherit)
{
	log_set_level(o->verbose > 1 ? LOG_LEVEL_DEBUG
			: o->verbose ? LOG_LEVEL_INFO
				     : LOG_LEVEL_WARN);
	switch (o->command) {
	case OPTIONS_HELP:
		return print_help();
	case OPTIONS_VERSION:
		puts("nsnet-host " NSNET_VERSION);
		return 0;
	case OPTIONS_CHECK:
		return run_check(o);
	case OPTIONS_RUN:
		return run_command(o, inherit);
	}
	return EXIT_USAGE;
}

int main(int argc, char **argv)
{
	struct inherit inherit;
	struct options options;
	int status;

	inherit_init(&inherit);
	status = options_parse(&options, argc, argv);
	if (status == 0)
		status = run(&options, &inherit);
	options_fini(&options);
	return status;
}
