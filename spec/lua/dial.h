/* SPDX-License-Identifier: MIT */
#ifndef NSNET_SPEC_DIAL_H
#define NSNET_SPEC_DIAL_H

/* dial - flows that go through a script's dialer. Include it after rig.h and peer.h. */

#define steps(...) ((const char *const[]){__VA_ARGS__, NULL})

/* Asks for a flow to @dst and dials it. Returns the fd or negative errno of the dialer, or what
 * policy_dial said. */
static inline int dial(struct rig *r, struct rig_flow *f, uint32_t proto, const char *dst)
{
	if (!rig_ask(r, f, proto, dst))
		rig_wait(r, f);
	flow_set_state(&f->flow, FLOW_STATE_DIALING);
	int rc = policy_dial(&r->policy, &f->flow);
	if (rc != -EINPROGRESS)
		return rc;
	assert_int_equal(f->dialed, 0);
	for (int i = 0; !f->dialed && i < 10000; i++)
		ev_run(r->loop, EVRUN_ONCE);
	assert_int_equal(f->dialed, 1);
	return f->fd;
}

static char received[256];

/* What the dialed socket carries, after @f->early, until its end. */
static inline const char *drain(struct rig_flow *f)
{
	size_t n = f->early_len;
	memcpy(received, f->early, n);
	for (;;) {
		ssize_t got = recv(f->fd, received + n, sizeof(received) - 1 - n, 0);
		if (got > 0)
			n += (size_t)got;
		else if (got == 0 || errno != EAGAIN)
			break;
		else
			usleep(500);
	}
	received[n] = 0;
	close(f->fd);
	return received;
}

#endif
