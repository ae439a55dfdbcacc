// SPDX-License-Identifier: GPL-2.0

//! The member of `struct bvec_iter` that was called `bi_bvec_done` before Linux 7.3.
//!
//! C header: [`include/linux/bvec.h`](srctree/include/linux/bvec.h)

use crate::bindings;

/// Returns how many bytes of the current vector lie behind.
#[cfg(ext_has_bi_offset)]
#[inline(always)]
pub(super) fn offset(iter: &bindings::bvec_iter) -> u32 {
    iter.bi_offset
}

/// Sets what [`offset`] returns.
#[cfg(ext_has_bi_offset)]
#[inline(always)]
pub(super) fn set_offset(iter: &mut bindings::bvec_iter, offset: u32) {
    iter.bi_offset = offset;
}

/// Returns how many bytes of the current vector lie behind.
#[cfg(not(ext_has_bi_offset))]
#[inline(always)]
pub(super) fn offset(iter: &bindings::bvec_iter) -> u32 {
    iter.bi_bvec_done
}

/// Sets what [`offset`] returns.
#[cfg(not(ext_has_bi_offset))]
#[inline(always)]
pub(super) fn set_offset(iter: &mut bindings::bvec_iter, offset: u32) {
    iter.bi_bvec_done = offset;
}
