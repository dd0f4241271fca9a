/* SPDX-License-Identifier: MIT */
#include "resolvconf.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base.h"
#include "log.h"

#define FILE_MAX 65536 /* bytes looked at; real files are below 1 KB */
#define YOUNG_S 2      /* coarser than any file system's time stamps that matter */
#define LINE_MAX_LEN 2048

static const char blanks[] = " \t\r";

/* What libc's resolver would ask: inet_aton() accepts "127.1", and a zone is a name or number. */
static int server_parse(struct resolvconf_server *s, char *text)
{
	struct in_addr four;
	char *zone = strchr(text, '%');

	memset(s, 0, sizeof(*s));
	if (!zone && inet_aton(text, &four)) {
		s->addr.v = 4;
		memcpy(s->addr.ip, &four, 4);
		return 0;
	}
	if (zone)
		*zone++ = '\0';
	if (inet_pton(AF_INET6, text, s->addr.ip) != 1)
		return -EINVAL;
	s->addr.v = 6;
	if (zone) {
		s->scope = if_nametoindex(zone);
		if (!s->scope)
			s->scope = (uint32_t)strtoul(zone, NULL, 10);
	}
	return 0;
}

/* Loopback and "any": they name another machine inside the namespace than outside. */
static bool is_local(const struct addr *a)
{
	static const uint8_t zero[16];

	if (a->v == 4)
		return a->ip[0] == 127 || a->ip[0] == 0;
	return !memcmp(a->ip, zero, 15) && a->ip[15] <= 1;
}

bool resolvconf_named(const struct resolvconf *c, const struct addr *a)
{
	for (size_t i = 0; i < c->named_len; i++) {
		if (addr_equal_ip(&c->named[i], a))
			return true;
	}
	return false;
}

static void remember(struct resolvconf *c, const struct addr *a)
{
	if (is_local(a) || resolvconf_named(c, a))
		return;
	c->named[c->named_next] = *a;
	c->named_next = (c->named_next + 1) % RESOLVCONF_NAMED_MAX;
	c->named_len = MIN(c->named_len + 1, (size_t)RESOLVCONF_NAMED_MAX);
}

static void parse_server(struct resolvconf *c, char *rest)
{
	struct resolvconf_server s;
	char *word = strtok_r(rest, blanks, &rest);

	if (!word || server_parse(&s, word) < 0)
		return; /* libc passes over it as well */
	remember(c, &s.addr);
	if (c->servers == RESOLVCONF_SERVERS_MAX)
		return;
	s.addr.port = c->port;
	c->server[c->servers++] = s;
}

/* Adds @word to the space-separated @list of @size bytes, if it fits whole. */
static void list_append(char *list, size_t size, const char *word)
{
	size_t n = strlen(list);

	if (n + 1 + strlen(word) + 1 <= size)
		snprintf(list + n, size - n, "%s%s", n ? " " : "", word);
}

/* "search a b" and "domain a": the last line counts. */
static void parse_search(struct resolvconf *c, char *rest, bool only_one)
{
	char *word;

	c->search[0] = '\0';
	while ((word = strtok_r(rest, blanks, &rest))) {
		list_append(c->search, sizeof(c->search), word);
		if (only_one)
			break;
	}
}

static bool number_option(const char *word, const char *name, unsigned min, unsigned max,
	unsigned *out)
{
	size_t n = strlen(name);

	if (strncmp(word, name, n) != 0)
		return false;
	unsigned long v = strtoul(word + n, NULL, 10);
	*out = (unsigned)(v < min ? min : MIN(v, max));
	return true;
}

static void parse_options(struct resolvconf *c, char *rest)
{
	/* Those that say what to ask. How often and how long is between the child and us. */
	static const char *const kept[] = {"ndots:", "edns0", "trust-ad", "no-aaaa",
		"no-tld-query"};
	char *word;

	while ((word = strtok_r(rest, blanks, &rest))) {
		if (number_option(word, "timeout:", 1, 30, &c->timeout_s) ||
			number_option(word, "attempts:", 1, 5, &c->attempts))
			continue;
		if (!strcmp(word, "rotate"))
			c->rotate = true;
		else if (!strcmp(word, "use-vc"))
			c->use_vc = true;
		for (size_t i = 0; i < ARRAY_LEN(kept); i++) {
			if (!strncmp(word, kept[i], strlen(kept[i])))
				list_append(c->options, sizeof(c->options), word);
		}
	}
}

