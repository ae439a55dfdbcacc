# SPDX-License-Identifier: GPL-2.0
"""What an address of the kernel's memory belongs to, in the guest: a symbol, an object of a slab
cache, or one of the areas of the address space."""

import bisect
import os
import re
import struct
from pathlib import Path

from guest import system

PAGE = 4096
# The size of struct page; the type in its page_type that slabs have
STRUCT_PAGE = 64
SLAB = 0xF5
# Where the kernel's image and modules begin
IMAGE = 0xFFFFFFFF80000000


class Memory:
    """The kernel's memory, by /proc/kcore."""

    def __init__(self) -> None:
        self.fd = os.open("/proc/kcore", os.O_RDONLY)
        header = os.pread(self.fd, 64, 0)
        (offset,) = struct.unpack_from("<Q", header, 32)
        size, count = struct.unpack_from("<HH", header, 54)
        table = os.pread(self.fd, size * count, offset)
        segments = (struct.unpack_from("<IIQQQQQ", table, at) for at in range(0, len(table), size))
        # Address, size, and position in the file
        self.segments = [(one[3], one[6], one[2]) for one in segments if one[0] == 1]

    def read(self, address: int, length: int) -> bytes:
        """Returns what is there; raises LookupError if that is no memory."""
        for start, size, position in self.segments:
            if start <= address and address + length <= start + size:
                data = os.pread(self.fd, length, position + address - start)
                if len(data) == length:
                    return data
        raise LookupError(f"no memory at {address:#x}")

    def word(self, address: int) -> int:
        return int.from_bytes(self.read(address, 8), "little")

    def string(self, address: int) -> str:
        """Returns a string, which must have at least 64 bytes of memory behind it."""
        return self.read(address, 64).partition(b"\0")[0].decode(errors="replace")


def offsets(name: str, *members: str) -> list[int]:
    """Returns where these members of one of the kernel's structures are."""
    text = system.run("pahole", "-C", name, "/sys/kernel/btf/vmlinux").stdout
    return [int(re.search(rf"\W{member};\s*/\*\s*(\d+)", text)[1]) for member in members]


class Objects:
    """The objects of the kernel. Those that are allocated are looked up as they are now."""

    def __init__(self) -> None:
        self.memory = Memory()
        self.data: dict[int, str] = {}
        self.by_name: dict[str, int] = {}
        self.read_symbols()
        self.addresses = sorted(self.data)
        self.direct, self.vmalloc, self.pages = (
            self.memory.word(self.by_name[f"{name}_base"])
            for name in ("page_offset", "vmalloc", "vmemmap")
        )
        self.per_cpu = self.by_name["__per_cpu_start"], self.by_name["__per_cpu_end"]
        table = self.by_name["__per_cpu_offset"]
        # CPUs that are offline as well
        cpus = os.sysconf("SC_NPROCESSORS_CONF")
        self.per_cpu_offsets = [self.memory.word(table + 8 * cpu) for cpu in range(cpus)]
        self.per_cpu_size = self.memory.word(self.by_name["pcpu_unit_size"]) & 0xFFFFFFFF
        (self.page_type,) = offsets("slab", "__page_type")
        (self.slab_cache,) = offsets("slab", "slab_cache")
        self.cache_name, self.cache_size = offsets("kmem_cache", "name", "size")

    def read_symbols(self) -> None:
        """Reads the addresses of all symbols, and which of them are data. Some of the kernel's own
        data has the type of code."""
        symbols = [line.split() for line in Path("/proc/kallsyms").read_text().splitlines()]
        self.by_name = {name: int(address, 16) for address, _, name, *_ in symbols}
        start, end = self.by_name["_sdata"], self.by_name["_end"]
        for text, kind, name, *module in symbols:
            address = int(text, 16)
            if start <= address < end or kind not in "tTwW":
                self.data.setdefault(address, " ".join([name, *module]))

    def find(self, address: int) -> str:
        if address >= IMAGE:
            return self.symbol(address)
        if address >= self.pages:
            return "(struct page)"
        if address >= self.vmalloc:
            return "(vmalloc)"
        return self.in_per_cpu(address) or self.in_slab(address) or "(page)"

    def symbol(self, address: int) -> str:
        index = bisect.bisect_right(self.addresses, address) - 1
        return self.data[self.addresses[index]]

    def in_per_cpu(self, address: int) -> str | None:
        start, end = self.per_cpu
        for offset in self.per_cpu_offsets:
            position = (address - offset) % (1 << 64)
            if start <= position < end:
                return f"{self.symbol(position)} (per CPU)"
            if end <= position < start + self.per_cpu_size:
                return "(per CPU)"
        return None

    def in_slab(self, address: int) -> str | None:
        """Returns the slab cache, and the offset of the line in its object."""
        try:
            slab = self.head(self.pages + (address - self.direct) // PAGE * STRUCT_PAGE)
            if self.memory.read(slab + self.page_type + 3, 1)[0] != SLAB:
                return None
            cache = self.memory.word(slab + self.slab_cache)
            size = int.from_bytes(self.memory.read(cache + self.cache_size, 4), "little")
            name = self.memory.string(self.memory.word(cache + self.cache_name))
        except LookupError:
            return None
        start = self.direct + (slab - self.pages) // STRUCT_PAGE * PAGE
        return f"{name}+{(address - start) % size:#x}"

    def head(self, page: int) -> int:
        """Returns the first struct page of a folio. Others have, beside bit 0, a mask for their
        address, or the address itself."""
        info = self.memory.word(page + 8)
        if not info & 1:
            return page
        return page & info if page & info >= self.pages and info >= IMAGE else info - 1
