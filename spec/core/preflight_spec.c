/* SPDX-License-Identifier: MIT */
#include "core/preflight.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "spec/support/stage.h"

static const struct preflight_facts healthy = {
	.max_user_namespaces = 15000,
	.max_net_namespaces = 15000,
	.max_mnt_namespaces = 15000,
	.unprivileged_userns_clone = -1,
	.apparmor_restrict_userns = -1,
	.seccomp_mode = 0,
	.tun_mode = 0666,
};

/* --- remedies --------------------------------------------------------------------------------- */

static void expect(const struct preflight_facts *facts, const char *step, int error,
	const char *part)
{
	struct shim_failure failure = {.error = error};
	char buf[256];
	const char *remedy;

	strcpy(failure.step, step);
	remedy = preflight_remedy(&failure, facts, buf, sizeof(buf));
	if (!strstr(remedy, part))
		fail_msg("%s, %s: no '%s' in: %s", step, strerror(error), part, remedy);
}

static void names_the_remedy_for_the_tun_device(void **state)
{
	struct preflight_facts facts = healthy;

	(void)state;
	expect(&facts, HANDSHAKE_STEP_TUN_OPEN, ENOENT, "modprobe tun");
	expect(&facts, HANDSHAKE_STEP_TUN_OPEN, ENODEV, "modprobe tun");
	/* Its mode is right, so something else forbids it. */
	expect(&facts, HANDSHAKE_STEP_TUN_OPEN, EPERM, "--device /dev/net/tun");
	facts.tun_mode = 0600;
	expect(&facts, HANDSHAKE_STEP_TUN_OPEN, EACCES, "chmod 0666 /dev/net/tun");
	facts.tun_mode = 0664;
	expect(&facts, HANDSHAKE_STEP_TUN_OPEN, EACCES, "chmod 0666 /dev/net/tun");
}

static void names_the_limit_that_is_zero(void **state)
{
	struct preflight_facts facts = healthy;

	(void)state;
	expect(&facts, HANDSHAKE_STEP_UNSHARE, ENOSPC, "nested too deep");
	facts.max_user_namespaces = 0;
	expect(&facts, HANDSHAKE_STEP_UNSHARE, ENOSPC, "sysctl -w user.max_user_namespaces=");
	facts = healthy;
	facts.max_net_namespaces = 0;
	expect(&facts, HANDSHAKE_STEP_UNSHARE, ENOSPC, "sysctl -w user.max_net_namespaces=");
	facts = healthy;
	facts.max_mnt_namespaces = 0;
	expect(&facts, HANDSHAKE_STEP_UNSHARE, ENOSPC, "sysctl -w user.max_mnt_namespaces=");
}

static void names_the_switch_that_is_off(void **state)
{
	struct preflight_facts facts = healthy;

	(void)state;
	facts.unprivileged_userns_clone = 0;
	expect(&facts, HANDSHAKE_STEP_UNSHARE, EPERM, "kernel.unprivileged_userns_clone=1");
	/* It is not about root. */
	facts.root = true;
	facts.seccomp_mode = 2;
	expect(&facts, HANDSHAKE_STEP_UNSHARE, EPERM, "--security-opt seccomp");
	facts = healthy;
	facts.apparmor_restrict_userns = 1;
	expect(&facts, HANDSHAKE_STEP_UNSHARE, EPERM,
		"kernel.apparmor_restrict_unprivileged_userns=0");
	facts = healthy;
	expect(&facts, HANDSHAKE_STEP_UNSHARE, EPERM, "chroot");
	expect(&facts, HANDSHAKE_STEP_UNSHARE, EINVAL, "CONFIG_USER_NS");
}

/* Its profile lets the namespace be made, and forbids what it is for. */
static void suspects_apparmor_at_every_later_step(void **state)
{
	static const char *const steps[] = {HANDSHAKE_STEP_MAPS, HANDSHAKE_STEP_PRIVATE,
		HANDSHAKE_STEP_TUN_CREATE, HANDSHAKE_STEP_LINK, HANDSHAKE_STEP_ADDRESS,
		HANDSHAKE_STEP_HIDE};
	struct preflight_facts facts = healthy;

	(void)state;
	facts.apparmor_restrict_userns = 1;
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
		expect(&facts, steps[i], EACCES, "AppArmor");
	facts.apparmor_restrict_userns = 0;
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		struct shim_failure failure = {.error = EACCES};
		char buf[256];

		strcpy(failure.step, steps[i]);
		assert_null(
			strstr(preflight_remedy(&failure, &facts, buf, sizeof(buf)), "AppArmor"));
	}
}

static void has_a_remedy_for_the_shim_and_for_anything(void **state)
{
	(void)state;
	expect(&healthy, SHIM_STEP_FIND, ENOENT, "install container-shim beside nsnet-host");
	expect(&healthy, SHIM_STEP_FIND, EACCES, "noexec");
	expect(&healthy, SHIM_STEP_START, ENOEXEC, "one release");
	expect(&healthy, SHIM_STEP_HANDSHAKE, EPROTONOSUPPORT, "one release");
	expect(&healthy, SHIM_STEP_HANDSHAKE, ETIMEDOUT, "overloaded");
	expect(&healthy, "a step of tomorrow", EIO, "doctor");
}

/* --- the doctor, on machines that lack something --- */

