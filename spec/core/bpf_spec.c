/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/base.h"
#include "core/bpf.h"

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#else
#define ARCH AUDIT_ARCH_RISCV64
#endif

#define CODE_MAX 2048
#define NR_TRIED 600

/* The kernel's machine, as far as these programs go. Steps are counted. */
static uint32_t run(const struct sock_filter *code, int n, const struct seccomp_data *d, int *steps)
{
	uint32_t a = 0;

	*steps = 0;
	for (int pc = 0; pc < n; pc++) {
		const struct sock_filter *f = &code[pc];

		++*steps;
		switch (f->code) {
		case BPF_LD | BPF_W | BPF_ABS:
			assert_true(f->k + 4 <= sizeof(*d) && f->k % 4 == 0);
			memcpy(&a, (const char *)d + f->k, 4);
			break;
		case BPF_ALU | BPF_AND | BPF_K:
			a &= f->k;
			break;
		case BPF_JMP | BPF_JA:
			pc += (int)f->k;
			break;
		case BPF_JMP | BPF_JEQ | BPF_K:
			pc += a == f->k ? f->jt : f->jf;
			break;
		case BPF_JMP | BPF_JGE | BPF_K:
			pc += a >= f->k ? f->jt : f->jf;
			break;
		case BPF_RET | BPF_K:
			return f->k;
		default:
			fail_msg("instruction %#x at %d", f->code, pc);
		}
	}
	fail_msg("it ran past its end");
	return 0;
}

/* What the list itself says. */
static uint32_t expected(const struct bpf_call *calls, size_t n, const struct seccomp_data *d)
{
	uint32_t otherwise = SECCOMP_RET_TRAP;

	for (size_t i = 0; i < n; i++) {
		bool holds = calls[i].nr == d->nr;

		if (holds && calls[i].action == BPF_ACTION_TRY)
			otherwise = SECCOMP_RET_ERRNO | EACCES;

		for (int k = 0; k < BPF_CHECKS && holds; k++) {
			const struct bpf_check *c = &calls[i].check[k];

			holds = !c->mask || ((uint32_t)d->args[c->arg] & c->mask) == c->value;
		}
		if (holds)
			return calls[i].action == BPF_ACTION_ENOSYS ? SECCOMP_RET_ERRNO | ENOSYS
								    : SECCOMP_RET_ALLOW;
	}
	return otherwise;
}

static void agree(const struct bpf_call *calls, size_t n, int *most)
{
	static struct sock_filter code[CODE_MAX];
	struct bpf_call sorted[BPF_CALLS_MAX];
	int len, steps;

	memcpy(sorted, calls, n * sizeof(*calls));
	len = bpf_compile(sorted, n, code, CODE_MAX);
	assert_true(len > 0);
	for (int nr = -2; nr < NR_TRIED; nr++) {
		struct seccomp_data d = {.nr = nr, .arch = ARCH};

		for (uint32_t v = 0; v < 16; v++) {
			d.args[0] = v & 3;
			d.args[1] =
				(uint64_t)v << 32 | v >> 2; /* the high half counts for nothing */
			if (run(code, len, &d, &steps) != expected(calls, n, &d))
				fail_msg("call %d with %u is %#x, not %#x", nr, v,
					run(code, len, &d, &steps), expected(calls, n, &d));
			if (most && steps > *most)
				*most = steps;
		}
	}
}

static void says_what_the_list_says(void **state)
{
	(void)state;
	srand(20260101);
	for (int round = 0; round < 60; round++) {
		struct bpf_call calls[BPF_CALLS_MAX] = {0};
		size_t n = 0, wanted = (size_t)(rand() % 120);

		/* Whatever begins at 0 or ends at the last number that is tried is in it, too. */
		for (int nr = rand() % 3; nr < NR_TRIED && n < wanted; nr += 1 + rand() % 6) {
			bool bare = rand() % 3;
			/* The same for all alternatives. */
			enum bpf_action action = rand() % 3;

			if (bare && action == BPF_ACTION_TRY)
				action = BPF_ACTION_ALLOW;

			do {
				calls[n] = (struct bpf_call){.nr = nr, .action = action};
				if (!bare)
					calls[n].check[0] = (struct bpf_check){.arg = 0,
						.mask = 3,
						.value = rand() % 4};
				if (!bare && rand() % 2)
					calls[n].check[1] = (struct bpf_check){.arg = 1,
						.mask = UINT32_MAX,
						.value = rand() % 4};
				n++;
			} while (!bare && rand() % 2 && n < wanted);
		}
		/* In any order. */
		for (size_t i = n; i > 1; i--) {
			size_t j = (size_t)rand() % i;
			struct bpf_call swap = calls[i - 1];

			calls[i - 1] = calls[j];
			calls[j] = swap;
		}
		agree(calls, n, NULL);
	}
}

static void a_list_of_200_calls_is_found_in_few_steps(void **state)
{
	struct bpf_call calls[200] = {0};
	int most = 0;

	(void)state;
	for (int i = 0; i < 200; i++)
		calls[i].nr = i * 3;
	agree(calls, 200, &most);
	/* 400 runs: 9 comparisons, each perhaps with a jump, after 4 instructions. */
	assert_in_range(most, 10, 24);
}

static void another_architecture_is_death(void **state)
{
	struct bpf_call one = {.nr = 1};
	struct sock_filter code[CODE_MAX];
	struct seccomp_data d = {.nr = 1, .arch = ARCH ^ 1};
	int len = bpf_compile(&one, 1, code, CODE_MAX), steps;

	(void)state;
	assert_int_equal(run(code, len, &d, &steps), SECCOMP_RET_KILL_PROCESS);
	d.arch = ARCH;
	assert_int_equal(run(code, len, &d, &steps), SECCOMP_RET_ALLOW);
	d.nr |= 0x40000000; /* x32 */
	assert_int_equal(run(code, len, &d, &steps), SECCOMP_RET_TRAP);
}

static void refuses_a_list_that_makes_no_sense(void **state)
{
	struct bpf_call negative = {.nr = -1};
	struct bpf_call both[] = {{.nr = 7},
		{.nr = 7, .check = {{.arg = 0, .mask = 1, .value = 1}}}};
	struct bpf_call good[] = {{.nr = 7}, {.nr = 9}};
	struct sock_filter code[CODE_MAX];
	int len;

	(void)state;
	assert_int_equal(bpf_compile(&negative, 1, code, CODE_MAX), -EINVAL);
	assert_int_equal(bpf_compile(both, 2, code, CODE_MAX), -EINVAL);
	assert_int_equal(bpf_compile(good, BPF_CALLS_MAX + 1, code, CODE_MAX), -EINVAL);
	len = bpf_compile(good, 2, code, CODE_MAX);
	assert_true(len > 0);
	assert_int_equal(bpf_compile(good, 2, code, (size_t)len - 1), -ENOSPC);
	assert_int_equal(bpf_compile(good, 2, code, (size_t)len), len);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(says_what_the_list_says),
		cmocka_unit_test(a_list_of_200_calls_is_found_in_few_steps),
		cmocka_unit_test(another_architecture_is_death),
		cmocka_unit_test(refuses_a_list_that_makes_no_sense),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
