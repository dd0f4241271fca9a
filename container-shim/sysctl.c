/* SPDX-License-Identifier: MIT */
#include "sysctl.h"

#include <stdio.h>
#include <string.h>

#include "file.h"
#include "report.h"

struct setting {
	const char *path;
	const char *value;
};

static const struct setting settings[] = {
	/* The "network" between cmd and the host is a memory copy. bbr paces it by
	 * timers and costs a third of the throughput; reno is in every kernel. */
	{"/proc/sys/net/ipv4/tcp_congestion_control", "reno"},
	/* The initial sizes bound what the host's stack can send before the kernel
	 * has grown the buffer by itself. Memory is used only as data is queued. */
	{"/proc/sys/net/ipv4/tcp_rmem", "4096 4194304 16777216"},
	{"/proc/sys/net/ipv4/tcp_wmem", "4096 2097152 8388608"},
	/* What is learnt about one connection is no news for the next one here. */
	{"/proc/sys/net/ipv4/tcp_slow_start_after_idle", "0"},
	{"/proc/sys/net/ipv4/tcp_no_metrics_save", "1"},
	/* Nobody but the host calls in here. A server that is slow to accept is to be called again
	 * a second later; by cookies it would forget callers whose hang-up comes first. */
	{"/proc/sys/net/ipv4/tcp_syncookies", "0"},
	/* Every port is free in here, and cmd has no capability to bind a low one. */
	{"/proc/sys/net/ipv4/ip_unprivileged_port_start", "0"},
	/* When the host is gone the tun device has no carrier: then, within a second,
	 * connect() fails with ENETUNREACH instead of waiting for an answer. */
	{"/proc/sys/net/ipv4/conf/default/ignore_routes_with_linkdown", "1"},
	{"/proc/sys/net/ipv6/conf/default/ignore_routes_with_linkdown", "1"},
	/* A host may have IPv6 off by default; the namespace has one of its own. */
	{"/proc/sys/net/ipv6/conf/default/disable_ipv6", "0"},
};

static void set(const char *path, const char *value)
{
	int err = file_write(path, value);

	if (err)
		report_note("cannot write '%s' to %s: %s", value, path, strerror(-err));
}

void sysctl_tune(gid_t gid)
{
	char range[32];

	for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++)
		set(settings[i].path, settings[i].value);
	snprintf(range, sizeof(range), "%u %u", gid, gid);
	set("/proc/sys/net/ipv4/ping_group_range", range);
}
