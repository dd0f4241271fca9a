/* SPDX-License-Identifier: MIT */

/* container-shim - makes the namespaces, gives their network to the host, and
 * becomes the command.
 *
 * There is one process and one exec. The shim unshares by itself: a process
 * that execs under a uid other than 0 loses the capabilities which a new user
 * namespace gave it, so everything that needs them happens between the unshare
 * and the exec of the command, in the order of steps[] below.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cover.h"
#include "listen.h"
#include "netlink.h"
#include "options.h"
#include "privilege.h"
#include "report.h"
#include "root.h"
#include "sysctl.h"
#include "tun.h"
#include "userns.h"
#include "wire.h"

enum {
	EXIT_SETUP = 71,       /* the host has printed why */
	EXIT_CANNOT_RUN = 126, /* the command is there and cannot be run */
	EXIT_NOT_FOUND = 127,
	LOOPBACK_INDEX = 1,    /* the kernel's LOOPBACK_IFINDEX, in every namespace */
	QUEUE_PACKETS = 10000, /* more than a window of small segments, or the ring drops */
};

struct shim {
	struct options options;
	struct ids ids; /* outside */
	int tun;
	int route; /* rtnetlink socket */
	int diag;
	unsigned index; /* of the tun device */
	bool nosuid;    /* no file gives privileges */
	uint32_t has;
	struct handshake_fd tag[HANDSHAKE_FDS_MAX]; /* of listen[] */
	int listen[2 * OPTIONS_LISTEN_MAX];
	unsigned n_listen;
};

static int step_unshare(struct shim *s)
{
	return s->options.unshare ? userns_unshare() : 0;
}

static int step_join(struct shim *s)
{
	return s->options.join_net ? userns_join(s->options.join_user, s->options.join_net) : 0;
}

static int step_maps(struct shim *s)
{
	return s->options.unshare ? userns_map(&s->ids, s->options.root) : 0;
}

static int step_mounts(struct shim *s)
{
	int done = s->options.unshare ? userns_confine_mounts() : 0;

	s->nosuid = done == 1;
	return done < 0 ? done : 0;
}

static int step_bind(struct shim *s)
{
	const struct options *o = &s->options;

	return o->bind_tun ? root_bind_tun(o->bind_tun, o->tun_path) : 0;
}

static int step_tun_open(struct shim *s)
{
	s->tun = tun_open(s->options.tun_path);
	return s->tun < 0 ? s->tun : 0;
}

/* Before the devices exist, since some settings are only defaults for them. Who lives in a
 * namespace that we join has chosen its settings. */
static int step_tune(struct shim *s)
{
	if (!s->options.join_net)
		sysctl_tune(s->options.root ? 0 : s->ids.gid);
	return 0;
}

static int step_tun_create(struct shim *s)
{
	int err = tun_create(s->tun, s->options.tun_name, !s->options.join_net);

	if (err)
		return err;
	s->index = if_nametoindex(s->options.tun_name);
	return s->index ? 0 : -errno;
}

static int step_netlink(struct shim *s)
{
	s->route = netlink_open();
	s->diag = netlink_open_diag();
	/* A kernel without sock_diag costs the names of processes, nothing else. */
	if (s->diag < 0)
		report_note("no socket diagnosis: %s", strerror(-s->diag));
	return s->route < 0 ? s->route : 0;
}

static int step_link(struct shim *s)
{
	int err = netlink_no_link_local(s->route, s->index);

	if (err)
		report_note("%s may have a link-local address: %s", s->options.tun_name,
			strerror(-err));
	err = netlink_link_up(s->route, LOOPBACK_INDEX, 0, 0);
	if (err)
		return err;
	return netlink_link_up(s->route, s->index, s->options.mtu, QUEUE_PACKETS);
}

static int step_address4(struct shim *s)
{
	int err = netlink_add_address4(s->route, s->index, &s->options.net4);

	return err ? err : netlink_add_route4(s->route, s->index, &s->options.net4);
}