struct visit {
	int missing;
	char text[8192];
};

/* Visits in a process of its own, after @spoil has made the machine worse. */
static void visit(struct visit *v, void (*spoil)(void), const char *shim)
{
	FILE *out = tmpfile();
	size_t n;
	int status;
	pid_t pid = fork();

	assert_non_null(out);
	if (pid == 0) {
		alarm(30);
		if (spoil)
			spoil();
		v->missing = preflight_run(out, true, shim, NULL);
		fflush(out);
		_exit(v->missing);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	v->missing = WEXITSTATUS(status);
	rewind(out);
	n = fread(v->text, 1, sizeof(v->text) - 1, out);
	v->text[n] = '\0';
	fclose(out);
}

static void expect_missing(struct visit *v, const char *part)
{
	const char *line = strstr(v->text, "nsnet-host: missing: ");

	assert_int_equal(v->missing, 1);
	if (!line || !strstr(line, part))
		fail_msg("no '%s' missing in:\n%s", part, v->text);
}

static void finds_nothing_on_a_healthy_machine(void **state)
{
	struct visit v;

	(void)state;
	if (!stage_has_tun())
		skip();
	visit(&v, NULL, stage_program("container-shim"));
	if (v.missing)
		fail_msg("%s", v.text);
	assert_non_null(strstr(v.text, "ok: a user and network namespace"));
}

static void misses_the_shim(void **state)
{
	struct visit v;

	(void)state;
	if (!stage_has_tun())
		skip();
	visit(&v, NULL, "/no/such/shim");
	expect_missing(&v, "cannot find container-shim (/no/such/shim)");
}

static void few_descriptors(void)
{
	const struct rlimit limit = {256, 256};

	setrlimit(RLIMIT_NOFILE, &limit);
}

static void misses_descriptors(void **state)
{
	struct visit v;

	(void)state;
	if (!stage_has_tun() ||
		stage_is_valgrind()) /* which keeps descriptors, and limits, of its own */
		skip();
	visit(&v, few_descriptors, stage_program("container-shim"));
	expect_missing(&v, "descriptors: at most 256");
}

static void write_file(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	if (!file || fputs(text, file) < 0 || fclose(file))
		stage_fail(path);
}

/* A user namespace around the visit, with a limit of its own. */
static void limit(const char *path)
{
	char uid_map[64], gid_map[64];

	snprintf(uid_map, sizeof(uid_map), "0 %u 1", getuid());
	snprintf(gid_map, sizeof(gid_map), "0 %u 1", getgid());
	if (unshare(CLONE_NEWUSER) == -1)
		stage_fail("unshare");
	write_file("/proc/self/setgroups", "deny");
	write_file("/proc/self/uid_map", uid_map);
	write_file("/proc/self/gid_map", gid_map);
	write_file(path, "0");
}

static void no_user_namespaces(void)
{
	limit("/proc/sys/user/max_user_namespaces");
}

static void no_net_namespaces(void)
{
	limit("/proc/sys/user/max_net_namespaces");
}

static void misses_namespaces_that_are_switched_off(void **state)
{
	struct visit v;

	(void)state;
	if (!stage_has_tun())
		skip();
	visit(&v, no_user_namespaces, stage_program("container-shim"));
	expect_missing(&v, "sysctl -w user.max_user_namespaces=");
	visit(&v, no_net_namespaces, stage_program("container-shim"));
	expect_missing(&v, "sysctl -w user.max_net_namespaces=");
}

static void cover(const char *source, const char *type)
{
	if (unshare(CLONE_NEWUSER | CLONE_NEWNS) == -1)
		stage_fail("unshare");
	if (mount(source, type ? "/dev/net" : "/dev/net/tun", type ? type : "none",
		    type ? 0 : MS_BIND, NULL) == -1)
		stage_fail("mount");
}

static void no_tun(void)
{
	cover("spec", "tmpfs");
}

static void closed_tun(void)
{
	char file[] = "/tmp/nsnet-spec-XXXXXX";
	int fd = mkstemp(file);

	fchmod(fd, 0);
	cover(file, NULL);
	unlink(file);
}

static void misses_the_tun_device(void **state)
{
	struct visit v;

	(void)state;
	if (!stage_has_tun())
		skip();
	visit(&v, no_tun, stage_program("container-shim"));
	expect_missing(&v, "cannot open /dev/net/tun: No such file or directory: load the driver");
	visit(&v, closed_tun, stage_program("container-shim"));
	expect_missing(&v, "cannot open /dev/net/tun: Permission denied: let every user open it");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_the_remedy_for_the_tun_device),
		cmocka_unit_test(names_the_limit_that_is_zero),
		cmocka_unit_test(names_the_switch_that_is_off),
		cmocka_unit_test(suspects_apparmor_at_every_later_step),
		cmocka_unit_test(has_a_remedy_for_the_shim_and_for_anything),
		cmocka_unit_test(finds_nothing_on_a_healthy_machine),
		cmocka_unit_test(misses_the_shim),
		cmocka_unit_test(misses_descriptors),
		cmocka_unit_test(misses_namespaces_that_are_switched_off),
		cmocka_unit_test(misses_the_tun_device),
	};

	stage_enter();
	return cmocka_run_group_tests_name("preflight", tests, NULL, NULL);
}
