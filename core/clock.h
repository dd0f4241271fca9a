/* SPDX-License-Identifier: MIT */
#ifndef NSNET_CLOCK_H
#define NSNET_CLOCK_H

/* clock - time that stands still, and leaps to the next timer when there is nothing else to do:
 * for scripts that are tested, so that a wait of seconds takes none and always the same.
 *
 * The whole process sees it, libev's loops included, if they are made with EVBACKEND_POLL. CPU
 * clocks go on as ever. Until clock_freeze() everything is as if this file were not there.
 */

/* Stops all clocks. The wall clock then shows @wall (seconds since 1970). */
void clock_freeze(double wall);
/* Sets the wall clock alone. */
void clock_set(double wall);

/* Seconds that have passed since clock_freeze(). */
double clock_passed(void);
double clock_wall(void);

/* Real seconds, from any beginning, frozen or not. */
double clock_real(void);

#endif
