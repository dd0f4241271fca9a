/* SPDX-License-Identifier: MIT */
#include "control.h"

#include <cjson/cJSON.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base.h"
#include "log.h"
#include "peer.h"

/* Names. A socket appears under its name only once somebody listens, since whoever finds one that
 * nobody answers at removes it: it is bound as .PID-N, listened at, and then linked to PID.sock,
 * or PID-N.sock where that is taken (by a process of another pid namespace). */
#define NAMES_MAX 16
#define BOUND_OLD_S 60 /* an unfinished name is somebody's who died after so long */

struct client {
	struct list link;
	struct control *control;
	ev_io io;
	int fd;
	char *out; /* owned: the answer under way, or NULL */
	size_t out_len, out_at;
	size_t len; /* of the request so far */
	char line[CONTROL_LINE_MAX];
};

/* ---- the directory ---- */

static bool exists(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

size_t control_dirs(char dir[CONTROL_DIRS_MAX][PATH_MAX], bool existing)
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");
	size_t n = 0;

	if (runtime && runtime[0] == '/' &&
		snprintf(dir[n], PATH_MAX, "%s/nsnet-host", runtime) < PATH_MAX &&
		(!existing || exists(dir[n])))
		n++;
	snprintf(dir[n], PATH_MAX, "/tmp/nsnet-host-%u", (unsigned)geteuid());
	return n + (!existing || exists(dir[n]));
}

/* A directory that is ours alone, made if there is none. */
static int make_directory(const char *path)
{
	struct stat st;

	if (mkdir(path, 0700) == -1 && errno != EEXIST)
		return -errno;
	if (lstat(path, &st) == -1)
		return -errno;
	if (!S_ISDIR(st.st_mode))
		return -ENOTDIR;
	if (st.st_uid != geteuid() || (st.st_mode & 077))
		return -EPERM;
	return 0;
}

int control_connect(const char *path)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd, err;

	if ((size_t)snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", path) >=
		sizeof(sun.sun_path))
		return -ENAMETOOLONG;
	/* Non-blocking: where the queue is full somebody lives. */
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd == -1)
		return -errno;
	if (connect(fd, (struct sockaddr *)&sun, sizeof(sun)) == 0)
		return fd;
	err = -errno;
	close(fd);
	return err;
}

static bool is_dead(const char *path)
{
	int fd = control_connect(path);

	if (fd >= 0)
		close(fd);
	return fd == -ECONNREFUSED;
}

/* Takes away what processes that were killed have left. */
static void sweep(const char *dir)
{
	DIR *d = opendir(dir);
	char path[2 * PATH_MAX];
	struct dirent *e;
	struct stat st;

	while (d && (e = readdir(d))) {
		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		if (lstat(path, &st) == -1 || !S_ISSOCK(st.st_mode))
			continue;
		if (e->d_name[0] == '.' && time(NULL) - st.st_ctime < BOUND_OLD_S)
			continue;
		if (is_dead(path))
			unlink(path);
	}
	if (d)
		closedir(d);
}

static int bind_at(int fd, const char *path)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};

	if ((size_t)snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", path) >=
		sizeof(sun.sun_path))
		return -ENAMETOOLONG;
	return bind(fd, (struct sockaddr *)&sun, sizeof(sun)) == -1 ? -errno : 0;
}

/* Gives the listening socket that is bound at @bound its name. */
static int publish_name(struct control *c, const char *dir, const char *bound)
{
	for (int i = 0; i < NAMES_MAX; i++) {
		char suffix[16] = "";

		if (i)
			snprintf(suffix, sizeof(suffix), "-%d", i);
		if (snprintf(c->path, sizeof(c->path), "%s/%d%s.sock", dir, (int)getpid(),
			    suffix) >= (int)sizeof(c->path))
			return -ENAMETOOLONG;
		if (link(bound, c->path) == 0)
			return 0;
		if (errno != EEXIST)
			return -errno;
	}
	return -EEXIST;
}

