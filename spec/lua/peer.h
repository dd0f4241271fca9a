/* SPDX-License-Identifier: MIT */
#ifndef NSNET_SPEC_PEER_H
#define NSNET_SPEC_PEER_H

/* peer - a scripted server on the loopback, on a thread of its own, for one connection.
 *
 * Its script is a list of steps, each a string: the first byte says what, the rest are the bytes.
 *   "<bytes"  send them            ">bytes"  expect exactly them
 *   "."       send in single bytes from now on, one packet each
 *   "F"       end of our bytes     "R"       reset
 *   "S"       stay silent until the other side ends
 * A NULL ends it, and the connection with it.
 */

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct peer {
	pthread_t thread;
	int listener;
	int port;
	const char *const *steps;
	size_t step_len[16]; /* 0 = strlen: for bytes with a NUL */
	bool ok;             /* every expected byte came */
	char seen[256];      /* what came instead */
};

static bool peer_expect(struct peer *p, int fd, const char *bytes, size_t len)
{
	char got[256];
	size_t n = 0;
	while (n < len) {
		ssize_t r = recv(fd, got + n, len - n, 0);
		if (r <= 0)
			break;
		n += (size_t)r;
	}
	memcpy(p->seen, got, n);
	p->seen[n] = 0;
	return n == len && !memcmp(got, bytes, len);
}

static void peer_send(int fd, const char *bytes, size_t len, bool single)
{
	for (size_t i = 0; i < len; i += single ? 1 : len) {
		if (send(fd, bytes + i, single ? 1 : len, MSG_NOSIGNAL) < 0)
			return;
		if (single)
			usleep(500); /* only spreads the bytes over packets; nothing is timed */
	}
}

static void *peer_main(void *arg)
{
	struct peer *p = arg;
	int one = 1;
	int fd = accept(p->listener, NULL, NULL);
	bool single = false;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	p->ok = fd >= 0;
	for (size_t i = 0; p->ok && p->steps[i]; i++) {
		const char *s = p->steps[i];
		size_t len = p->step_len[i] ? p->step_len[i] : strlen(s + 1);
		static char bytes[65536];
		struct linger reset = {.l_onoff = 1};
		switch (s[0]) {
		case '<':
			peer_send(fd, s + 1, len, single);
			break;
		case '>':
			p->ok = peer_expect(p, fd, s + 1, len);
			break;
		case '.':
			single = true;
			break;
		case 'F':
			shutdown(fd, SHUT_WR);
			break;
		case 'R':
			setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
			break;
		default:
			while (recv(fd, bytes, sizeof(bytes), 0) > 0)
				;
		}
	}
	close(fd);
	return NULL;
}

/* Listens and starts; the port is p->port. */
static inline void peer_start(struct peer *p, const char *const *steps)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(sin);
	p->steps = steps;
	p->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(p->listener >= 0);
	assert_int_equal(bind(p->listener, (struct sockaddr *)&sin, sizeof(sin)), 0);
	assert_int_equal(listen(p->listener, 4), 0);
	assert_int_equal(getsockname(p->listener, (struct sockaddr *)&sin, &len), 0);
	p->port = ntohs(sin.sin_port);
	assert_int_equal(pthread_create(&p->thread, NULL, peer_main, p), 0);
}

/* Waits for its end. True if all it expected came. @unused: perhaps nobody has connected. */
static inline bool peer_stop(struct peer *p, bool unused)
{
	if (unused)
		shutdown(p->listener, SHUT_RDWR);
	pthread_join(p->thread, NULL);
	close(p->listener);
	return p->ok;
}

#endif
