# SPDX-License-Identifier: GPL-2.0
"""preadv2(2) and pwritev2(2) with addresses as memory, which need not be there."""

import ctypes
import errno

# An address that has no memory
NOWHERE = 0x1000

Pieces = list[tuple[int, int]]


class Iovec(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


LIBC = ctypes.CDLL(None, use_errno=True)
for function in (LIBC.preadv2, LIBC.pwritev2):
    function.argtypes = (
        ctypes.c_int,
        ctypes.POINTER(Iovec),
        ctypes.c_int,
        ctypes.c_longlong,
        ctypes.c_int,
    )


def preadv2(fd: int, pieces: Pieces, flags: int = 0) -> int | str:
    """Reads from the beginning into PIECES, pairs of address and length. Returns the result, or the
    error's name."""
    return transfer(LIBC.preadv2, fd, pieces, flags)


def pwritev2(fd: int, pieces: Pieces, flags: int = 0) -> int | str:
    """As preadv2(), for a write."""
    return transfer(LIBC.pwritev2, fd, pieces, flags)


def transfer(function: ctypes._CFuncPtr, fd: int, pieces: Pieces, flags: int) -> int | str:
    iov = (Iovec * len(pieces))(*pieces)
    result = function(fd, iov, len(pieces), 0, flags)
    return errno.errorcode[ctypes.get_errno()] if result < 0 else result
