/* SPDX-License-Identifier: MIT */

/* resolv.conf is reached in many ways:
 *
 *   /etc/resolv.conf                                     a plain file
 *   /etc/resolv.conf -> /run/systemd/resolve/stub-...    a directory of its own
 *   /etc/resolv.conf -> /etc/static/... -> /nix/store    a chain
 *   (nothing)                                            glibc asks 127.0.0.1
 *
 * A mount on a name vanishes when somebody outside renames another file over
 * that name, as every program that writes resolv.conf does. In a directory of
 * the resolver's own we therefore cover the directory: renames then happen
 * below the cover. /etc cannot be covered; there the file is, and the host
 * answers at the real servers' addresses too, should the cover be lost.
 */
#include "cover.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file.h"
#include "report.h"

#define RESOLV_CONF "/etc/resolv.conf"
#define SAFE (MS_NOSUID | MS_NODEV | MS_NOEXEC)
#define TEXT_MAX 8192 /* of resolv.conf; glibc has no limit, people have */
#define NAMES_MAX 8

/* Directories that hold resolv.conf files and nothing that a command needs. */
static const char *const resolver_dirs[] = {
	"/run/systemd/resolve",
	"/run/resolvconf",
	"/run/NetworkManager",
	"/run/connman",
	"/run/netconfig",
};

/* Directories of sockets that answer names from the host's network: nscd for
 * every lookup by glibc, avahi for .local, systemd-resolved by nss-resolve. */
static const char *const daemon_dirs[] = {
	"/run/nscd",
	"/var/run/nscd",
	"/run/avahi-daemon",
	"/run/systemd/resolve",
};

int cover_directory(const char *dir)
{
	const char *options = "mode=755,size=4k,nr_inodes=2";

	return mount("nsnet", dir, "tmpfs", SAFE | MS_RDONLY, options) == -1 ? -errno : 0;
}

int cover(const char *path)
{
	struct stat st;

	if (lstat(path, &st) == -1)
		return -errno;
	if (S_ISDIR(st.st_mode))
		return cover_directory(path);
	return mount("/dev/null", path, NULL, MS_BIND, NULL) == -1 ? -errno : 0;
}

static int mount_files(const char *dir)
{
	const char *options = "mode=755,size=1m,nr_inodes=32";

	return mount("nsnet", dir, "tmpfs", SAFE, options) == -1 ? -errno : 0;
}

/* Is @line one that says how to look up, not whom to ask? */
static int keeps(const char *line)
{
	static const char *const words[] = {"search", "domain", "options", "sortlist"};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		size_t len = strlen(words[i]);

		if (strncmp(line, words[i], len) == 0 && (line[len] == ' ' || line[len] == '\t'))
			return 1;
	}
	return 0;
}

/* Appends to @text of TEXT_MAX bytes, whole lines only. */
static void add_line(char *text, const char *word, const char *rest)
{
	size_t used = strlen(text);
	int n = snprintf(text + used, TEXT_MAX - used, "%s%s\n", word, rest);

	if (n < 0 || (size_t)n >= TEXT_MAX - used)
		text[used] = '\0';
}

static void compose(char *text, const char *const *dns)
{
	char old[TEXT_MAX];
	char *rest = old;
	char *line;

	text[0] = '\0';
	add_line(text, "# by nsnet-host, which answers at ", "the address below");
	for (size_t i = 0; dns[i]; i++)
		add_line(text, "nameserver ", dns[i]);
	if (file_read(RESOLV_CONF, old, sizeof(old)) < 0)
		return;
	while ((line = strsep(&rest, "\n"))) {
		if (keeps(line))
			add_line(text, line, "");
	}
}

static int create_file(const char *dir, const char *name, const char *text)
{
	char path[PATH_MAX];
	int fd;

	if ((size_t)snprintf(path, sizeof(path), "%s/%s", dir, name) >= sizeof(path))
		return -ENAMETOOLONG;
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd == -1)
		return -errno;
	close(fd);
	return file_write(path, text);
}

/* A new directory over @dir, in which every resolv.conf of the old one has
 * @text. */
