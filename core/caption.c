/* SPDX-License-Identifier: MIT */
#include "caption.h"

#include <stdio.h>

#include "base.h"
#include "tell.h"
#include "utf8.h"

#define LINE_MAX 2048

static const char *verdict(const struct decision *d)
{
	const char *word = tell_verdict(d->verdict);

	if (d->would == VERDICT_DENY)
		return "allow (dry run: would be denied)";
	if (d->would == VERDICT_DROP)
		return "allow (dry run: would be dropped)";
	if (d->first_bytes)
		return "allow until the first bytes are seen";
	return word ? word : "undecided";
}

void caption_flow(char *text, size_t size, const struct flow *f, const char *when)
{
	const struct decision *d = &f->decision;
	const struct addr *target = tell_target(f);
	char line[LINE_MAX], who[PROCESS_NAME_MAX + 16] = "", to[ADDR_TEXT_MAX], dst[ADDR_TEXT_MAX];

	if (f->process)
		snprintf(who, sizeof(who), "%s[%d] ", f->process->name, (int)f->process->pid);
	snprintf(line, sizeof(line), "%s%s %s%s%s%s%s: %s%s%s%s%s%s", who, f->ops->network,
		f->host ? f->host : "", f->host ? " " : "",
		tell_addr(&f->key.dst, f->key.proto, dst), target ? " -> " : "",
		target ? tell_addr(target, f->key.proto, to) : "", when, verdict(d),
		d->rule ? ", rule " : "", d->rule ? d->rule : "", d->reason ? ": " : "",
		d->reason ? d->reason : "");
	utf8_escape(text, size, line);
}
