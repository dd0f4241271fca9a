/* SPDX-License-Identifier: MIT */
#ifndef NSNET_CTL_H
#define NSNET_CTL_H

#include <stdbool.h>

/* ctl - nsnet-host ctl: asks a running program at its control socket (control.h) and prints the
 * answer.
 *
 *     nsnet-host ctl [--pid PID] [--json] COMMAND [ARGUMENT]
 *
 * @argv[0] is "ctl". Returns the exit status: 0; 1: the program refused, and said why; 2: usage;
 * 69 (EX_UNAVAILABLE): nobody to ask. */
#define EXIT_REFUSED 1
#define EXIT_NOBODY 69

int ctl_run(int argc, char **argv);

/* For other subcommands that ask; @what names them in messages. */

/* A connection to the one program that is meant (@pid 0: the only one there is), or the negative
 * exit status after a message. */
int ctl_find(const char *what, long pid);
/* The same for a subcommand that takes [--pid PID] and nothing else; @argv[0] is its name. */
int ctl_find_by(int argc, char **argv);
/* The answer, one line, the caller's to free; NULL: errno says why. @argument may be NULL. */
char *ctl_ask(int fd, const char *command, const char *argument);
/* That errno, for people; EAGAIN: it has not answered in time. */
const char *ctl_why(int error);
/* Prints an answer, for people or @raw. Returns the exit status. */
int ctl_show(const char *what, const char *line, bool raw);

#endif
