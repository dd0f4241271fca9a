# SPDX-License-Identifier: MIT
"""The bytes that the end-to-end servers and clients send.

A block is its number and then always the same noise: every block is different, and no buffer size
divides its length, so lost, doubled and swapped pieces all change the checksum.
"""
import functools
import hashlib
import struct

SIZE = 1048573


@functools.lru_cache
def _noise():
    return hashlib.shake_128(b"nsnet").digest(SIZE - 8)


def blocks(total):
    """The first total bytes, a block at a time."""
    number = 0
    while total > 0:
        yield (struct.pack(">Q", number) + _noise())[:min(total, SIZE)]
        total -= SIZE
        number += 1


def sum_of(total):
    digest = hashlib.sha256()
    for block in blocks(total):
        digest.update(block)
    return digest.hexdigest()
