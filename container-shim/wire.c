/* SPDX-License-Identifier: MIT */
#include "wire.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

int wire_send(int socket, const struct handshake_hello *hello, const int *fds)
{
	union {
		char buf[CMSG_SPACE(sizeof(int) * HANDSHAKE_FDS_MAX)];
		struct cmsghdr align;
	} control = {{0}};
	struct iovec iov = {.iov_base = (void *)hello, .iov_len = sizeof(*hello)};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
	size_t len = sizeof(int) * hello->n_fds;
	ssize_t n;

	if (hello->n_fds) {
		message.msg_control = control.buf;
		message.msg_controllen = CMSG_SPACE(len);
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(len);
		memcpy(CMSG_DATA(&control.align), fds, len);
	}
	do {
		n = sendmsg(socket, &message, MSG_NOSIGNAL);
	} while (n == -1 && errno == EINTR);
	return n == -1 ? -errno : 0;
}

int wire_wait(int socket)
{
	struct handshake_go go;
	ssize_t n;

	do {
		n = recv(socket, &go, sizeof(go), 0);
	} while (n == -1 && errno == EINTR);
	if (n == -1)
		return -errno;
	if (n == 0)
		return -ECONNRESET;
	if (n != sizeof(go) || go.magic != HANDSHAKE_MAGIC || go.version != HANDSHAKE_VERSION)
		return -EPROTO;
	return 0;
}
