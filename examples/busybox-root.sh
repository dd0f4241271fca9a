#!/bin/sh
# SPDX-License-Identifier: MIT
#
# A root of its own, of busybox and nothing else, with the network of nsnet-host:
#
#     nsnet-host --keep-caps -- examples/busybox-root.sh wget -O- http://example.com/
#
# All of it is in memory and ends with the command. --bind-tun is there for those who want to run
# another nsnet-host in it; without it there is a network all the same.
set -eu

busybox=$(command -v busybox)
shim=${CONTAINER_SHIM:-container-shim}
root=${ROOT:-/mnt}

"$busybox" mount -t tmpfs -o mode=755 root "$root"
mkdir -p "$root/bin" "$root/etc" "$root/proc" "$root/tmp" "$root/old"
cp "$busybox" "$root/bin/busybox"
"$busybox" --install -s "$root/bin"
cp /etc/resolv.conf "$root/etc/"
"$busybox" mount -o bind /proc "$root/proc"
"$shim" --bind-tun "$root"

cd "$root"
"$busybox" pivot_root . old
exec /bin/busybox sh -c 'cd / && umount -l /old && exec "$@"' sh "$@"
