/* SPDX-License-Identifier: MIT */
#include "hello.h"

#include <errno.h>
#include <string.h>

/* The name of a step ends on the user's terminal. */
static int copy_step(char *to, const char *from)
{
	size_t i;

	for (i = 0; i < HANDSHAKE_STEP_MAX && from[i]; i++) {
		if (from[i] < ' ' || from[i] > '~')
			return -EBADMSG;
		to[i] = from[i];
	}
	if (i == HANDSHAKE_STEP_MAX)
		return -EBADMSG;
	to[i] = '\0';
	return 0;
}

static int take_listener(const struct handshake_fd *wire, int index, struct hello *hello)
{
	if (!wire->value || wire->value > UINT16_MAX)
		return -EBADMSG;
	hello->listen[hello->n_listen].index = index;
	hello->listen[hello->n_listen++].port = (uint16_t)wire->value;
	return 0;
}

static int take_fds(const struct handshake_hello *wire, struct hello *hello)
{
	for (size_t i = 0; i < wire->n_fds; i++) {
		int *at;

		if (wire->fd[i].tag == HANDSHAKE_TUN)
			at = &hello->tun;
		else if (wire->fd[i].tag == HANDSHAKE_DIAG)
			at = &hello->diag;
		else if (wire->fd[i].tag != HANDSHAKE_LISTEN)
			continue; /* one that this host has no use for */
		else if (take_listener(&wire->fd[i], (int)i, hello))
			return -EBADMSG;
		else
			continue;
		if (*at != -1)
			return -EBADMSG;
		*at = i;
	}
	return 0;
}

int hello_parse(const void *buf, size_t len, size_t n_fds, struct hello *hello, unsigned *version)
{
	struct handshake_hello wire;
	const size_t fixed = offsetof(struct handshake_hello, status);

	*hello = (struct hello){.tun = -1, .diag = -1};
	*version = HANDSHAKE_VERSION;
	if (len < fixed)
		return -EBADMSG;
	memcpy(&wire, buf, fixed);
	if (wire.magic != HANDSHAKE_MAGIC)
		return -EBADMSG;
	*version = wire.version;
	if (wire.version != HANDSHAKE_VERSION)
		return -EPROTONOSUPPORT;
	if (len != sizeof(wire))
		return -EBADMSG;
	memcpy(&wire, buf, sizeof(wire));
	if (wire.n_fds > HANDSHAKE_FDS_MAX || wire.n_fds != n_fds)
		return -EBADMSG;
	/* Linux has no errno above 4095 (include/linux/err.h). */
	if (wire.status > 4095 || copy_step(hello->step, wire.step))
		return -EBADMSG;
	hello->error = wire.status;
	if (hello->error)
		return wire.n_fds ? -EBADMSG : 0;
	hello->has_ipv6 = wire.has & HANDSHAKE_HAS_IPV6;
	hello->has_resolv = wire.has & HANDSHAKE_HAS_RESOLV;
	/* 68 is the least MTU of IPv4 (RFC 791), 65535 the longest packet. */
	if (wire.mtu < 68 || wire.mtu > 65535)
		return -EBADMSG;
	hello->mtu = wire.mtu;
	if (take_fds(&wire, hello))
		return -EBADMSG;
	return hello->tun == -1 ? -EBADMSG : 0;
}
