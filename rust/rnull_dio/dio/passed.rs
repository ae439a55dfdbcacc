// SPDX-License-Identifier: GPL-2.0

//! Requests that are passed on to the kernel's own code, and why.

use kernel_ext::{
    dio::DioCall,
    fs::{
        iomap::{
            MappingType,
            Mappings, //
        },
        Kiocb, //
    },
    iov::RawIovIter, //
};

use crate::named::named_enum;

named_enum! {
    /// Why a request is passed on.
    pub(crate) enum Reason {
        /// It transfers nothing.
        Empty = "empty",
        /// Its pages have to be copied, because they must not change during a write
        /// (`IOMAP_DIO_BOUNCE`), or its file system has passed a flag that is not known.
        Flags = "flags",
        /// It must be written as a whole or not at all (`RWF_ATOMIC`).
        Atomic = "atomic",
        /// Its file is encrypted.
        Encrypted = "encrypted",
        /// Its file system submits bios itself, or has a pool of its own for them.
        Bios = "bios",
        /// Its memory is of a kind that bios are not filled from.
        Memory = "memory",
        /// Its file system has mapped it to something else than blocks, or to blocks whose bios need
        /// more than data.
        Mapping = "mapping",
        /// Its first bio could not be filled.
        Fill = "fill",
    }
}

/// Returns why a request is passed on before anything of it has been done; [`None`] if it is not.
#[inline]
pub(super) fn reason<T>(
    kiocb: &Kiocb<T>,
    iter: &RawIovIter<'_>,
    call: &DioCall<'_>,
) -> Option<Reason> {
    if iter.is_empty() {
        Some(Reason::Empty)
    } else if call.has_other_flags() {
        Some(Reason::Flags)
    } else if call.has_bios_of_its_own() {
        Some(Reason::Bios)
    } else if kiocb.is_atomic() {
        Some(Reason::Atomic)
    } else if kiocb.is_encrypted() {
        Some(Reason::Encrypted)
    } else if !iter.can_fill_bios() {
        Some(Reason::Memory)
    } else {
        None
    }
}

/// Returns whether the mapping is one that only the kernel's own code submits bios for.
#[inline]
pub(super) fn is_for_kernel(mappings: &Mappings<'_>) -> bool {
    mappings.mapping_type() == MappingType::Other || mappings.has_special_bios()
}