static void parse_line(struct resolvconf *c, char *line)
{
	char *rest = line;

	/* resolv.conf(5): the keyword must start the line. */
	if (!*line || *line == '#' || *line == ';' || strchr(blanks, *line))
		return;
	char *word = strtok_r(rest, blanks, &rest);
	if (!word)
		return;
	if (!strcmp(word, "nameserver"))
		parse_server(c, rest);
	else if (!strcmp(word, "search"))
		parse_search(c, rest, false);
	else if (!strcmp(word, "domain"))
		parse_search(c, rest, true);
	else if (!strcmp(word, "options"))
		parse_options(c, rest);
}

void resolvconf_parse(struct resolvconf *c, const char *text, size_t len)
{
	char line[LINE_MAX_LEN];

	c->servers = 0;
	c->by_default = c->rotate = c->use_vc = false;
	c->timeout_s = 5;
	c->attempts = 2;
	c->search[0] = c->options[0] = '\0';
	for (const char *end = text + len; text < end;) {
		const char *stop = memchr(text, '\n', (size_t)(end - text));
		size_t n = (size_t)((stop ? stop : end) - text);
		if (n < sizeof(line) && !memchr(text, '\0', n)) {
			memcpy(line, text, n);
			line[n] = '\0';
			parse_line(c, line);
		}
		text += n + 1;
	}
	if (!c->servers) {
		/* resolv.conf(5): "the default is to use the name server on the local machine". */
		struct resolvconf_server *s = &c->server[c->servers++];
		memset(s, 0, sizeof(*s));
		s->addr = (struct addr){.ip = {127, 0, 0, 1}, .v = 4, .port = c->port};
		c->by_default = true;
	}
	c->generation++;
}

/* Reads the file into @text. Returns its length; 0 for a file that is not there or not for us
 * (libc treats those alike), with *@st zeroed; else a negative errno. */
static ssize_t file_read(const char *path, char *text, struct stat *st)
{
	ssize_t n = 0;
	size_t len = 0;
	/* Non-blocking: it may be a FIFO. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	memset(st, 0, sizeof(*st));
	if (fd == -1) {
		switch (errno) {
		case ENOENT:
		case ENOTDIR:
		case ELOOP:
		case EACCES:
		case EISDIR:
		case ENAMETOOLONG:
			return 0;
		default:
			return -errno;
		}
	}
	if (fstat(fd, st) == -1)
		n = -1;
	while (n >= 0 && len < FILE_MAX && (n = read(fd, text + len, FILE_MAX - len)) > 0)
		len += (size_t)n;
	int err = n < 0 ? errno : 0;
	close(fd);
	if (err == EISDIR || err == EAGAIN)
		return 0;
	return err ? -err : (ssize_t)len;
}

static uint64_t text_sum(const char *text, size_t len)
{
	uint64_t h = 0xcbf29ce484222325; /* FNV-1a; a change that is missed by chance is no harm */

	for (size_t i = 0; i < len; i++)
		h = (h ^ (uint8_t)text[i]) * 0x100000001b3;
	return h;
}

/* Time stamps come from a coarse clock: a file changed twice within a tick, with the same length,
 * looks unchanged the second time. So a young file is read again. */
