/* SPDX-License-Identifier: MIT
 * embed COMMAND...: mail is refused, all else leads to port 7001 of this host and is told. */
#include <errno.h>
#include <netinet/in.h>
#include <nsnet.h>
#include <stdio.h>
#include <unistd.h>

static enum nsnet_verdict may_connect(void *arg, struct nsnet_flow *f)
{
	struct sockaddr_storage to; /* the port is at the same place in both versions */
	nsnet_flow_destination(f, &to);
	return ((struct sockaddr_in *)&to)->sin_port == htons(25) ? NSNET_DENY : NSNET_ALLOW;
}

static int dial(void *arg, struct nsnet_flow *f)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (connect(fd, arg, sizeof(struct sockaddr_in)) == 0 || errno == EINPROGRESS)
		return fd;
	close(fd);
	return -ECONNREFUSED;
}

static void ended(void *arg, struct nsnet_flow *f)
{
	printf("%s: %ju bytes in\n", nsnet_flow_cause(f), nsnet_flow_bytes_in(f));
}

int main(int argc, char **argv)
{
	struct sockaddr_in to = {AF_INET, htons(7001), {htonl(INADDR_LOOPBACK)}, {0}};
	struct nsnet_options o = {.hooks = {may_connect, .dial = dial, .close = ended}, .arg = &to};
	struct nsnet *n;
	int status = 1, rc = argc > 1 ? nsnet_create(&n, &o) : -EINVAL;

	if (rc == 0 && (rc = nsnet_spawn(n, argv + 1, NULL)) == 0)
		nsnet_wait(n, &status);
	return rc == 0 && nsnet_close(n) == 0 ? status >> 8 : 71;
}
