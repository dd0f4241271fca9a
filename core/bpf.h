/* SPDX-License-Identifier: MIT */
#ifndef NSNET_BPF_H
#define NSNET_BPF_H

#include <linux/filter.h>
#include <stddef.h>
#include <stdint.h>

/* bpf - a filter for seccomp(2) from a list of system calls. Pure: a list in, instructions out.
 *
 * What is not in the list traps, and what another architecture's entry asks kills the process. */

enum bpf_action {
	BPF_ACTION_ALLOW,
	BPF_ACTION_TRY,    /* allowed; where no alternative holds: EACCES, no trap */
	BPF_ACTION_ENOSYS, /* fails as in a kernel without that call, which callers are ready for */
};

/* One argument: its low 32 bits, masked, must be @value. A mask of 0 is no condition. */
struct bpf_check {
	uint32_t mask, value;
	uint8_t arg;
};

#define BPF_CHECKS 2
#define BPF_CALLS_MAX 256

/* A call, allowed if every check holds. Several entries of one call are alternatives. */
struct bpf_call {
	int nr;
	enum bpf_action action;
	struct bpf_check check[BPF_CHECKS];
};

/* Calls without a condition cost the kernel one bit to look up (Linux 5.11), and in older ones
 * about eight comparisons however long the list is: it becomes a search tree.
 *
 * Sorts @calls. Returns the number of instructions written to @out; -EINVAL for too many calls, a
 * number that is none, or a call both with and without a condition; -ENOSPC if @max is too few. */
int bpf_compile(struct bpf_call *calls, size_t n, struct sock_filter *out, size_t max);

#endif
