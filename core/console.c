/* SPDX-License-Identifier: MIT */
#include "console.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl.h"
#include "log.h"

static bool is_blank(const char *line)
{
	return line[strspn(line, " \t\r")] == '\0';
}

/* A line of Lua; or, behind a colon, a command as of nsnet-host ctl. Returns the exit status. */
static int evaluate(int fd, char *line)
{
	const char *command = "lua", *argument = line;
	char *answer;
	int status;

	if (line[0] == ':') {
		char *rest = line + 1;

		command = strsep(&rest, " \t");
		argument = rest && !is_blank(rest) ? rest : NULL;
	}
	answer = ctl_ask(fd, command, argument);
	if (!answer) {
		log_error("console: %s", ctl_why(errno));
		return EXIT_NOBODY;
	}
	status = ctl_show("console", answer, false);
	free(answer);
	return status;
}

static int read_lines(int fd)
{
	bool terminal = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
	int status = 0, one = 0;
	char *line = NULL;
	size_t size = 0;
	ssize_t n;

	if (terminal)
		puts("Lua in the running rules; :help lists other commands; Ctrl-D ends.");
	while (one != EXIT_NOBODY) {
		if (terminal)
			fputs("> ", stdout);
		fflush(stdout);
		n = getline(&line, &size, stdin);
		if (n <= 0)
			break;
		if (line[n - 1] == '\n')
			line[n - 1] = '\0';
		one = is_blank(line) ? 0 : evaluate(fd, line);
		if (one == EXIT_NOBODY || (one && !terminal))
			status = one;
	}
	if (terminal && one != EXIT_NOBODY)
		putchar('\n');
	free(line);
	return status;
}

int console_run(int argc, char **argv)
{
	int fd = ctl_find_by(argc, argv), status;

	if (fd < 0)
		return -fd;
	status = read_lines(fd);
	close(fd);
	return status;
}
