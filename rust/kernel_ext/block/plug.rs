// SPDX-License-Identifier: GPL-2.0

//! Plugs, which hold bios back in order to submit them together.
//!
//! C header: [`include/linux/blkdev.h`](srctree/include/linux/blkdev.h)

use core::pin::pin;

use kernel::types::Opaque;

use crate::bindings;

/// Runs `f`. The bios that it submits are held back until it returns or sleeps.
///
/// # Examples
///
/// ```
/// use kernel_ext::block::plug::with_plug;
///
/// fn submit_all(submits: &[fn()]) {
///     with_plug(|| submits.iter().for_each(|submit| submit()));
/// }
/// ```
pub fn with_plug<R>(f: impl FnOnce() -> R) -> R {
    let plug = pin!(Opaque::<bindings::blk_plug>::uninit());
    // SAFETY: The plug is initialized here, and stays where it is until it is finished below.
    unsafe { bindings::blk_start_plug(plug.get()) };
    let ret = f();
    // SAFETY: It was started above, by this task. Panics do not unwind.
    unsafe { bindings::blk_finish_plug(plug.get()) };
    ret
}
