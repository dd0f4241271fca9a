/* SPDX-License-Identifier: MIT */
#include "top.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "base.h"
#include "ctl.h"
#include "log.h"
#include "screen.h"
#include "tell.h"

#define REFRESH_S 1.0
#define TEXT_MAX 256
#define HEAD_ROWS 3
#define WIDTH_OTHERS 83 /* of all columns but the destination */
#define WIDTH_LEAST 20
#define WIDTH_MOST 60

enum sort {
	SORT_DOWN,
	SORT_UP,
	SORT_TOTAL,
	SORT_AGE,
	SORT_NAME,
	SORT_PROCESS,
	SORTS
};

static const struct {
	char key;
	const char *name;
} sorts[SORTS] = {
	[SORT_DOWN] = {'d', "down/s"},
	[SORT_UP] = {'u', "up/s"},
	[SORT_TOTAL] = {'t', "total"},
	[SORT_AGE] = {'a', "age"},
	[SORT_NAME] = {'n', "name"},
	[SORT_PROCESS] = {'p', "process"},
};

struct row {
	uint64_t id;
	double up, down, up_s, down_s, age; /* bytes, bytes/s, seconds */
	char network[8], state[10], verdict[10], process[32], where[TEXT_MAX];
};

struct top {
	int fd;
	struct screen screen;
	struct row *row; /* owned, as the next: of the last answer, and of the one before */
	size_t count;
	struct row *before; /* by their ids */
	size_t before_count;
	double at, before_at;
	enum sort sort;
	bool reversed;
	uint64_t chosen; /* an id; 0 = the first row */
	char said[TEXT_MAX];
};

/* ---- an answer ---- */

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Text from strangers must not steer a terminal. */
static void clean(char *out, size_t size, const char *text)
{
	size_t n = 0;

	for (; *text && n + 1 < size; text++)
		out[n++] = (unsigned char)*text < ' ' || (unsigned char)*text > '~' ? '?' : *text;
	out[n] = '\0';
}

static const char *text_of(const cJSON *o, const char *key)
{
	const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, key));

	return text ? text : "";
}

static double number_of(const cJSON *o, const char *key)
{
	const cJSON *n = cJSON_GetObjectItemCaseSensitive(o, key);

	return cJSON_IsNumber(n) && n->valuedouble > 0 ? n->valuedouble : 0;
}

static void read_row(struct row *r, const cJSON *o)
{
	const char *dst = text_of(o, "dst"), *port = strrchr(dst, ':');
	char where[2 * TEXT_MAX];

	r->id = (uint64_t)number_of(o, "id");
	r->up = number_of(o, "up");
	r->down = number_of(o, "down");
	r->age = number_of(o, "age");
	clean(r->network, sizeof(r->network), text_of(o, "network"));
	clean(r->state, sizeof(r->state), text_of(o, "state"));
	clean(r->verdict, sizeof(r->verdict), text_of(o, "verdict"));
	clean(r->process, sizeof(r->process), text_of(o, "process"));
	if (*text_of(o, "name"))
		snprintf(where, sizeof(where), "%.250s%s", text_of(o, "name"), port ? port : "");
	else
		snprintf(where, sizeof(where), "%.250s", dst);
	clean(r->where, sizeof(r->where), where);
}

static int by_id(const void *a, const void *b)
{
	const struct row *x = a, *y = b;

	return x->id < y->id ? -1 : x->id > y->id;
}

/* The rates of @r: since the last answer, or since it began. */
static void note_rates(const struct top *t, struct row *r)
{
	const struct row *b =
		t->before_count ? bsearch(r, t->before, t->before_count, sizeof(*r), by_id) : NULL;
	const double s = b ? t->at - t->before_at : r->age;

	if (!(s > 0))
		return;
	r->up_s = (r->up - (b ? b->up : 0)) / s;
	r->down_s = (r->down - (b ? b->down : 0)) / s;
}

/* 0; the exit status after a message: it has ended, or no memory. */
static int look(struct top *t)
{
	char *line = ctl_ask(t->fd, "connections", NULL);
	const bool late = !line && errno == EAGAIN;
	cJSON *reply = line ? cJSON_Parse(line) : NULL, *o;
	const cJSON *list = cJSON_GetObjectItemCaseSensitive(reply, "connections");
	struct row *row = calloc((size_t)cJSON_GetArraySize(list) + 1, sizeof(*row));

	free(line);
	if (!cJSON_IsArray(list) || !row) {
		clean(t->said, sizeof(t->said),
			late ? "the program does not answer" : text_of(reply, "error"));
		cJSON_Delete(reply);
		free(row);
		return EXIT_NOBODY;
	}
	if (t->count)
		qsort(t->row, t->count, sizeof(*t->row), by_id);
	free(t->before);
	t->before = t->row;
	t->before_count = t->count;
	t->before_at = t->at;
	t->at = now();
	t->row = row;
	t->count = 0;
	cJSON_ArrayForEach(o, list)
	{
		read_row(&row[t->count], o);
		note_rates(t, &row[t->count]);
		t->count++;
	}
	cJSON_Delete(reply);
	return 0;
}

