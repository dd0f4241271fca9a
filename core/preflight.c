/* SPDX-License-Identifier: MIT */
#include "preflight.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base.h"
#include "log.h"

#define TUN_PATH "/dev/net/tun"
#define RESOLV_CONF "/etc/resolv.conf"
#define SHIM_WAIT_MS 10000
#define NOFILE_WANTED 4096 /* two descriptors for each of 2048 connections */

/* --- facts --------------------------------------------------------------------------------- */

/* The number in a file of /proc, or -1. */
static long read_number(const char *path)
{
	char text[32];
	long number = -1;
	FILE *file = fopen(path, "re");

	if (!file)
		return -1;
	if (fgets(text, sizeof(text), file))
		number = strtol(text, NULL, 10);
	fclose(file);
	return number;
}

static long read_seccomp_mode(void)
{
	char line[128];
	long mode = -1;
	FILE *file = fopen("/proc/self/status", "re");

	if (!file)
		return -1;
	while (mode == -1 && fgets(line, sizeof(line), file)) {
		if (strncmp(line, "Seccomp:", 8) == 0)
			mode = strtol(line + 8, NULL, 10);
	}
	fclose(file);
	return mode;
}

void preflight_gather(struct preflight_facts *facts)
{
	struct stat st;

	facts->max_user_namespaces = read_number("/proc/sys/user/max_user_namespaces");
	facts->max_net_namespaces = read_number("/proc/sys/user/max_net_namespaces");
	facts->max_mnt_namespaces = read_number("/proc/sys/user/max_mnt_namespaces");
	facts->unprivileged_userns_clone =
		read_number("/proc/sys/kernel/unprivileged_userns_clone");
	facts->apparmor_restrict_userns =
		read_number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns");
	facts->seccomp_mode = read_seccomp_mode();
	facts->tun_mode = stat(TUN_PATH, &st) == -1 ? -1 : (long)(st.st_mode & 07777);
	facts->root = geteuid() == 0;
}

/* --- remedies ------------------------------------------------------------------------------ */

static const char *remedy_tun(int error, const struct preflight_facts *f)
{
	switch (error) {
	case ENOENT:
		return "load the driver (modprobe tun); in a container, give it the device "
		       "(--device " TUN_PATH ")";
	case ENODEV:
	case ENXIO:
		return "load the driver (modprobe tun)";
	case EACCES:
	case EPERM:
		if (f->tun_mode == -1 || (f->tun_mode & 06) == 06)
			return "the container does not allow the device: give it one "
			       "(--device " TUN_PATH ")";
		return "let every user open it, which gives no power over the host "
		       "(chmod 0666 " TUN_PATH ")";
	}
	return "see whether the tun driver works (ip tuntap add mode tun)";
}

#define APPARMOR                                                                                   \
	"AppArmor restricts user namespaces: sysctl -w "                                           \
	"kernel.apparmor_restrict_unprivileged_userns=0, or give nsnet-host a profile "            \
	"that has \"userns,\""

static const char *remedy_refused(const struct preflight_facts *f)
{
	if (f->unprivileged_userns_clone == 0 && !f->root)
		return "sysctl -w kernel.unprivileged_userns_clone=1";
	if (f->apparmor_restrict_userns > 0 && !f->root)
		return APPARMOR;
	if (f->seccomp_mode == 2)
		return "a system call filter forbids it: in a container, allow user namespaces "
		       "(--security-opt seccomp=unconfined, or a profile with unshare)";
	return "user namespaces are not allowed here: not in a chroot, and not under a "
	       "security module that forbids them";
}

static const char *remedy_unshare(int error, const struct preflight_facts *f)
{
	if (error == ENOSPC || error == EUSERS) {
		if (f->max_user_namespaces == 0)
			return "user namespaces are off: sysctl -w user.max_user_namespaces=15000";
		if (f->max_net_namespaces == 0)
			return "network namespaces are off: sysctl -w "
			       "user.max_net_namespaces=15000";
		if (f->max_mnt_namespaces == 0)
			return "mount namespaces are off: sysctl -w user.max_mnt_namespaces=15000";
		return "there are too many namespaces, or they are nested too deep: raise "
		       "user.max_user_namespaces and user.max_net_namespaces by sysctl, here "
		       "and in the namespaces around this one";
	}
	if (error == EINVAL)
		return "this kernel lacks user or network namespaces (CONFIG_USER_NS, "
		       "CONFIG_NET_NS)";
	if (error == EPERM || error == EACCES)
		return remedy_refused(f);
	return "see user_namespaces(7)";
}

