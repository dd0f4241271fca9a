/* SPDX-License-Identifier: MIT */
#ifndef NSNET_VERSION_H
#define NSNET_VERSION_H

/* version - of the program, its library and its shim, which are released together. The Makefile
 * reads it here. */
#define NSNET_VERSION "0.1.0"

#endif
