/* SPDX-License-Identifier: MIT */
#include "settings.h"

#include <errno.h>

#include "inside.h"
#include "log.h"

#define MTU 65520
#define MTU_MIN 1280 /* IPv6, RFC 8200 section 5 */
#define MTU_MAX MTU
#define CONNECTIONS 16384
#define FLOWS 1024
#define MEMORY ((size_t)256 << 20)
#define UDP_IDLE_S 60

static bool has_hooks(const struct nsnet_hooks *h)
{
	return h->connect || h->flow || h->name || h->dial || h->data || h->packet || h->cancel ||
		h->close;
}

int settings_complete(struct nsnet_options *o)
{
	o->net4 = o->net4 ? o->net4 : INSIDE_NET4;
	o->net6 = o->net6 ? o->net6 : INSIDE_NET6;
	o->mtu = o->mtu ? o->mtu : MTU;
	o->max_connections = o->max_connections ? o->max_connections : CONNECTIONS;
	o->max_flows = o->max_flows ? o->max_flows : FLOWS;
	o->memory = o->memory ? o->memory : MEMORY;
	o->udp_idle_s = o->udp_idle_s ? o->udp_idle_s : UDP_IDLE_S;
	if (o->rules && has_hooks(&o->hooks))
		log_error("options.rules and options.hooks exclude each other");
	else if (!inside_is_network(o->net4, 4))
		log_error("options.net4: give an address and 8 to 24 bits, as " INSIDE_NET4);
	else if (!inside_is_network(o->net6, 6))
		log_error("options.net6: give an address and 8 to 120 bits, as " INSIDE_NET6);
	else if (o->mtu < MTU_MIN || o->mtu > MTU_MAX)
		log_error("options.mtu: give %d to %d bytes", MTU_MIN, MTU_MAX);
	else if (o->udp_idle_s < 0 || o->tcp_idle_s < 0 || o->dial_timeout_s < 0)
		log_error("options: a time cannot be negative");
	else
		return 0;
	return -EINVAL;
}
