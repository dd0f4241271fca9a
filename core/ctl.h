/* SPDX-License-Identifier: MIT */
#ifndef NSNET_CTL_H
#define NSNET_CTL_H

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

#endif
