/* SPDX-License-Identifier: MIT */
#include "options.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "report.h"

#ifndef NSNET_VERSION
#define NSNET_VERSION "unreleased"
#endif

enum {
	EXIT_USAGE = 2,
	MTU_MIN = 1280,
	MTU_MAX = 65520
};

static const char usage[] =
	"usage: container-shim --fd N [option]... -- command [argument]...\n"
	"\n"
	"Makes a user, network and mount namespace, sends its tun device over the\n"
	"socket N, waits for the answer, drops every privilege and runs the command.\n"
	"\n"
	"  --fd N           handshake socket (SOCK_SEQPACKET), inherited\n"
	"  --net4 ADDR/LEN  IPv4 address of the namespace (10.0.0.1/24)\n"
	"  --net6 ADDR/LEN  IPv6 address of the namespace (fd6e:736e:6574::1/64)\n"
	"  --mtu N          1280..65520 (65520)\n"
	"  --dns ADDR       nameserver for resolv.conf; may be repeated\n"
	"  --listen PORT    listen on the namespace's loopback and send the sockets;\n"
	"                   may be repeated\n"
	"  --hide PATH      cover a directory or file by an empty one; may be repeated\n"
	"  --root           appear as root inside\n"
	"  --keep-caps      keep the capabilities of the namespace (implies --root)\n"
	"  --no-unshare     set up the namespaces that we are in\n"
	"  --join-net FILE  set up this network namespace and run nothing\n"
	"  --join-user FILE and enter this user namespace, which owns it, first\n"
	"  --no-drop        leave the command's privileges alone\n"
	"  --tun-name NAME  name of the device (tun0)\n"
	"  --tun-path PATH  the tun driver's node (/dev/net/tun)\n"
	"  --bind-tun ROOT  bind that node at dev/net/tun of ROOT, too; without --fd\n"
	"                   do that alone\n"
	"  -v, --verbose    report what is optional and failed\n"
	"  -h, --help       this text\n"
	"  -V, --version    the version\n";

enum {
	OPT_FD = 256,
	OPT_NET4,
	OPT_NET6,
	OPT_MTU,
	OPT_DNS,
	OPT_HIDE,
	OPT_LISTEN,
	OPT_ROOT,
	OPT_KEEP_CAPS,
	OPT_NO_UNSHARE,
	OPT_JOIN_NET,
	OPT_JOIN_USER,
	OPT_NO_DROP,
	OPT_TUN_NAME,
	OPT_TUN_PATH,
	OPT_BIND_TUN,
};

static const struct option longopts[] = {
	{"fd", required_argument, NULL, OPT_FD},
	{"net4", required_argument, NULL, OPT_NET4},
	{"net6", required_argument, NULL, OPT_NET6},
	{"mtu", required_argument, NULL, OPT_MTU},
	{"dns", required_argument, NULL, OPT_DNS},
	{"hide", required_argument, NULL, OPT_HIDE},
	{"listen", required_argument, NULL, OPT_LISTEN},
	{"root", no_argument, NULL, OPT_ROOT},
	{"keep-caps", no_argument, NULL, OPT_KEEP_CAPS},
	{"no-unshare", no_argument, NULL, OPT_NO_UNSHARE},
	{"join-net", required_argument, NULL, OPT_JOIN_NET},
	{"join-user", required_argument, NULL, OPT_JOIN_USER},
	{"no-drop", no_argument, NULL, OPT_NO_DROP},
	{"tun-name", required_argument, NULL, OPT_TUN_NAME},
	{"tun-path", required_argument, NULL, OPT_TUN_PATH},
	{"bind-tun", required_argument, NULL, OPT_BIND_TUN},
	{"verbose", no_argument, NULL, 'v'},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'V'},
	{NULL, 0, NULL, 0},
};

/* A decimal number of the given range, the whole text: 0 or -EINVAL. */
static int parse_number(const char *text, unsigned low, unsigned high, unsigned *value)
{
	unsigned long number;
	char *end;

	if (*text < '0' || *text > '9')
		return -EINVAL;
	errno = 0;
	number = strtoul(text, &end, 10);
	if (errno || *end || number < low || number > high)
		return -EINVAL;
	*value = number;
	return 0;
}

/* "ADDR/LEN" of @family into @addr and @prefix: 0 or -EINVAL. */
static int parse_net(const char *text, int family, void *addr, unsigned *prefix)
{
	char host[INET6_ADDRSTRLEN];
	const char *slash = strchr(text, '/');

	if (!slash || (size_t)(slash - text) >= sizeof(host))
		return -EINVAL;
	memcpy(host, text, slash - text);
	host[slash - text] = '\0';
	if (inet_pton(family, host, addr) != 1)
		return -EINVAL;
	return parse_number(slash + 1, 1, family == AF_INET ? 32 : 128, prefix);
}

static int parse_dns(const char *text)
{
	unsigned char addr[sizeof(struct in6_addr)];

	if (inet_pton(AF_INET, text, addr) == 1 || inet_pton(AF_INET6, text, addr) == 1)
		return 0;
	return -EINVAL;
}

