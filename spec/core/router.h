/* SPDX-License-Identifier: MIT */
#ifndef NSNET_SPEC_ROUTER_H
#define NSNET_SPEC_ROUTER_H

/* router - a router one hop away from the world of world.h, in a namespace of its own. */

#include "world.h"

/* We are 198.51.100.2 and 2001:db8:1::2, the router .1; behind it lie 203.0.113.0/24 and
 * 2001:db8:2::/48: .1 answers, in .64/26 (2001:db8:2:1::/64) nobody may be spoken to, in .128/25
 * (2001:db8:2:2::/64) the MTU is 1280. Returns the router's pid; ends with it, or with us. */
static WORLD_UNUSED pid_t world_router(void)
{
	int ready[2];
	pid_t pid;
	char c;

	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (unshare(CLONE_NEWNET) == -1 || write(ready[1], "", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &c, 1), 1);
	close(ready[0]);
	world_run("ip link add up0 type veth peer name down0 netns %d", (int)pid);
	world_run("ip addr add 198.51.100.2/24 dev up0; ip link set up0 up;"
		  "ip -6 addr add 2001:db8:1::2/64 dev up0 nodad;"
		  "ip route add 203.0.113.0/24 via 198.51.100.1;"
		  "ip -6 route add 2001:db8:2::/48 via 2001:db8:1::1");
	world_run("nsenter -t %d -n sh -ec 'ip link set lo up; ip link set down0 up;"
		  "ip addr add 198.51.100.1/24 dev down0; ip -6 addr add 2001:db8:1::1/64 dev "
		  "down0 nodad;"
		  "ip addr add 203.0.113.1/32 dev lo; ip -6 addr add 2001:db8:2::1/128 dev lo;"
		  "ip link add small type veth peer name far; ip link set far up;"
		  "ip link set small mtu 1280 up;"
		  "ip route add 203.0.113.128/25 dev small;"
		  "ip -6 route add 2001:db8:2:2::/64 dev small;"
		  "ip route add prohibit 203.0.113.64/26;"
		  "ip -6 route add prohibit 2001:db8:2:1::/64;"
		  "sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 "
		  "net.ipv4.icmp_ratelimit=0 net.ipv6.icmp.ratelimit=0'",
		(int)pid);
	return pid;
}

static WORLD_UNUSED void world_router_end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	world_run("ip link del up0 2>/dev/null || true");
}

#endif
