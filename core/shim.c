/* SPDX-License-Identifier: MIT */
#include "shim.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "addr.h"
#include "base.h"

#define SHIM_NAME "container-shim"
#define VNET_HEADER_LEN 10

extern char **environ;

/* --- the binary ---------------------------------------------------------------------------- */

static int usable(const char *path)
{
	return access(path, X_OK) == -1 ? -errno : 0;
}

/* The directory of the running program, with a slash. */
static int own_directory(char dir[PATH_MAX])
{
	ssize_t n = readlink("/proc/self/exe", dir, PATH_MAX - 1);

	if (n == -1)
		return -errno;
	dir[n] = '\0';
	strrchr(dir, '/')[1] = '\0';
	return 0;
}

static int find_in_path(char path[PATH_MAX])
{
	const char *dir = getenv("PATH");
	int err = -ENOENT;

	while (dir && *dir) {
		size_t len = strcspn(dir, ":");

		/* An empty entry means the current directory: not for a program that
		 * is run without being named. */
		if (len && len < PATH_MAX - sizeof("/" SHIM_NAME)) {
			snprintf(path, PATH_MAX, "%.*s/" SHIM_NAME, (int)len, dir);
			if (usable(path) == 0)
				return 0;
		}
		dir += len + (dir[len] == ':');
	}
	return err;
}

int shim_find(const char *given, char path[PATH_MAX])
{
	static const char *const places[] = {"", "../libexec/nsnet-host/"};
	char dir[PATH_MAX], beside[PATH_MAX];
	int err;

	if (given) {
		if ((size_t)snprintf(path, PATH_MAX, "%s", given) >= PATH_MAX)
			return -ENAMETOOLONG;
		return usable(path);
	}
	beside[0] = '\0';
	err = own_directory(dir);
	for (size_t i = 0; i < ARRAY_LEN(places) && !err; i++) {
		if ((size_t)snprintf(path, PATH_MAX, "%s%s" SHIM_NAME, dir, places[i]) >= PATH_MAX)
			continue;
		err = usable(path);
		if (!err)
			return 0;
		if (err != -ENOENT)
			return err; /* it is there, so the user means this one */
		if (i == 0)
			strcpy(beside, path);
		err = 0;
	}
	err = find_in_path(path);
	if (err)
		strcpy(path, beside);
	return err;
}

/* --- starting it --------------------------------------------------------------------------- */

#define ARGS_FIXED 28

struct args {
	char **v; /* owned */
	size_t n;
	char fd[16], mtu[16];
	char listen[SHIM_LISTEN_MAX][8];
};

static void put(struct args *a, const char *word)
{
	a->v[a->n++] = (char *)word;
}

static void put_option(struct args *a, const char *name, const char *value)
{
	if (!value)
		return;
	put(a, name);
	put(a, value);
}

static size_t count(const char *const *list)
{
	size_t n = 0;

	while (list && list[n])
		n++;
	return n;
}

static int args_init(struct args *a, const struct shim_options *o, int fd)
{
	size_t n_hide = count(o->hide);
	size_t n_command = count((const char *const *)o->argv);

	a->n = 0;
	a->v = calloc(ARGS_FIXED + 2 * (n_hide + o->n_listen) + n_command, sizeof(*a->v));
	if (!a->v)
		return -ENOMEM;
	snprintf(a->fd, sizeof(a->fd), "%d", fd);
	snprintf(a->mtu, sizeof(a->mtu), "%u", o->mtu);
	/* Its messages are ours: the user has started nsnet-host. */
	put(a, "nsnet-host");
	put_option(a, "--fd", a->fd);
	put_option(a, "--net4", o->net4);
	put_option(a, "--net6", o->net6);
	put_option(a, "--mtu", o->mtu ? a->mtu : NULL);
	put_option(a, "--dns", o->dns4);
	put_option(a, "--dns", o->dns6);
	for (size_t i = 0; i < n_hide; i++)
		put_option(a, "--hide", o->hide[i]);
	for (size_t i = 0; i < o->n_listen; i++) {
		snprintf(a->listen[i], sizeof(a->listen[i]), "%u", o->listen[i]);
		put_option(a, "--listen", a->listen[i]);
	}
	put_option(a, "--join-net", o->join_net);
	put_option(a, "--join-user", o->join_user);
	if (o->root)
		put(a, "--root");
	if (o->keep_caps)
		put(a, "--keep-caps");
	if (o->verbose)
		put(a, "--verbose");
	put(a, "--");
	for (size_t i = 0; i < n_command; i++)
		put(a, o->argv[i]);
	put(a, NULL);
	return 0;
}

