/* SPDX-License-Identifier: MIT */
#include "tools.h"

#include <stdlib.h>

#include "log.h"

#include "lua/tools.h"

int tools_test(struct options *o)
{
	/* What would change verdicts in the program, and does not in a test. */
	static const char *const elsewhere[] = {"script", "eval", "default", "dry-run", "env",
		"allow-host", "insecure-perms", "net4", "net6", "dns", "publish", "forward", NULL};
	int rc = options_parse_after(o);
	struct testrun_options t;

	if (rc)
		return rc;
	if (!o->argc)
		return argtable_usage("test", NULL,
			"name files of tests, as in: nsnet-host test rules_test.lua");
	rc = options_refuse(o, elsewhere,
		"a test file loads its rules itself: t.load(\"rules.lua\", { default = \"deny\" }) "
		"says what it is to run under");
	if (rc)
		return rc;
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

/* What explain cannot honour. */
static int explain_misfits(const struct options *o)
{
	if (o->synthetic)
		return argtable_usage("explain --dns", "synthetic",
			"there a name is judged with each of its addresses: explain one of them, "
			"and give the name by --name");
	if (o->inbound && o->publish_auto && o->publish.count)
		return argtable_usage("explain --inbound", NULL,
			"leave out -p auto or the other -p: the first lets in what the default "
			"allows, the others let in all");
	return 0;
}

int tools_explain(struct options *o)
{
	struct explain_options e = {0};
	int rc = options_parse_after(o);

	if (rc)
		return rc;
	if (o->argc < 2)
		return argtable_usage("explain", NULL,
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
		return argtable_usage("explain", o->argv[0], "one connection at a time");
	rc = explain_misfits(o);
	if (rc)
		return rc;
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
	e.process = o->process;
	e.src = o->src;
	e.inbound = o->inbound;
	e.unnamed = o->publish_auto;
	e.dry_run = o->dry_run;
	e.net4 = o->net4;
	e.net6 = o->net6;
	e.forward = o->forward.text;
	e.forwards = o->forward.count;
	return explain_scripts(o, &e);
}

int tools_lua_init(struct options *o)
{
	int rc = options_parse_after(o);

	if (rc)
		return rc;
	if (o->argc > 1)
		return argtable_usage("lua-init", o->argv[1], "one directory at a time");
	return editor_init(o->argc ? o->argv[0] : ".");
}
