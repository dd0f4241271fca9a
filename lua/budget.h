/* SPDX-License-Identifier: MIT */
#ifndef NSNET_LUA_BUDGET_H
#define NSNET_LUA_BUDGET_H

#include <lua.h>
#include <stdbool.h>

/* budget - ends Lua code that does not end by itself.
 *
 * A timer on this thread's CPU clock ticks every BUDGET_TICK_MS while the program computes, or as
 * often as the kernel's own clock does (4 ms at HZ=250): budgets are as exact as that. A tick
 * that finds the same entry into Lua running for too many ticks arms a count hook, which
 * makes the code yield or raise at its next instruction and every one after it, until
 * the entry is left. Entering and leaving cost a few stores and no system call. One per process.
 *
 * A C function that does not come back is not stopped by that. After so long a time the process
 * ends with status 70, and with it the namespace's network: closed, never open.
 *
 * Needs code that is interpreted: compiled code never looks for the hook.
 */
#define BUDGET_TICK_MS 2
#define BUDGET_LAST_MS 5000 /* the default of budget_set_last() */

/* Installs the signal handler (SIGVTALRM) and the timer. 0 or negative errno. Counted: the
 * last budget_stop() takes them away. */
int budget_start(void);
void budget_stop(void);
void budget_set_last(unsigned ms);

/* True if the running code has spent its budget: long C functions look now and then. */
bool budget_spent(void);

/* Code of @L's state is about to run, for @ms of CPU time at least, called as @what (static).
 * Not nested. */
void budget_enter(lua_State *L, unsigned ms, const char *what);
/* It has come back. True if it was made to. */
bool budget_leave(lua_State *L);
/* After that: its CPU time in ms, in whole ticks. Most entries have none; over many of them it is
 * true. */
unsigned budget_used_ms(void);
/* After that: "file:line" of the code that was first stopped, or "". */
const char *budget_place(void);

#endif
