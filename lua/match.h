/* SPDX-License-Identifier: MIT */
#ifndef NSNET_LUA_MATCH_H
#define NSNET_LUA_MATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/addr.h"
#include "core/dname.h"

/* match - sets of ports, networks and domain names. Pure: knows neither Lua nor flows.
 *
 * Each is embedded, all zeros is the empty set, and _fini() frees and clears it. Adding returns
 * 0, -EINVAL or -ENOMEM; after an error the set is as it was, or holds the entry in part that
 * never matches.
 */

/* Port ranges, kept sorted and merged by port_set_seal(). */
struct port_range {
	uint16_t low, high;
};

struct port_set {
	struct port_range *range; /* owned */
	size_t len, cap;
};

int port_set_add(struct port_set *s, unsigned low, unsigned high); /* 0..65535, low <= high */
void port_set_seal(struct port_set *s); /* after the last add, before the first has */
bool port_set_has(const struct port_set *s, uint16_t port);
void port_set_fini(struct port_set *s);

/* Networks of both families in a binary trie: one step a bit, independent of their number. */
struct cidr_node {
	uint32_t child[2]; /* index, 0 = none */
	bool end;          /* a network of the set ends here */
};

struct cidr_set {
	struct cidr_node *node; /* owned; [0] is IPv4's root, [1] IPv6's, once there is any */
	size_t len, cap;
	size_t count; /* networks added */
};

int cidr_set_add(struct cidr_set *s, const struct cidr *c);
/* The length in bits of the longest network that has @a, or -1 for none. */
int cidr_set_find(const struct cidr_set *s, const struct addr *a);
void cidr_set_fini(struct cidr_set *s);

/* Domain names, by the patterns of dname.h: a hash of the names, and one step a label to ask. */
struct name_entry {
	char *name; /* owned, normal form; NULL = free slot */
	uint32_t hash;
	uint8_t kind; /* enum dname_kind */
};

struct name_set {
	struct name_entry *slot; /* owned; open addressing, a power of two */
	size_t cap;
	size_t count; /* patterns added */
	size_t used;  /* slots taken */
};

/* Also -EDOM: an address, which is no name. */
int name_set_add(struct name_set *s, const char *pattern, size_t len);
/* True if @name, in normal form, is in the set. */
bool name_set_find(const struct name_set *s, const char *name);
/* The same for @len bytes in any form; what is no name never is in it. */
bool name_set_has(const struct name_set *s, const char *name, size_t len);
void name_set_fini(struct name_set *s);

#endif
