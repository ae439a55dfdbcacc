// SPDX-License-Identifier: GPL-2.0

//! Buffered and mapped I/O by the kernel's iomap.
//!
//! A file says where its ranges lie on a device. iomap fills and writes back the page cache for it:
//! for `read(2)` and `write(2)` without `O_DIRECT`, and for `mmap(2)`.
//!
//! C header: [`include/linux/iomap.h`](srctree/include/linux/iomap.h)

mod address_space;
mod buffered;
mod iter;
mod mapping;
mod vm;

#[cfg(CONFIG_KUNIT)]
pub(crate) use self::mapping::EMPTY;
pub(super) use self::{
    address_space::AddressSpaceVTable,
    vm::VmVTable, //
};
pub(crate) use self::{
    buffered::buffered_write,
    mapping::operations, //
};
pub use self::{
    iter::{
        MappingType,
        Mappings, //
    },
    mapping::{
        Extent,
        Mapping, //
    },
};
