/* SPDX-License-Identifier: MIT */
#include "screen.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "base.h"

#define ENTER "\033[?1049h\033[?25l" /* the alternate screen, no cursor */
#define LEAVE "\033[?25h\033[?1049l"

/* So long the rest of an arrow's sequence may take. */
#define SEQUENCE_MS 50

static volatile sig_atomic_t ended, stopped, resized;

static void on_signal(int signo)
{
	if (signo == SIGTSTP)
		stopped = 1;
	else if (signo == SIGWINCH)
		resized = 1;
	else
		ended = signo;
}

static int write_all(const char *text, size_t len)
{
	while (len) {
		ssize_t n = write(STDOUT_FILENO, text, len);

		if (n == -1 && errno != EINTR)
			return -errno;
		if (n == -1 && ended)
			return -EINTR;
		text += n > 0 ? n : 0;
		len -= n > 0 ? (size_t)n : 0;
	}
	return 0;
}

static void measure(struct screen *s)
{
	struct winsize w = {0};

	s->rows = 24;
	s->columns = 80;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == -1 || !w.ws_row || !w.ws_col)
		return;
	s->rows = w.ws_row;
	s->columns = w.ws_col;
}

static void catch_signals(void (*handler)(int))
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGWINCH};
	struct sigaction act = {.sa_handler = handler};

	for (size_t i = 0; i < ARRAY_LEN(signals); i++)
		sigaction(signals[i], &act, NULL);
	act.sa_handler = SIG_IGN; /* who cannot be written to is told by write(2) */
	sigaction(SIGPIPE, &act, NULL);
}

static int take(struct screen *s)
{
	struct termios raw;

	if (tcgetattr(STDIN_FILENO, &s->before) == -1)
		return -errno;
	raw = s->before;
	raw.c_lflag &= (tcflag_t) ~(ICANON | ECHO);
	raw.c_cc[VMIN] = 1;
	raw.c_cc[VTIME] = 0;
	if (tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) == -1)
		return -errno;
	s->entered = true;
	measure(s);
	return write_all(ENTER, strlen(ENTER));
}

int screen_enter(struct screen *s)
{
	*s = (struct screen){0};
	catch_signals(on_signal);
	return take(s);
}

static void give_back(struct screen *s)
{
	if (!s->entered)
		return;
	s->entered = false;
	(void)write_all(LEAVE, strlen(LEAVE)); /* where it fails there is no terminal left */
	tcsetattr(STDIN_FILENO, TCSADRAIN, &s->before);
}

void screen_leave(struct screen *s)
{
	if (!s->entered)
		return;
	give_back(s);
	catch_signals(SIG_DFL);
}

int screen_signal(void)
{
	return ended;
}

/* Ctrl-Z: the shell gets the terminal as it was, and gives it back with SIGCONT. */
static int stop(struct screen *s)
{
	stopped = 0;
	give_back(s);
	raise(SIGSTOP);
	return take(s);
}

int screen_show(struct screen *s, const char *text, size_t len)
{
	int rc = s->entered ? write_all("\033[H", 3) : -EBADF;

	while (rc == 0 && len) {
		const char *end = memchr(text, '\n', len);
		const size_t n = end ? (size_t)(end - text) : len;
		const bool last = n + 1 >= len;

		rc = write_all(text, n);
		if (rc == 0)
			rc = write_all(last ? "\033[K" : "\033[K\r\n", last ? 3 : 5);
		text += last ? len : n + 1;
		len -= last ? len : n + 1;
	}
	return rc ? rc : write_all("\033[J", 3);
}

/* What follows an escape: an arrow, or nothing that we know. */
static int read_sequence(void)
{
	struct pollfd p = {.fd = STDIN_FILENO, .events = POLLIN};
	char text[2] = "";

	for (size_t i = 0; i < sizeof(text); i++) {
		if (poll(&p, 1, SEQUENCE_MS) != 1 || read(STDIN_FILENO, &text[i], 1) != 1)
			return SCREEN_KEY_NONE;
	}
	if (text[0] != '[' && text[0] != 'O')
		return SCREEN_KEY_NONE;
	return text[1] == 'A' ? SCREEN_KEY_UP : text[1] == 'B' ? SCREEN_KEY_DOWN : SCREEN_KEY_NONE;
}

int screen_key(struct screen *s, double seconds)
{
	static const int caught[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGWINCH};
	struct pollfd p = {.fd = STDIN_FILENO, .events = POLLIN};
	struct timespec wait = {.tv_sec = (time_t)seconds};
	sigset_t held, before;
	unsigned char c;
	int n;

	wait.tv_nsec = (long)((seconds - (double)wait.tv_sec) * 1e9);
	/* A signal that comes between the look at its mark and the wait must end the wait. */
	sigemptyset(&held);
	for (size_t i = 0; i < ARRAY_LEN(caught); i++)
		sigaddset(&held, caught[i]);
	sigprocmask(SIG_BLOCK, &held, &before);
	n = ended || stopped || resized ? 0 : ppoll(&p, 1, &wait, &before);
	sigprocmask(SIG_SETMASK, &before, NULL);
	if (ended)
		return -1;
	if (stopped)
		return stop(s) < 0 ? -1 : SCREEN_KEY_NONE;
	if (resized) {
		resized = 0;
		measure(s);
		return SCREEN_KEY_NONE;
	}
	if (n <= 0)
		return n == -1 && errno != EINTR ? -1 : SCREEN_KEY_NONE;
	if (read(STDIN_FILENO, &c, 1) != 1)
		return -1;
	return c == '\033' ? read_sequence() : c;
}
