/* SPDX-License-Identifier: MIT */
#include "option.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct option option_long[] = {
	{"addr", required_argument, NULL, 'a'},
	{"port", required_argument, NULL, 'p'},
	{"ports", required_argument, NULL, 'P'},
	{"seconds", required_argument, NULL, 't'},
	{"limit", required_argument, NULL, 'l'},
	{"streams", required_argument, NULL, 'n'},
	{"flights", required_argument, NULL, 'k'},
	{"window", required_argument, NULL, 'w'},
	{"held", required_argument, NULL, 'H'},
	{"size", required_argument, NULL, 's'},
	{"count", required_argument, NULL, 'c'},
	{"cc", required_argument, NULL, 'C'},
	{"up", no_argument, NULL, 'u'},
	{"verify", no_argument, NULL, 'v'},
	{"server-closes", no_argument, NULL, 'S'},
	{"sync", no_argument, NULL, 'y'},
	{"slirp", no_argument, NULL, 'r'},
	{"frames", no_argument, NULL, 'f'},
	{"bulk", no_argument, NULL, 'b'},
	{0},
};

void option_usage(void)
{
	fputs("usage: load MODE [options] [-- command]\n"
	      "  server    answers all the other modes; one line when it listens\n"
	      "  bulk      --streams N send (--up) or receive for --seconds; --verify the bytes\n"
	      "  rate      connect, request, answer of --size, close, with --flights at a time\n"
	      "  trip      one connection, round-trips of --size bytes\n"
	      "  datagram  UDP echo of --size bytes with --window under way\n"
	      "  held      --held N idle connections, then trip, rate and, with --bulk, bulk\n"
	      "  spawn     run the command --count times (or for --seconds) and time each\n"
	      "  behind    run the command in a new namespace (--slirp: behind slirp4netns) with\n"
	      "            congestion control --cc, and --frames: without TSO\n"
	      "options: --addr A --port N --ports N (a range of server ports) --limit SECONDS\n"
	      "         (give up altogether) --server-closes (rate) --sync (held: wait for a line\n"
	      "         on standard input after each phase line)\n",
		stderr);
}

static int option_number(const char *text, double min, double max, double *out)
{
	char *end;

	errno = 0;
	*out = strtod(text, &end);
	if (errno || end == text || *end || !(*out >= min && *out <= max)) {
		fprintf(stderr, "load: %s is not a number between %g and %g\n", text, min, max);
		return -EINVAL;
	}
	return 0;
}

static int option_unsigned(const char *text, double max, unsigned *out)
{
	double d;
	int err = option_number(text, 0, max, &d);

	if (!err)
		*out = (unsigned)d;
	return err;
}

static int option_address(struct option_set *o, const char *text, unsigned port)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)&o->addr;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&o->addr;

	memset(&o->addr, 0, sizeof(o->addr));
	if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons((uint16_t)port);
		o->addr_len = sizeof(*v4);
		return 0;
	}
	if (inet_pton(AF_INET6, text, &v6->sin6_addr) == 1) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons((uint16_t)port);
		o->addr_len = sizeof(*v6);
		return 0;
	}
	fprintf(stderr, "load: %s is not an IPv4 or IPv6 address\n", text);
	return -EINVAL;
}

static int option_one(struct option_set *o, int c, const char **addr, unsigned *port)
{
	switch (c) {
	case 'a':
		*addr = optarg;
		return 0;
	case 'p':
		return option_unsigned(optarg, 65535, port);
	case 'P':
		return option_unsigned(optarg, 256, &o->ports);
	case 't':
		return option_number(optarg, 0.01, 3600, &o->seconds);
	case 'l':
		return option_number(optarg, 0.1, 7200, &o->limit_s);
	case 'n':
		return option_unsigned(optarg, 1024, &o->streams);
	case 'k':
		return option_unsigned(optarg, 4096, &o->flights);
	case 'w':
		return option_unsigned(optarg, 4096, &o->window);
	case 'H':
		return option_unsigned(optarg, 1000000, &o->held);
	case 's':
		return option_unsigned(optarg, 65507, &o->size);
	case 'c':
		return option_unsigned(optarg, 1000000, &o->count);
	case 'C':
		o->cc = optarg;
		return 0;
	case 'u':
		o->up = true;
		return 0;
	case 'v':
		o->verify = true;
		return 0;
	case 'S':
		o->server_closes = true;
		return 0;
	case 'y':
		o->sync = true;
		return 0;
	case 'r':
		o->slirp = true;
		return 0;
	case 'f':
		o->frames = true;
		return 0;
	case 'b':
		o->bulk_too = true;
		return 0;
	default:
		option_usage();
		return -EINVAL;
	}
}

int option_parse(struct option_set *o, int argc, char **argv)
{
	const char *addr = "127.0.0.1";
	unsigned port = 5400;
	int c, err;

	*o = (struct option_set){.ports = 16,
		.seconds = 1,
		.streams = 1,
		.flights = 1,
		.window = 32,
		.size = 64,
		.count = 20};
	if (argc < 2) {
		option_usage();
		return -EINVAL;
	}
	o->mode = argv[1];
	optind = 2;
	while ((c = getopt_long(argc, argv, "+", option_long, NULL)) != -1) {
		err = option_one(o, c, &addr, &port);
		if (err)
			return err;
	}
	if (optind < argc)
		o->command = argv + optind;
	if (!o->ports || !o->streams || !o->flights || !o->window || !o->count) {
		fputs("load: ports, streams, flights, window and count are 1 or more\n", stderr);
		return -EINVAL;
	}
	return option_address(o, addr, port);
}

struct sockaddr_storage option_addr(const struct option_set *o, unsigned i)
{
	struct sockaddr_storage a = o->addr;
	struct sockaddr_in *v4 = (struct sockaddr_in *)&a;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&a;

	i %= o->ports;
	if (a.ss_family == AF_INET)
		v4->sin_port = htons((uint16_t)(ntohs(v4->sin_port) + i));
	else
		v6->sin6_port = htons((uint16_t)(ntohs(v6->sin6_port) + i));
	return a;
}
