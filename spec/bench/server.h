/* SPDX-License-Identifier: MIT */
#ifndef NSNET_BENCH_SERVER_H
#define NSNET_BENCH_SERVER_H

#include "option.h"

/* server - answers every kind of load (wire.h) in one thread, until it is killed or the time
 * limit ends. Prints {"mode":"server","listening":true} when it is ready. Returns an exit
 * status. */
int server_run(const struct option_set *o);

#endif