static int listen_in(struct control *c, const char *dir)
{
	char bound[PATH_MAX];
	struct stat st;
	int rc = make_directory(dir);

	if (rc < 0)
		return rc;
	sweep(dir);
	/* Before bind(2), on Linux: the mode of the file it makes, from its first moment. */
	if (fchmod(c->fd, 0600) == -1 || fstat(c->fd, &st) == -1)
		return -errno;
	if (snprintf(bound, sizeof(bound), "%s/.%d-%lu", dir, (int)getpid(),
		    (unsigned long)st.st_ino) >= (int)sizeof(bound))
		return -ENAMETOOLONG;
	rc = bind_at(c->fd, bound);
	if (rc < 0)
		return rc;
	if (listen(c->fd, CONTROL_CLIENTS_MAX) == -1)
		rc = -errno;
	else
		rc = publish_name(c, dir, bound);
	unlink(bound);
	return rc;
}

/* ---- clients ---- */

static void client_free(struct client *cl)
{
	ev_io_stop(cl->control->loop, &cl->io);
	list_del(&cl->link);
	cl->control->count--;
	close(cl->fd);
	free(cl->out);
	free(cl);
}

static void client_watch(struct client *cl, int events)
{
	ev_io_stop(cl->control->loop, &cl->io);
	ev_io_set(&cl->io, cl->fd, events);
	ev_io_start(cl->control->loop, &cl->io);
}

static const char *text_of(const cJSON *object, const char *name)
{
	return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));
}

static int run_command(struct control *c, const cJSON *request, cJSON *reply)
{
	const char *name = text_of(request, "command");
	const cJSON *argument = cJSON_GetObjectItemCaseSensitive(request, "argument");

	if (!name) {
		cJSON_AddStringToObject(reply, "error", "ask by one line: {\"command\": \"help\"}");
		return -EINVAL;
	}
	if (argument && !cJSON_IsString(argument) && !cJSON_IsNull(argument)) {
		cJSON_AddStringToObject(reply, "error", "an argument is a string");
		return -EINVAL;
	}
	for (size_t i = 0; i < c->command_count; i++) {
		const struct control_command *k = &c->commands[i];

		if (strcmp(k->name, name) == 0)
			return k->fn(k->arg, cJSON_GetStringValue(argument), reply);
	}
	cJSON_AddStringToObject(reply, "error", "no such command; ask for help");
	return -ENOSYS;
}

/* The answer to the request in @line, ended by a newline; malloc'd. NULL: no memory. */
static char *answer(struct control *c, const char *line, size_t len)
{
	cJSON *request = cJSON_ParseWithLength(line, len), *reply = cJSON_CreateObject();
	char *text = NULL, *grown;
	int rc;

	if (!reply)
		goto out;
	cJSON_AddTrueToObject(reply, "ok");
	rc = run_command(c, request, reply);
	if (rc < 0) {
		cJSON_ReplaceItemInObjectCaseSensitive(reply, "ok", cJSON_CreateFalse());
		if (!text_of(reply, "error"))
			cJSON_AddStringToObject(reply, "error", strerror(-rc));
	}
	text = cJSON_PrintUnformatted(reply);
	if (text) {
		size_t n = strlen(text);

		grown = realloc(text, n + 2);
		if (!grown) {
			free(text);
			text = NULL;
			goto out;
		}
		text = grown;
		memcpy(text + n, "\n", 2);
	}
out:
	cJSON_Delete(request);
	cJSON_Delete(reply);
	return text;
}

/* Answers what was asked for, one request after the other. False: the client is gone. */
static bool client_serve(struct client *cl)
{
	char *end;

	while (!cl->out && (end = memchr(cl->line, '\n', cl->len))) {
		size_t n = (size_t)(end - cl->line) + 1;

		cl->out = answer(cl->control, cl->line, n - 1);
		if (!cl->out) {
			client_free(cl);
			return false;
		}
		cl->out_len = strlen(cl->out);
		cl->out_at = 0;
		memmove(cl->line, end + 1, cl->len - n);
		cl->len -= n;
	}
	if (cl->out) {
		client_watch(cl, EV_WRITE);
	} else if (cl->len == sizeof(cl->line)) { /* never ends: no request of ours */
		client_free(cl);
		return false;
	}
	return true;
}

static void client_write(struct client *cl)
{
	ssize_t n = send(cl->fd, cl->out + cl->out_at, cl->out_len - cl->out_at, MSG_NOSIGNAL);

	if (n == -1) {
		if (errno != EAGAIN && errno != EINTR)
			client_free(cl);
		return;
	}
	cl->out_at += (size_t)n;
	if (cl->out_at < cl->out_len)
		return;
	free(cl->out);
	cl->out = NULL;
	client_watch(cl, EV_READ);
	client_serve(cl); /* last: @cl may be gone */
}

