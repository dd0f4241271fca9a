/* SPDX-License-Identifier: MIT */
#ifndef NSNET_SPEC_DNS_SERVER_H
#define NSNET_SPEC_DNS_SERVER_H

#include <arpa/inet.h>
#include <assert.h>
#include <ev.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/addr.h"
#include "core/base.h"
#include "core/dnsmsg.h"

/* dns_server - a name server for specs, on the spec's own loop, as bad as the spec wants it.
 *
 * UDP and TCP on one port of a loopback address. What it answers is up to @on_query; how
 * its TCP behaves, to @piece and @cut.
 */
#define DNS_SERVER_CONNS 64

struct dns_server;

/* Where a question came from: a UDP socket, or a connection. */
struct dns_client {
	struct dns_server *server;
	bool tcp;
	struct sockaddr_in from;
	struct dns_server_conn *conn;
};

struct dns_server_conn {
	struct dns_server *server;
	ev_io io;
	ev_prepare writer; /* writes out a piece in each turn of the loop */
	uint8_t in[70000], *out;
	size_t in_len, out_len, out_at;
};

struct dns_server {
	struct ev_loop *loop;
	struct addr at;
	ev_io udp, tcp;
	void (*on_query)(struct dns_client *c, uint8_t *msg, size_t len);
	size_t piece; /* TCP: bytes written at a time, 0 = all */
	size_t cut;   /* TCP: the connection is closed after so many bytes, 0 = never */
	struct dns_server_conn *conn[DNS_SERVER_CONNS];
	unsigned udp_queries, tcp_queries, tcp_conns;
	uint16_t last_id, last_port;
	uint8_t last[4096];
	size_t last_len;
};

static void dns_server_send(struct dns_client *c, const uint8_t *msg, size_t len)
{
	if (!c->tcp) {
		ssize_t n = sendto(c->server->udp.fd, msg, len, 0, (struct sockaddr *)&c->from,
			sizeof(c->from));
		assert(n == (ssize_t)len);
		(void)n;
		return;
	}
	struct dns_server_conn *k = c->conn;
	k->out = realloc(k->out, k->out_len + 2 + len);
	assert(k->out);
	k->out[k->out_len] = (uint8_t)(len >> 8);
	k->out[k->out_len + 1] = (uint8_t)len;
	memcpy(k->out + k->out_len + 2, msg, len);
	k->out_len += 2 + len;
}

static void dns_server_hang_up(struct dns_server_conn *k)
{
	struct dns_server *s = k->server;

	ev_io_stop(s->loop, &k->io);
	ev_prepare_stop(s->loop, &k->writer);
	close(k->io.fd);
	for (int i = 0; i < DNS_SERVER_CONNS; i++) {
		if (s->conn[i] == k)
			s->conn[i] = NULL;
	}
	free(k->out);
	free(k);
}

static void dns_server_on_write(struct ev_loop *loop, ev_prepare *w, int revents)
{
	struct dns_server_conn *k = container_of(w, struct dns_server_conn, writer);
	struct dns_server *s = k->server;
	size_t n = k->out_len - k->out_at;

	(void)loop;
	(void)revents;
	if (s->piece)
		n = MIN(n, s->piece);
	if (s->cut)
		n = MIN(n, s->cut - k->out_at);
	if (n) {
		ssize_t sent = send(k->io.fd, k->out + k->out_at, n, MSG_NOSIGNAL);
		if (sent > 0)
			k->out_at += (size_t)sent;
	}
	if (s->cut && k->out_at == s->cut)
		dns_server_hang_up(k);
}

static void dns_server_note(struct dns_server *s, const uint8_t *msg, size_t len)
{
	s->last_id = (uint16_t)(msg[0] << 8 | msg[1]);
	s->last_len = MIN(len, sizeof(s->last));
	memcpy(s->last, msg, s->last_len);
}

static void dns_server_on_read(struct ev_loop *loop, ev_io *w, int revents)
{
	struct dns_server_conn *k = container_of(w, struct dns_server_conn, io);
	struct dns_server *s = k->server;
	ssize_t n = recv(k->io.fd, k->in + k->in_len, sizeof(k->in) - k->in_len, 0);

	(void)loop;
	(void)revents;
	if (n <= 0) {
		dns_server_hang_up(k);
		return;
	}
	k->in_len += (size_t)n;
	for (;;) {
		size_t len = (size_t)k->in[0] << 8 | k->in[1];
		if (k->in_len < 2 || k->in_len < 2 + len)
			return;
		s->tcp_queries++;
		dns_server_note(s, k->in + 2, len);
		struct dns_client c = {.server = s, .tcp = true, .conn = k};
		if (s->on_query)
			s->on_query(&c, k->in + 2, len);
		k->in_len -= 2 + len;
		memmove(k->in, k->in + 2 + len, k->in_len);
	}
}

