/* SPDX-License-Identifier: MIT */
#include "report.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"
#include "options.h"
#include "page.h"

#define USAGE "as in: nsnet-host report log.jsonl -o page.html"

/* The log stands in a script element of type application/json, whose text ends at "</script" and
 * knows no escapes of HTML's. In JSON a "<" can stand within a string only, where \u003c is the
 * same; a line that is no JSON is lost anyway. */
static void write_text(FILE *out, const char *text, size_t n)
{
	while (n) {
		const char *less = memchr(text, '<', n);
		const size_t plain = less ? (size_t)(less - text) : n;

		fwrite(text, 1, plain, out);
		if (!less)
			return;
		fputs("\\u003c", out);
		text += plain + 1;
		n -= plain + 1;
	}
}

int report_write(FILE *in, FILE *out)
{
	bool json = false;
	char *line = NULL;
	size_t room = 0;
	ssize_t n;
	int error;

	errno = 0;
	fwrite(page_before, 1, page_before_len, out);
	while (!ferror(out) && (n = getline(&line, &room, in)) >= 0) {
		json = json || line[0] == '{';
		write_text(out, line, (size_t)n);
	}
	error = errno;
	free(line);
	fwrite(page_behind, 1, page_behind_len, out);
	if (fflush(out) == EOF || ferror(out))
		return -(errno ? errno : EIO);
	if (ferror(in))
		return -(error ? error : EIO);
	return json ? 0 : -ENODATA;
}

/* True if both are the same file: it would be emptied before it is read. */
static bool same_file(FILE *in, const char *path)
{
	struct stat a, b;

	return fstat(fileno(in), &a) == 0 && stat(path, &b) == 0 && S_ISREG(a.st_mode) &&
		a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

/* What is in it is as private as the log. */
static FILE *open_page(const char *page)
{
	int fd = open(page, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	return fd == -1 ? NULL : fdopen(fd, "w");
}

static int write_page(FILE *in, const char *log, const char *page)
{
	FILE *out = page ? open_page(page) : stdout;
	int rc, status = 0;
	struct stat st;
	bool file;

	if (!out) {
		log_error("cannot write %s: %s", page, strerror(errno));
		return EXIT_NO_OUTPUT;
	}
	file = page && fstat(fileno(out), &st) == 0 && S_ISREG(st.st_mode);
	rc = report_write(in, out);
	if (rc == -ENODATA) {
		log_error("%s is no log of nsnet-host: make one with --log-json", log);
		status = EXIT_NO_INPUT;
	} else if (rc < 0) {
		log_error("cannot make %s of %s: %s", page ? page : "a page", log, strerror(-rc));
		status = EXIT_NO_OUTPUT;
	}
	if (page && fclose(out) == EOF && status == 0) {
		log_error("cannot write %s: %s", page, strerror(errno));
		status = EXIT_NO_OUTPUT;
	}
	if (file && status)
		(void)unlink(page); /* half a page would look like a whole one */
	return status;
}

int report_run(int argc, char **argv)
{
	const char *log = NULL, *page = NULL;
	int status;
	FILE *in;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "-o") == 0 && i + 1 < argc)
			page = argv[++i];
		else if ((argv[i][0] == '-' && argv[i][1]) || log)
			return argtable_usage("report", argv[i], USAGE);
		else
			log = argv[i];
	}
	if (!log)
		return argtable_usage("report", NULL, "name the log, " USAGE);
	if (!page && isatty(STDOUT_FILENO))
		return argtable_usage("report", NULL, "say where the page goes, " USAGE);
	in = strcmp(log, "-") == 0 ? stdin : fopen(log, "re");
	if (!in) {
		log_error("cannot read %s: %s", log, strerror(errno));
		return EXIT_NO_INPUT;
	}
	if (page && same_file(in, page))
		status = argtable_usage("-o", page, "that is the log itself; name another file");
	else
		status = write_page(in, log, page);
	if (in != stdin)
		fclose(in);
	return status;
}
