#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The inside of a lab, run as process 1 of new pid, mount and network namespaces by lab.lua:
#   lab.sh DIRECTORY REPOSITORY UID
# It makes the world W (this network namespace, the servers) and the host H (a second one, where
# nsnet-host runs), joins them and then waits for its standard input to end. When process 1 ends,
# the kernel kills everything else in here and both networks vanish: nothing can be left behind.
set -eu
dir=$1 repo=$2 uid=$3
trap 'touch "$dir/failed" || touch /run/lab/failed' EXIT

# --- files: a private /run and /etc, a tun node for everybody, fixed names for our two folders ---
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/etc /run/lab /run/repo /run/user
cp -a /etc/. /run/etc/ 2>/run/cp.err || true # an ordinary user cannot read shadow and the like
mount --bind /run/etc /etc
mount --bind "$dir" /run/lab
mount --bind "$repo" /run/repo
mount -t tmpfs -o mode=1777 tmpfs /tmp # other labs have control sockets there
rm -f /etc/resolv.conf /etc/hosts /etc/nsswitch.conf
printf 'nameserver 203.0.113.53\n' >/etc/resolv.conf
printf '127.0.0.1 localhost\n::1 localhost\n203.0.113.7 inhosts.test\n' >/etc/hosts
printf 'passwd: files\ngroup: files\nhosts: files dns\n' >/etc/nsswitch.conf
printf 'e2e:x:%s:%s::/run/lab/home:/bin/bash\n' "$uid" "$uid" >>/etc/passwd
printf 'e2e:x:%s:\n' "$uid" >>/etc/group
if mknod -m 666 /run/tun c 10 200 2>/run/mknod.err && chmod 666 /run/tun; then
	mount --bind /run/tun /dev/net/tun
fi

# --- network ---
unshare -n sleep infinity </dev/null >/dev/null 2>&1 &
host=$!
until [ "$(readlink /proc/$host/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.002; done

set_sysctl() { # FILE VALUE: a kernel without the file has no need of it either
	if [ -e "/proc/sys/net/$1" ]; then echo "$2" >"/proc/sys/net/$1"; fi
}
set_sysctl ipv4/ip_forward 1
set_sysctl ipv6/conf/all/forwarding 1
set_sysctl ipv4/icmp_ratelimit 0
set_sysctl ipv4/icmp_msgs_per_sec 100000
set_sysctl ipv4/icmp_msgs_burst 100000
set_sysctl ipv6/icmp/ratelimit 0

# W answers at .1 to .9, .53, .54 and their IPv6 twins, and at two private addresses. Beyond it:
# 201 unreachable, 202 prohibited, 203 silent; 192.0.2.0/24 is known to H only, so W itself says
# "no net".
{
	cat <<-END
		link set lo up
		link add w0 type veth peer name h0 netns $host
		addr add 198.51.100.1/24 dev w0
		addr add 2001:db8:1::1/64 dev w0 nodad
		link set w0 up
	END
	for n in 1 2 3 4 5 6 7 8 9 53 54; do
		echo "addr add 203.0.113.$n/32 dev lo"
		echo "addr add 2001:db8:2::$n/128 dev lo nodad"
	done
	cat <<-END
		addr add 169.254.169.254/32 dev lo
		addr add fd00:ec2::254/128 dev lo nodad
		addr add 10.99.0.1/32 dev lo
		addr add fdbb:99::1/128 dev lo nodad
		route add unreachable 203.0.113.201/32
		route add prohibit 203.0.113.202/32
		route add blackhole 203.0.113.203/32
		route add prohibit 2001:db8:2::202/128
		route add blackhole 2001:db8:2::203/128
		route add 2001:db8:2::201/128 dev w0
	END
} | ip -batch -
# An IPv6 "host unreachable" comes only of a neighbor that nobody is; soon, not after 3 s.
set_sysctl ipv6/neigh/w0/mcast_solicit 1
set_sysctl ipv6/neigh/w0/retrans_time_ms 20
nsenter --net=/proc/$host/ns/net sh -s "$uid" <<'END'
	set -eu
	ip -batch - <<-BATCH
		link set lo up
		addr add 198.51.100.2/24 dev h0
		addr add 2001:db8:1::2/64 dev h0 nodad
		link set h0 up
		route add 203.0.113.0/24 via 198.51.100.1
		route add 192.0.2.0/24 via 198.51.100.1
		route add 169.254.169.254/32 via 198.51.100.1
		route add 2001:db8:2::/48 via 2001:db8:1::1
		route add 2001:db8:3::/48 via 2001:db8:1::1
		route add fd00:ec2::254/128 via 2001:db8:1::1
		route add 10.99.0.1/32 via 198.51.100.1
		route add fdbb:99::1/128 via 2001:db8:1::1
	BATCH
	if ! echo "$1 $1" >/proc/sys/net/ipv4/ping_group_range; then
		echo 0 0 >/proc/sys/net/ipv4/ping_group_range
	fi
END

# Control sockets of other labs' programs lie in /tmp; so may our own folder, which is bound above.
mount -t tmpfs -o mode=1777 tmpfs /tmp
echo $host >/run/lab/ready
# Orphans of the specs' commands become our children: ignoring SIGCHLD lets the kernel reap them.
trap - EXIT
exec env --ignore-signal=CHLD cat >/dev/null
