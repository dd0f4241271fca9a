/* SPDX-License-Identifier: MIT */
#include "hosts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base.h"
#include "dname.h"
#include "dnsmake.h"
#include "dnsptr.h"

#define YOUNG_S 2 /* a coarse clock of the file system cannot tell changes apart within it */

struct hosts_entry {
	struct addr ip;
	const char *name;
	uint32_t next_name, next_addr; /* index + 1 of the next with this hash, 0 = none */
};

static uint32_t hash_bytes(const void *bytes, size_t len)
{
	const uint8_t *p = bytes;
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < len; i++)
		h = (h ^ p[i]) * 16777619u;
	return h;
}

static void forget(struct hosts *h)
{
	free(h->text);
	free(h->entry);
	free(h->by_name);
	free(h->by_addr);
	h->text = NULL;
	h->entry = NULL;
	h->by_name = h->by_addr = NULL;
	h->len = h->cap = 0;
}

/* The whole of the file, ended by a NUL, or NULL and *@err: -ENOENT if there is none. */
static char *file_read(const char *path, struct stat *st, int *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	char *text = NULL;
	size_t len = 0, size;
	ssize_t n = -1;

	if (fd == -1 || fstat(fd, st) == -1) {
		*err = -errno;
	} else if (!S_ISREG(st->st_mode) || st->st_size > HOSTS_FILE_MAX) {
		*err = -EFBIG;
	} else {
		size = (size_t)st->st_size + 1;
		text = malloc(size);
		while (text && len < size - 1 && (n = read(fd, text + len, size - 1 - len)) > 0)
			len += (size_t)n;
		*err = text ? 0 : -ENOMEM;
		if (text)
			text[len] = '\0';
	}
	if (fd != -1)
		close(fd);
	return text;
}

static int add(struct hosts *h, const struct addr *ip, const char *name)
{
	if (h->len == h->cap) {
		size_t cap = h->cap ? 2 * h->cap : 64;
		struct hosts_entry *e = realloc(h->entry, cap * sizeof(*e));
		if (!e)
			return -ENOMEM;
		h->entry = e;
		h->cap = cap;
	}
	h->entry[h->len++] = (struct hosts_entry){.ip = *ip, .name = name};
	return 0;
}

/* One line: an address and names; the names' normal forms take their places. */
static int parse_line(struct hosts *h, char *line)
{
	static const char blanks[] = " \t\r";
	char name[DNAME_MAX];
	struct addr ip;

	line[strcspn(line, "#")] = '\0';
	char *word = strtok_r(line, blanks, &line);
	if (!word || addr_parse(&ip, word) < 0 || ip.port)
		return 0;
	while ((word = strtok_r(NULL, blanks, &line))) {
		int len = dname_normalise(name, word, strlen(word));
		if (len < 0)
			continue;
		memcpy(word, name, (size_t)len + 1); /* never longer than what it was */
		int err = add(h, &ip, word);
		if (err < 0)
			return err;
	}
	return 0;
}

static int make_tables(struct hosts *h)
{
	uint32_t size = 64;

	while (size < h->len)
		size *= 2;
	h->mask = size - 1;
	h->by_name = calloc(size, sizeof(uint32_t));
	h->by_addr = calloc(size, sizeof(uint32_t));
	if (!h->by_name || !h->by_addr)
		return -ENOMEM;
	for (size_t i = h->len; i-- > 0;) { /* backwards: chains are in the file's order */
		struct hosts_entry *e = &h->entry[i];
		uint32_t *name = &h->by_name[hash_bytes(e->name, strlen(e->name)) & h->mask];
		uint32_t *addr = &h->by_addr[hash_bytes(e->ip.ip, sizeof(e->ip.ip)) & h->mask];
		e->next_name = *name;
		e->next_addr = *addr;
		*name = *addr = (uint32_t)i + 1;
	}
	return 0;
}

/* Takes the text, which is owned from then on. */
static int parse(struct hosts *h, char *text)
{
	char *rest = text;
	int err = 0;

	h->text = text;
	for (char *line = strsep(&rest, "\n"); line && !err; line = strsep(&rest, "\n"))
		err = parse_line(h, line);
	return err ? err : make_tables(h);
}

static bool is_young(const struct stat *st)
{
	return st->st_ino && time(NULL) - st->st_mtim.tv_sec <= YOUNG_S;
}

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_dev == b->st_dev && a->st_size == b->st_size &&
		!memcmp(&a->st_mtim, &b->st_mtim, sizeof(a->st_mtim)) &&
		!memcmp(&a->st_ctim, &b->st_ctim, sizeof(a->st_ctim));
}

