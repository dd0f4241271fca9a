/* SPDX-License-Identifier: MIT */
#include "spawn.h"

#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "clock.h"

extern char **environ;

static int spawn_once(char **command)
{
	int status, err;
	pid_t pid;

	err = posix_spawnp(&pid, command[0], NULL, NULL, command, environ);
	if (err)
		return err;
	while (waitpid(pid, &status, 0) == -1)
		if (errno != EINTR)
			return errno;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : TALLY_STATUS;
}

void spawn_measure(struct spawn *s, const struct option_set *o)
{
	uint64_t end, before;
	unsigned i;
	int err;

	memset(s, 0, sizeof(*s));
	if (!o->command) {
		snprintf(s->reason, sizeof(s->reason), "no command to run");
		return;
	}
	end = clock_ns() + (uint64_t)(o->seconds * (double)CLOCK_S);
	for (i = 0; i <= o->count && clock_ns() < end; i++) {
		before = clock_ns();
		err = spawn_once(o->command);
		if (err)
			tally_add(&s->errors, err);
		else if (i > 0)
			hist_add(&s->hist, clock_ns() - before);
	}
	if (s->errors.total)
		snprintf(s->reason, sizeof(s->reason), "%llu of %u runs failed: %s",
			(unsigned long long)s->errors.total, i, tally_worst(&s->errors));
	else if (s->hist.count == 0)
		snprintf(s->reason, sizeof(s->reason), "no second run within the time");
}

void spawn_report(const struct spawn *s, struct json *j)
{
	json_flag(j, "ok", !s->reason[0]);
	json_string(j, "reason", s->reason);
	json_count(j, "count", s->hist.count);
	json_number(j, "min_ms", (double)s->hist.min / 1e6);
	json_number(j, "p50_ms", (double)hist_quantile(&s->hist, 0.50) / 1e6);
	json_number(j, "max_ms", (double)s->hist.max / 1e6);
	tally_report(&s->errors, j);
}
