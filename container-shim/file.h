/* SPDX-License-Identifier: MIT */
#ifndef SHIM_FILE_H
#define SHIM_FILE_H

#include <stddef.h>
#include <sys/types.h>

/* file - small files of /proc and /etc, read and written in one piece. */

/* Writes @text by a single write(2), as /proc demands, to a file that exists.
 * 0 or -errno. */
int file_write(const char *path, const char *text);

/* Reads at most @size - 1 bytes of @path into @buf and ends them with a NUL.
 * Returns the length or -errno. */
ssize_t file_read(const char *path, char *buf, size_t size);

#endif
