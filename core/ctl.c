/* SPDX-License-Identifier: MIT */
#include "ctl.h"

#include <cjson/cJSON.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "argtable.h"
#include "base.h"
#include "control.h"
#include "log.h"

#define CELL_MAX 80
#define COLUMNS_MAX 24
#define PATIENCE_S 5 /* who has not answered then is stopped, or busy */

struct found {
	int fd; /* connected; -1 = none */
	size_t count;
	char pids[256]; /* for people */
};

/* ---- who is there ---- */

/* Is @name the socket of process @pid ("PID.sock", "PID-N.sock"; 0: of any)? Its pid, or 0. */
static long socket_pid(const char *name, long pid)
{
	char *end;
	long n = strtol(name, &end, 10);

	if (n <= 0 || (*end != '.' && *end != '-') || !strstr(end, ".sock"))
		return 0;
	return !pid || pid == n ? n : 0;
}

static void look_in(struct found *f, const char *dir, long pid)
{
	DIR *d = opendir(dir);
	struct dirent *e;

	while (d && (e = readdir(d))) {
		char path[2 * PATH_MAX];
		long n = socket_pid(e->d_name, pid);
		size_t used = strlen(f->pids);
		int fd;

		if (!n)
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		fd = control_connect(path);
		if (fd < 0)
			continue;
		snprintf(f->pids + used, sizeof(f->pids) - used, "%s%ld", used ? ", " : "", n);
		if (f->count++)
			close(fd);
		else
			f->fd = fd;
	}
	if (d)
		closedir(d);
}

