/* SPDX-License-Identifier: MIT */
#ifndef NSNET_LOGS_H
#define NSNET_LOGS_H

#include <stdbool.h>
#include <sys/types.h>

#include "cage.h"
#include "capture.h"
#include "learn.h"
#include "logjson.h"
#include "logtext.h"
#include "options.h"
#include "policy.h"
#include "summary.h"
#include "tun.h"
#include "who.h"

/* logs - what the command line wants to know of connections (--log, --log-json, --pcap, --summary,
 * -v), and whose they are. Embedded in the host. */
struct logs {
	struct policy *policy; /* borrowed */
	struct cage *cage;     /* borrowed, until it is locked */
	struct logtext text;
	struct logjson json;
	struct capture capture;
	struct summary summary;
	struct learn learn;
	struct who who;
};

/* Opens what @o asks for. policy->loop and ->name_of are set. 0, or the exit status after one
 * message; logs_close() is due in both cases. */
int logs_open(struct logs *l, const struct options *o, struct policy *policy, struct cage *cage);

/* @tun stands: shows its packets to the capture. */
void logs_watch(struct logs *l, struct tun *tun);

/* The namespace of @command stands; @diag as in who.h, or negative: then processes are unknown. */
void logs_identify(struct logs *l, int diag, pid_t command);

/* A signal that may be for logs: SIGUSR1 writes the summary to stderr, if one is asked for. False:
 * it is not. */
bool logs_signal(struct logs *l, int signo);

/* Call it when all flows have ended; the command has ended with @status. */
void logs_close(struct logs *l, int status);

#endif
