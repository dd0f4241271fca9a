/* SPDX-License-Identifier: MIT */
#include "tools.h"

#include "lua/tools.h"

int tools_test(struct options *o)
{
	int rc = options_parse_after(o);
	struct testrun_options t;

	if (rc)
		return rc;
	if (!o->argc)
		return options_usage("test", NULL,
			"name files of tests, as in: nsnet-host test rules_test.lua");
	t = (struct testrun_options){
		.path = o->argv,
		.count = (size_t)o->argc,
		.verbose = o->verbose > 0,
		.coverage = o->coverage,
	};
	return testrun(&t);
}
