// SPDX-License-Identifier: GPL-2.0

//! The state of a request.

use kernel::{
    prelude::*,
    sync::atomic::{
        ordering::Relaxed,
        Atomic, //
    },
};

use kernel_ext::dio::EndIoFlags;

use super::{
    direction::Direction,
    needs::Needs,
    policy::Policy, //
};

/// What is known of a request when its submission is over; of a request of one bio, before that is
/// submitted.
#[derive(Clone, Copy)]
pub(super) struct Summary {
    /// The bytes that bios transfer, or that were found to be zeroes.
    pub(super) size: usize,
    pub(super) needs: Needs,
    /// Whether the file has to be synced when the data has been written.
    pub(super) sync: bool,
    pub(super) end_io_flags: EndIoFlags,
}

/// The state of a request, shared by its submitter and its bios.
///
/// Relaxed ordering is enough, because the reference count orders all accesses before the final
/// put.
pub(crate) struct State {
    pub(super) direction: Direction,
    pub(super) policy: Policy,
    /// The size of the file in bytes when the request began.
    pub(super) file_size: u64,
    /// Whether the file system has a function to be called at the end (`->end_io`).
    pub(super) has_end_io: bool,
    /// The bytes of the result that were transferred before this request.
    pub(super) done_before: usize,
    /// Whether it is counted in the flush group of its worker.
    pub(super) is_grouped: bool,
    /// The bytes that were transferred, while the request waits for a sync of its file.
    pub(super) ended_bytes: usize,
    size: Atomic<usize>,
    /// `needs`, `sync` and `end_io_flags` of a [`Summary`].
    bits: Atomic<u32>,
    /// The first error, as an errno; 0 if there is none.
    error: Atomic<i32>,
}

/// The bit of [`State::bits`] for `sync`.
const SYNC: u32 = 1 << 8;
/// The bits of [`State::bits`] for `needs`.
const NEEDS: u32 = 0xff;
/// The shift of `end_io_flags` in [`State::bits`].
const FLAGS_SHIFT: u32 = 16;

impl Summary {
    /// Returns whether it is likely to be ended together with others.
    pub(super) fn is_grouped(&self) -> bool {
        self.sync || self.end_io_flags != EndIoFlags::NONE
    }

    fn bits(&self) -> u32 {
        let sync = if self.sync { SYNC } else { 0 };
        // The flags have few bits, see the check below.
        self.needs as u32 | sync | (self.end_io_flags.bits() >> FLAGS_FROM) << FLAGS_SHIFT
    }
}

/// The position of the lowest bit of [`EndIoFlags`].
const FLAGS_FROM: u32 = EndIoFlags::UNWRITTEN
    .or(EndIoFlags::COW)
    .bits()
    .trailing_zeros();

// All of them fit.
const _: () = assert!(EndIoFlags::UNWRITTEN.or(EndIoFlags::COW).bits() >> FLAGS_FROM < 1 << 8);

impl State {
    pub(super) fn new(
        direction: Direction,
        policy: Policy,
        file_size: u64,
        has_end_io: bool,
        done_before: usize,
        summary: Summary,
    ) -> Self {
        Self {
            direction,
            policy,
            file_size,
            has_end_io,
            done_before,
            is_grouped: summary.is_grouped(),
            ended_bytes: 0,
            size: Atomic::new(summary.size),
            bits: Atomic::new(summary.bits()),
            error: Atomic::new(0),
        }
    }

    /// Sets what is known at the end of the submission.
    pub(super) fn set_summary(&self, summary: &Summary) {
        self.size.store(summary.size, Relaxed);
        self.bits.store(summary.bits(), Relaxed);
    }

    /// Sets the size, before the request is shared.
    pub(super) fn init_size(&mut self, size: usize) {
        *self.size.get_mut() = size;
    }

    /// Records an error; the first one stays.
    pub(super) fn fail(&self, err: Error) {
        // If this fails, there is an error already.
        let _ = self.error.cmpxchg(0, err.to_errno(), Relaxed);
    }

    /// Returns whether there is an error.
    pub(super) fn has_failed(&self) -> bool {
        self.error.load(Relaxed) != 0
    }

    /// Returns the first error.
    pub(super) fn error(&mut self) -> Result {
        match *self.error.get_mut() {
            0 => Ok(()),
            errno => Err(Error::from_errno(errno)),
        }
    }

    /// Returns what the rest of the completion needs when all bios have ended.
    pub(super) fn needs(&mut self) -> Needs {
        if *self.error.get_mut() != 0 {
            // Some issuers do not expect an error in an interrupt. It needs no sync.
            return if self.has_end_io {
                Needs::Io
            } else {
                Needs::Task
            };
        }
        let bits = *self.bits.get_mut();
        match bits & NEEDS {
            0 => Needs::Nothing,
            1 => Needs::Task,
            _ => Needs::Io,
        }
    }

    /// Makes the rest of a completion that needed nothing need a task.
    pub(super) fn raise_to_task(&mut self) {
        *self.bits.get_mut() |= Needs::Task as u32;
    }

    /// Returns whether the file has to be synced.
    pub(super) fn must_sync(&mut self) -> bool {
        *self.bits.get_mut() & SYNC != 0
    }

    /// Returns what has happened to the blocks.
    pub(super) fn end_io_flags(&mut self) -> EndIoFlags {
        let bits = *self.bits.get_mut() >> FLAGS_SHIFT;
        EndIoFlags::from_bits(bits << FLAGS_FROM)
    }

    /// Returns the bytes that have been transferred if there is no error.
    pub(super) fn size(&mut self) -> usize {
        *self.size.get_mut()
    }
}

#[kunit_tests(rnull_dio_request)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_is_kept() {
        for &needs in &[Needs::Nothing, Needs::Task, Needs::Io] {
            for sync in [false, true] {
                for flags in [
                    EndIoFlags::NONE,
                    EndIoFlags::UNWRITTEN,
                    EndIoFlags::COW,
                    EndIoFlags::COW.or(EndIoFlags::UNWRITTEN),
                ] {
                    let bits = Summary {
                        size: 512,
                        needs,
                        sync,
                        end_io_flags: flags,
                    }
                    .bits();
                    assert_eq!(bits & NEEDS, needs as u32);
                    assert_eq!((bits & SYNC != 0), sync);
                    let kept = EndIoFlags::from_bits(bits >> FLAGS_SHIFT << FLAGS_FROM);
                    assert!(kept == flags);
                }
            }
        }
    }
}
