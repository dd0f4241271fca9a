/* SPDX-License-Identifier: MIT */
#ifndef NSNET_SPEC_USER_H
#define NSNET_SPEC_USER_H

/* A user at a terminal: an interactive bash under a pseudo-terminal, what is
 * typed and what is shown. "$H cmd" there is the played host. Each wait is for
 * a text, bounded so that a hang is a failure. */
struct user {
	int fd; /* the terminal's other side */
	pid_t shell;
	size_t len;
	char seen[1 << 18]; /* shown since the last text that was waited for */
};

static struct user u;
static struct outcome o;

#define BOUND_MS 20000

static void user_type(const char *text)
{
	assert_int_equal(write(u.fd, text, strlen(text)), strlen(text));
}

static long long now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

/* Waits until @text is shown, and forgets all up to there. */
static void user_sees(const char *text)
{
	long long end = now_ms() + BOUND_MS;
	char *at;

	while (!(at = strstr(u.seen, text))) {
		struct pollfd p = {.fd = u.fd, .events = POLLIN};
		long long left = end - now_ms();
		ssize_t n;

		if (left <= 0 || poll(&p, 1, left) <= 0)
			fail_msg("'%s' never came; shown:\n%s", text, u.seen);
		n = read(u.fd, u.seen + u.len, sizeof(u.seen) - 1 - u.len);
		if (n <= 0)
			fail_msg("the terminal closed before '%s'; shown:\n%s", text, u.seen);
		u.len += n;
		u.seen[u.len] = '\0';
	}
	at += strlen(text);
	u.len -= at - u.seen;
	memmove(u.seen, at, u.len + 1);
}

/* The prompt is assembled by the shell, so that what is typed is never taken
 * for what is answered. */
#define PROMPT "<1:"

static int user_sits_down(void **state)
{
	char self[PATH_MAX] = "", line[PATH_MAX + 64];
	struct winsize size = {.ws_row = 24, .ws_col = 80};

	(void)state;
	if (!stage_has_tun())
		return 0;
	if (readlink("/proc/self/exe", self, sizeof(self) - 1) <= 0)
		return -1;
	u.len = 0;
	u.seen[0] = '\0';
	u.shell = forkpty(&u.fd, NULL, NULL, &size);
	if (u.shell == -1)
		return -1;
	if (u.shell == 0) {
		alarm(120);
		setenv("TERM", "dumb", 1);
		setenv("HISTFILE", "", 1);
		execlp("bash", "bash", "--norc", "--noprofile", "--noediting", "-i", NULL);
		_exit(99);
	}
	snprintf(line, sizeof(line),
		"stty -echo; SELF=%s; H=\"$SELF --play\"; PS1='<$((0+1)):$?>'\n", self);
	user_type(line);
	user_sees(PROMPT "0>");
	return 0;
}

static int user_leaves(void **state)
{
	(void)state;
	if (!stage_has_tun())
		return 0;
	close(u.fd); /* hangs up */
	waitpid(u.shell, NULL, 0);
	return 0;
}

#define NEED_TUN                                                                                   \
	do {                                                                                       \
		if (!stage_has_tun())                                                              \
			skip();                                                                    \
	} while (0)

#endif
