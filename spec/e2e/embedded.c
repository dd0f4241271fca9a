/* SPDX-License-Identifier: MIT
 *
 * embedded [OPTION]... COMMAND... - a program that embeds libnsnet, for embed_spec.lua. It uses
 * nothing but what is installed.
 *   -l  libev's default loop; -L another loop; else the library's own thread
 *   -d PORT  a dialer in C: all TCP goes to that port of 203.0.113.1
 *   -n PORT  a hook in C denies that port; -u PORT host unreachable; -w PORT only after 50 ms,
 *  -W PORT never; -N allows the name a.test, says that gone.test is none, and denies the others
 *  -z  denies by default
 *   -R PORT  redirects that port to 203.0.113.1 port 7001
 *   -x  the data hook turns "a" into "b" on its way out; -D the packet hook drops all UDP
 *   -k  closes everything when the first connection has carried a byte
 *   -r FILE  rules; -a PID attaches instead; -p PORTS publishes
 * Says on stdout how flows and the command ended, and what was counted. */
#include <errno.h>
#include <ev.h>
#include <netinet/in.h>
#include <nsnet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static struct {
	struct ev_loop *loop;
	struct nsnet *n;
	int dial, deny, unreachable, late, never, redirect, attach;
	pid_t pid;
	bool swap, no_udp, kill, over;
	const char *publish;
	struct nsnet_flow *waiting;
	ev_timer timer;
	unsigned long packets;
	int status;
} t;

static int port_of(const struct nsnet_flow *f)
{
	struct sockaddr_storage a;

	nsnet_flow_destination(f, &a);
	return ntohs(((struct sockaddr_in *)&a)->sin_port);
}

static struct sockaddr_in server(int port)
{
	return (struct sockaddr_in){.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr = {htonl(0xcb007101)}};
}

static void on_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop, (void)w, (void)revents;
	if (t.waiting && nsnet_flow_answer(t.waiting, NSNET_ALLOW) != 0)
		puts("the answer was refused");
	t.waiting = NULL;
}

static enum nsnet_verdict on_connect(void *arg, struct nsnet_flow *f)
{
	const struct sockaddr_in to = server(7001);
	const int port = port_of(f);

	(void)arg;
	if (t.swap)
		nsnet_flow_show_data(f);
	if (port == t.deny)
		return nsnet_flow_explain(f, "because") == 0 ? NSNET_DENY : NSNET_DROP;
	if (port == t.unreachable)
		return NSNET_UNREACHABLE;
	if (port == t.redirect) {
		nsnet_flow_redirect(f, (const struct sockaddr *)&to, sizeof(to));
		return NSNET_REDIRECT;
	}
	if (port == t.never)
		return NSNET_PENDING;
	if (port != t.late)
		return NSNET_DEFAULT;
	t.waiting = f;
	ev_timer_init(&t.timer, on_timer, 0.05, 0);
	ev_timer_start(t.loop, &t.timer);
	return NSNET_PENDING;
}

static void on_cancel(void *arg, struct nsnet_flow *f)
{
	(void)arg;
	puts("cancelled");
	if (t.waiting == f)
		t.waiting = NULL;
}

static enum nsnet_verdict on_name(void *arg, const char *name, unsigned type)
{
	(void)arg;
	if (type != 1)
		return NSNET_DEFAULT;
	if (strcmp(name, "a.test") == 0)
		return NSNET_ALLOW;
	return strcmp(name, "gone.test") == 0 ? NSNET_UNREACHABLE : NSNET_REDIRECT;
}

static int on_dial(void *arg, struct nsnet_flow *f)
{
	const struct sockaddr_in to = server(t.dial);
	int fd;

	(void)arg;
	if (!t.dial || strcmp(nsnet_flow_network(f), "tcp") != 0)
		return -ENOSYS;
	fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	if (connect(fd, (const struct sockaddr *)&to, sizeof(to)) == -1 && errno != EINPROGRESS) {
		close(fd);
		return -errno;
	}
	return fd;
}

static int on_data(void *arg, struct nsnet_flow *f, enum nsnet_direction direction,
	const void *bytes, size_t n, void **other, size_t *other_len)
{
	(void)arg, (void)f;
	if (direction == NSNET_IN)
		return 0;
	*other = malloc(n);
	*other_len = n;
	for (size_t i = 0; i < n; i++)
		((char *)*other)[i] =
			((const char *)bytes)[i] == 'a' ? 'b' : ((const char *)bytes)[i];
	return 1;
}

static bool on_packet(void *arg, enum nsnet_direction direction, const void *ip, size_t n)
{
	const unsigned char *p = ip;

	(void)arg, (void)direction;
	t.packets++;
	return !(t.no_udp && n > 20 && (p[0] >> 4 == 4 ? p[9] : p[6]) == IPPROTO_UDP);
}

