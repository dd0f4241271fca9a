/* SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "host.h"
#include "inherit.h"
#include "log.h"
#include "options.h"
#include "preflight.h"

static int run(const struct options *o, const struct inherit *inherit)
{
	switch (o->command) {
	case OPTIONS_HELP:
		options_print_help();
		return 0;
	case OPTIONS_VERSION:
		puts("nsnet-host " NSNET_VERSION);
		return 0;
	case OPTIONS_DOCTOR:
		return preflight_run(stdout, true, NULL, inherit) ? EXIT_PREFLIGHT : 0;
	case OPTIONS_CHECK:
		return host_check(o);
	case OPTIONS_RUN:
		return host_run(o, inherit);
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
	if (status == 0) {
		log_set_level(options.verbose > 1 ? LOG_LEVEL_DEBUG
				: options.verbose ? LOG_LEVEL_INFO
						  : LOG_LEVEL_WARN);
		status = run(&options, &inherit);
	}
	options_fini(&options);
	return status;
}
