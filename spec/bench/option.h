/* SPDX-License-Identifier: MIT */
#ifndef NSNET_BENCH_OPTION_H
#define NSNET_BENCH_OPTION_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

/* option - the command line of the load generator. See option_usage() for what each one means. */
struct option_set {
	const char *mode;
	struct sockaddr_storage addr; /* of the server; the port is the first of @ports */
	socklen_t addr_len;
	unsigned ports;
	double seconds;
	double limit_s;
	unsigned streams, flights, window, held, size, count;
	bool up, verify, server_closes, sync, slirp, frames, bulk_too;
	const char *cc;
	char **command; /* NULL-terminated, NULL if there is none */
};

/* Fills @o from the command line. Returns 0, or -EINVAL after a message on stderr. */
int option_parse(struct option_set *o, int argc, char **argv);
void option_usage(void);
/* The server's address with port number @i of the set (modulo its size). */
struct sockaddr_storage option_addr(const struct option_set *o, unsigned i);

#endif
