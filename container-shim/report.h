/* SPDX-License-Identifier: MIT */
#ifndef SHIM_REPORT_H
#define SHIM_REPORT_H

#include <stdbool.h>

/* report - what the shim says on standard error.
 *
 * Each line begins with the name that the shim was started under, so that the
 * user of nsnet-host, who never called a container-shim, reads "nsnet-host:".
 */

/* Called once, first. @name is borrowed for the life of the process. */
void report_init(const char *name);

/* Lets report_note() speak. */
void report_set_verbose(bool verbose);

/* One line about what went wrong. */
void report_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* One line about a thing that is nice to have and failed; only with -v. */
void report_note(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
