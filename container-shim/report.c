/* SPDX-License-Identifier: MIT */
#include "report.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *report_name = "container-shim";
static bool report_verbose;

void report_init(const char *name)
{
	const char *slash = strrchr(name, '/');

	report_name = slash ? slash + 1 : name;
}

void report_set_verbose(bool verbose)
{
	report_verbose = verbose;
}

/* One write(2) a line: the host may be writing to the same terminal. */
static void report_line(const char *format, va_list args)
{
	char line[512];
	int used = snprintf(line, sizeof(line), "%s: ", report_name);
	int more;

	if (used < 0 || (size_t)used >= sizeof(line))
		return;
	more = vsnprintf(line + used, sizeof(line) - used, format, args);
	if (more < 0)
		return;
	used += more;
	if ((size_t)used > sizeof(line) - 2)
		used = sizeof(line) - 2;
	line[used++] = '\n';
	/* Standard error may be closed or full; there is nobody left to tell. */
	if (write(STDERR_FILENO, line, used) == -1)
		return;
}

void report_error(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	report_line(format, args);
	va_end(args);
}

void report_note(const char *format, ...)
{
	va_list args;

	if (!report_verbose)
		return;
	va_start(args, format);
	report_line(format, args);
	va_end(args);
}
