/* SPDX-License-Identifier: MIT */
#include "observe.h"

#include <assert.h>

void observe_add(struct observer **list, struct observer *o)
{
	while (*list) {
		assert(*list != o);
		list = &(*list)->next;
	}
	o->next = NULL;
	*list = o;
}

void observe_remove(struct observer **list, struct observer *o)
{
	while (*list && *list != o)
		list = &(*list)->next;
	if (*list)
		*list = o->next;
}

#define TELL(o, event, ...)                                                                        \
	for (; o; o = o->next) {                                                                   \
		if (o->event)                                                                      \
			o->event(o, __VA_ARGS__);                                                  \
	}

void observe_pending(struct observer *o, const struct flow *f)
{
	TELL(o, pending, f);
}

void observe_decided(struct observer *o, const struct flow *f)
{
	TELL(o, decided, f);
}

void observe_judged(struct observer *o, const struct flow *f)
{
	TELL(o, judged, f);
}

void observe_opened(struct observer *o, const struct flow *f)
{
	TELL(o, opened, f);
}

void observe_ended(struct observer *o, const struct flow *f)
{
	TELL(o, ended, f);
}

void observe_question(struct observer *o, const struct dnsquery *q, const uint8_t *msg, size_t len)
{
	TELL(o, question, q, msg, len);
}

void observe_refused(struct observer *o, const struct flow_key *key, const char *why)
{
	TELL(o, refused, key, why);
}
