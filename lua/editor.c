/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/log.h"
#include "lua/modules.h"
#include "lua/tools.h"

/* editor - the files that tell editors and linters what scripts find here: nsnet-host lua-init.
 */
#define STATUS_CANNOT 73 /* EX_CANTCREAT */

enum found {
	FOUND_NOTHING,
	FOUND_SAME,
	FOUND_OTHER, /* or something that is no file, or cannot be read */
};

/* Compares what stands at @path with @m. */
static enum found look(const char *path, const struct lua_module *m)
{
	struct stat st;
	size_t n = 0;
	enum found found = FOUND_OTHER;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd == -1)
		return errno == ENOENT && lstat(path, &st) == -1 ? FOUND_NOTHING : FOUND_OTHER;
	char *text = malloc(m->len + 1);
	if (text && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (size_t)st.st_size == m->len) {
		ssize_t got = 1;
		while (n < m->len && got > 0) {
			got = read(fd, text + n, m->len - n);
			n += got > 0 ? (size_t)got : 0;
		}
		if (n == m->len && !memcmp(text, m->text, n))
			found = FOUND_SAME;
	}
	free(text);
	close(fd);
	return found;
}

/* Writes @m to @path, which is new. 0 or negative errno; then there is no such file. */
static int put(const char *path, const struct lua_module *m)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	if (fd == -1)
		return -errno;
	int err = 0;
	for (size_t n = 0; !err && n < m->len;) {
		ssize_t put = write(fd, m->text + n, m->len - n);
		if (put >= 0)
			n += (size_t)put;
		else if (errno != EINTR)
			err = -errno;
	}
	if (close(fd) == -1 && !err)
		err = -errno;
	if (err)
		unlink(path);
	return err;
}

/* Returns the exit status. */
static int one(const char *directory, const struct lua_module *m)
{
	char path[PATH_MAX];
	size_t n = strlen(directory);
	if (snprintf(path, sizeof(path), "%s%s%s", directory, directory[n - 1] == '/' ? "" : "/",
		    m->name) >= (int)sizeof(path)) {
		log_error("lua-init: %s: the path is too long", directory);
		return STATUS_CANNOT;
	}
	switch (look(path, m)) {
	case FOUND_SAME:
		printf("%s is as it should be\n", path);
		return 0;
	case FOUND_OTHER:
		log_error("lua-init: %s is there and differs: left as it is; to have this "
			  "release's, move it away and say lua-init again",
			path);
		return EDITOR_KEPT;
	case FOUND_NOTHING:
		break;
	}
	int err = put(path, m);
	if (err) {
		log_error("lua-init: %s cannot be written: %s; name a directory of yours", path,
			strerror(-err));
		return STATUS_CANNOT;
	}
	printf("%s was written\n", path);
	return 0;
}

int editor_init(const char *directory)
{
	int worst = 0;
	for (const struct lua_module *m = lua_editor; m->name && worst != STATUS_CANNOT; m++) {
		int status = one(*directory ? directory : ".", m);
		worst = status > worst ? status : worst;
	}
	return worst;
}
