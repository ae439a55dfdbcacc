// SPDX-License-Identifier: GPL-2.0

//! Mappings of files for tests.
//!
//! C header: [`include/linux/iomap.h`](srctree/include/linux/iomap.h)

use super::options::union;
use crate::{
    bindings,
    block::BlockDevice,
    fs::iomap::EMPTY, //
};

/// The type of a mapping.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum TestType {
    /// No blocks.
    Hole,
    /// Blocks to be allocated at writeback.
    Delalloc,
    /// Blocks that have data.
    Mapped,
    /// Blocks that read as zeroes.
    Unwritten,
    /// Data in the inode.
    Inline,
}

/// A mapping of a file to the device of its [`TestMappings`].
#[derive(Clone, Copy)]
pub struct TestMapping {
    /// Its type.
    pub kind: TestType,
    /// Where it begins in the file, in bytes.
    pub offset: u64,
    /// Its length in bytes.
    pub len: u64,
    /// Its first sector on the device, of 512 bytes.
    pub sector: u64,
    /// The length in bytes of the mapping that is copied from, which begins where this one does; 0
    /// if there is none.
    pub source_len: u64,
    /// Whether the blocks have just been allocated.
    pub new: bool,
    /// Whether the blocks replace shared ones.
    pub shared: bool,
    /// Whether data needs metadata to be durable.
    pub dirty: bool,
    /// Whether bios are mapped when they are submitted.
    pub anon_write: bool,
}

impl TestMapping {
    /// Returns the mapping that is copied from.
    pub(super) fn source(self) -> Option<Self> {
        (self.source_len != 0).then_some(Self {
            kind: TestType::Mapped,
            len: self.source_len,
            ..self
        })
    }

    pub(super) fn to_iomap(self, device: &BlockDevice) -> bindings::iomap {
        let kind = match self.kind {
            TestType::Hole => bindings::IOMAP_HOLE,
            TestType::Delalloc => bindings::IOMAP_DELALLOC,
            TestType::Mapped => bindings::IOMAP_MAPPED,
            TestType::Unwritten => bindings::IOMAP_UNWRITTEN,
            TestType::Inline => bindings::IOMAP_INLINE,
        };
        let flags = union(&[
            (self.new, bindings::IOMAP_F_NEW),
            (self.shared, bindings::IOMAP_F_SHARED),
            (self.dirty, bindings::IOMAP_F_DIRTY),
            (self.anon_write, bindings::IOMAP_F_ANON_WRITE),
        ]);
        bindings::iomap {
            addr: self.sector * 512,
            offset: self.offset as bindings::loff_t,
            length: self.len,
            // CAST: The types are few, and the flags have 16 bits.
            type_: kind as u16,
            flags: flags as u16,
            bdev: device.as_raw(),
            ..EMPTY
        }
    }
}
