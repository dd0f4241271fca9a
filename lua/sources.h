/* SPDX-License-Identifier: MIT */
#ifndef NSNET_LUA_SOURCES_H
#define NSNET_LUA_SOURCES_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

/* sources - the texts of the scripts, kept while they load: they tell a rule's own line.
 */
#define SOURCES_TEXT_MAX (1 << 20) /* a longer text is not kept */

/* From here on texts are kept, and from there on no more. Both raise for memory. */
void sources_open(lua_State *L);
void sources_close(lua_State *L);

/* Keeps @text under the chunk's name, if they are kept. Raises for memory. */
void sources_keep(lua_State *L, const char *chunk, const char *text, size_t len);

/* The code at stack level @level calls @callee with a table: fills @line with the lines in which
 * its @n entries begin. False: the table is not written out there, or its text is not known. */
bool sources_entries(lua_State *L, int level, const char *callee, unsigned *line, size_t n);

#endif
