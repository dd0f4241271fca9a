/* SPDX-License-Identifier: MIT */
#ifndef NSNET_CAPTURE_H
#define NSNET_CAPTURE_H

#include <ev.h>
#include <linux/virtio_net.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "flow.h"
#include "observe.h"
#include "pcapfile.h"

/* capture - the packets at the tun device, both directions, in a pcapng file (--pcap).
 *
 * Embedded in the host, which hands it to the tun as its tap and to policy as an observer.
 *
 * A packet is written as the command's kernel sends or takes it: a super-segment stays whole, with
 * a comment. Its checksum, which the kernel leaves to the device, is filled in, unless the packet
 * is cut. The first packet of a flow gets a comment with process, name, verdict and rule; while a
 * script thinks, it is held back for that (pcapfile.h). If it takes too long, the comment goes to
 * the flow's next packet, as a verdict about the first bytes does. Names of addresses that are
 * connected to stand in name resolution blocks, in each file before the first use.
 */
#define CAPTURE_SNAPLEN_MAX 262144 /* what Wireshark takes for "all" */
#define CAPTURE_FLOWS 64           /* of those held, and of those owed a comment, at a time */
#define CAPTURE_NAMES 4096         /* remembered to be in the file; a power of 2 */

struct capture_config {
	struct ev_loop *loop;
	const char *path;
	size_t snaplen; /* bytes; 0 = all */
	uint64_t size;  /* a file is followed by the next when it has so many bytes; 0 = never */
	unsigned files; /* that are kept then; 0 = all */
};

struct capture_held {
	uint64_t id, place;
};

struct capture_owed {
	struct flow_key key;
	char *text; /* owned */
};

struct capture {
	struct observer observer; /* to be added to policy's */
	struct capture_config config;
	struct pcapfile file;
	uint64_t section;              /* bytes of the file that is being filled */
	uint64_t last_out;             /* the place of the last packet of the child */
	uint64_t names[CAPTURE_NAMES]; /* hashes of what is in this file; 0 = free */
	size_t name_count;
	uint64_t start_ns;
	uint64_t seen, lost; /* packets */
	uint64_t gap;        /* of the lost, those since the last that was not */
	struct capture_held held[CAPTURE_FLOWS]; /* undecided flows' first packets, in order */
	struct capture_owed owed[CAPTURE_FLOWS]; /* comments for the next packets, oldest first */
	size_t held_count, owed_count;
};

/* Opens the file. Returns 0 or negative errno. @c is to be zeroed before. */
int capture_start(struct capture *c, const struct capture_config *config);

/* Writes what is left and tells if packets are missing. Safe if it never started. */
void capture_stop(struct capture *c);

/* The tun's tap: a packet that has come from the child (@out) or has gone to it, in @n pieces,
 * @vh as on the device. @arg is the capture. */
void capture_packet(void *arg, bool out, const struct virtio_net_hdr *vh, const struct iovec *iov,
	int n);

#endif
