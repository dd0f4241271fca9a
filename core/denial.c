/* SPDX-License-Identifier: MIT */
#include "denial.h"

#include <stdio.h>
#include <string.h>

#include "log.h"

static struct log_limit limit = {.burst = 10};

/* A process names itself: what is not plain text could speak to the terminal. */
static bool is_plain(const char *text)
{
	while (*text > ' ' && *text < 0x7f)
		text++;
	return !*text;
}

static const char *verb(const struct decision *d, bool would)
{
	if (would)
		return d->verdict == VERDICT_DENY ? "would be denied:" : "would be dropped:";
	return d->verdict == VERDICT_DENY ? "denied" : "dropped";
}

static void say_missed(unsigned long missed)
{
	if (missed)
		log_warn("%lu more denials are not shown; see --log", missed);
}

void denial_say(const struct flow *f, const char *name, bool logged, bool would)
{
	const struct decision *d = &f->decision;
	const bool guard = d->rule && strcmp(d->rule, "guard") == 0;
	const char *who = f->process && is_plain(f->process->name) ? f->process->name : NULL;
	char text[FLOW_TEXT_MAX], about[320] = "";
	unsigned long missed;

	if (logged && !(guard && d->verdict == VERDICT_DENY))
		return;
	/* Programs look for their neighbours by multicast all the time, and miss nothing. */
	if (guard && d->verdict == VERDICT_DROP && !would && !log_enabled(LOG_LEVEL_INFO))
		return;
	if (!log_limit_pass(&limit, &missed))
		return;
	say_missed(missed);
	if (name || who)
		snprintf(about, sizeof(about), " (%s%s%s%s)", name ? name : "",
			name && who ? ", " : "", who ? "by " : "", who ? who : "");
	if (guard && d->verdict == VERDICT_DENY)
		log_warn("%s %s%s: %s is closed to the command%s%s", verb(d, would),
			flow_format(f, text), about, d->reason, d->remedy ? "; " : "",
			d->remedy ? d->remedy : "");
	else
		log_warn("%s %s%s by %s%s%s", verb(d, would), flow_format(f, text), about,
			d->rule ? d->rule : "a rule", d->reason ? ": " : "",
			d->reason ? d->reason : "");
}

void denial_finish(void)
{
	say_missed(limit.dropped);
	limit.dropped = 0;
}