static int append(const char **list, const char *text)
{
	size_t n = 0;

	while (list[n])
		n++;
	if (n == OPTIONS_LIST_MAX - 1)
		return -E2BIG;
	list[n] = text;
	return 0;
}

static int take(struct options *o, int opt, const char *arg)
{
	unsigned number;

	switch (opt) {
	case OPT_FD:
		if (parse_number(arg, 0, 1 << 20, &number))
			return -EINVAL;
		o->fd = number;
		return 0;
	case OPT_NET4:
		return parse_net(arg, AF_INET, &o->net4.addr, &o->net4.prefix);
	case OPT_NET6:
		return parse_net(arg, AF_INET6, &o->net6.addr, &o->net6.prefix);
	case OPT_MTU:
		return parse_number(arg, MTU_MIN, MTU_MAX, &o->mtu);
	case OPT_DNS:
		return parse_dns(arg) ? -EINVAL : append(o->dns, arg);
	case OPT_HIDE:
		return arg[0] != '/' ? -EINVAL : append(o->hide, arg);
	case OPT_LISTEN:
		if (o->n_listen == OPTIONS_LISTEN_MAX || parse_number(arg, 1, 65535, &number))
			return -EINVAL;
		o->listen[o->n_listen++] = number;
		return 0;
	case OPT_KEEP_CAPS:
		o->keep_caps = true;
		o->root = true;
		return 0;
	case OPT_ROOT:
		o->root = true;
		return 0;
	case OPT_NO_UNSHARE:
		o->unshare = false;
		return 0;
	case OPT_JOIN_NET:
		o->join_net = arg;
		o->unshare = false;
		return 0;
	case OPT_JOIN_USER:
		o->join_user = arg;
		return 0;
	case OPT_NO_DROP:
		o->drop = false;
		return 0;
	case OPT_TUN_NAME:
		o->tun_name = arg;
		return arg[0] && strlen(arg) < IFNAMSIZ && !strchr(arg, '/') ? 0 : -EINVAL;
	case OPT_TUN_PATH:
		o->tun_path = arg;
		return 0;
	case OPT_BIND_TUN:
		o->bind_tun = arg;
		return arg[0] ? 0 : -EINVAL;
	case 'v':
		o->verbose = true;
		return 0;
	}
	return -ENOSYS;
}

static const char *option_name(int opt)
{
	for (const struct option *o = longopts; o->name; o++) {
		if (o->val == opt)
			return o->name;
	}
	return "?";
}

static int check(const struct options *o)
{
	if (o->fd < 0 && o->bind_tun && !o->command[0] && !o->join_net)
		return 0;
	if (o->bind_tun && o->join_net) {
		report_error("--bind-tun mounts here, and --join-net mounts nothing");
		return EXIT_USAGE;
	}
	if (o->fd < 0) {
		report_error("--fd is missing: container-shim is started by nsnet-host");
		return EXIT_USAGE;
	}
	if (fcntl(o->fd, F_GETFD) == -1) {
		report_error("--fd %d: %s", o->fd, strerror(errno));
		return EXIT_USAGE;
	}
	if (!o->unshare && o->root) {
		report_error("--no-unshare makes no user namespace: "
			     "--root and --keep-caps do not go with it");
		return EXIT_USAGE;
	}
	if (o->join_user && !o->join_net) {
		report_error("--join-user goes with --join-net");
		return EXIT_USAGE;
	}
	/* Whoever lives there has mounts and a resolv.conf of their own. */
	if (o->join_net && (o->command[0] || o->dns[0] || o->hide[0])) {
		report_error("--join-net goes with no command, --dns or --hide");
		return EXIT_USAGE;
	}
	if (!o->join_net && !o->command[0]) {
		report_error("no command given");
		return EXIT_USAGE;
	}
	return 0;
}

int options_parse(struct options *o, int argc, char **argv)
{
	int opt;

	*o = (struct options){
		.fd = -1,
		.unshare = true,
		.drop = true,
		.mtu = MTU_MAX,
		.tun_name = "tun0",
		.tun_path = "/dev/net/tun",
	};
	parse_net("10.0.0.1/24", AF_INET, &o->net4.addr, &o->net4.prefix);
	parse_net("fd6e:736e:6574::1/64", AF_INET6, &o->net6.addr, &o->net6.prefix);
	/* "+": the first word that is no option begins the command. */
	while ((opt = getopt_long(argc, argv, "+vhV", longopts, NULL)) != -1) {
		if (opt == '?')
			return EXIT_USAGE;
		if (opt == 'h') {
			fputs(usage, stdout);
			exit(0);
		}
		if (opt == 'V') {
			puts("container-shim " NSNET_VERSION);
			exit(0);
		}
		if (take(o, opt, optarg)) {
			report_error("--%s: invalid value '%s'", option_name(opt), optarg);
			return EXIT_USAGE;
		}
	}
	o->command = argv + optind;
	return check(o);
}
