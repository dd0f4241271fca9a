/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "net.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

static int net_socket(const struct option_set *o, int type)
{
	int one = 1, fd = socket(o->addr.ss_family, type | SOCK_CLOEXEC, 0);

	if (fd == -1)
		return -errno;
	if ((type & ~SOCK_NONBLOCK) == SOCK_STREAM &&
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) == -1) {
		int err = errno;

		close(fd);
		return -err;
	}
	return fd;
}

int net_connect_start(const struct option_set *o, unsigned port_index)
{
	struct sockaddr_storage a = option_addr(o, port_index);
	int fd = net_socket(o, SOCK_STREAM | SOCK_NONBLOCK);

	if (fd < 0)
		return fd;
	if (connect(fd, (struct sockaddr *)&a, o->addr_len) == -1 && errno != EINPROGRESS) {
		int err = errno;

		close(fd);
		return -err;
	}
	return fd;
}

int net_connect_error(int fd)
{
	int err = 0;
	socklen_t len = sizeof(err);

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) == -1)
		return -errno;
	return -err;
}

static int net_set_timeout(int fd, unsigned ms)
{
	struct timeval t = {.tv_sec = ms / 1000, .tv_usec = (ms % 1000) * 1000};

	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t)) == -1 ||
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t)) == -1)
		return -errno;
	return 0;
}

int net_connect(const struct option_set *o, unsigned port_index, unsigned timeout_ms)
{
	struct pollfd p = {.events = POLLOUT};
	int err, flags;

	p.fd = net_connect_start(o, port_index);
	if (p.fd < 0)
		return p.fd;
	err = poll(&p, 1, (int)timeout_ms) == 1 ? net_connect_error(p.fd) : -ETIMEDOUT;
	if (!err) {
		flags = fcntl(p.fd, F_GETFL);
		if (flags == -1 || fcntl(p.fd, F_SETFL, flags & ~O_NONBLOCK) == -1)
			err = -errno;
	}
	if (!err)
		err = net_set_timeout(p.fd, timeout_ms);
	if (err) {
		close(p.fd);
		return err;
	}
	return p.fd;
}

int net_listen(const struct option_set *o, unsigned port_index)
{
	struct sockaddr_storage a = option_addr(o, port_index);
	int one = 1, fd = net_socket(o, SOCK_STREAM | SOCK_NONBLOCK);

	if (fd < 0)
		return fd;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) == -1 ||
		bind(fd, (struct sockaddr *)&a, o->addr_len) == -1 || listen(fd, 4096) == -1) {
		int err = errno;

		close(fd);
		return -err;
	}
	return fd;
}

int net_datagram_listen(const struct option_set *o)
{
	int fd = net_socket(o, SOCK_DGRAM | SOCK_NONBLOCK);

	if (fd < 0)
		return fd;
	if (bind(fd, (const struct sockaddr *)&o->addr, o->addr_len) == -1) {
		int err = errno;

		close(fd);
		return -err;
	}
	return fd;
}

int net_datagram_connect(const struct option_set *o, unsigned timeout_ms)
{
	int err, fd = net_socket(o, SOCK_DGRAM);

	if (fd < 0)
		return fd;
	if (connect(fd, (const struct sockaddr *)&o->addr, o->addr_len) == -1)
		err = -errno;
	else
		err = net_set_timeout(fd, timeout_ms);
	if (err) {
		close(fd);
		return err;
	}
	return fd;
}

int net_ask(int fd, const struct wire_ask *ask)
{
	ssize_t n = send(fd, ask, sizeof(*ask), MSG_NOSIGNAL);

	if (n == -1)
		return -errno;
	return n == (ssize_t)sizeof(*ask) ? 0 : -EMSGSIZE;
}

int net_read_all(int fd, void *buf, size_t len)
{
	char *at = buf;

	while (len) {
		ssize_t n = recv(fd, at, len, 0);

		if (n == -1 && errno == EINTR)
			continue;
		if (n <= 0)
			return n == 0 ? -EPIPE : -errno;
		at += n;
		len -= (size_t)n;
	}
	return 0;
}

unsigned net_raise_files(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) == -1)
		return 1024;
	r.rlim_cur = r.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &r) == -1)
		getrlimit(RLIMIT_NOFILE, &r);
	return (unsigned)r.rlim_cur;
}
