/* SPDX-License-Identifier: MIT */
#ifndef NSNET_SCREEN_H
#define NSNET_SCREEN_H

#include <stdbool.h>
#include <stddef.h>
#include <termios.h>

/* screen - a terminal taken over for a while: the alternate screen, keys as they are typed, and
 * everything back as it was on the way out, also where a signal ends or stops the program.
 *
 * Control sequences are those that xterm documents and all terminals of today know. Embedded. One
 * at a time: signals are the process's.
 */
enum screen_key { /* others are the character itself */
	SCREEN_KEY_NONE = 0,
	SCREEN_KEY_UP = 256,
	SCREEN_KEY_DOWN,
};

struct screen {
	struct termios before;
	bool entered;
	unsigned rows, columns;
};

/* Takes over the terminal at standard input and output. 0 or negative errno. */
int screen_enter(struct screen *s);
/* Gives it back. Safe if it is not taken over. */
void screen_leave(struct screen *s);

/* Shows @text, lines that end with a newline, from the top; the rest becomes empty. 0 or negative
 * errno. */
int screen_show(struct screen *s, const char *text, size_t len);

/* Waits @seconds at most for a key: a character or enum screen_key; SCREEN_KEY_NONE after the time,
 * or when the window has another size. -1: the terminal has gone, or a signal ends the program. */
int screen_key(struct screen *s, double seconds);

/* The signal that ended the program, or 0. */
int screen_signal(void);

#endif