int ctl_find(const char *what, long pid)
{
	char dir[CONTROL_DIRS_MAX][PATH_MAX];
	size_t n = control_dirs(dir, true);
	struct found f = {.fd = -1};
	const struct timeval patience = {.tv_sec = PATIENCE_S};

	for (size_t i = 0; i < n; i++)
		look_in(&f, dir[i], pid);
	if (f.count == 1) {
		setsockopt(f.fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
		setsockopt(f.fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
		return f.fd;
	}
	if (f.count) {
		close(f.fd);
		log_error("%s: several are running (%s): name one with --pid", what, f.pids);
		return -EXIT_USAGE;
	}
	if (pid)
		log_error("%s: process %ld has no control socket of this user", what, pid);
	else
		log_error("%s: no nsnet-host of this user is running", what);
	return -EXIT_NOBODY;
}

/* ---- the talk ---- */

static int send_all(int fd, const char *text, size_t len)
{
	while (len) {
		ssize_t n = send(fd, text, len, MSG_NOSIGNAL);

		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return -errno;
		text += n;
		len -= (size_t)n;
	}
	return 0;
}

/* One line, without its end; malloc'd. NULL: errno says why. */
static char *receive_line(int fd)
{
	size_t len = 0, size = 0;
	char *text = NULL;

	for (;;) {
		ssize_t n;

		if (len + 1 >= size) {
			char *grown = realloc(text, size = size ? 2 * size : 65536);

			if (!grown)
				break;
			text = grown;
		}
		n = recv(fd, text + len, size - len - 1, 0);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == 0)
			errno = ECONNRESET;
		if (n <= 0)
			break;
		len += (size_t)n;
		if (text[len - 1] == '\n') { /* nothing follows: one question was asked */
			text[len - 1] = '\0';
			return text;
		}
	}
	free(text);
	return NULL;
}

char *ctl_ask(int fd, const char *command, const char *argument)
{
	cJSON *request = cJSON_CreateObject();
	char *text, *line = NULL;
	int rc = -ENOMEM;

	cJSON_AddStringToObject(request, "command", command);
	if (argument)
		cJSON_AddStringToObject(request, "argument", argument);
	text = cJSON_PrintUnformatted(request);
	cJSON_Delete(request);
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
	if (text) {
		rc = send_all(fd, text, strlen(text));
		if (rc == 0)
			rc = send_all(fd, "\n", 1);
	}
	free(text);
	/* Whoever was sent away before asking has an answer to read. */
	if (rc == 0 || rc == -EPIPE)
		line = receive_line(fd);
	else
		errno = -rc;
	return line;
}

const char *ctl_why(int error)
{
	if (error == EAGAIN)
		return "the program does not answer; is it stopped?";
	return error == ECONNRESET ? "the program has ended" : strerror(error);
}

/* ---- for people ---- */

/* Text from strangers must not steer a terminal. */
static const char *clean(char *cell, const char *text)
{
	size_t n = 0;

	for (; *text && n < CELL_MAX - 1; text++)
		cell[n++] = (unsigned char)*text < ' ' || (unsigned char)*text > '~' ? '?' : *text;
	cell[n] = '\0';
	return cell;
}

static const char *cell_of(char *cell, const cJSON *v)
{
	if (!v || cJSON_IsNull(v))
		return "-";
	if (cJSON_IsString(v))
		return clean(cell, v->valuestring[0] ? v->valuestring : "-");
	if (cJSON_IsBool(v))
		return cJSON_IsTrue(v) ? "yes" : "no";
	if (!cJSON_IsNumber(v))
		return "...";
	if (v->valuedouble == floor(v->valuedouble))
		snprintf(cell, CELL_MAX, "%.0f", v->valuedouble);
	else
		snprintf(cell, CELL_MAX, "%.2f", v->valuedouble);
	return cell;
}

/* The keys of all rows, in the order of their first appearance. */
static size_t columns_of(const cJSON *rows, const char **column)
{
	const cJSON *row, *v;
	size_t n = 0;

	cJSON_ArrayForEach(row, rows)
	{
		cJSON_ArrayForEach(v, row)
		{
			size_t i = 0;

			while (i < n && strcmp(column[i], v->string) != 0)
				i++;
			if (i == n && n < COLUMNS_MAX)
				column[n++] = v->string;
		}
	}
	return n;
}

static void print_table(const cJSON *rows)
{
	const char *column[COLUMNS_MAX];
	size_t width[COLUMNS_MAX], n = columns_of(rows, column);
	char cell[CELL_MAX];
	const cJSON *row;

	for (size_t i = 0; i < n; i++) {
		width[i] = strlen(column[i]);
		cJSON_ArrayForEach(row, rows)
		{
			const cJSON *v = cJSON_GetObjectItemCaseSensitive(row, column[i]);

			width[i] = MAX(width[i], strlen(cell_of(cell, v)));
		}
	}
	for (size_t i = 0; i < n; i++)
		printf("%-*s%s", i + 1 < n ? (int)width[i] : 0, column[i], i + 1 < n ? "  " : "\n");
	cJSON_ArrayForEach(row, rows)
	{
		for (size_t i = 0; i < n; i++) {
			const cJSON *v = cJSON_GetObjectItemCaseSensitive(row, column[i]);

			printf("%-*s%s", i + 1 < n ? (int)width[i] : 0, cell_of(cell, v),
				i + 1 < n ? "  " : "\n");
		}
	}
}

static void print_text(const char *text)
{
	for (; *text; text++)
		putchar((unsigned char)*text < ' ' || (unsigned char)*text > '~' ? '?' : *text);
}

static void print_lines(const cJSON *list)
{
	const cJSON *v;

	cJSON_ArrayForEach(v, list)
	{
		if (!cJSON_IsString(v))
			continue;
		print_text(v->valuestring);
		putchar('\n');
	}
}

static void print_members(const cJSON *o, const char *before)
{
	char cell[CELL_MAX];
	const cJSON *v;

	cJSON_ArrayForEach(v, o)
	{
		if (cJSON_IsArray(v) && cJSON_IsObject(v->child)) {
			print_table(v);
		} else if (cJSON_IsArray(v)) {
			print_lines(v);
		} else if (cJSON_IsObject(v)) {
			print_members(v, v->string);
		} else if (strcmp(v->string, "ok") != 0) {
			printf("%s%s%s: ", before, *before ? "." : "", v->string);
			print_text(cJSON_IsString(v) ? v->valuestring : cell_of(cell, v));
			putchar('\n');
		}
	}
}

int ctl_show(const char *what, const char *line, bool raw)
{
	cJSON *reply = cJSON_Parse(line);
	const char *why = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(reply, "error"));
	bool ok = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(reply, "ok"));

	if (!reply) {
		log_error("%s: the answer is not understood: use programs of one release", what);
		return EXIT_NOBODY;
	}
	if (raw)
		puts(line);
	else if (ok)
		print_members(reply, "");
	else
		log_error("%s: %s", what, why ? why : "refused");
	cJSON_Delete(reply);
	return ok ? 0 : EXIT_REFUSED;
}

