/* SPDX-License-Identifier: MIT */
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/base.h"
#include "core/craft.h"
#include "core/packet.h"

/* Any bytes from the device: the parser stays inside of them, and whatever is answered
 * is a packet that a kernel would take. Assertions are on in this build. */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_answer(const struct packet *in, uint8_t *out, size_t len)
{
	struct packet p;
	uint32_t start;

	if (!len)
		return;
	assert(len <= CRAFT_SMALL_MAX);
	assert(packet_parse(&p, out, len) == 0);
	assert(p.len == len && !p.fragment);
	assert(addr_equal_ip(&p.src, &in->dst) && addr_equal_ip(&p.dst, &in->src));
	if (p.v == 4)
		assert(packet_sum_fold(packet_sum(out, p.l4, 0)) == 0);
	start = p.proto == IPPROTO_ICMP ? 0
					: packet_sum_pseudo(&p.src, &p.dst, p.proto, p.len - p.l4);
	assert(packet_sum_fold(packet_sum(out + p.l4, p.len - p.l4, start)) == 0);
}

static void check_view(const struct packet *p, size_t size)
{
	assert(p->v == 4 || p->v == 6);
	assert(p->src.v == p->v && p->dst.v == p->v);
	assert(p->len <= size && p->l4 >= (p->v == 4 ? 20 : 40));
	assert(p->l4 <= p->payload && p->payload <= p->len);
	if (p->fragment) {
		assert(!p->src.port && !p->dst.port && !p->tcp_flags && p->payload == p->l4);
		assert(p->more_fragments || p->frag_offset);
		assert(p->v == 4 || (p->frag_next < p->frag_header && p->frag_header + 8 == p->l4));
	} else if (p->proto == IPPROTO_TCP) {
		assert(p->payload - p->l4 >= 20);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* Both of exactly the size that is promised. */
	uint8_t *in = malloc(size ? size : 1), *out = malloc(CRAFT_SMALL_MAX);
	struct packet p;
	int err;

	assert(in && out);
	memcpy(in, data, size);
	err = packet_parse(&p, in, size);
	assert(err == 0 || err == -EINVAL || err == -EPROTONOSUPPORT);
	if (err != -EINVAL) {
		check_view(&p, size);
		for (int why = CRAFT_UNREACH_NET; why <= CRAFT_UNREACH_PROHIBITED; why++)
			check_answer(&p, out, craft_unreach(out, &p, (enum craft_unreach)why));
	}
	if (err == 0)
		check_answer(&p, out, craft_rst(out, &p));
	free(in);
	free(out);
	return 0;
}
