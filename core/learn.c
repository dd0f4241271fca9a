/* SPDX-License-Identifier: MIT */
#include "learn.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base.h"
#include "dname.h"
#include "dnsquery.h"

#define LEARN_MARK "-- Learned by nsnet-host"
#define LEARN_WIDTH 96

/* One thing that was allowed. Rows are told apart by all of it. */
struct learn_row {
	struct learn_row *next; /* in its bucket */
	const char *network;    /* static; "dns" for a question */
	bool inbound;
	bool named;            /* @where is a name and no address */
	uint16_t port;         /* 0: none */
	char where[DNAME_MAX]; /* a normal name, or an address */
	char who[];            /* a process's name or executable; "": unknown */
};

/* ---- what was seen ---- */

static unsigned hash(const char *text, unsigned h)
{
	for (; *text; text++)
		h = h * 33 ^ (unsigned char)*text;
	return h;
}

static bool same(const struct learn_row *r, const struct learn_row *like, const char *who)
{
	return r->network == like->network && r->inbound == like->inbound &&
		r->named == like->named && r->port == like->port &&
		strcmp(r->where, like->where) == 0 && strcmp(r->who, who) == 0;
}

static void note(struct learn *l, const struct learn_row *like, const char *who)
{
	const unsigned h = hash(who, hash(like->where, 5381 + like->port));
	struct learn_row **slot = &l->bucket[h % LEARN_BUCKETS], *r;

	for (r = *slot; r; r = r->next)
		if (same(r, like, who))
			return;
	r = l->count < LEARN_ROWS ? malloc(sizeof(*r) + strlen(who) + 1) : NULL;
	if (!r) {
		l->left_out++;
		return;
	}
	*r = *like;
	strcpy(r->who, who);
	r->next = *slot;
	*slot = r;
	l->count++;
}

static bool allowed(const struct decision *d)
{
	return !d->would && d->verdict != VERDICT_NONE && d->verdict != VERDICT_PENDING &&
		d->verdict != VERDICT_DENY && d->verdict != VERDICT_DROP;
}

/* What process= can say of @p: a name with a slash in it would be read as an executable. */
static const char *who_of(const struct process *p)
{
	if (!p)
		return "";
	if (!strchr(p->name, '/'))
		return p->name;
	return p->exe ? p->exe : "";
}

static void on_ended(struct observer *o, const struct flow *f)
{
	struct learn *l = container_of(o, struct learn, observer);
	struct learn_row r = {.network = f->ops->network, .inbound = f->inbound};
	char text[ADDR_TEXT_MAX];

	if (!allowed(&f->decision) || (f->inbound && f->named)) /* -p says it already */
		return;
	l->flows++;
	if (f->key.proto != IPPROTO_ICMP)
		r.port = f->inbound ? f->key.src.port : f->key.dst.port;
	if (f->host && !f->inbound)
		r.named = dname_normalise(r.where, f->host, strlen(f->host)) > 0;
	if (!r.named)
		snprintf(r.where, sizeof(r.where), "%s", addr_format(&f->key.dst, false, text));
	note(l, &r, who_of(f->process));
}

static void on_question(struct observer *o, const struct dnsquery *q, const uint8_t *msg,
	size_t len)
{
	struct learn *l = container_of(o, struct learn, observer);
	struct learn_row r = {.network = "dns", .named = true};

	UNUSED(msg);
	UNUSED(len);
	if (!allowed(&q->decision))
		return;
	if (dname_normalise(r.where, q->name, strlen(q->name)) > 0)
		note(l, &r, "");
	else
		l->left_out++;
}

/* ---- the rules ---- */

/* The part of a name that is somebody's: two labels, or three below the likes of co.uk. Only puts
 * rules in order; what they allow does not depend on it. */
static const char *owner_of(const char *name)
{
	const char *dot[3] = {NULL}; /* the last three, nearest to the end first */

	for (const char *p = name + strlen(name); p > name && !dot[2]; p--)
		if (p[-1] == '.')
			dot[dot[0] ? dot[1] ? 2 : 1 : 0] = p - 1;
	if (!dot[1])
		return name;
	if (strlen(dot[0] + 1) == 2 && dot[0] - dot[1] <= 4)
		return dot[2] ? dot[2] + 1 : name;
	return dot[1] + 1;
}

