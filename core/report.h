/* SPDX-License-Identifier: MIT */
#ifndef NSNET_REPORT_H
#define NSNET_REPORT_H

#include <stdio.h>

/* report - a JSON-lines log (--log-json) as one HTML page that needs nothing else and loads nothing
 * (nsnet-host report). The page's source is core/report/. */

/* nsnet-host report LOG [-o PAGE]; @argv[0] is "report". "-" is standard input; without -o the page
 * goes to standard output. Returns what the process is to exit with, after one line on stderr if
 * that is not 0. */
int report_run(int argc, char **argv);

/* Writes the page for the log that is read from @in. Whatever stands in the log, none of it can
 * leave the element that holds it. Returns 0 or a negative errno: -ENODATA if no line of it looks
 * like JSON. */
int report_write(FILE *in, FILE *out);

#endif
