/* SPDX-License-Identifier: MIT */
#ifndef NSNET_PAGE_H
#define NSNET_PAGE_H

#include <stddef.h>

/* page - the report's page (core/report/), compiled in by core/report/embed.lua: what stands before
 * the log in it and what stands behind. */
extern const char page_before[], page_behind[];
extern const size_t page_before_len, page_behind_len;

#endif
