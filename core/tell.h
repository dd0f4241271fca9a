/* SPDX-License-Identifier: MIT */
#ifndef NSNET_TELL_H
#define NSNET_TELL_H

#include <stddef.h>
#include <stdint.h>

#include "addr.h"
#include "dnsquery.h"
#include "flow.h"

/* tell - the words that all logs have for what they see. */

/* "allow", "deny", "drop", "redirect", "via"; NULL: there is none yet. */
const char *tell_verdict(enum verdict v);

/* The address, with its port unless it is an echo's (@proto as in struct flow_key), into @text
 * (ADDR_TEXT_MAX). Returns @text. */
char *tell_addr(const struct addr *a, uint32_t proto, char *text);

/* "tcp", "udp", "icmp"; into @text (16 bytes) if it is none of them. */
const char *tell_network(uint32_t proto, char *text);

/* Where an allowed flow goes, if that is not where the child wanted; else NULL. */
const struct addr *tell_target(const struct flow *f);

/* Why it could not be connected: the word of the dialer that tried, else the system's. NULL: it
 * could. A dialer's may be anything. */
const char *tell_dial_error(const struct flow *f);
/* The same, or why a script ended it, in its words; NULL: neither. */
const char *tell_error(const struct flow *f);
/* How it ended: the script's reason, else the name of the cause. */
const char *tell_end(const struct flow *f);

/* The addresses in a DNS answer of @len bytes at @msg: at most @max into @out; returns how many. */
size_t tell_answers(const uint8_t *msg, size_t len, struct addr *out, size_t max);

#define TELL_TEXT_MAX 16

/* "517", "34.1k", "1.2M"; "51 ms", "1.23 s", "2m05s", into @text (TELL_TEXT_MAX). */
char *tell_size(uint64_t bytes, char *text);
char *tell_span(double s, char *text);

#endif
