/* SPDX-License-Identifier: MIT */
#include "lua/report.h"

#include <time.h>

#include "core/log.h"

static uint64_t text_hash(const char *text)
{
	uint64_t h = 14695981039346656037u;
	for (; *text; text++)
		h = (h ^ (uint8_t)*text) * 1099511628211u;
	return h ? h : 1;
}

int report_error(struct report *r, const char *message, const char *context)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	uint64_t hash = text_hash(message);
	struct report_slot *s = &r->slot[0];
	for (int i = 0; i < REPORT_SLOTS; i++) {
		if (r->slot[i].hash == hash) {
			s = &r->slot[i];
			break;
		}
		if (r->slot[i].second < s->second)
			s = &r->slot[i];
	}
	r->total++;
	if (s->hash == hash && s->second == now.tv_sec) {
		s->repeats++;
		return 0;
	}
	unsigned repeats = s->hash == hash ? s->repeats : 0;
	*s = (struct report_slot){.hash = hash, .second = now.tv_sec};
	if (repeats)
		log_error("%s%s%s%s (and %u more like it)", message, context ? " (" : "",
			context ? context : "", context ? ")" : "", repeats);
	else
		log_error("%s%s%s%s", message, context ? " (" : "", context ? context : "",
			context ? ")" : "");
	return 1;
}