static const char *remedy_shim(const struct shim_failure *failure)
{
	if (failure->error == ENOENT)
		return "install container-shim beside nsnet-host";
	if (failure->error == EACCES)
		return "it must be executable, on a file system mounted without noexec";
	return "install nsnet-host and container-shim again, from one release";
}

const char *preflight_remedy(const struct shim_failure *failure,
	const struct preflight_facts *facts, char *buf, size_t size)
{
	const char *step = failure->step;

	if (strcmp(step, SHIM_STEP_FIND) == 0 || strcmp(step, SHIM_STEP_START) == 0)
		return remedy_shim(failure);
	if (strcmp(step, SHIM_STEP_HANDSHAKE) == 0) {
		if (failure->error == ETIMEDOUT)
			return "the machine is overloaded, or it hangs: try again with -v";
		return "install nsnet-host and container-shim again, from one release";
	}
	if (strcmp(step, HANDSHAKE_STEP_TUN_OPEN) == 0)
		return remedy_tun(failure->error, facts);
	if (strcmp(step, HANDSHAKE_STEP_UNSHARE) == 0)
		return remedy_unshare(failure->error, facts);
	/* An AppArmor profile for unprivileged user namespaces lets one be made and
	 * then denies every use of its capabilities. */
	if (facts->apparmor_restrict_userns > 0 && !facts->root &&
		(failure->error == EPERM || failure->error == EACCES))
		return APPARMOR;
	if (strcmp(step, HANDSHAKE_STEP_JOIN) == 0)
		return failure->error == EPERM ? "it belongs to a user namespace of somebody else: "
						 "run as its owner, or name "
						 "that namespace by --userns"
					       : "name a namespace file, as /proc/PID/ns/net";
	if (strcmp(step, HANDSHAKE_STEP_LISTEN) == 0 && failure->error == EADDRINUSE)
		return "somebody there listens at that port already: choose another";
	if (strcmp(step, HANDSHAKE_STEP_TUN_CREATE) == 0)
		return remedy_tun(failure->error, facts);
	snprintf(buf, size, "the namespace refused it; nsnet-host doctor tells more");
	return buf;
}

/* What the user sees for the name of a step. */
static const char *phrase(const char *step)
{
	static const struct {
		const char *step, *phrase;
	} phrases[] = {
		{HANDSHAKE_STEP_UNSHARE, "cannot make a user and network namespace"},
		{HANDSHAKE_STEP_JOIN, "cannot join the namespace"},
		{HANDSHAKE_STEP_MAPS, "cannot write the uid and gid maps of the namespace"},
		{HANDSHAKE_STEP_PRIVATE, "cannot make the namespace's mounts private"},
		{HANDSHAKE_STEP_BIND, "cannot bind " TUN_PATH},
		{HANDSHAKE_STEP_TUN_OPEN, "cannot open " TUN_PATH},
		{HANDSHAKE_STEP_TUN_CREATE, "cannot make a tun device"},
		{HANDSHAKE_STEP_NETLINK, "cannot open a netlink socket in the namespace"},
		{HANDSHAKE_STEP_LINK, "cannot bring the namespace's links up"},
		{HANDSHAKE_STEP_ADDRESS, "cannot give the namespace its IPv4 address"},
		{HANDSHAKE_STEP_LISTEN, "cannot listen on the namespace's loopback for -L"},
		{HANDSHAKE_STEP_HIDE, "cannot hide a directory from the command"},
		{SHIM_STEP_FIND, "cannot find container-shim"},
		{SHIM_STEP_START, "cannot start container-shim"},
		{SHIM_STEP_HANDSHAKE, "container-shim did not answer as expected"},
	};

	for (size_t i = 0; i < ARRAY_LEN(phrases); i++) {
		if (strcmp(phrases[i].step, step) == 0)
			return phrases[i].phrase;
	}
	return step;
}

