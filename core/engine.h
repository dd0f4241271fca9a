/* SPDX-License-Identifier: MIT */
#ifndef NSNET_ENGINE_H
#define NSNET_ENGINE_H

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>

#include "conn.h"
#include "dns.h"
#include "errand.h"
#include "flow.h"
#include "frag.h"
#include "gate.h"
#include "guard.h"
#include "name.h"
#include "ping.h"
#include "policy.h"
#include "publish.h"
#include "stack.h"
#include "synth.h"
#include "tun.h"
#include "udp.h"
#include "vigil.h"
#include "visit.h"

/* engine - the data path as one thing: everything from the descriptor of a tun device to
 * struct hooks. It knows no command line, no command, no rules, no logs.
 *
 *   engine_init   what decides: names, guard, policy. Hooks and observers may be set from here on.
 *   engine_start  what carries, from the tun up; packets are read when the loop runs.
 *   engine_stop   takes that down again: every flow ends, and is told to hooks.close.
 *   engine_fini   the rest.
 *
 * Embedded; does not move between init and fini. One at a time in a process: lwIP and the pool of
 * buffers are global.
 */
struct engine_config {
	struct ev_loop *loop;    /* borrowed */
	const char *net4, *net6; /* "10.0.0.1/24": the child's own, checked; borrowed until init */
	unsigned mtu;

	bool default_deny, dry_run, allow_host;
	bool synthetic; /* names have private addresses inside, and are resolved when dialed */

	size_t fds; /* how many descriptors this process may have: bounds max_conns */
	size_t max_conns, max_flows;
	size_t memory; /* for data in flight, in bytes */
	double udp_idle_s, tcp_idle_s, dial_timeout_s, keepalive_s; /* 0 = none */

	void (*on_gone)(void *arg); /* the namespace has ended, once, from the loop; or NULL */
	void *arg;
};

struct engine {
	struct engine_config config;
	struct addr self4, self6; /* the child's own */

	struct names names;
	struct guard guard;
	struct policy policy;

	struct tun tun;
	struct flow_table flows;
	struct stack stack;
	struct frag frag;
	struct conns conns;
	struct udp udp;
	struct ping ping;
	struct visits visits;
	struct publish publish;
	struct dns dns;
	struct synth synth; /* if config.synthetic, */
	struct errands errands;
	struct gate gate;
	struct vigil vigil;
};

/* 0, or negative errno after a message: then nothing is left. */
int engine_init(struct engine *e, const struct engine_config *config);

/* Takes @tun_fd (non-blocking). 0, or negative errno after a message: then nothing is left of what
 * it began, and @tun_fd is closed. */
int engine_start(struct engine *e, int tun_fd);

void engine_stop(struct engine *e); /* what engine_start() began */
void engine_fini(struct engine *e);

/* The resolver's address inside, which belongs into the child's resolv.conf. */
struct addr engine_dns(const struct engine *e, unsigned version);

#endif