static void client_on_ready(struct ev_loop *loop, ev_io *w, int revents)
{
	struct client *cl = container_of(w, struct client, io);
	ssize_t n;

	UNUSED(loop);
	if (revents & EV_WRITE) {
		client_write(cl); /* last: @cl may be gone */
		return;
	}
	n = recv(cl->fd, cl->line + cl->len, sizeof(cl->line) - cl->len, 0);
	if (n > 0) {
		cl->len += (size_t)n;
		client_serve(cl); /* last: @cl may be gone */
	} else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
		client_free(cl);
	}
}

/* So little always fits into a new socket. */
static void send_away(int fd, const char *why)
{
	char line[128];
	int n = snprintf(line, sizeof(line), "{\"ok\":false,\"error\":\"%s\"}\n", why);

	if (send(fd, line, (size_t)n, MSG_NOSIGNAL) == -1)
		log_debug("a control client has gone: %s", strerror(errno));
	close(fd);
}

static void control_on_client(struct ev_loop *loop, ev_io *w, int revents)
{
	static struct log_limit limit = {.burst = 1};
	struct control *c = container_of(w, struct control, io);
	int fd = accept4(c->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	unsigned long missed;
	struct client *cl;
	pid_t pid = 0;

	UNUSED(revents);
	if (fd == -1)
		return;
	if (!peer_welcome(fd, &pid)) {
		if (log_limit_pass(&limit, &missed))
			log_warn("control: refused process %d: it is in another user namespace, or "
				 "cannot be looked at",
				(int)pid);
		send_away(fd, "not from inside a namespace");
		return;
	}
	cl = c->count < CONTROL_CLIENTS_MAX ? calloc(1, sizeof(*cl)) : NULL;
	if (!cl) {
		send_away(fd, "too many ask at a time");
		return;
	}
	cl->control = c;
	cl->fd = fd;
	list_add_tail(&c->clients, &cl->link);
	c->count++;
	ev_io_init(&cl->io, client_on_ready, fd, EV_READ);
	ev_io_start(loop, &cl->io);
}

/* ---- the whole ---- */

static int help(void *arg, const char *argument, cJSON *reply)
{
	struct control *c = arg;
	cJSON *list = cJSON_AddArrayToObject(reply, "commands");

	UNUSED(argument);
	for (size_t i = 0; i < c->command_count; i++) {
		const struct control_command *k = &c->commands[i];
		cJSON *one = cJSON_CreateObject();

		cJSON_AddStringToObject(one, "command", k->name);
		cJSON_AddStringToObject(one, "argument", k->usage);
		cJSON_AddStringToObject(one, "help", k->help);
		cJSON_AddItemToArray(list, one);
	}
	return 0;
}

int control_open(struct control *c, struct ev_loop *loop)
{
	char dir[CONTROL_DIRS_MAX][PATH_MAX];
	size_t n = control_dirs(dir, false);
	int rc = -ENOENT;

	memset(c, 0, sizeof(*c));
	c->loop = loop;
	c->fd = -1;
	list_init(&c->clients);
	control_add(c, &(struct control_command){"help", "", "this list", help, c});
	for (size_t i = 0; i < n && rc < 0; i++) {
		c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		if (c->fd == -1)
			return -errno;
		rc = listen_in(c, dir[i]);
		if (rc < 0) {
			log_info("no control socket in %s: %s", dir[i], strerror(-rc));
			close(c->fd);
			c->fd = -1;
		}
	}
	if (rc < 0)
		return rc;
	ev_io_init(&c->io, control_on_client, c->fd, EV_READ);
	ev_io_start(loop, &c->io);
	return 0;
}

void control_close(struct control *c)
{
	struct list *e, *tmp;

	if (!c->loop || c->fd < 0)
		return;
	list_foreach (e, tmp, &c->clients)
		client_free(container_of(e, struct client, link));
	ev_io_stop(c->loop, &c->io);
	unlink(c->path);
	close(c->fd);
	c->fd = -1;
}

void control_add(struct control *c, const struct control_command *command)
{
	if (c->command_count < CONTROL_COMMANDS_MAX)
		c->commands[c->command_count++] = *command;
}