/* ---- the order ---- */

/* qsort(3) takes no argument along. */
static enum sort sorting;
static bool sorting_reversed;

static int compare_numbers(double x, double y)
{
	return x > y ? -1 : x < y;
}

static int compare(const void *a, const void *b)
{
	const struct row *x = a, *y = b;
	int n = 0;

	switch (sorting) {
	case SORT_DOWN:
		n = compare_numbers(x->down_s, y->down_s);
		break;
	case SORT_UP:
		n = compare_numbers(x->up_s, y->up_s);
		break;
	case SORT_TOTAL:
		n = compare_numbers(x->up + x->down, y->up + y->down);
		break;
	case SORT_AGE:
		n = compare_numbers(x->age, y->age);
		break;
	case SORT_NAME:
		n = strcmp(x->where, y->where);
		break;
	case SORT_PROCESS:
		n = strcmp(x->process, y->process);
		break;
	case SORTS:
		break;
	}
	if (!n)
		n = by_id(a, b);
	return sorting_reversed ? -n : n;
}

static void sort_rows(const struct top *t)
{
	sorting = t->sort;
	sorting_reversed = t->reversed;
	if (t->count)
		qsort(t->row, t->count, sizeof(*t->row), compare);
}

/* The row that is chosen; the one that was may have ended. */
static size_t chosen(const struct top *t)
{
	for (size_t i = 0; i < t->count; i++) {
		if (t->row[i].id == t->chosen)
			return i;
	}
	return 0;
}

/* ---- writing ---- */

static void put_head(FILE *f, int width)
{
	fprintf(f, "%7s %-5s %-15s %-*s %-8s %8s %8s %8s %8s %8s", "ID", "NET", "PROCESS", width,
		"DESTINATION", "VERDICT", "UP/S", "DOWN/S", "UP", "DOWN", "AGE");
}

static void put_row(FILE *f, const struct row *r, int width)
{
	char up_s[TELL_TEXT_MAX], down_s[TELL_TEXT_MAX], up[TELL_TEXT_MAX], down[TELL_TEXT_MAX];
	char age[TELL_TEXT_MAX];

	fprintf(f, "%7llu %-5.5s %-15.15s %-*.*s %-8.8s %8s %8s %8s %8s %8s",
		(unsigned long long)r->id, r->network, *r->process ? r->process : "-", width, width,
		r->where, *r->verdict ? r->verdict : r->state,
		tell_size((uint64_t)(r->up_s > 0 ? r->up_s : 0), up_s),
		tell_size((uint64_t)(r->down_s > 0 ? r->down_s : 0), down_s),
		tell_size((uint64_t)r->up, up), tell_size((uint64_t)r->down, down),
		tell_span(r->age, age));
}

/* A line of the screen: no longer than that. */
static void put_line(FILE *f, const struct top *t, bool bold, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
static void put_line(FILE *f, const struct top *t, bool bold, const char *fmt, ...)
{
	char text[4 * TEXT_MAX];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	fprintf(f, "%s%.*s%s\n", bold ? "\033[7m" : "", (int)t->screen.columns, text,
		bold ? "\033[0m" : "");
}

static char *row_text(const struct row *r, int width, char *text, size_t size)
{
	FILE *f = fmemopen(text, size, "w");

	text[0] = '\0';
	if (!f)
		return text;
	if (r)
		put_row(f, r, width);
	else
		put_head(f, width);
	fclose(f);
	return text;
}

static void write_screen(const struct top *t, FILE *f)
{
	const int room = (int)t->screen.columns - WIDTH_OTHERS;
	const int width = room < WIDTH_LEAST ? WIDTH_LEAST : MIN(room, WIDTH_MOST);
	const size_t shown = t->screen.rows > HEAD_ROWS ? t->screen.rows - HEAD_ROWS : 1;
	const size_t at = chosen(t), first = at >= shown ? at - shown + 1 : 0;
	char up[TELL_TEXT_MAX], down[TELL_TEXT_MAX], text[4 * TEXT_MAX];
	double up_s = 0, down_s = 0;

	for (size_t i = 0; i < t->count; i++) {
		up_s += t->row[i].up_s;
		down_s += t->row[i].down_s;
	}
	put_line(f, t, false, "nsnet-host: %zu open, %s/s up, %s/s down, by %s%s", t->count,
		tell_size((uint64_t)(up_s > 0 ? up_s : 0), up),
		tell_size((uint64_t)(down_s > 0 ? down_s : 0), down), sorts[t->sort].name,
		t->reversed ? ", reversed" : "");
	put_line(f, t, false, "%s",
		t->said[0] ? t->said
			   : "sort: d u t a n p, r reverses; arrows choose, x ends it; q quits");
	put_line(f, t, true, "%-*s", (int)t->screen.columns,
		row_text(NULL, width, text, sizeof(text)));
	for (size_t i = first; i < t->count && i < first + shown; i++)
		put_line(f, t, i == at, "%s", row_text(&t->row[i], width, text, sizeof(text)));
}

static int draw(struct top *t)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);
	int rc = f ? 0 : -errno;

	if (f)
		write_screen(t, f);
	if (f && fclose(f) == EOF)
		rc = -ENOMEM;
	if (rc == 0)
		rc = screen_show(&t->screen, text, len);
	free(text);
	return rc;
}

