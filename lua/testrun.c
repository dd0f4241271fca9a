/* SPDX-License-Identifier: MIT */
#include "lua/tools.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base.h"
#include "core/log.h"
#include "lua/testfile.h"

#define STATUS_FAILED 1
#define STATUS_NO_INPUT 66
#define STATUS_SOFTWARE 70

/* A rule or handler, over all rule sets that have it. */
struct covered {
	char *key; /* owned: "rule\tweb (rules.lua:2)" */
	unsigned long long hits;
};

struct testrun {
	const struct testrun_options *o;
	unsigned passed, failed;
	int status;
	struct covered *covered; /* owned, in the order of their first appearance */
	size_t covered_len;
};

/* What the process of a file writes: lines "C<hits>\t<kind>\t<who>", at the end
 * "R<passed> <failed> <status>". */
static void on_cover(void *arg, const struct lua_rule *r)
{
	FILE *out = arg;
	fprintf(out, "C%llu\t%s\t", r->hits, r->kind);
	for (const char *c = r->name ? r->name : r->where; *c; c++)
		fputc(*c == '\n' || *c == '\t' ? ' ' : *c, out);
	fputc('\n', out);
}

static void be_file(const struct testrun *t, const char *path, FILE *out, int log)
{
	struct testfile f = {.path = path,
		.verbose = t->o->verbose,
		.log = log,
		.cover = on_cover,
		.arg = out};
	if (testfile_run(&f))
		fprintf(out, "R%u %u %d\n", f.passed, f.failed, f.status);
	fflush(out);
	_exit(0);
}

static void cover(struct testrun *t, const char *key, unsigned long long hits)
{
	for (size_t i = 0; i < t->covered_len; i++) {
		if (!strcmp(t->covered[i].key, key)) {
			t->covered[i].hits += hits;
			return;
		}
	}
	struct covered *v = realloc(t->covered, (t->covered_len + 1) * sizeof(*v));
	if (!v)
		return;
	t->covered = v;
	v[t->covered_len].key = strdup(key);
	v[t->covered_len].hits = hits;
	if (v[t->covered_len].key)
		t->covered_len++;
}

static int worse(int a, int b)
{
	static const int order[] = {STATUS_NO_INPUT, STATUS_SOFTWARE, STATUS_FAILED};
	for (size_t i = 0; i < ARRAY_LEN(order); i++) {
		if (a == order[i] || b == order[i])
			return order[i];
	}
	return a ? a : b;
}

/* Reads what the file's process tells, to its end. True: it has come to its result. */
static bool listen_to(struct testrun *t, FILE *in, int *status)
{
	char *line = NULL;
	size_t cap = 0;
	bool whole = false;
	ssize_t n;
	while ((n = getline(&line, &cap, in)) > 0) {
		char *at = line + 1;
		line[n - 1] = 0;
		if (line[0] == 'C') {
			unsigned long long hits = strtoull(at, &at, 10);
			cover(t, at + 1, hits);
		} else {
			whole = true;
			t->passed += (unsigned)strtoul(at, &at, 10);
			t->failed += (unsigned)strtoul(at, &at, 10);
			*status = (int)strtol(at, &at, 10);
		}
	}
	free(line);
	return whole;
}

/* The end of a log, to stderr as it is: why a process did not come to its end. */
static void show_log(int log)
{
	char text[4096];
	off_t size = lseek(log, 0, SEEK_END);
	off_t from = size > (off_t)sizeof(text) ? size - (off_t)sizeof(text) : 0;
	ssize_t n = pread(log, text, sizeof(text), from);
	for (ssize_t at = 0; at < n;) {
		ssize_t put = write(STDERR_FILENO, text + at, (size_t)(n - at));
		if (put <= 0)
			return;
		at += put;
	}
}

static int make_files(int *log, int fds[2])
{
	*log = memfd_create("test log", MFD_CLOEXEC);
	if (*log < 0)
		return -errno;
	if (pipe2(fds, O_CLOEXEC) == 0)
		return 0;
	int err = -errno;
	close(*log);
	return err;
}

static int run_file(struct testrun *t, const char *path)
{
	int log = -1, fds[2] = {-1, -1}, how = 0, status = STATUS_SOFTWARE;
	int err = make_files(&log, fds);
	if (err) {
		log_error("%s: cannot be run: %s", path, strerror(-err));
		return STATUS_SOFTWARE;
	}
	fflush(NULL);
	pid_t pid = fork();
	FILE *out = pid == 0 ? fdopen(fds[1], "w") : NULL;
	if (pid == 0) {
		close(fds[0]);
		if (out)
			be_file(t, path, out, log);
		_exit(STATUS_SOFTWARE);
	}
	close(fds[1]);
	FILE *in = fdopen(fds[0], "r");
	bool whole = pid > 0 && in && listen_to(t, in, &status);
	if (in)
		fclose(in);
	while (pid > 0 && waitpid(pid, &how, 0) == -1 && errno == EINTR)
		;
	if (!whole || (status && status != STATUS_FAILED))
		show_log(log);
	if (!whole) {
		t->failed++;
		if (pid > 0 && WIFSIGNALED(how))
			log_error("%s: ended by signal %d", path, WTERMSIG(how));
		else
			log_error("%s: did not come to its end", path);
		status = STATUS_SOFTWARE;
	}
	close(log);
	return status;
}

static void show_coverage(const struct testrun *t)
{
	size_t used = 0;
	printf("\ncoverage: how often each rule decided and each handler was called\n");
	for (size_t i = 0; i < t->covered_len; i++) {
		const struct covered *c = &t->covered[i];
		const char *tab = strchr(c->key, '\t');
		used += c->hits > 0;
		printf("  %6llu  %-14.*s %s%s\n", c->hits, (int)(tab - c->key), c->key, tab + 1,
			c->hits ? "" : "  <- never");
	}
	printf("%zu of %zu rules and handlers were of use\n", used, t->covered_len);
}

int testrun(const struct testrun_options *o)
{
	struct testrun t = {.o = o};
	for (size_t i = 0; i < o->count; i++)
		t.status = worse(t.status, run_file(&t, o->path[i]));
	if (o->coverage)
		show_coverage(&t);
	printf("%u passed, %u failed\n", t.passed, t.failed);
	for (size_t i = 0; i < t.covered_len; i++)
		free(t.covered[i].key);
	free(t.covered);
	if (fflush(stdout))
		return STATUS_SOFTWARE;
	return t.failed ? worse(t.status, STATUS_FAILED) : t.status;
}