static int load(struct hosts *h)
{
	struct hosts new = {.path = h->path, .checked = h->checked};
	int err = 0;
	char *text = file_read(h->path, &new.seen, &err);

	if (err == -EMFILE || err == -ENFILE || err == -ENOMEM)
		return err;
	if (text) {
		err = parse(&new, text);
		new.racy = is_young(&new.seen);
	} else {
		err = 0;
		memset(&new.seen, 0, sizeof(new.seen));
	}
	if (err < 0) {
		forget(&new);
		return err;
	}
	forget(h);
	*h = new;
	return 0;
}

int hosts_init(struct hosts *h, const char *path)
{
	memset(h, 0, sizeof(*h));
	h->path = strdup(path);
	if (!h->path)
		return -ENOMEM;
	int err = load(h);
	if (err == -ENOMEM) {
		hosts_fini(h);
		return err;
	}
	return 0;
}

void hosts_fini(struct hosts *h)
{
	forget(h);
	free(h->path);
	h->path = NULL;
}

void hosts_check(struct hosts *h, double now)
{
	struct stat st;

	if (now >= h->checked && now < h->checked + HOSTS_CHECK_S)
		return;
	h->checked = now;
	if (stat(h->path, &st) == -1)
		memset(&st, 0, sizeof(st));
	if (h->racy || !same_file(&st, &h->seen))
		(void)load(h);
}

int hosts_each(const struct hosts *h, const struct addr *ip, int (*fn)(void *arg, const char *name),
	void *arg)
{
	int rc = 0;

	if (!h->by_addr)
		return 0;
	uint32_t i = h->by_addr[hash_bytes(ip->ip, sizeof(ip->ip)) & h->mask];
	for (; i && rc == 0; i = h->entry[i - 1].next_addr) {
		if (addr_equal_ip(&h->entry[i - 1].ip, ip))
			rc = fn(arg, h->entry[i - 1].name);
	}
	return rc;
}

struct naming {
	struct dnsmake *k;
	const struct dnsmsg *q;
	bool found;
};

static int add_name(void *arg, const char *name)
{
	struct naming *n = arg;
	uint8_t wire[DNSMSG_WIRE_MAX];

	if (dnsmsg_wire(name, wire) > 0) {
		dnsmake_ptr(n->k, n->q->name, HOSTS_TTL_S, wire);
		n->found = true;
	}
	return 0;
}

/* libc gives one name as the host's own and the others as its aliases; here all are equal. */
static size_t answer_names(const struct hosts *h, uint8_t *out, size_t size, const struct dnsmsg *q)
{
	struct dnsmake k;
	struct naming n = {.k = &k, .q = q};
	struct addr ip;

	if (!dnsptr_read(q->name, &ip))
		return 0;
	dnsmake_begin(&k, out, size, q, DNSMSG_RCODE_NOERROR);
	hosts_each(h, &ip, add_name, &n);
	return n.found ? dnsmake_end(&k, q) : 0;
}

size_t hosts_answer(const struct hosts *h, uint8_t *out, size_t size, const struct dnsmsg *q)
{
	char text[DNSMSG_TEXT_MAX], name[DNAME_MAX];
	const uint8_t v = q->type == DNSMSG_TYPE_A ? 4 : 6;
	struct dnsmake k;
	bool found = false;

	if (!h->by_name || q->class != 1)
		return 0;
	if (q->type == DNSMSG_TYPE_PTR)
		return answer_names(h, out, size, q);
	if (q->type != DNSMSG_TYPE_A && q->type != DNSMSG_TYPE_AAAA)
		return 0;
	dnsmsg_text(q->name, text);
	if (dname_normalise(name, text, strlen(text)) < 0)
		return 0;
	dnsmake_begin(&k, out, size, q, DNSMSG_RCODE_NOERROR);
	uint32_t i = h->by_name[hash_bytes(name, strlen(name)) & h->mask];
	for (; i; i = h->entry[i - 1].next_name) {
		const struct hosts_entry *e = &h->entry[i - 1];
		if (strcmp(e->name, name) != 0)
			continue;
		found = true;
		if (e->ip.v == v)
			dnsmake_record(&k, 1, q->name, q->type, HOSTS_TTL_S, e->ip.ip,
				v == 4 ? 4 : 16);
	}
	return found ? dnsmake_end(&k, q) : 0;
}
