/* SPDX-License-Identifier: MIT */
#ifndef NSNET_CONSOLE_H
#define NSNET_CONSOLE_H

/* console - nsnet-host console: lines of Lua from standard input, evaluated in the rules of a
 * running program (its control socket's command lua), and what they come to on standard output.
 *
 *     nsnet-host console [--pid PID]
 *
 * @argv[0] is "console". Returns the exit status: 0; 1: a line had an error (not at a terminal);
 * 2: usage; 69: nobody to ask, or it has ended. */
int console_run(int argc, char **argv);

#endif