static void dns_server_on_accept(struct ev_loop *loop, ev_io *w, int revents)
{
	struct dns_server *s = container_of(w, struct dns_server, tcp);
	int on = 1, i = 0;
	int fd = accept4(w->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	(void)revents;
	if (fd == -1)
		return;
	while (i < DNS_SERVER_CONNS - 1 && s->conn[i])
		i++;
	assert(!s->conn[i]);
	struct dns_server_conn *k = s->conn[i] = calloc(1, sizeof(*k));
	assert(k);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	s->tcp_conns++;
	k->server = s;
	ev_io_init(&k->io, dns_server_on_read, fd, EV_READ);
	ev_io_start(loop, &k->io);
	ev_prepare_init(&k->writer, dns_server_on_write);
	ev_prepare_start(loop, &k->writer);
}

static void dns_server_on_udp(struct ev_loop *loop, ev_io *w, int revents)
{
	struct dns_server *s = container_of(w, struct dns_server, udp);
	uint8_t msg[4096];
	struct dns_client c = {.server = s};
	socklen_t size = sizeof(c.from);
	ssize_t n = recvfrom(w->fd, msg, sizeof(msg), 0, (struct sockaddr *)&c.from, &size);

	(void)loop;
	(void)revents;
	if (n < DNSMSG_HEADER)
		return;
	s->udp_queries++;
	s->last_port = ntohs(c.from.sin_port);
	dns_server_note(s, msg, (size_t)n);
	if (s->on_query)
		s->on_query(&c, msg, (size_t)n);
}

static int dns_server_bind(int type, struct sockaddr_in *at)
{
	int on = 1;
	int fd = socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	assert(fd != -1);
	if (type == SOCK_STREAM)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)at, sizeof(*at)) == -1 ||
		(type == SOCK_STREAM && listen(fd, 64) == -1)) {
		close(fd);
		return -1;
	}
	socklen_t len = sizeof(*at);
	getsockname(fd, (struct sockaddr *)at, &len);
	return fd;
}

/* Starts at 127.0.0.@last, port @port (0 = any), TCP only if @tcp. */
static void dns_server_start(struct dns_server *s, struct ev_loop *loop, int last, uint16_t port,
	bool tcp)
{
	struct sockaddr_in at;
	int udp_fd, tcp_fd;

	memset(s, 0, sizeof(*s));
	s->loop = loop;
	do {
		/* A port that is free for both. */
		at = (struct sockaddr_in){.sin_family = AF_INET,
			.sin_port = htons(port),
			.sin_addr.s_addr = htonl(0x7f000000u + (unsigned)last)};
		udp_fd = dns_server_bind(SOCK_DGRAM, &at);
		tcp_fd = tcp && udp_fd != -1 ? dns_server_bind(SOCK_STREAM, &at) : -1;
		if (tcp && tcp_fd == -1 && udp_fd != -1)
			close(udp_fd);
	} while (!port && (udp_fd == -1 || (tcp && tcp_fd == -1)));
	assert(udp_fd != -1 && (!tcp || tcp_fd != -1));
	struct sockaddr_storage ss = {0};
	memcpy(&ss, &at, sizeof(at));
	addr_from_sockaddr(&s->at, &ss);
	ev_io_init(&s->udp, dns_server_on_udp, udp_fd, EV_READ);
	ev_io_start(loop, &s->udp);
	ev_io_init(&s->tcp, dns_server_on_accept, tcp_fd, EV_READ);
	if (tcp)
		ev_io_start(loop, &s->tcp);
}

static void dns_server_stop(struct dns_server *s)
{
	if (!s->loop)
		return;
	for (int i = 0; i < DNS_SERVER_CONNS; i++) {
		if (s->conn[i])
			dns_server_hang_up(s->conn[i]);
	}
	ev_io_stop(s->loop, &s->udp);
	close(s->udp.fd);
	if (s->tcp.fd != -1) {
		ev_io_stop(s->loop, &s->tcp);
		close(s->tcp.fd);
	}
	s->loop = NULL;
}

/* ---- messages ---- */

/* A question for @name into @out. Returns its length. */
static size_t dns_question(uint8_t *out, uint16_t id, const char *name, uint16_t type)
{
	memset(out, 0, DNSMSG_HEADER);
	dnsmsg_set_id(out, id);
	out[2] = 1; /* RD */
	out[5] = 1;
	size_t n = DNSMSG_HEADER + (size_t)dnsmsg_wire(name, out + DNSMSG_HEADER);
	out[n++] = (uint8_t)(type >> 8);
	out[n++] = (uint8_t)type;
	out[n++] = 0;
	out[n++] = 1;
	return n;
}

/* Adds an OPT record that says @size. Returns the new length. */
static inline size_t dns_add_opt(uint8_t *msg, size_t n, uint16_t size)
{
	const uint8_t opt[11] = {0, 0, 41, (uint8_t)(size >> 8), (uint8_t)size};

	memcpy(msg + n, opt, sizeof(opt));
	msg[11]++;
	return n + sizeof(opt);
}

/* The answer to the question @q of @len bytes: @records TXT records of 100 bytes, and the
 * question's OPT if it had one. Returns its length. */
static size_t dns_answer(uint8_t *out, const uint8_t *q, size_t len, unsigned records,
	unsigned rcode)
{
	static const uint8_t head[12] = {0xc0, 12, 0, 16, 0, 1, 0, 0, 0, 60, 0, 88};
	struct dnsmsg m;

	if (dnsmsg_parse(&m, q, len) < 0)
		return 0;
	size_t n = m.question_end;
	memcpy(out, q, n);
	out[2] |= 0x80;
	out[3] = (uint8_t)(0x80 | rcode);
	out[6] = (uint8_t)(records >> 8);
	out[7] = (uint8_t)records;
	memset(out + 8, 0, 4);
	for (unsigned i = 0; i < records; i++) {
		memcpy(out + n, head, sizeof(head));
		out[n + 12] = 87;
		memset(out + n + 13, 'a' + (int)(i % 26), 87);
		n += 100;
	}
	return m.opt ? dns_add_opt(out, n, 1232) : n;
}

#endif
