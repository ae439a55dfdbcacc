// SPDX-License-Identifier: GPL-2.0

//! Ranges of open files that have to be durable.

use kernel::prelude::*;

use kernel_ext::{
    context::MayIo,
    dio::EndedDio, //
};

use super::{
    engine::Engine,
    files::Files, //
};

/// A range of an open file that has to be durable.
pub(super) struct SyncRange {
    /// The open file. Each gets errors of its own.
    file: usize,
    first: u64,
    last: u64,
    /// Whether all metadata has to be durable.
    full: bool,
}

impl SyncRange {
    /// The `bytes` bytes (at least one) that a write has written.
    pub(super) fn of<F: Files>(dio: &EndedDio<Engine<F>>, bytes: usize) -> Self {
        let kiocb = dio.kiocb();
        let first = kiocb.ki_pos();
        Self {
            file: kiocb.file_id(),
            first,
            last: first + bytes as u64 - 1,
            full: kiocb.is_full_sync(),
        }
    }

    /// Extends the range to the smallest one that has both, if they are of the same open file.
    pub(super) fn join(&mut self, other: &Self) -> bool {
        if self.file != other.file {
            return false;
        }
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
        self.full |= other.full;
        true
    }

    /// Makes the range of the file of `dio` durable.
    pub(super) fn sync<F: Files>(&self, dio: &EndedDio<Engine<F>>, io: &MayIo) -> Result {
        // A build that does not sync exists for a test, which must see that writes are lost.
        if cfg!(rnull_dio_skip_sync) {
            return Ok(());
        }
        dio.kiocb().sync_range(self.first, self.last, self.full, io)
    }
}
