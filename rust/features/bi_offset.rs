// SPDX-License-Identifier: GPL-2.0

use kernel::bindings::bvec_iter;

pub fn offset(iter: &bvec_iter) -> u32 {
    iter.bi_offset
}
