/* SPDX-License-Identifier: MIT */
#include "tools.h"

#include <stdlib.h>

#include "log.h"

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

static int explain_scripts(struct options *o, struct explain_options *e)
{
	const char **script = calloc(o->script_count + 1, sizeof(*script));
	bool *code = calloc(o->script_count + 1, sizeof(*code));
	int status = EXIT_RULES;

	for (size_t i = 0; script && code && i < o->script_count; i++) {
		script[i] = o->scripts[i].text;
		code[i] = o->scripts[i].code;
	}
	e->script = script;
	e->code = code;
	e->count = o->script_count;
	if (script && code)
		status = explain(e);
	free(script);
	free(code);
	return status;
}

int tools_explain(struct options *o)
{
	struct explain_options e = {0};
	int rc = options_parse_after(o);

	if (rc)
		return rc;
	if (o->argc < 2)
		return options_usage("explain", NULL,
			"name a connection, as in: nsnet-host explain -s rules.lua tcp "
			"192.0.2.1:443");
	e.network = o->argv[0];
	e.address = o->argv[1];
	/* Options may stand behind it, too. */
	o->argv++;
	o->argc--;
	rc = options_parse_after(o);
	if (rc)
		return rc;
	if (o->argc)
		return options_usage("explain", o->argv[0], "one connection at a time");
	/* What is denied is told on stdout; with -v the log tells it, too. */
	log_set_level(o->verbose ? LOG_LEVEL_INFO : LOG_LEVEL_ERROR);
	e.env = o->env;
	e.default_set = o->default_set;
	e.default_deny = o->default_deny;
	e.insecure_perms = o->insecure_perms;
	e.allow_host = o->allow_host;
	e.name = o->name;
	e.sni = o->sni;
	e.http_host = o->http_host;
	e.src = o->src;
	e.inbound = o->inbound;
	return explain_scripts(o, &e);
}

int tools_lua_init(struct options *o)
{
	int rc = options_parse_after(o);

	if (rc)
		return rc;
	if (o->argc > 1)
		return options_usage("lua-init", o->argv[1], "one directory at a time");
	return editor_init(o->argc ? o->argv[0] : ".");
}
