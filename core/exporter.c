/* SPDX-License-Identifier: MIT */
#include "exporter.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base.h"
#include "control.h"
#include "log.h"
#include "peer.h"

struct client {
	struct list link;
	struct exporter *exporter;
	ev_io io;
	ev_timer patience;
	int fd;
	char *out; /* owned: the answer, or NULL */
	size_t out_len, out_at;
	size_t len; /* of the request so far */
	char head[EXPORTER_HEAD_MAX + 1];
};

static void client_free(struct client *cl)
{
	struct exporter *e = cl->exporter;

	ev_io_stop(e->loop, &cl->io);
	ev_timer_stop(e->loop, &cl->patience);
	list_del(&cl->link);
	e->count--;
	close(cl->fd);
	free(cl->out);
	free(cl);
}

/* ---- what is answered ---- */

struct answer {
	const char *status; /* "200 OK" */
	const char *more;   /* header lines, or "" */
	const char *type;
	const char *text; /* @len bytes */
	size_t len;
};

/* Sets cl->out. False: no memory. */
static bool compose(struct client *cl, const struct answer *a, bool bare)
{
	FILE *to = open_memstream(&cl->out, &cl->out_len);

	if (!to)
		return false;
	fprintf(to,
		"HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n%sConnection: close\r\n"
		"\r\n",
		a->status, a->type, a->len, a->more);
	if (!bare)
		fwrite(a->text, 1, a->len, to);
	return fclose(to) != EOF;
}

static bool complain(struct client *cl, const char *status, const char *more, bool bare)
{
	char text[64];
	int n = snprintf(text, sizeof(text), "%s\n", status);

	return compose(cl, &(struct answer){status, more, "text/plain", text, (size_t)n}, bare);
}

static bool expose(struct client *cl, bool bare)
{
	const struct exporter *e = cl->exporter;
	size_t len;
	char *text = e->text(e->arg, &len);
	bool ok;

	if (!text)
		return false;
	ok = compose(cl, &(struct answer){"200 OK", "", e->type, text, len}, bare);
	free(text);
	return ok;
}

/* The end of the request's head in the @len bytes at @head, which zero ends; NULL: there is more to
 * come. A line may end without CR (RFC 9112, 2.2). */
static const char *head_end(const char *head)
{
	const char *crlf = strstr(head, "\r\n\r\n"), *lf = strstr(head, "\n\n");

	return crlf && (!lf || crlf < lf) ? crlf : lf;
}

/* Answers the request, whose head is whole. */
static bool respond(struct client *cl)
{
	char *line = cl->head, *method, *target, *version;
	bool bare;

	line[strcspn(line, "\r\n")] = '\0';
	method = strsep(&line, " ");
	target = strsep(&line, " ");
	version = line;
	if (!target || !version || strncmp(version, "HTTP/1.", 7) != 0)
		return complain(cl, "400 Bad Request", "", false);
	bare = strcmp(method, "HEAD") == 0;
	if (!bare && strcmp(method, "GET") != 0)
		return complain(cl, "405 Method Not Allowed", "Allow: GET, HEAD\r\n", false);
	if (strncasecmp(target, "http://", 7) == 0) /* absolute form */
		target = target + 7 + strcspn(target + 7, "/");
	target[strcspn(target, "?#")] = '\0';
	if (strcmp(target, "/metrics") != 0)
		return complain(cl, "404 Not Found", "", bare);
	return expose(cl, bare);
}

/* ---- clients ---- */

static void client_write(struct client *cl)
{
	ssize_t n = send(cl->fd, cl->out + cl->out_at, cl->out_len - cl->out_at, MSG_NOSIGNAL);

	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n >= 0)
		cl->out_at += (size_t)n;
	if (n == -1 || cl->out_at == cl->out_len)
		client_free(cl);
}

static void client_read(struct client *cl)
{
	ssize_t n = recv(cl->fd, cl->head + cl->len, EXPORTER_HEAD_MAX - cl->len, 0);
	bool ok = true;

	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		client_free(cl);
		return;
	}
	cl->len += (size_t)n;
	cl->head[cl->len] = '\0';
	if (memchr(cl->head, '\0', cl->len))
		ok = complain(cl, "400 Bad Request", "", false);
	else if (head_end(cl->head))
		ok = respond(cl);
	else if (cl->len == EXPORTER_HEAD_MAX)
		ok = complain(cl, "431 Request Header Fields Too Large", "", false);
	else
		return;
	if (!ok) {
		client_free(cl);
		return;
	}
	ev_io_stop(cl->exporter->loop, &cl->io);
	ev_io_set(&cl->io, cl->fd, EV_WRITE);
	ev_io_start(cl->exporter->loop, &cl->io);
}

