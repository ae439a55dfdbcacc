// SPDX-License-Identifier: GPL-2.0

//! Options of test requests.

use core::ops::BitOr;

use kernel::ffi::c_int;

use crate::bindings;

/// How a request is carried out.
#[derive(Clone, Copy, Default)]
pub struct TestIoOptions {
    /// Whether it is a write.
    pub write: bool,
    /// Whether the issuer sleeps for it.
    pub sync: bool,
    /// Whether the issuer polls for it.
    pub hipri: bool,
    /// Whether the issuer runs deferred completions.
    pub defers: bool,
    /// Whether submission must not sleep.
    pub nowait: bool,
    /// Whether written data must be durable.
    pub dsync: bool,
    /// Whether the file's metadata must be durable, too.
    pub full_sync: bool,
    /// Whether it must be written as a whole or not at all.
    pub atomic: bool,
    /// Whether the iterator describes the memory by its pages, rather than by its address.
    pub bvec: bool,
    /// Where in the buffer the memory begins, in bytes.
    pub offset: usize,
}

impl TestIoOptions {
    /// An asynchronous read of an issuer that takes nothing but the result.
    pub const READ: Self = Self {
        write: false,
        sync: false,
        hipri: false,
        defers: false,
        nowait: false,
        dsync: false,
        full_sync: false,
        atomic: false,
        bvec: false,
        offset: 0,
    };

    /// Returns the flags of the kiocb (`IOCB_*`).
    pub(super) fn iocb_flags(&self) -> c_int {
        union(&[
            (true, bindings::IOCB_DIRECT as c_int),
            (self.write, bindings::IOCB_WRITE as c_int),
            (self.hipri, bindings::EXT_IOCB_HIPRI),
            (self.nowait, bindings::EXT_IOCB_NOWAIT),
            (self.dsync || self.full_sync, bindings::EXT_IOCB_DSYNC),
            (self.full_sync, bindings::EXT_IOCB_SYNC),
            (self.atomic, bindings::EXT_IOCB_ATOMIC),
        ])
    }
}

/// Returns the union of the flags that are set.
pub(super) fn union<F: Copy + Default + BitOr<Output = F>>(flags: &[(bool, F)]) -> F {
    let set = flags.iter().filter(|(is_set, _)| *is_set);
    set.fold(F::default(), |union, &(_, flag)| union | flag)
}