static int compare(const void *a, const void *b)
{
	const struct learn_row *x = *(struct learn_row *const *)a;
	const struct learn_row *y = *(struct learn_row *const *)b;
	int d = strcmp(x->who, y->who);

	d = d ? d : (int)x->inbound - (int)y->inbound;
	d = d ? d : strcmp(x->network, y->network);
	d = d ? d : (int)y->named - (int)x->named;
	d = d || !x->named ? d : strcmp(owner_of(x->where), owner_of(y->where));
	d = d ? d : (int)x->port - (int)y->port;
	return d ? d : strcmp(x->where, y->where);
}

/* May @y stand in the list of @x's rule? */
static bool together(const struct learn_row *x, const struct learn_row *y)
{
	return strcmp(x->who, y->who) == 0 && x->inbound == y->inbound &&
		x->network == y->network && x->named == y->named && x->port == y->port &&
		(!x->named || strcmp(owner_of(x->where), owner_of(y->where)) == 0);
}

/* A Lua string of any bytes. */
static size_t quote(FILE *to, const char *text)
{
	size_t n = 2;

	fputc('"', to);
	for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
		if (*p < ' ' || *p > '~' || *p == '"' || *p == '\\')
			n += (size_t)fprintf(to, "\\%03u", *p);
		else
			n += fputc(*p, to) != EOF;
	}
	fputc('"', to);
	return n;
}

static void write_list(FILE *to, struct learn_row **row, size_t n)
{
	size_t column = 60; /* more or less: where such a list begins */

	if (n > 1)
		fputs("{ ", to);
	for (size_t i = 0; i < n; i++) {
		if (i && column + strlen(row[i]->where) > LEARN_WIDTH) {
			fputs("\n    ", to);
			column = 4;
		}
		column += quote(to, row[i]->where) + 2;
		if (i + 1 < n)
			fputs(", ", to);
	}
	if (n > 1)
		fputs(" }", to);
}

static void write_rule(FILE *to, struct learn_row **row, size_t n)
{
	const struct learn_row *r = row[0];

	fputs("  { ", to);
	if (*r->who) {
		fputs("process = ", to);
		quote(to, r->who);
		fputs(", ", to);
	}
	if (r->inbound)
		fputs("inbound = true, ", to);
	fprintf(to, "network = \"%s\", ", r->network);
	if (r->port)
		fprintf(to, "port = %u, ", r->port);
	fprintf(to, "%s = ", r->named ? "domain" : "cidr");
	write_list(to, row, n);
	fputs(", nsnet.allow },\n", to);
}

static void write_words(FILE *to, char *const *argv)
{
	for (; argv && *argv; argv++) {
		fputc(' ', to);
		for (const unsigned char *p = (const unsigned char *)*argv; *p; p++)
			fputc(*p < ' ' || *p > '~' ? '?' : *p, to);
	}
}

/* Was a name that was asked for dialed, too? Then its rule opens the question. */
static bool is_dialed(struct learn_row **row, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (row[i]->named && strcmp(row[i]->network, "dns") != 0 &&
			strcmp(row[i]->where, name) == 0)
			return true;
	return false;
}

/* All rows in order, without the questions that need no rule; their number. */
static size_t collect(const struct learn *l, struct learn_row **row)
{
	size_t n = 0, kept = 0;

	for (size_t i = 0; i < LEARN_BUCKETS; i++)
		for (struct learn_row *r = l->bucket[i]; r; r = r->next)
			row[n++] = r;
	qsort(row, n, sizeof(struct learn_row *), compare);
	for (size_t i = 0; i < n; i++)
		if (strcmp(row[i]->network, "dns") != 0 || !is_dialed(row, n, row[i]->where))
			row[kept++] = row[i];
	return kept;
}

