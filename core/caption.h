/* SPDX-License-Identifier: MIT */
#ifndef NSNET_CAPTION_H
#define NSNET_CAPTION_H

#include <stddef.h>

#include "flow.h"

/* caption - a line of text about a flow, for people who look at its packets:
 * "curl[123] tcp example.com 203.0.113.1:443: allow, rule r.lua:3: reason", UTF-8 without anything
 * that deceives, in @size bytes at @text. @when stands before the verdict. */
void caption_flow(char *text, size_t size, const struct flow *f, const char *when);

#endif