/* ---- keys ---- */

static void choose(struct top *t, int step)
{
	const size_t at = chosen(t);

	if (step < 0 && at > 0)
		t->chosen = t->row[at - 1].id;
	else if (step > 0 && at + 1 < t->count)
		t->chosen = t->row[at + 1].id;
	else if (t->count)
		t->chosen = t->row[at].id;
}

static int end_chosen(struct top *t)
{
	char id[32], *line;
	cJSON *reply;

	if (!t->count)
		return 0;
	snprintf(id, sizeof(id), "%llu", (unsigned long long)t->row[chosen(t)].id);
	line = ctl_ask(t->fd, "close", id);
	if (!line)
		return EXIT_NOBODY;
	reply = cJSON_Parse(line);
	if (cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(reply, "ok")))
		snprintf(t->said, sizeof(t->said), "ended %s", id);
	else
		clean(t->said, sizeof(t->said), text_of(reply, "error"));
	cJSON_Delete(reply);
	free(line);
	return 0;
}

/* 0, or the exit status. */
static int press(struct top *t, int key)
{
	t->said[0] = '\0';
	if (key == SCREEN_KEY_UP || key == 'k')
		choose(t, -1);
	else if (key == SCREEN_KEY_DOWN || key == 'j')
		choose(t, 1);
	else if (key == 'r')
		t->reversed = !t->reversed;
	else if (key == 'x')
		return end_chosen(t);
	for (size_t i = 0; i < SORTS; i++) {
		if (sorts[i].key == key)
			t->sort = (enum sort)i;
	}
	sort_rows(t);
	return 0;
}

/* ---- the whole ---- */

static int serve(struct top *t)
{
	double next = now() + REFRESH_S;
	int status = look(t), key = SCREEN_KEY_NONE;

	sort_rows(t);
	while (status == 0 && key != 'q' && draw(t) == 0) {
		const double left = next - now();

		key = screen_key(&t->screen, left > 0 ? left : 0);
		if (key < 0)
			return screen_signal() ? 128 + screen_signal() : 0;
		if (key > 0)
			status = press(t, key);
		if (status == 0 && (now() >= next || key == 'x')) {
			status = look(t);
			sort_rows(t);
			next = now() + REFRESH_S;
		}
	}
	return status;
}

static int print_once(struct top *t)
{
	int status = look(t);

	if (status)
		return status;
	sort_rows(t);
	put_head(stdout, WIDTH_MOST);
	putchar('\n');
	for (size_t i = 0; i < t->count; i++) {
		put_row(stdout, &t->row[i], WIDTH_MOST);
		putchar('\n');
	}
	if (fflush(stdout) == 0)
		return 0;
	log_error("top: cannot write: %s", strerror(errno));
	return EXIT_REFUSED;
}

static int run(struct top *t)
{
	int rc, status;

	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)) {
		status = print_once(t);
	} else {
		rc = screen_enter(&t->screen);
		status = rc == 0 ? serve(t) : EXIT_REFUSED;
		screen_leave(&t->screen);
		if (rc < 0)
			log_error("top: cannot use the terminal: %s", strerror(-rc));
	}
	if (status == EXIT_NOBODY)
		log_error("top: %s", t->said[0] ? t->said : "the program has ended");
	free(t->row);
	free(t->before);
	return status;
}

int top_run(int argc, char **argv)
{
	struct top t = {.fd = ctl_find_by(argc, argv)};
	int status;

	if (t.fd < 0)
		return -t.fd;
	status = run(&t);
	close(t.fd);
	return status;
}
