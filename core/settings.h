/* SPDX-License-Identifier: MIT */
#ifndef NSNET_SETTINGS_H
#define NSNET_SETTINGS_H

#include "nsnet.h"

/* settings - struct nsnet_options made complete: what is 0 or NULL becomes what nsnet.h says. */

/* 0, or -EINVAL after a message. */
int settings_complete(struct nsnet_options *o);

#endif
