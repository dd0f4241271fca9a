/* SPDX-License-Identifier: MIT */
#ifndef NSNET_ADDR_H
#define NSNET_ADDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/* addr - an IP address with a port, and a network of addresses. Plain values.
 *
 * An IPv4 address uses the first four bytes of @ip and the others are zero, so
 * that whole structs can be compared and hashed. An address of one family never
 * equals one of the other: 1.2.3.4 and ::ffff:1.2.3.4 differ here (guard.h
 * unfolds such spellings).
 */
struct addr {
	uint8_t ip[16]; /* network byte order */
	uint16_t port;  /* host byte order; ICMP echo: the identifier; 0 = none */
	uint8_t v;      /* 4, 6, or 0 for "no address" */
	uint8_t zero;   /* keeps the struct free of padding */
};

struct cidr {
	struct addr net; /* port 0; host bits zero */
	uint8_t bits;    /* 0..32 or 0..128 */
};

/* Room for the longest text: "[" 45 "]:65535" and the end. */
#define ADDR_TEXT_MAX 56

/* Reads "192.0.2.1", "192.0.2.1:80", "2001:db8::1", "[2001:db8::1]:80",
 * "[2001:db8::1]". Port 0 if there is none. Zone identifiers ("%eth0") and octal or
 * short IPv4 forms are refused. Returns 0 or -EINVAL. */
int addr_parse(struct addr *a, const char *text);

/* Reads the port that @text is up to @end, in decimal. 0 if it is none. */
uint16_t addr_parse_port(const char *text, const char *end);

/* Writes the address, with the port if it is not 0 and @with_port, into @text
 * (ADDR_TEXT_MAX bytes; RFC 5952 form). Returns @text. */
char *addr_format(const struct addr *a, bool with_port, char *text);

bool addr_equal(const struct addr *a, const struct addr *b);    /* with the port */
bool addr_equal_ip(const struct addr *a, const struct addr *b); /* without */
bool addr_is_mapped(const struct addr *a); /* ::ffff:192.0.2.1, RFC 4291 2.5.5.2 */

/* To and from the kernel's form. addr_to_sockaddr returns the length used;
 * addr_from_sockaddr returns 0, or -EAFNOSUPPORT for another family. */
socklen_t addr_to_sockaddr(const struct addr *a, struct sockaddr_storage *ss);
int addr_from_sockaddr(struct addr *a, const struct sockaddr_storage *ss);

/* Reads "10.0.0.0/8" or a lone address (all bits). Host bits that are set are an
 * error, since they hide typing mistakes. Returns 0 or -EINVAL. */
int cidr_parse(struct cidr *c, const char *text);
bool cidr_has(const struct cidr *c, const struct addr *a);

#endif