static int replace_directory(const char *dir, const char *text)
{
	char names[NAMES_MAX][NAME_MAX + 1];
	size_t n_names = 0;
	struct dirent *entry;
	DIR *d = opendir(dir);
	int err;

	if (!d)
		return -errno;
	while ((entry = readdir(d)) && n_names < NAMES_MAX) {
		if (strstr(entry->d_name, "resolv.conf"))
			strcpy(names[n_names++], entry->d_name);
	}
	closedir(d);
	err = mount_files(dir);
	for (size_t i = 0; i < n_names && !err; i++)
		err = create_file(dir, names[i], text);
	return err;
}

/* Binds a file with @text over @path. The file needs a file system, and that a
 * place to be mounted at for a moment: the directory of @path, which exists. */
static int replace_file(const char *path, const char *dir, const char *text)
{
	char target[64], source[PATH_MAX];
	int fd = open(path, O_PATH | O_CLOEXEC);
	int err;

	if (fd == -1)
		return -errno;
	err = mount_files(dir);
	if (err)
		goto out;
	err = create_file(dir, "resolv.conf", text);
	/* By descriptor, as the name is now hidden by our own mount. */
	snprintf(target, sizeof(target), "/proc/self/fd/%d", fd);
	if (!err &&
		(size_t)snprintf(source, sizeof(source), "%s/resolv.conf", dir) >= sizeof(source))
		err = -ENAMETOOLONG;
	if (!err && mount(source, target, NULL, MS_BIND, NULL) == -1)
		err = -errno;
	if (umount2(dir, MNT_DETACH) == -1 && !err)
		err = -errno;
out:
	close(fd);
	return err;
}

/* There is no file to cover: lay a read-only overlay over /etc that has one. */
static int add_file(const char *text)
{
	char layers[64];
	int fd = open("/etc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int err;

	if (fd == -1)
		return -errno;
	err = mount_files("/etc");
	if (err)
		goto out;
	err = create_file("/etc", "resolv.conf", text);
	snprintf(layers, sizeof(layers), "lowerdir=/etc:/proc/self/fd/%d,userxattr", fd);
	if (!err && mount("nsnet", "/etc", "overlay", SAFE & ~MS_NOEXEC, layers) == -1)
		err = -errno;
	if (err)
		umount2("/etc", MNT_DETACH);
out:
	close(fd);
	return err;
}

static int is_resolver_dir(const char *dir)
{
	for (size_t i = 0; i < sizeof(resolver_dirs) / sizeof(resolver_dirs[0]); i++) {
		if (strcmp(resolver_dirs[i], dir) == 0)
			return 1;
	}
	return 0;
}

/* Covers the resolv.conf that the path leads to; @dir becomes the directory
 * covered for it, or "". */
static int replace(const char *text, char dir[PATH_MAX])
{
	char path[PATH_MAX];
	char *slash;
	int err;

	dir[0] = '\0';
	if (!realpath(RESOLV_CONF, path))
		return errno == ENOENT ? add_file(text) : -errno;
	strcpy(dir, path);
	slash = strrchr(dir, '/');
	slash[slash == dir] = '\0'; /* "/" keeps its slash */
	if (is_resolver_dir(dir))
		return replace_directory(dir, text);
	err = replace_file(path, dir, text);
	dir[0] = '\0';
	return err;
}

static void cover_daemons(const char *done)
{
	for (size_t i = 0; i < sizeof(daemon_dirs) / sizeof(daemon_dirs[0]); i++) {
		char path[PATH_MAX];
		int err;

		/* Reached by another name, it is covered under that name. */
		if (!realpath(daemon_dirs[i], path) || strcmp(path, daemon_dirs[i]) != 0 ||
			strcmp(path, done) == 0)
			continue;
		err = cover_directory(path);
		if (err)
			report_note("cannot cover %s: %s", path, strerror(-err));
	}
}

int cover_resolv(const char *const *dns)
{
	char text[TEXT_MAX];
	char dir[PATH_MAX];
	int err;

	compose(text, dns);
	err = replace(text, dir);
	if (err)
		report_error("cannot cover %s: %s: names are asked of the servers in that file",
			RESOLV_CONF, strerror(-err));
	cover_daemons(dir);
	return err;
}
