// SPDX-License-Identifier: GPL-2.0

//! Memory of test requests.

use core::cell::UnsafeCell;

use kernel::{
    ffi::c_uint,
    page::PAGE_SIZE,
    prelude::*,
    types::Opaque, //
};

use super::TestIoOptions;
use crate::{
    bindings,
    iov::{
        Keeper,
        RawIovIter, //
    },
};

/// The memory that a request reads into or writes from: a buffer from an offset on.
pub(super) struct Memory {
    buf: UnsafeCell<VVec<u8>>,
    offset: usize,
    /// The pages of the memory.
    segments: KVec<bindings::bio_vec>,
}

impl Memory {
    /// Takes over `buf`, whose memory begins at `offset` bytes. Sleeps.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(super) fn new(buf: VVec<u8>, offset: usize) -> Result<Self> {
        Ok(Self {
            segments: segments(&buf[offset..])?,
            buf: UnsafeCell::new(buf),
            offset,
        })
    }

    /// Calls `f` with an iterator over the memory, of the direction and kind that `options` say.
    ///
    /// # Safety
    ///
    /// - From this call until the request of `keeper` is complete, only bios of the request may
    ///   access the memory.
    /// - This object must stay until then, and not move.
    pub(super) unsafe fn with_iter<R>(
        &self,
        options: &TestIoOptions,
        keeper: Keeper,
        f: impl FnOnce(&mut RawIovIter<'_>) -> R,
    ) -> R {
        let direction = c_uint::from(options.write);
        let iter = Opaque::<bindings::iov_iter>::uninit();
        // SAFETY: By the safety requirements of this function there is no other reference.
        let buf = unsafe { &mut (*self.buf.get())[self.offset..] };
        let kvec = bindings::kvec {
            iov_base: buf.as_mut_ptr().cast(),
            iov_len: buf.len(),
        };
        // SAFETY: The iterator is valid for writes. Its segments live until `f` has returned, and
        // the memory as long as the request.
        unsafe {
            if options.bvec {
                let segments = &self.segments;
                bindings::iov_iter_bvec(
                    iter.get(),
                    direction,
                    segments.as_ptr(),
                    segments.len(),
                    buf.len(),
                );
            } else {
                bindings::iov_iter_kvec(iter.get(), direction, &kvec, 1, buf.len());
            }
        }
        // SAFETY: The iterator is initialized, and exclusively ours. Its memory stays by the safety
        // requirements of this function.
        f(&mut unsafe { RawIovIter::from_raw(iter.get(), keeper) })
    }

    /// Returns the contents.
    ///
    /// # Safety
    ///
    /// Nothing may write to the memory as long as the reference exists.
    pub(super) unsafe fn contents(&self) -> &[u8] {
        // SAFETY: By the safety requirements of this function.
        unsafe { &(*self.buf.get())[self.offset..] }
    }
}

/// Returns the pages of vmalloc memory.
fn segments(buf: &[u8]) -> Result<KVec<bindings::bio_vec>> {
    let mut segments = KVec::new();
    let mut rest = buf;
    while let Some(first) = rest.first() {
        let address: *const u8 = first;
        let offset = address.addr() % PAGE_SIZE;
        let len = rest.len().min(PAGE_SIZE - offset);
        segments.push(
            bindings::bio_vec {
                // SAFETY: A `VVec` lies in vmalloc memory.
                bv_page: unsafe { bindings::vmalloc_to_page(address.cast()) },
                // CAST: At most a page.
                bv_len: len as u32,
                // CAST: Less than a page.
                bv_offset: offset as u32,
            },
            GFP_KERNEL,
        )?;
        rest = &rest[len..];
    }
    Ok(segments)
}
