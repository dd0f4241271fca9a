/* SPDX-License-Identifier: MIT */
#ifndef NSNET_METRICS_H
#define NSNET_METRICS_H

#include <stddef.h>

#include "control.h"
#include "gate.h"
#include "logs.h"
#include "rules.h"

/* metrics - the counters of a running program in OpenMetrics' text format, version 1.0.0
 * (https://prometheus.io/docs/specs/om/open_metrics_spec/): what nsnet-host ctl openmetrics prints
 * and --metrics serves. METRICS.md has the list.
 *
 * Nothing is counted for this: it reads what the modules count anyway, so it costs nothing until
 * somebody asks. Embedded in the host. */
#define METRICS_TYPE "application/openmetrics-text; version=1.0.0; charset=utf-8"

struct metrics {
	const struct gate *gate;   /* borrowed, like the others */
	const struct logs *logs;   /* NULL: none */
	const struct rules *rules; /* NULL: none */
	double started;            /* seconds since 1970 */
};

/* The exposition, *@len bytes, ended by zero as well; the caller's to free. NULL: no memory. */
char *metrics_text(const struct metrics *m, size_t *len);

/* Adds the command openmetrics to @c. @m lives as long. */
void metrics_control(struct metrics *m, struct control *c);

#endif
