/* SPDX-License-Identifier: MIT */
#include "logs.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "denial.h"
#include "log.h"

static int failed(const char *option, const char *to, int error)
{
	log_error("%s %s: %s; give a file that can be written, - for stderr, or fd:N for an open "
		  "descriptor",
		option, to, strerror(error));
	return EXIT_NO_OUTPUT;
}

static bool is_stderr(const char *to)
{
	return strcmp(to, "-") == 0 || strcmp(to, "fd:2") == 0;
}

/* The file that a log option names: a path, - or fd:N. */
static bool stat_output(const char *to, struct stat *st)
{
	if (is_stderr(to))
		return fstat(STDERR_FILENO, st) == 0;
	if (strncmp(to, "fd:", 3) == 0)
		return fstat((int)strtol(to + 3, NULL, 10), st) == 0;
	return stat(to, st) == 0;
}

/* False if one of them does not exist yet. Each would write over the other's. */
static bool is_same_file(const char *a, const char *b)
{
	struct stat x, y;

	return stat_output(a, &x) && stat_output(b, &y) && S_ISREG(x.st_mode) &&
		x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* To be asked before each output makes its file anew: what exists is not emptied for another, and
 * what the one before has made is found. @text: what --log or -v name. 0, or the exit status after
 * a message. */
static int refuse_one_file_twice(const struct options *o, const char *text)
{
	const struct {
		const char *option, *to;
	} output[] = {{"--log", text}, {"--log-json", o->log_json}, {"--pcap", o->pcap},
		{"--learn", o->learn}};

	for (size_t i = 1; i < ARRAY_LEN(output); i++) {
		for (size_t j = 0; j < i; j++) {
			char what[64];

			if (!output[i].to || !output[j].to ||
				!is_same_file(output[i].to, output[j].to))
				continue;
			snprintf(what, sizeof(what), "that is the file of %s; give each its own",
				output[j].option);
			return argtable_usage(output[i].option, output[i].to, what);
		}
	}
	return 0;
}

/* 0, or the exit status after a message. */
static int open_capture(struct logs *l, const struct options *o)
{
	const struct capture_config c = {
		.loop = l->policy->loop,
		.path = o->pcap,
		.snaplen = o->snaplen,
		.size = (uint64_t)o->pcap_size_mb * 1000000,
		.files = (unsigned)o->pcap_files,
	};
	int rc;

	if (o->pcap_files && !o->pcap_size_mb)
		return argtable_usage("--pcap-files", NULL,
			"say with --pcap-size when one is full");
	if (!o->pcap)
		return 0;
	rc = capture_start(&l->capture, &c);
	if (rc == 0 && o->pcap_size_mb) /* the next files are made later */
		rc = cage_allow(l->cage, LANDLOCK_WRITE, o->pcap);
	if (rc < 0) {
		log_error("cannot write %s: %s", o->pcap,
			rc == -ENXIO ? "nobody reads that pipe" : strerror(-rc));
		return EXIT_NO_OUTPUT;
	}
	observe_add(&l->policy->observers, &l->capture.observer);
	return 0;
}

/* In one write(2), if stderr takes it: it is not to be mixed with what the command says. Who cannot
 * be written to cannot be told so either. */
static void write_summary(const struct logs *l)
{
	char *text = NULL;
	size_t len = 0, at = 0;
	FILE *f = open_memstream(&text, &len);
	ssize_t n;

	if (f)
		summary_write(&l->summary, f);
	if (!f || fclose(f) == EOF) {
		log_error("no summary: %s", strerror(errno));
		free(text);
		return;
	}
	log_flush();
	while (at < len && ((n = write(STDERR_FILENO, text + at, len - at)) >= 0 || errno == EINTR))
		at += n > 0 ? (size_t)n : 0;
	free(text);
}

static int cannot_learn(const char *path, int error)
{
	if (error == EEXIST)
		log_error("--learn %s: there is a file that was not learned; name another one",
			path);
	else
		log_error("--learn %s: %s; give a file in a directory that can be written", path,
			strerror(error));
	return EXIT_NO_OUTPUT;
}

int logs_open(struct logs *l, const struct options *o, struct policy *policy, struct cage *cage)
{
	const char *text = o->log ? o->log : o->verbose ? "-" : NULL;
	int rc;

	l->policy = policy;
	l->cage = cage;
	l->who.diag = -1;
	rc = refuse_one_file_twice(o, text);
	if (rc)
		return rc;
	if (text) {
		rc = logtext_open(&l->text, policy, text, o->verbose > 0);
		if (rc < 0)
			return failed("--log", text, -rc);
		policy->logged = is_stderr(text);
	}
	rc = refuse_one_file_twice(o, text);
	if (rc)
		return rc;
	if (o->log_json) {
		rc = logjson_open(&l->json, policy, o->log_json, o->argv);
		if (rc < 0)
			return failed("--log-json", o->log_json, -rc);
	}
	rc = refuse_one_file_twice(o, text);
	if (rc == 0)
		rc = open_capture(l, o);
	if (rc == 0)
		rc = refuse_one_file_twice(o, text);
	if (rc)
		return rc;
	if (o->summary)
		summary_init(&l->summary, policy);
	rc = o->learn ? learn_start(&l->learn, policy, cage, o->learn, o->argv) : 0;
	if (rc < 0)
		return cannot_learn(o->learn, -rc);
	policy->identify = policy->observers && !o->no_who;
	if (policy->identify)
		cage_allow_processes(cage);
	return 0;
}

void logs_watch(struct logs *l, struct tun *tun)
{
	if (!l->capture.config.path)
		return;
	tun->tap = capture_packet;
	tun->tap_arg = &l->capture;
}

void logs_identify(struct logs *l, int diag, pid_t command)
{
	int rc = who_init(&l->who, diag, command, l->policy->loop);

	if (rc == 0)
		l->policy->who = &l->who;
	else
		log_info("processes are not told apart: %s", strerror(-rc));
}

bool logs_signal(struct logs *l, int signo)
{
	if (signo != SIGUSR1 || !l->summary.policy)
		return false;
	write_summary(l);
	return true;
}

void logs_close(struct logs *l, int status)
{
	int rc;

	if (!l->policy)
		return;
	denial_finish();
	logtext_close(&l->text);
	logjson_close(&l->json, status);
	capture_stop(&l->capture);
	if (l->summary.policy)
		write_summary(l);
	summary_fini(&l->summary);
	rc = learn_finish(&l->learn, stderr);
	if (rc < 0)
		log_error("--learn: cannot write the file: %s; the rules stand above",
			strerror(-rc));
	l->policy->who = NULL;
	who_fini(&l->who);
	l->policy = NULL;
}