/* A kernel without IPv6 still has IPv4. */
static int step_address6(struct shim *s)
{
	int err = netlink_add_address6(s->route, s->index, &s->options.net6);

	if (!err)
		err = netlink_add_route6(s->route, s->index, &s->options.net6);
	if (err)
		report_note("no IPv6 inside: %s", strerror(-err));
	else
		s->has |= HANDSHAKE_HAS_IPV6;
	return 0;
}

/* On 127.0.0.1, and on ::1 where the kernel has IPv6. */
static int step_listen(struct shim *s)
{
	static const int family[] = {AF_INET, AF_INET6};

	for (unsigned i = 0; i < 2 * s->options.n_listen; i++) {
		const unsigned port = s->options.listen[i / 2];
		int fd = listen_loopback(family[i % 2], port);

		if (fd == -EAFNOSUPPORT || fd == -EADDRNOTAVAIL) {
			report_note("nobody listens at [::1]:%u: %s", port, strerror(-fd));
			continue;
		}
		if (fd < 0)
			return fd;
		s->tag[s->n_listen] = (struct handshake_fd){HANDSHAKE_LISTEN, port};
		s->listen[s->n_listen++] = fd;
	}
	return 0;
}

static int step_hide(struct shim *s)
{
	for (size_t i = 0; s->options.hide[i]; i++) {
		int err = cover(s->options.hide[i]);

		if (err)
			return err;
	}
	return 0;
}

/* Not fatal: the host answers at the real servers' addresses too. */
static int step_resolv(struct shim *s)
{
	if (s->options.dns[0] && cover_resolv(s->options.dns) == 0)
		s->has |= HANDSHAKE_HAS_RESOLV;
	return 0;
}

struct step {
	const char *name; /* travels to the host when the step fails; NULL: cannot fail */
	int (*run)(struct shim *shim);
};

static const struct step steps[] = {
	{HANDSHAKE_STEP_UNSHARE, step_unshare},
	{HANDSHAKE_STEP_JOIN, step_join},
	{HANDSHAKE_STEP_MAPS, step_maps},
	{HANDSHAKE_STEP_PRIVATE, step_mounts},
	{HANDSHAKE_STEP_BIND, step_bind},
	{HANDSHAKE_STEP_TUN_OPEN, step_tun_open},
	{NULL, step_tune},
	{HANDSHAKE_STEP_TUN_CREATE, step_tun_create},
	{HANDSHAKE_STEP_NETLINK, step_netlink},
	{HANDSHAKE_STEP_LINK, step_link},
	{HANDSHAKE_STEP_ADDRESS, step_address4},
	{NULL, step_address6},
	{HANDSHAKE_STEP_LISTEN, step_listen},
	{HANDSHAKE_STEP_HIDE, step_hide},
	{NULL, step_resolv},
};

/* Runs every step and fills @hello. 0 or -errno of the step that failed. */
static int set_up(struct shim *s, struct handshake_hello *hello)
{
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		int err = steps[i].run(s);

		if (err) {
			hello->status = -err;
			strncpy(hello->step, steps[i].name, sizeof(hello->step) - 1);
			return err;
		}
	}
	hello->has = s->has;
	hello->mtu = s->options.mtu;
	return 0;
}

/* Tells the host how it went and waits for its answer. 0 or the exit status. */
static int shake_hands(struct shim *s)
{
	struct handshake_hello hello = {.magic = HANDSHAKE_MAGIC, .version = HANDSHAKE_VERSION};
	int fds[HANDSHAKE_FDS_MAX];
	int failed = set_up(s, &hello);
	int err;

	if (!failed) {
		hello.fd[hello.n_fds].tag = HANDSHAKE_TUN;
		fds[hello.n_fds++] = s->tun;
		if (s->diag >= 0) {
			hello.fd[hello.n_fds].tag = HANDSHAKE_DIAG;
			fds[hello.n_fds++] = s->diag;
		}
		for (unsigned i = 0; i < s->n_listen; i++) {
			hello.fd[hello.n_fds] = s->tag[i];
			fds[hello.n_fds++] = s->listen[i];
		}
	}
	err = wire_send(s->options.fd, &hello, fds);
	if (err)
		report_error("cannot answer the host: %s", strerror(-err));
	if (failed)
		report_note("%s: %s", hello.step, strerror(-failed));
	if (err || failed)
		return EXIT_SETUP;
	/* Ours would keep the device alive for as long as we wait. */
	close(s->tun);
	close(s->route);
	if (s->diag >= 0)
		close(s->diag);
	for (unsigned i = 0; i < s->n_listen; i++)
		close(s->listen[i]);
	err = wire_wait(s->options.fd);
	if (err == -EPROTO)
		report_error("the host's answer is not understood: install both from one release");
	return err ? EXIT_SETUP : 0;
}