/* posix_spawn(3): no copy of our memory is made. 0 or -errno, of the exec too. */
static int spawn(struct shim *s, const char *path, const struct shim_options *o, int fd)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	struct args args;
	int err = args_init(&args, o, fd);

	if (err)
		return err;
	posix_spawn_file_actions_init(&actions);
	posix_spawnattr_init(&attr);
	/* Onto itself: this is how a close-on-exec descriptor is let through. */
	posix_spawn_file_actions_adddup2(&actions, fd, fd);
	if (o->inherit) {
		posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
		posix_spawnattr_setsigmask(&attr, &o->inherit->mask);
		posix_spawnattr_setsigdefault(&attr, &o->inherit->defaults);
	}
	err = -posix_spawn(&s->pid, path, &actions, &attr, args.v, environ);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&actions);
	free(args.v);
	/* Before the handshake ends, so before the command. */
	if (!err && o->inherit && prlimit(s->pid, RLIMIT_NOFILE, &o->inherit->nofile, NULL) == -1)
		err = -errno;
	return err;
}

/* --- what it sent -------------------------------------------------------------------------- */

struct letter {
	struct handshake_hello body;
	char more; /* a longer message is not ours: it must not be cut to fit */
	ssize_t len;
	int fds[HANDSHAKE_FDS_MAX];
	size_t n_fds;
};

static void letter_drop(struct letter *l)
{
	for (size_t i = 0; i < l->n_fds; i++)
		close(l->fds[i]);
	l->n_fds = 0;
}

static int letter_receive(struct letter *l, int socket)
{
	union {
		char buf[CMSG_SPACE(sizeof(int) * HANDSHAKE_FDS_MAX)];
		struct cmsghdr align;
	} control;
	struct iovec iov = {.iov_base = l, .iov_len = offsetof(struct letter, more) + 1};
	struct msghdr message = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.buf,
		.msg_controllen = sizeof(control),
	};

	l->n_fds = 0;
	do {
		l->len = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
	} while (l->len == -1 && errno == EINTR);
	if (l->len == -1)
		return -errno;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c)) {
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		/* The buffer has room for no more than HANDSHAKE_FDS_MAX in all. */
		memcpy(l->fds + l->n_fds, CMSG_DATA(c), n * sizeof(int));
		l->n_fds += n;
	}
	/* What was cut is seen by hello_parse(): a byte too many, descriptors too few. */
	return l->len == 0 ? -ECONNRESET : 0;
}

int shim_check_tun(int fd)
{
	struct ifreq request;
	int header = 0;
	const short want = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR;

	memset(&request, 0, sizeof(request));
	if (ioctl(fd, TUNGETIFF, &request) == -1 || ioctl(fd, TUNGETVNETHDRSZ, &header) == -1)
		return -EBADMSG;
	if ((request.ifr_flags & want) != want || header != VNET_HEADER_LEN)
		return -EBADMSG;
	return fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) == -1 ? -errno : 0;
}

static int check_diag(int fd)
{
	socklen_t len = sizeof(int);
	int domain = 0, protocol = 0;

	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == -1 ||
		getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &len) == -1)
		return -EBADMSG;
	if (domain != AF_NETLINK || protocol != NETLINK_SOCK_DIAG)
		return -EBADMSG;
	return fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) == -1 ? -errno : 0;
}

/* Does it listen, for TCP, at @port? */
static int check_listener(int fd, uint16_t port)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(int), at_len = sizeof(ss);
	int listens = 0, protocol = 0;
	struct addr at;

	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) == -1 ||
		getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &len) == -1 ||
		getsockname(fd, (struct sockaddr *)&ss, &at_len) == -1)
		return -EBADMSG;
	if (!listens || protocol != IPPROTO_TCP || addr_from_sockaddr(&at, &ss) < 0 ||
		at.port != port)
		return -EBADMSG;
	return fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) == -1 ? -errno : 0;
}

static bool is_asked_for(const struct shim_options *o, uint16_t port)
{
	for (size_t i = 0; i < o->n_listen; i++)
		if (o->listen[i] == port)
			return true;
	return false;
}

static int check_listeners(const struct shim_options *o, const struct hello *hello, const int *fds)
{
	int err = hello->n_listen > 2 * o->n_listen ? -EBADMSG : 0;

	for (size_t i = 0; i < hello->n_listen && !err; i++)
		err = is_asked_for(o, hello->listen[i].port)
			? check_listener(fds[hello->listen[i].index], hello->listen[i].port)
			: -EBADMSG;
	return err;
}

