# SPDX-License-Identifier: GPL-2.0
"""Blocks that have their number and a generation in every 16 bytes, so that a reader can tell which
writes it sees. A block that was never written is zero, which is generation 0."""

import struct

from guest.filesystems import BLOCK

WORDS = struct.Struct("<QQ")


def content(number: int, generation: int) -> bytes:
    """Returns a block."""
    if not generation:
        return bytes(BLOCK)
    return WORDS.pack(number, generation) * (BLOCK // WORDS.size)


def contents(numbers: range, generation: int) -> bytes:
    """Returns several blocks of one generation."""
    return b"".join(content(number, generation) for number in numbers)


def of_block(data: bytes) -> tuple[set[int], set[int]]:
    """Returns the numbers and the generations in a block."""
    words = memoryview(data).cast("Q")
    return set(words[::2].tolist()), set(words[1::2].tolist())


def complaint(number: int, data: bytes, oldest: int, newest: int) -> str:
    """Returns what is wrong with a block, or an empty string. It may be a mixture of the
    generations from OLDEST to NEWEST."""
    numbers, generations = of_block(data)
    if not numbers <= {number, 0} or (0 in numbers and number and min(generations) > 0):
        return f"block {number}: has the data of {numbers}"
    if min(generations) < oldest or max(generations) > newest:
        return f"block {number}: {generations}, expected {oldest} to {newest}"
    return ""
