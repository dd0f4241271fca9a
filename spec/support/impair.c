/* SPDX-License-Identifier: MIT */
/* impair - a bad cable: forwards Ethernet frames between two devices, and harms some.
 *
 *   impair SEED LOSS DUPLICATE REORDER DELAY DEVICE DEVICE
 *
 * LOSS, DUPLICATE and REORDER are frames of a thousand, DELAY is in milliseconds. A reordered frame
 * comes LATE_MS after its turn. SIGUSR1 takes the cable out for a second. Meant for a network
 * namespace of its own, whose kernel it tells to stay silent. It waits for the devices to come,
 * says "ready", and at SIGTERM what it did. What it does depends on SEED and the frames alone.
 * packet(7), with virtio headers, so that checksums and segments are left to the ends.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define FRAME_MAX (65536 + 256)
#define QUEUE_MAX 4096 /* frames on their way; more are lost, as in a router */
#define LATE_MS 20
#define OUTAGE_MS 1000
#define WAIT_MS 20000

struct frame {
	struct frame *next;
	double due_ms;
	int to;
	size_t len;
	uint8_t data[];
};

struct queue { /* each frame stays as long as the one before it: first in, first out */
	struct frame *head, **tail;
	double delay_ms;
};

static struct {
	unsigned loss, duplicate, reorder;
	uint64_t random;
	struct queue prompt, late;
	size_t queued;
	unsigned long passed, lost, doubled, delayed;
	double outage_until_ms;
} cable;

static volatile sig_atomic_t outage, end;

static void on_signal(int number)
{
	if (number == SIGUSR1)
		outage = 1;
	else
		end = 1;
}

static void die(const char *what)
{
	fprintf(stderr, "impair: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* xorshift64*, Vigna 2016: true @of a thousand times. */
static bool dice(unsigned of)
{
	cable.random ^= cable.random >> 12;
	cable.random ^= cable.random << 25;
	cable.random ^= cable.random >> 27;
	return (cable.random * 0x2545f4914f6cdd1dULL >> 32) % 1000 < of;
}

static void put(struct queue *q, int to, const uint8_t *data, size_t len)
{
	struct frame *f = cable.queued < QUEUE_MAX ? malloc(sizeof(*f) + len) : NULL;

	if (!f) {
		cable.lost++;
		return;
	}
	*f = (struct frame){.due_ms = now_ms() + q->delay_ms, .to = to, .len = len};
	memcpy(f->data, data, len);
	*q->tail = f;
	q->tail = &f->next;
	cable.queued++;
}

static void take(int from, int to)
{
	static uint8_t data[FRAME_MAX];
	ssize_t n;

	while ((n = recv(from, data, sizeof(data), MSG_DONTWAIT)) > 0) {
		const bool lost = dice(cable.loss), twice = dice(cable.duplicate),
			   late = dice(cable.reorder);

		if (lost || now_ms() < cable.outage_until_ms) {
			cable.lost++;
			continue;
		}
		cable.doubled += twice;
		cable.delayed += late;
		for (int i = 0; i < 1 + twice; i++)
			put(late ? &cable.late : &cable.prompt, to, data, (size_t)n);
	}
}

/* Sends what is due; returns for how many ms nothing else is. */
static double give(struct queue *q, double now)
{
	struct frame *f;

	while ((f = q->head) && f->due_ms <= now) {
		q->head = f->next;
		if (!q->head)
			q->tail = &q->head;
		cable.queued--;
		if (send(f->to, f->data, f->len, 0) == -1) /* a full device loses frames, too */
			cable.lost++;
		else
			cable.passed++;
		free(f);
	}
	return f ? f->due_ms - now : 1000;
}

static void set_up(const char *name)
{
	struct ifreq r = {.ifr_flags = 0};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", name);
	if (fd == -1 || ioctl(fd, SIOCGIFFLAGS, &r) == -1)
		die(name);
	r.ifr_flags |= IFF_UP;
	if (ioctl(fd, SIOCSIFFLAGS, &r) == -1)
		die(name);
	close(fd);
}

static int plug(const char *name)
{
	const int one = 1, size = 4 << 20;
	struct sockaddr_ll at = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
	const double limit = now_ms() + WAIT_MS;
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

	if (fd == -1)
		die("packet socket");
	while (!(at.sll_ifindex = (int)if_nametoindex(name))) {
		if (now_ms() > limit)
			die(name);
		usleep(2000);
	}
	set_up(name);
	if (setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof(one)) == -1 ||
		setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof(one)) == -1 ||
		setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) == -1 ||
		bind(fd, (struct sockaddr *)&at, sizeof(at)) == -1)
		die(name);
	return fd;
}

/* The namespace's own kernel sends nothing: a device has no IPv6 address of its own. */
static void silence(void)
{
	int fd = open("/proc/sys/net/ipv6/conf/default/disable_ipv6", O_WRONLY | O_CLOEXEC);

	if (fd == -1 || write(fd, "1", 1) != 1)
		die("disable_ipv6");
	close(fd);
}

static void forward(int a, int b)
{
	struct pollfd p[2] = {{.fd = a, .events = POLLIN}, {.fd = b, .events = POLLIN}};

	while (!end) {
		const double now = now_ms();
		const double first = give(&cable.prompt, now), second = give(&cable.late, now);
		const double wait = first < second ? first : second;
		const struct timespec t = {.tv_sec = (time_t)(wait / 1e3),
			.tv_nsec = (long)(wait * 1e6) % 1000000000};

		if (ppoll(p, 2, &t, NULL) == -1 && errno != EINTR)
			die("ppoll");
		if (outage) {
			outage = 0;
			cable.outage_until_ms = now_ms() + OUTAGE_MS;
		}
		take(a, b);
		take(b, a);
	}
}

int main(int argc, char **argv)
{
	int a, b;

	if (argc != 8) {
		fputs("usage: impair SEED LOSS DUPLICATE REORDER DELAY DEVICE DEVICE\n", stderr);
		return 2;
	}
	cable.random = strtoull(argv[1], NULL, 10) * 2 + 1;
	cable.loss = (unsigned)strtoul(argv[2], NULL, 10);
	cable.duplicate = (unsigned)strtoul(argv[3], NULL, 10);
	cable.reorder = (unsigned)strtoul(argv[4], NULL, 10);
	cable.prompt.delay_ms = strtod(argv[5], NULL);
	cable.late.delay_ms = cable.prompt.delay_ms + LATE_MS;
	cable.prompt.tail = &cable.prompt.head;
	cable.late.tail = &cable.late.head;
	signal(SIGUSR1, on_signal);
	signal(SIGTERM, on_signal);
	silence();
	a = plug(argv[6]);
	b = plug(argv[7]);
	puts("ready");
	fflush(stdout);
	forward(a, b);
	printf("passed=%lu lost=%lu doubled=%lu late=%lu\n", cable.passed, cable.lost,
		cable.doubled, cable.delayed);
	return 0;
}