/* execvp(3) says EACCES if a directory of PATH could not be searched, though the
 * name is nowhere else either. Is there any such file? */
static bool in_path(const char *name)
{
	const char *dir = getenv("PATH");
	char path[PATH_MAX];

	while (dir && *dir) {
		size_t len = strcspn(dir, ":");

		snprintf(path, sizeof(path), "%.*s/%s", (int)len, len ? dir : ".", name);
		if (access(path, F_OK) == 0)
			return true;
		dir += len + (dir[len] == ':');
	}
	return false;
}

/* A file without a first line that the kernel knows is a script for sh, says execvp(3) and POSIX;
 * musl's does not do so. */
static void run_by_shell(char **command)
{
	size_t n = 0;
	char **words;

	while (command[n])
		n++;
	words = calloc(n + 2, sizeof(*words));
	if (!words)
		return;
	words[0] = "sh";
	memcpy(words + 1, command, n * sizeof(*words));
	execv("/bin/sh", words);
	free(words);
	errno = ENOEXEC;
}

static int run(char **command)
{
	int err;

	execvp(command[0], command);
	if (errno == ENOEXEC && strchr(command[0], '/'))
		run_by_shell(command);
	err = errno;
	if (err == EACCES && !strchr(command[0], '/') && !in_path(command[0]))
		err = ENOENT;
	/* A file that exists and still gives ENOENT names an interpreter that does
	 * not; only a bare name is looked up, and was not found. */
	if (err == ENOENT && strchr(command[0], '/') && access(command[0], F_OK) == 0)
		report_error("cannot run '%s': its interpreter does not exist", command[0]);
	else if (err == ENOENT && !strchr(command[0], '/'))
		report_error("cannot run '%s': not found in PATH", command[0]);
	else
		report_error("cannot run '%s': %s", command[0], strerror(err));
	return err == ENOENT || err == ENOTDIR ? EXIT_NOT_FOUND : EXIT_CANNOT_RUN;
}

/* --bind-tun without a host: for whoever makes a root by itself. */
static int bind_alone(const struct options *o)
{
	int err = root_bind_tun(o->bind_tun, o->tun_path);

	if (!err)
		return 0;
	report_error("cannot bind %s at dev/net/tun of %s: %s%s", o->tun_path, o->bind_tun,
		strerror(-err),
		err == -EPERM ? ": mounting needs a mount namespace of one's own (unshare -rm)"
			      : "");
	return EXIT_SETUP;
}

int main(int argc, char **argv)
{
	struct shim shim = {.ids = userns_ids(), .tun = -1, .route = -1, .diag = -1};
	const char *what;
	int status;
	int err;

	report_init(argc ? argv[0] : "container-shim");
	status = options_parse(&shim.options, argc, argv);
	if (status)
		return status;
	report_set_verbose(shim.options.verbose);
	if (shim.options.fd < 0)
		return bind_alone(&shim.options);
	if (fcntl(shim.options.fd, F_SETFD, FD_CLOEXEC) == -1) {
		report_error("--fd %d: %s", shim.options.fd, strerror(errno));
		return EXIT_SETUP;
	}
	status = shake_hands(&shim);
	if (status || shim.options.join_net)
		return status;
	if (shim.options.drop) {
		err = privilege_drop(shim.options.keep_caps, !shim.nosuid, &what);
		if (err) {
			report_error("cannot drop privileges: %s: %s", what, strerror(-err));
			return EXIT_SETUP;
		}
	}
	return run(shim.options.command);
}