static double monotonic(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* By its time stamp; one from the future (another machine's clock, or ours was set back) says
 * nothing, and then it is young for as long after we have first seen it like that. */
static bool is_young(const struct resolvconf *c)
{
	struct timespec now;
	time_t age;

	clock_gettime(CLOCK_REALTIME, &now);
	age = now.tv_sec - c->seen.st_mtim.tv_sec;
	if (!c->seen.st_ino || age >= YOUNG_S)
		return false;
	return age >= 0 || monotonic() - c->seen_at < YOUNG_S;
}

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_dev == b->st_dev && a->st_size == b->st_size &&
		!memcmp(&a->st_mtim, &b->st_mtim, sizeof(a->st_mtim)) &&
		!memcmp(&a->st_ctim, &b->st_ctim, sizeof(a->st_ctim));
}

/* Reads the file; returns 1 if its text is another than before, 0, or a negative errno. */
static int load(struct resolvconf *c)
{
	struct stat st;
	char *text = malloc(FILE_MAX);

	if (!text)
		return -ENOMEM;
	ssize_t len = file_read(c->path, text, &st);
	int changed = 0;
	if (len < 0) {
		changed = (int)len;
	} else {
		if (!same_file(&st, &c->seen))
			c->seen_at = monotonic();
		c->seen = st;
		c->racy = is_young(c);
		uint64_t sum = text_sum(text, (size_t)len);
		if (!c->generation || sum != c->sum) {
			c->sum = sum;
			resolvconf_parse(c, text, (size_t)len);
			changed = 1;
		}
	}
	free(text);
	return changed;
}

int resolvconf_init(struct resolvconf *c, const char *path)
{
	memset(c, 0, sizeof(*c));
	c->port = 53;
	c->path = strdup(path);
	if (!c->path)
		return -ENOMEM;
	int err = load(c);
	if (err >= 0)
		return 0;
	resolvconf_fini(c);
	return err;
}

void resolvconf_fini(struct resolvconf *c)
{
	free(c->path);
	c->path = NULL;
}

socklen_t resolvconf_sockaddr(const struct resolvconf_server *s, struct sockaddr_storage *ss)
{
	socklen_t len = addr_to_sockaddr(&s->addr, ss);

	if (s->addr.v == 6)
		((struct sockaddr_in6 *)ss)->sin6_scope_id = s->scope;
	return len;
}

bool resolvconf_same_server(const struct resolvconf_server *a, const struct resolvconf_server *b)
{
	return a->scope == b->scope && addr_equal(&a->addr, &b->addr);
}

static void log_change(const struct resolvconf *c)
{
	char list[RESOLVCONF_SERVERS_MAX * (ADDR_TEXT_MAX + 1)] = "";
	char text[ADDR_TEXT_MAX];

	for (size_t i = 0; i < c->servers; i++)
		list_append(list, sizeof(list), addr_format(&c->server[i].addr, false, text));
	log_info("dns: %s has changed; name servers: %s", c->path, list);
}

bool resolvconf_check(struct resolvconf *c)
{
	static struct log_limit limit = {.burst = 1};
	unsigned long dropped;
	struct stat st;

	if (stat(c->path, &st) == -1)
		memset(&st, 0, sizeof(st));
	if (!c->racy && same_file(&st, &c->seen))
		return false;
	int err = load(c);
	if (err < 0 && log_limit_pass(&limit, &dropped))
		log_warn("dns: read %s: %s; going on with what it said before", c->path,
			strerror(-err));
	if (err > 0)
		log_change(c);
	return err > 0;
}

size_t resolvconf_render(const struct resolvconf *c, const struct addr *a, const struct addr *b,
	char *text, size_t size)
{
	char ip[ADDR_TEXT_MAX];
	const struct addr *own[] = {a, b};
	size_t n = 0;

	text[0] = '\0';
	for (size_t i = 0; i < ARRAY_LEN(own); i++) {
		if (own[i]->v)
			n += (size_t)snprintf(text + n, size - n, "nameserver %s\n",
				addr_format(own[i], false, ip));
	}
	if (c->search[0])
		n += (size_t)snprintf(text + n, size - n, "search %s\n", c->search);
	if (c->options[0])
		n += (size_t)snprintf(text + n, size - n, "options %s\n", c->options);
	return n;
}

static unsigned ndots(const struct resolvconf *c)
{
	const char *option = strstr(c->options, "ndots:");

	return option ? (unsigned)strtoul(option + strlen("ndots:"), NULL, 10) : 1;
}

/* How many dots the @n bytes at @name have. */
static unsigned dots(const char *name, size_t n)
{
	unsigned count = 0;

	for (size_t i = 0; i < n; i++)
		count += name[i] == '.';
	return count;
}

bool resolvconf_completes(const struct resolvconf *c, const char *name)
{
	const size_t len = strlen(name);
	const char *domain = c->search;

	while (*domain) {
		size_t whole = strcspn(domain, " "), n = whole;

		if (n && domain[n - 1] == '.')
			n--;
		if (n && n + 1 < len && name[len - n - 1] == '.' &&
			strncasecmp(name + len - n, domain, n) == 0 &&
			dots(name, len - n - 1) < ndots(c))
			return true;
		domain += whole;
		domain += strspn(domain, " ");
	}
	return false;
}
