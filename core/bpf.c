/* SPDX-License-Identifier: MIT */
#include "bpf.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the filter reads the low half of a system call's argument at offset 0"
#endif

#if defined(__x86_64__)
#define ARCH_NATIVE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH_NATIVE AUDIT_ARCH_AARCH64
#elif defined(__riscv) && __riscv_xlen == 64
#define ARCH_NATIVE AUDIT_ARCH_RISCV64
#else
#error "name this architecture's AUDIT_ARCH value"
#endif

/* More than any architecture has; x86-64's x32 calls have a bit far above it. */
#define NR_MAX 4096

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define RETURN(value) BPF_STMT(BPF_RET | BPF_K, (value))

/* Calls from @start up to the next run's start share one fate. */
struct run {
	uint32_t start;
	const struct bpf_call *call; /* NULL: trap */
	size_t alternatives;         /* of the call; more than a bare one only alone in its run */
};

struct program {
	struct sock_filter *out;
	size_t len, max;
	struct run run[2 * BPF_CALLS_MAX + 1];
	size_t runs;
};

static void emit(struct program *p, struct sock_filter f)
{
	if (p->len < p->max)
		p->out[p->len] = f;
	p->len++;
}

static void patch(struct program *p, size_t at, uint32_t k)
{
	if (at < p->max)
		p->out[at].k = k;
}

static bool conditional(const struct bpf_call *c)
{
	return c->check[0].mask != 0;
}

static uint32_t verdict(const struct bpf_call *c)
{
	return c->action == BPF_ACTION_ENOSYS ? SECCOMP_RET_ERRNO | ENOSYS : SECCOMP_RET_ALLOW;
}

/* One alternative: falls behind itself if a check fails. */
static void emit_checks(struct program *p, const struct bpf_call *c)
{
	size_t jump[BPF_CHECKS], jumps = 0;

	for (size_t i = 0; i < BPF_CHECKS && c->check[i].mask; i++) {
		const struct bpf_check *k = &c->check[i];

		emit(p, (struct sock_filter)LOAD(args[k->arg]));
		if (k->mask != UINT32_MAX)
			emit(p, (struct sock_filter)BPF_STMT(BPF_ALU | BPF_AND | BPF_K, k->mask));
		jump[jumps++] = p->len;
		emit(p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, k->value, 0, 0));
	}
	emit(p, (struct sock_filter)RETURN(verdict(c)));
	for (size_t i = 0; i < jumps; i++)
		if (jump[i] < p->max)
			p->out[jump[i]].jf = (uint8_t)(p->len - jump[i] - 1);
}

static void emit_leaf(struct program *p, const struct run *r)
{
	if (!r->call) {
		emit(p, (struct sock_filter)RETURN(SECCOMP_RET_TRAP));
		return;
	}
	if (!conditional(r->call)) {
		emit(p, (struct sock_filter)RETURN(verdict(r->call)));
		return;
	}
	for (size_t i = 0; i < r->alternatives; i++)
		emit_checks(p, &r->call[i]);
	emit(p,
		(struct sock_filter)RETURN(r->call->action == BPF_ACTION_TRY
				? SECCOMP_RET_ERRNO | EACCES
				: SECCOMP_RET_TRAP));
}

/* The runs from @lo to @hi. Only jumps, comparisons and returns: with these alone the kernel can
 * work out in advance which calls are always allowed (seccomp_is_const_allow()). */
static void emit_tree(struct program *p, size_t lo, size_t hi)
{
	const size_t middle = (lo + hi + 1) / 2;
	size_t jump;

	if (lo == hi) {
		emit_leaf(p, &p->run[lo]);
		return;
	}
	emit(p,
		(struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, p->run[middle].start, 0,
			1));
	jump = p->len;
	emit(p, (struct sock_filter)BPF_STMT(BPF_JMP | BPF_JA, 0));
	emit_tree(p, lo, middle - 1);
	patch(p, jump, (uint32_t)(p->len - jump - 1));
	emit_tree(p, middle, hi);
}

static int by_number(const void *a, const void *b)
{
	return ((const struct bpf_call *)a)->nr - ((const struct bpf_call *)b)->nr;
}

static bool same_fate(const struct run *a, const struct run *b)
{
	if (!a->call || !b->call)
		return a->call == b->call;
	return !conditional(a->call) && !conditional(b->call) && a->call->action == b->call->action;
}

static void add_run(struct program *p, struct run r)
{
	if (p->runs && same_fate(&p->run[p->runs - 1], &r))
		return;
	p->run[p->runs++] = r;
}

/* The runs of the sorted list; -EINVAL if it makes no sense. */
static int make_runs(struct program *p, const struct bpf_call *calls, size_t n)
{
	uint32_t next = 0;
	size_t same;

	for (size_t i = 0; i < n; i += same) {
		const struct bpf_call *c = &calls[i];

		if (c->nr < 0 || c->nr >= NR_MAX)
			return -EINVAL;
		for (same = 1; i + same < n && calls[i + same].nr == c->nr; same++)
			if (!conditional(c) || !conditional(&calls[i + same]))
				return -EINVAL;
		if ((uint32_t)c->nr > next)
			add_run(p, (struct run){.start = next});
		add_run(p, (struct run){(uint32_t)c->nr, c, same});
		next = (uint32_t)c->nr + 1;
	}
	add_run(p, (struct run){.start = next});
	return 0;
}

int bpf_compile(struct bpf_call *calls, size_t n, struct sock_filter *out, size_t max)
{
	struct program p = {.out = out, .max = max};
	int rc;

	if (n > BPF_CALLS_MAX)
		return -EINVAL;
	qsort(calls, n, sizeof(*calls), by_number);
	rc = make_runs(&p, calls, n);
	if (rc < 0)
		return rc;
	emit(&p, (struct sock_filter)LOAD(arch));
	emit(&p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCH_NATIVE, 1, 0));
	emit(&p, (struct sock_filter)RETURN(SECCOMP_RET_KILL_PROCESS));
	emit(&p, (struct sock_filter)LOAD(nr));
	emit_tree(&p, 0, p.runs - 1);
	return p.len > max ? -ENOSPC : (int)p.len;
}