static void describe(const struct shim_failure *failure, char *buf, size_t size)
{
	struct preflight_facts facts;
	char remedy[256];
	int n;

	preflight_gather(&facts);
	n = snprintf(buf, size, "%s", phrase(failure->step));
	if (failure->detail[0] && n > 0 && (size_t)n < size)
		n += snprintf(buf + n, size - n, " (%s)", failure->detail);
	if (n > 0 && (size_t)n < size)
		snprintf(buf + n, size - n, ": %s: %s", strerror(failure->error),
			preflight_remedy(failure, &facts, remedy, sizeof(remedy)));
}

void preflight_explain(const struct shim_failure *failure)
{
	char line[PATH_MAX + 512];

	describe(failure, line, sizeof(line));
	log_error("%s", line);
}

/* --- doctor -------------------------------------------------------------------------------- */

struct report {
	FILE *out;
	bool verbose;
	int missing;
};

static void report_good(const struct report *r, const char *what)
{
	if (r->verbose)
		fprintf(r->out, "nsnet-host: ok: %s\n", what);
}

static void report_missing(struct report *r, const char *what)
{
	r->missing++;
	fprintf(r->out, "nsnet-host: missing: %s\n", what);
}

static void report_failure(struct report *r, const struct shim_failure *failure)
{
	char line[PATH_MAX + 512];

	describe(failure, line, sizeof(line));
	report_missing(r, line);
}

static bool check_shim(struct report *r, const char *given)
{
	struct shim_failure failure = {.step = SHIM_STEP_FIND};
	int err = shim_find(given, failure.detail);

	failure.error = -err;
	if (err) {
		report_failure(r, &failure);
		return false;
	}
	report_good(r, failure.detail);
	return true;
}

static bool check_tun(struct report *r)
{
	struct shim_failure failure = {.step = HANDSHAKE_STEP_TUN_OPEN};
	int fd = open(TUN_PATH, O_RDWR | O_CLOEXEC);

	if (fd == -1) {
		failure.error = errno;
		report_failure(r, &failure);
		return false;
	}
	close(fd);
	report_good(r, TUN_PATH " can be opened");
	return true;
}

/* What the shim does cannot be known by looking at settings: it is done. */
static void check_namespace(struct report *r, const char *given, const struct inherit *inherit)
{
	char *const command[] = {"true", NULL};
	const struct shim_options options = {
		.argv = command,
		.path = given,
		.inherit = inherit,
		.verbose = r->verbose,
	};
	struct shim_failure failure;
	struct shim shim;

	if (shim_start(&shim, &options, SHIM_WAIT_MS, &failure)) {
		report_failure(r, &failure);
		return;
	}
	report_good(r, "a user and network namespace with a tun device can be made");
	if (shim.hello.has_ipv6)
		report_good(r, "it has IPv6");
	else
		report_good(r, "it has no IPv6: this kernel lacks it or has it off");
	shim_abort(&shim);
	close(shim.tun);
	if (shim.diag != -1)
		close(shim.diag);
}

static void check_nofile(struct report *r, const struct inherit *inherit)
{
	struct rlimit limit;
	char line[256];

	UNUSED(inherit);
	if (getrlimit(RLIMIT_NOFILE, &limit) == -1)
		return;
	if (limit.rlim_max != RLIM_INFINITY && limit.rlim_max < NOFILE_WANTED) {
		snprintf(line, sizeof(line),
			"descriptors: at most %lu are allowed, %d are wanted for 2048 connections: "
			"raise the hard limit (ulimit -Hn, limits.conf, LimitNOFILE=) or give "
			"--max-conns",
			(unsigned long)limit.rlim_max, NOFILE_WANTED);
		report_missing(r, line);
		return;
	}
	report_good(r, "enough descriptors are allowed");
}

static void check_resolv(const struct report *r)
{
	if (access(RESOLV_CONF, R_OK) == 0)
		report_good(r, RESOLV_CONF " can be read");
	else if (r->verbose)
		fprintf(r->out,
			"nsnet-host: note: no readable " RESOLV_CONF
			": names resolve only if rules answer them\n");
}

int preflight_run(FILE *out, bool verbose, const char *shim, const struct inherit *inherit)
{
	struct report r = {.out = out, .verbose = verbose};
	bool ready = check_shim(&r, shim);

	/* One line for one cause: without these the trial can only repeat it. */
	if (!check_tun(&r))
		ready = false;
	if (ready)
		check_namespace(&r, shim, inherit);
	check_nofile(&r, inherit);
	check_resolv(&r);
	return r.missing;
}
