/* SPDX-License-Identifier: MIT */
#ifndef NSNET_DNSEDIT_H
#define NSNET_DNSEDIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* dnsedit - takes out of a DNS answer what would lead around rules about names. Pure.
 *
 * From SVCB and HTTPS records (RFC 9460): the "ech" parameter, since behind an encrypted
 * ClientHello the name of a connection cannot be seen; and the address hints, so that an address
 * is only ever told in an A or AAAA record, where it is remembered. The signatures of such records
 * go with it, and the claim that the answer is authentic. And, if told so, all A and AAAA records:
 * those of the hosts that an MX or SRV record names, where addresses are given by --dns=synthetic.
 */

/* Writes the answer of @len bytes at @msg without these to @out (DNSMSG_MAX bytes). Returns its
 * length, or 0: there is nothing to be taken out, @out is not of interest. -EBADMSG, -EMSGSIZE: it
 * cannot be read, or would be too long, and must not go to the child. An answer that breaks off
 * with TC set, as RFC 1035 allows, goes as far as it can be read. */
ssize_t dnsedit_strip(uint8_t *out, const uint8_t *msg, size_t len, bool addresses);

#endif