/* What a running program answers to help; e2e/control_spec holds the two against each other. */
static int show_help(void)
{
	static const char *const rows[][3] = {
		{"help", "", "this list"},
		{"connections", "[tcp|udp|icmp]", "what is open now"},
		{"close", "ID", "end a connection"},
		{"stats", "", "counters since the start"},
		{"rules", "", "rules and handlers, and what they did"},
		{"lua", "LINE", "a line of Lua in the running rules"},
		{"reload", "", "load the scripts again"},
		{"publish", "[ADDR:]HOSTPORT:PORT[/udp]", "let callers in, as -p does"},
		{"unpublish", "SPEC", "let no more in"},
		{"published", "", "where callers come in"},
		{"openmetrics", "", "counters as OpenMetrics text, for Prometheus"},
	};
	cJSON *list = cJSON_CreateArray();

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		cJSON *row = cJSON_CreateObject();

		cJSON_AddStringToObject(row, "command", rows[i][0]);
		cJSON_AddStringToObject(row, "argument", rows[i][1]);
		cJSON_AddStringToObject(row, "help", rows[i][2]);
		cJSON_AddItemToArray(list, row);
	}
	print_table(list);
	cJSON_Delete(list);
	return 0;
}

static int usage(void)
{
	log_error("usage: nsnet-host ctl [--pid PID] [--json] COMMAND [ARGUMENT]; "
		  "the command help lists all");
	return EXIT_USAGE;
}

int ctl_find_by(int argc, char **argv)
{
	static const struct option table[] = {
		{"pid", required_argument, NULL, 'p'},
		{NULL, 0, NULL, 0},
	};
	bool wrong = false;
	long pid = 0;
	char *end;
	int opt;

	optind = 1;
	opterr = 0;
	while ((opt = getopt_long(argc, argv, "+", table, NULL)) != -1) {
		if (opt == 'p')
			pid = strtol(optarg, &end, 10);
		wrong |= opt != 'p' || pid <= 0 || *end;
	}
	if (!wrong && optind == argc)
		return ctl_find(argv[0], pid);
	log_error("usage: nsnet-host %s [--pid PID]", argv[0]);
	return -EXIT_USAGE;
}

int ctl_run(int argc, char **argv)
{
	static const struct option table[] = {
		{"json", no_argument, NULL, 'j'},
		{"pid", required_argument, NULL, 'p'},
		{NULL, 0, NULL, 0},
	};
	bool raw = false;
	long pid = 0;
	char *line, *end;
	int opt, fd, status;

	optind = 1;
	opterr = 0;
	while ((opt = getopt_long(argc, argv, "+", table, NULL)) != -1) {
		if (opt == 'p')
			pid = strtol(optarg, &end, 10);
		if (opt == '?' || (opt == 'p' && (pid <= 0 || *end)))
			return usage();
		raw |= opt == 'j';
	}
	if (argc - optind < 1 || argc - optind > 2)
		return usage();
	if (!raw && !pid && argc - optind == 1 && strcmp(argv[optind], "help") == 0)
		return show_help(); /* nobody needs to run for that */
	fd = ctl_find("ctl", pid);
	if (fd < 0)
		return -fd;
	line = ctl_ask(fd, argv[optind], argv[optind + 1]);
	if (!line)
		log_error("ctl: %s", ctl_why(errno));
	status = line ? ctl_show("ctl", line, raw) : EXIT_NOBODY;
	free(line);
	close(fd);
	return status;
}