static void on_close(void *arg, struct nsnet_flow *f)
{
	(void)arg;
	if (nsnet_close(t.n) != -EDEADLK)
		abort();
	printf("%s %d: %s, %llu out, %llu in\n", nsnet_flow_network(f), port_of(f),
		nsnet_flow_cause(f), (unsigned long long)nsnet_flow_bytes_out(f),
		(unsigned long long)nsnet_flow_bytes_in(f));
}

static void on_log(void *arg, enum nsnet_level level, const char *line)
{
	(void)arg;
	printf("log %d: %s\n", level, line);
}

static void on_ended(void *arg, int status)
{
	(void)arg;
	t.status = status;
	t.over = true;
	if (!t.loop && (nsnet_close(t.n) != -EDEADLK || nsnet_wait(t.n, NULL) != -EDEADLK))
		abort();
	if (t.loop && !t.kill)
		ev_break(t.loop, EVBREAK_ALL);
}

static void report(void)
{
	struct nsnet_stats s;

	nsnet_stats(t.n, &s);
	printf("allowed %llu, denied %llu, connections %zu, flows %zu, bytes %d\n",
		(unsigned long long)s.allowed, (unsigned long long)s.denied, s.connections, s.flows,
		s.bytes_out > 0 && s.bytes_in > 0 && s.packets_in > 0);
	if (t.packets)
		printf("the hook saw packets\n");
}

/* Until a connection has carried a byte, or the command has ended. */
static void kill_soon(void)
{
	struct nsnet_stats s;

	do {
		if (t.loop)
			ev_run(t.loop, EVRUN_ONCE);
		else
			usleep(1000);
		nsnet_stats(t.n, &s);
	} while (!t.over && !(s.connections && s.bytes_in > 2000));
	report();
}

static int serve(char **argv)
{
	int status = -2;
	int rc = t.attach ? nsnet_attach(t.n, t.attach) : nsnet_spawn(t.n, argv, &t.pid);

	if (rc == 0 && t.publish)
		rc = nsnet_publish(t.n, t.publish);
	if (rc < 0)
		return rc;
	if (nsnet_spawn(t.n, (char *[]){"true", NULL}, NULL) != -EALREADY)
		abort();
	if (t.attach)
		puts("attached");
	fflush(stdout);
	if (t.kill)
		kill_soon();
	else if (t.loop)
		ev_run(t.loop, 0);
	else
		nsnet_wait(t.n, &status);
	if (!t.kill && !t.loop && (!t.over || status != t.status))
		abort();
	if (!t.kill)
		report();
	return 0;
}

static int run(struct nsnet_options *o, char **argv)
{
	struct nsnet *second;
	int rc;

	o->loop = t.loop;
	rc = nsnet_create(&t.n, o);
	if (rc < 0)
		return rc;
	if (nsnet_create(&second, o) != -EBUSY || second)
		abort();
	rc = serve(argv);
	if (nsnet_close(t.n) != 0)
		abort();
	puts("closed");
	fflush(stdout);
	if (rc == 0 && t.kill) /* the command goes on, to tell what became of its connections */
		waitpid(t.pid, &t.status, 0);
	return rc;
}

int main(int argc, char **argv)
{
	struct nsnet_options o = {
		.hooks = {on_connect, .dial = on_dial, .cancel = on_cancel, .close = on_close},
		.log = on_log,
		.ended = on_ended};
	int c, rc;

	while ((c = getopt(argc, argv, "+lLd:n:u:w:W:R:xDNzkr:a:p:")) != -1) {
		int number = optarg ? atoi(optarg) : 0;

		switch (c) {
		case 'l':
			t.loop = ev_default_loop(EVFLAG_AUTO);
			break;
		case 'L':
			t.loop = ev_loop_new(EVFLAG_AUTO);
			break;
		case 'd':
			t.dial = number;
			break;
		case 'n':
			t.deny = number;
			break;
		case 'u':
			t.unreachable = number;
			break;
		case 'w':
			t.late = number;
			break;
		case 'W':
			t.never = number;
			break;
		case 'R':
			t.redirect = number;
			break;
		case 'x':
			t.swap = true;
			o.hooks.data = on_data;
			break;
		case 'D':
			t.no_udp = true;
			o.hooks.packet = on_packet;
			break;
		case 'z':
			o.default_deny = true;
			break;
		case 'N':
			o.hooks.name = on_name;
			break;
		case 'k':
			t.kill = true;
			break;
		case 'r':
			o.rules = optarg;
			o.hooks = (struct nsnet_hooks){0};
			break;
		case 'a':
			t.attach = number;
			break;
		case 'p':
			t.publish = optarg;
			break;
		default:
			return 2;
		}
	}
	rc = run(&o, argv + optind);
	if (rc == 0 && !t.kill && !t.attach) { /* and once more in the same process */
		puts("again");
		t.over = false;
		rc = run(&o, argv + optind);
	}
	if (t.loop)
		ev_loop_destroy(t.loop);
	printf("result %d, status %d\n", rc, t.status);
	return 0;
}
