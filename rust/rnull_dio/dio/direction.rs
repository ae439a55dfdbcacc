// SPDX-License-Identifier: GPL-2.0

//! Which way data goes.

/// Which way data goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// From the device.
    Read,
    /// To the device.
    Write,
}