static void client_on_ready(struct ev_loop *loop, ev_io *w, int revents)
{
	struct client *cl = container_of(w, struct client, io);

	UNUSED(loop);
	UNUSED(revents);
	if (cl->out)
		client_write(cl); /* last: @cl may be gone */
	else
		client_read(cl); /* the same */
}

static void client_on_patience(struct ev_loop *loop, ev_timer *w, int revents)
{
	UNUSED(loop);
	UNUSED(revents);
	client_free(container_of(w, struct client, patience));
}

static bool is_stranger(int fd)
{
	static struct log_limit limit = {.burst = 1};
	unsigned long missed;
	pid_t pid = 0;

	if (peer_welcome(fd, &pid))
		return false;
	if (log_limit_pass(&limit, &missed))
		log_warn("--metrics: refused process %d: it is in another namespace, or cannot be "
			 "looked at",
			(int)pid);
	return true;
}

static void exporter_on_client(struct ev_loop *loop, ev_io *w, int revents)
{
	struct exporter *e = container_of(w, struct exporter, io);
	int fd = accept4(e->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct client *cl;

	UNUSED(revents);
	if (fd == -1)
		return;
	cl = is_stranger(fd) ? NULL : calloc(1, sizeof(*cl));
	if (!cl) {
		close(fd);
		return;
	}
	cl->exporter = e;
	cl->fd = fd;
	if (e->count == EXPORTER_CLIENTS_MAX)
		client_free(container_of(e->clients.next, struct client, link));
	list_add_tail(&e->clients, &cl->link);
	e->count++;
	ev_io_init(&cl->io, client_on_ready, fd, EV_READ);
	ev_io_start(loop, &cl->io);
	ev_timer_init(&cl->patience, client_on_patience, EXPORTER_PATIENCE_S, 0);
	ev_timer_start(loop, &cl->patience);
}

/* ---- the whole ---- */

static bool is_left_over(const char *path)
{
	struct stat st;
	int fd;

	if (lstat(path, &st) == -1 || !S_ISSOCK(st.st_mode))
		return false;
	fd = control_connect(path);
	if (fd >= 0)
		close(fd);
	return fd == -ECONNREFUSED;
}

static int listen_at(int fd, const char *path)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	const mode_t before = umask(0177); /* from its first moment it is its user's alone */
	int rc;

	if ((size_t)snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", path) >=
		sizeof(sun.sun_path)) {
		umask(before);
		return -ENAMETOOLONG;
	}
	if (is_left_over(path))
		unlink(path);
	rc = bind(fd, (struct sockaddr *)&sun, sizeof(sun)) == -1 ? -errno : 0;
	umask(before);
	if (rc == 0 && listen(fd, SOMAXCONN) == -1) {
		rc = -errno;
		unlink(path);
	}
	return rc;
}

int exporter_open(struct exporter *e, struct ev_loop *loop, const char *path, const char *type,
	exporter_text_fn *text, void *arg)
{
	int rc;

	e->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (e->fd == -1)
		return -errno;
	rc = listen_at(e->fd, path);
	if (rc == 0 && !realpath(path, e->path)) {
		rc = -errno;
		unlink(path);
	}
	if (rc < 0) {
		close(e->fd);
		return rc;
	}
	e->loop = loop;
	e->type = type;
	e->text = text;
	e->arg = arg;
	list_init(&e->clients);
	ev_io_init(&e->io, exporter_on_client, e->fd, EV_READ);
	ev_io_start(loop, &e->io);
	return 0;
}

void exporter_close(struct exporter *e)
{
	struct list *at, *tmp;

	if (!e->loop)
		return;
	list_foreach (at, tmp, &e->clients)
		client_free(container_of(at, struct client, link));
	ev_io_stop(e->loop, &e->io);
	unlink(e->path);
	close(e->fd);
	e->loop = NULL;
}