static void write_rules(FILE *to, struct learn_row **row, size_t n)
{
	for (size_t i = 0, many; i < n; i += many) {
		if (i == 0 || strcmp(row[i]->who, row[i - 1]->who) != 0) {
			fputs(i ? "\n  -- " : "  -- ", to);
			if (*row[i]->who)
				quote(to, row[i]->who);
			else
				fputs("processes that are not known, and questions for names", to);
			fputc('\n', to);
		}
		for (many = 1; i + many < n && together(row[i], row[i + many]);)
			many++;
		write_rule(to, row + i, many);
	}
}

void learn_write(const struct learn *l, FILE *to)
{
	struct learn_row **row = malloc((l->count + 1) * sizeof(struct learn_row *));
	size_t n = row ? collect(l, row) : 0;

	fprintf(to, LEARN_MARK " --learn, from %llu connections of:", (unsigned long long)l->flows);
	write_words(to, l->argv);
	fputs("\n-- What was allowed there is allowed here, and nothing else. Read it before you "
	      "use it.\n",
		to);
	if (l->left_out)
		fprintf(to,
			"-- %llu more are not here: too many different ones, or no names of "
			"hosts.\n",
			(unsigned long long)l->left_out);
	fputs("\nnsnet.default(nsnet.deny)\n\nnsnet.rules {\n", to);
	write_rules(to, row, n);
	fputs("}\n", to);
	free(row);
}

/* ---- the file ---- */

/* May @path be replaced? Nobody's work is to be lost. */
static int check(const char *path)
{
	char head[sizeof(LEARN_MARK)] = "", dir[PATH_MAX];
	const char *slash = strrchr(path, '/');
	FILE *f = fopen(path, "re");
	size_t n;

	if (f) {
		n = fread(head, 1, sizeof(head) - 1, f);
		fclose(f);
		if (n && strcmp(head, LEARN_MARK) != 0)
			return -EEXIST;
	} else if (errno != ENOENT) {
		return -errno;
	}
	if (strlen(path) + sizeof(".new") > sizeof(dir))
		return -ENAMETOOLONG;
	snprintf(dir, sizeof(dir), "%.*s", slash ? (int)(slash - path) + 1 : 1, slash ? path : ".");
	return access(dir, W_OK | X_OK) == -1 ? -errno : 0;
}

int learn_start(struct learn *l, struct policy *policy, struct cage *cage, const char *path,
	char *const *argv)
{
	int rc = check(path);

	memset(l, 0, sizeof(*l));
	if (rc == 0)
		rc = cage_allow(cage, LANDLOCK_WRITE, path);
	if (rc == 0) /* renaming takes the old name away */
		rc = cage_allow(cage, LANDLOCK_REMOVE, path);
	if (rc < 0)
		return rc;
	l->policy = policy;
	l->path = path;
	l->argv = argv;
	l->observer = (struct observer){.ended = on_ended, .question = on_question};
	observe_add(&policy->observers, &l->observer);
	return 0;
}

/* Beside its place first: a full disk leaves what was there before. */
static int put_file(const struct learn *l)
{
	char path[PATH_MAX];
	FILE *f;
	int fd, rc = 0;

	snprintf(path, sizeof(path), "%s.new", l->path);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd == -1)
		return -errno;
	f = fdopen(fd, "w");
	if (!f) {
		rc = -errno;
		close(fd);
		return rc;
	}
	learn_write(l, f);
	if (ferror(f))
		rc = -EIO;
	if (fclose(f) == EOF)
		rc = -errno;
	if (rc == 0 && rename(path, l->path) == -1)
		rc = -errno;
	if (rc < 0)
		unlink(path);
	return rc;
}

int learn_finish(struct learn *l, FILE *instead)
{
	int rc;

	if (!l->policy)
		return 0;
	observe_remove(&l->policy->observers, &l->observer);
	rc = put_file(l);
	if (rc < 0)
		learn_write(l, instead);
	for (size_t i = 0; i < LEARN_BUCKETS; i++) {
		while (l->bucket[i]) {
			struct learn_row *r = l->bucket[i];

			l->bucket[i] = r->next;
			free(r);
		}
	}
	memset(l, 0, sizeof(*l));
	return rc;
}
