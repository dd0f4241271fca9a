/* SPDX-License-Identifier: MIT */
#include "logs.h"

#include <string.h>

#include "log.h"

static int failed(const char *option, const char *to, int error)
{
	log_error("%s %s: %s; give a file that can be written, - for stderr, or fd:N for an open "
		  "descriptor",
		option, to, strerror(error));
	return EXIT_USAGE;
}

static bool is_stderr(const char *to)
{
	return strcmp(to, "-") == 0 || strcmp(to, "fd:2") == 0;
}

int logs_open(struct logs *l, const struct options *o, struct policy *policy, struct cage *cage)
{
	const char *text = o->log ? o->log : o->verbose ? "-" : NULL;
	int rc;

	l->policy = policy;
	l->cage = cage;
	l->who.diag = -1;
	if (text) {
		rc = logtext_open(&l->text, policy, text, o->verbose > 0);
		if (rc < 0)
			return failed("--log", text, -rc);
		policy->logged = is_stderr(text);
	}
	if (o->log_json) {
		rc = logjson_open(&l->json, policy, o->log_json, o->argv);
		if (rc < 0)
			return failed("--log-json", o->log_json, -rc);
	}
	policy->identify = policy->observers && !o->no_who;
	if (policy->identify)
		cage_allow_processes(cage);
	return 0;
}

void logs_identify(struct logs *l, int diag, pid_t command)
{
	int rc = who_init(&l->who, diag, command);

	if (rc == 0)
		l->policy->who = &l->who;
	else
		log_info("processes are not told apart: %s", strerror(-rc));
}

void logs_close(struct logs *l, int status)
{
	if (!l->policy)
		return;
	logtext_close(&l->text);
	logjson_close(&l->json, status);
	l->policy->who = NULL;
	who_fini(&l->who);
	l->policy = NULL;
}
