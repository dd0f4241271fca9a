/* SPDX-License-Identifier: MIT */
#ifndef NSNET_HOSTS_H
#define NSNET_HOSTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "addr.h"
#include "dnsmsg.h"

/* hosts - the host's /etc/hosts (hosts(5)): names of addresses that the host's owner has written
 * down. The command's libc reads the file by itself; here it answers those who ask a name server
 * only, and proves to rules which names an address has.
 *
 * It is not watched but looked at again, like resolv.conf (resolvconf.h), at most each
 * HOSTS_CHECK_S. Names are in normal form (dname.h); what is no name is left out.
 */
#define HOSTS_CHECK_S 1.
#define HOSTS_FILE_MAX (32 << 20) /* bytes: lists of unwanted names are megabytes long */
#define HOSTS_TTL_S 10

struct hosts_entry;

struct hosts {
	char *path;                /* owned */
	char *text;                /* owned: the file; names stand in it */
	struct hosts_entry *entry; /* owned, in the order of the file */
	size_t len, cap;
	uint32_t *by_name, *by_addr; /* owned: hash tables of index + 1; a power of two */
	uint32_t mask;
	struct stat seen; /* of the file as it was read; st_ino 0 = absent */
	double checked;   /* when that was looked at last, as the callers count */
	bool racy;        /* it was so young then that a later change may look the same */
};

/* @path is copied. The file's absence is no error. 0 or -ENOMEM. */
int hosts_init(struct hosts *h, const char *path);
void hosts_fini(struct hosts *h);

/* Reads the file again if it has changed. Without memory or descriptors all stays as it was. */
void hosts_check(struct hosts *h, double now);

/* Calls @fn with each name of @ip (port ignored) until it returns non-zero; returns that, or 0. */
int hosts_each(const struct hosts *h, const struct addr *ip, int (*fn)(void *arg, const char *name),
	void *arg);

/* Writes the answer to @q, a question for A, AAAA or PTR, to @out (@size bytes, at least
 * DNSMSG_ERROR_MAX). Returns its length, or 0: the name (the address) is not in the file, or
 * another type is asked. A name of the other family only has no address: libc asks nobody else
 * either. */
size_t hosts_answer(const struct hosts *h, uint8_t *out, size_t size, const struct dnsmsg *q);

#endif