static int take(int *fds, int index)
{
	int fd = fds[index];

	fds[index] = -1;
	return fd;
}

/* Moves what @l brought into @s. */
static int accept_letter(struct shim *s, const struct shim_options *o, struct letter *l,
	struct shim_failure *failure)
{
	unsigned version;
	int err = hello_parse(&l->body, l->len, l->n_fds, &s->hello, &version);

	if (err == -EPROTONOSUPPORT)
		snprintf(failure->detail, sizeof(failure->detail),
			"it speaks version %u of the handshake, this program version %u", version,
			HANDSHAKE_VERSION);
	if (!err && s->hello.error) {
		strcpy(failure->step, s->hello.step);
		err = -s->hello.error;
	}
	if (!err)
		err = shim_check_tun(l->fds[s->hello.tun]);
	if (!err && s->hello.diag != -1)
		err = check_diag(l->fds[s->hello.diag]);
	if (!err)
		err = check_listeners(o, &s->hello, l->fds);
	if (err) {
		letter_drop(l);
		return err;
	}
	s->tun = take(l->fds, s->hello.tun);
	if (s->hello.diag != -1)
		s->diag = take(l->fds, s->hello.diag);
	for (size_t i = 0; i < s->hello.n_listen; i++)
		s->listen[s->n_listen++] = take(l->fds, s->hello.listen[i].index);
	for (size_t i = 0; i < l->n_fds; i++) {
		if (l->fds[i] != -1)
			close(l->fds[i]);
	}
	return 0;
}

static int wait_readable(int socket, int wait_ms)
{
	struct pollfd p = {.fd = socket, .events = POLLIN};
	int n;

	/* An interrupted wait begins anew: signals are few, and the bound is there
	 * for a shim that hangs, not for a clock. */
	do {
		n = poll(&p, 1, wait_ms);
	} while (n == -1 && errno == EINTR);
	if (n == -1)
		return -errno;
	return n ? 0 : -ETIMEDOUT;
}

static int receive(struct shim *s, const struct shim_options *o, int wait_ms,
	struct shim_failure *failure)
{
	struct letter letter;
	int err = wait_readable(s->socket, wait_ms);

	if (err)
		return err;
	err = letter_receive(&letter, s->socket);
	if (err) {
		letter_drop(&letter);
		return err;
	}
	return accept_letter(s, o, &letter, failure);
}

/* --- the whole ----------------------------------------------------------------------------- */

int shim_start(struct shim *s, const struct shim_options *o, int wait_ms,
	struct shim_failure *failure)
{
	char path[PATH_MAX];
	int pair[2];
	int err;

	*s = (struct shim){.pid = -1, .socket = -1, .tun = -1, .diag = -1};
	*failure = (struct shim_failure){.step = SHIM_STEP_FIND};
	err = shim_find(o->path, path);
	if (err) {
		strcpy(failure->detail, path);
		goto out;
	}
	strcpy(failure->step, SHIM_STEP_START);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == -1) {
		err = -errno;
		goto out;
	}
	s->socket = pair[0];
	err = spawn(s, path, o, pair[1]);
	close(pair[1]);
	if (!err) {
		strcpy(failure->step, SHIM_STEP_HANDSHAKE);
		err = receive(s, o, wait_ms, failure);
	}
	if (err) {
		/* Which one was it? For a step inside that does not matter. */
		if (!s->hello.error && !failure->detail[0])
			strcpy(failure->detail, path);
		shim_abort(s);
	}
out:
	failure->error = -err;
	return err;
}

int shim_go(struct shim *s)
{
	const struct handshake_go go = {.magic = HANDSHAKE_MAGIC, .version = HANDSHAKE_VERSION};
	ssize_t n;

	do {
		n = send(s->socket, &go, sizeof(go), MSG_NOSIGNAL);
	} while (n == -1 && errno == EINTR);
	if (n == -1)
		return -errno;
	close(s->socket);
	s->socket = -1;
	return 0;
}

void shim_abort(struct shim *s)
{
	if (s->socket != -1)
		close(s->socket); /* end of file: it leaves by itself */
	s->socket = -1;
	if (s->pid <= 0)
		return;
	/* But it may hang in a system call, and we would wait for ever. */
	kill(s->pid, SIGKILL);
	while (waitpid(s->pid, NULL, 0) == -1 && errno == EINTR)
		;
	s->pid = -1;
}
