// SPDX-License-Identifier: GPL-2.0

//! Cookies that name the hardware queue on which a bio is polled.
//!
//! C header: [`include/linux/blk_types.h`](srctree/include/linux/blk_types.h)

use crate::bindings;

/// The number of the hardware queue on which a bio can be polled.
///
/// C type: `blk_qc_t`
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PollCookie(u32);

impl PollCookie {
    /// Creates a cookie, unless `raw` is `BLK_QC_T_NONE`.
    pub(crate) fn from_raw(raw: u32) -> Option<Self> {
        (raw != bindings::EXT_BLK_QC_T_NONE).then_some(Self(raw))
    }

    /// Returns the `blk_qc_t` of `cookie`, `BLK_QC_T_NONE` if there is none.
    pub(crate) fn into_raw(cookie: Option<Self>) -> u32 {
        cookie.map_or(bindings::EXT_BLK_QC_T_NONE, |cookie| cookie.0)
    }
}
