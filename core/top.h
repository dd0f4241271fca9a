/* SPDX-License-Identifier: MIT */
#ifndef NSNET_TOP_H
#define NSNET_TOP_H

/* top - nsnet-host top: what a running program carries, and how fast, asked for each second at its
 * control socket.
 *
 *     nsnet-host top [--pid PID]
 *
 * @argv[0] is "top". Where standard input or output is no terminal, one table, with the averages
 * since each connection began. Returns the exit status: 0; 2: usage; 69: nobody to ask, or it has
 * ended; 128 + n: ended by signal n. */
int top_run(int argc, char **argv);

#endif
