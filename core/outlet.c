/* SPDX-License-Identifier: MIT */
#include "outlet.h"

#include <stdio.h>

#include "base.h"

static size_t outlet_gap(char *line, uint64_t lost)
{
	return (size_t)snprintf(line, 256,
		"nsnet-host: %llu lines are missing here: too slow a reader\n",
		(unsigned long long)lost);
}

static void outlet_flush(struct log_output *output)
{
	struct writer *w = &container_of(output, struct outlet, output)->writer;

	/* Otherwise it waits until it can be written. */
	if (w->head < w->tail && !ev_is_active(&w->io) && !w->stuck)
		writer_flush(w);
}

static void outlet_line(struct log_output *output, const char *line, size_t len, bool urgent)
{
	writer_line(&container_of(output, struct outlet, output)->writer, line, len);
	if (urgent)
		outlet_flush(output);
}

static const char *outlet_waiting(const struct log_output *output, size_t *len)
{
	const struct writer *w = &container_of(output, struct outlet, output)->writer;

	*len = w->tail - w->head;
	return w->data + w->head;
}

static void outlet_on_prepare(struct ev_loop *loop, ev_prepare *prepare, int revents)
{
	UNUSED(loop);
	UNUSED(revents);
	outlet_flush(&container_of(prepare, struct outlet, prepare)->output);
}

int outlet_start(struct outlet *o, struct ev_loop *loop)
{
	int rc = writer_open(&o->writer, loop, "-");

	if (rc < 0)
		return rc;
	o->writer.name = "standard error";
	o->writer.terminal = false; /* a message is shown over an editor, too */
	o->writer.delay_s = WRITER_NEVER;
	o->writer.gap = outlet_gap;
	o->output = (struct log_output){
		.line = outlet_line,
		.flush = outlet_flush,
		.waiting = outlet_waiting,
	};
	ev_prepare_init(&o->prepare, outlet_on_prepare);
	ev_set_priority(&o->prepare, EV_MAXPRI); /* before the stack sends */
	ev_prepare_start(loop, &o->prepare);
	ev_unref(loop);
	log_set_output(&o->output);
	return 0;
}

void outlet_stop(struct outlet *o)
{
	if (!o->output.line)
		return;
	log_rescue();
	log_set_output(NULL);
	o->writer.head = o->writer.tail; /* written, or lost with standard error itself */
	ev_ref(o->writer.loop);
	ev_prepare_stop(o->writer.loop, &o->prepare);
	writer_close(&o->writer);
	o->output.line = NULL;
}
