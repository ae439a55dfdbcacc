// SPDX-License-Identifier: GPL-2.0

//! Planning a request, and what its submission finds out.

use kernel::prelude::*;

use kernel_ext::{
    block::{
        bio::{
            DmaLimits,
            Opf, //
        },
        BlockDevice, //
    },
    context::MayIo,
    dio::{
        DioCall,
        DioKiocb,
        EndIoFlags, //
    },
    fs::{
        iomap::{
            MappingType,
            Mappings, //
        },
        Kiocb, //
    },
    iov::RawIovIter,
    task, //
};

use super::{
    direction::Direction,
    engine::Engine,
    files::Files,
    needs::Needs,
    policy::Policy,
    request::Summary, //
};

/// What does not change during the submission of a request.
pub(super) struct Plan<'a> {
    pub(super) call: &'a DioCall<'a>,
    pub(super) direction: Direction,
    pub(super) policy: Policy,
    pub(super) len: usize,
    /// The size of the file in bytes when the request begins.
    pub(super) file_size: u64,
    /// The bytes that the issuer gets at most: those before the end of the file, for a read.
    pub(super) reported: usize,
    /// Whether this is a write behind the end of the file, at least in part.
    pub(super) extends: bool,
    /// Whether a write has to be durable.
    pub(super) dsync: bool,
    /// Whether the submission must not sleep.
    nowait: bool,
    /// Whether the submitter waits for the request.
    pub(super) waits: bool,
}

/// What the submission has found out so far.
pub(super) struct Progress {
    /// The bytes that bios transfer, or that were found to be zeroes.
    pub(super) size: usize,
    pub(super) end_io_flags: EndIoFlags,
    /// Whether the end of the request needs a task because of its blocks.
    pub(super) work: bool,
    /// Whether all writes go through the device's cache.
    pub(super) write_through: bool,
}

impl<'a> Plan<'a> {
    #[inline]
    pub(super) fn new<F: Files>(
        kiocb: &Kiocb<Engine<F>>,
        iter: &RawIovIter<'_>,
        call: &'a DioCall<'a>,
    ) -> Self {
        let direction = if iter.is_source() {
            Direction::Write
        } else {
            Direction::Read
        };
        let write = direction == Direction::Write;
        let file_size = kiocb.file_size();
        let (pos, len) = (kiocb.ki_pos(), iter.len());
        let beyond = pos + len as u64 > file_size;
        let policy = kiocb.target().policy();
        let nowait = kiocb.is_nowait();
        let extends = beyond && write;
        let dsync = write && kiocb.is_dsync();
        Self {
            call,
            direction,
            policy,
            len,
            file_size,
            // CAST: Less than the length.
            reported: if beyond && !write {
                file_size.saturating_sub(pos) as usize
            } else {
                len
            },
            extends,
            dsync,
            nowait,
            waits: call.is_waited_for()
                || kiocb.is_sync()
                || (extends && !dsync && !nowait && !kiocb.is_hipri() && waits_in_io_wq(policy)),
        }
    }

    /// Checks a request, counts it in `i_dio_count`, and prepares the page cache. Returns whether
    /// there is anything to do.
    ///
    /// # Errors
    ///
    /// - `EAGAIN`: the write would not be an overwrite, but has to be; or the request must not
    ///   sleep, and would.
    /// - `ENOTBLK`: the page cache could not be emptied, so a write has to go through it.
    /// - the error of a writeback.
    #[inline]
    pub(super) fn begin<F: Files>(
        &self,
        kiocb: &mut DioKiocb<Engine<F>>,
        io: &MayIo,
    ) -> Result<bool> {
        match self.direction {
            Direction::Read if kiocb.ki_pos() >= self.file_size => return Ok(false),
            Direction::Write if self.extends && self.call.is_overwrite_only() => {
                return Err(EAGAIN);
            }
            _ => (),
        }
        // Before pages are dropped, because a buffered write adds pages while it excludes direct I/O.
        kiocb.begin_dio()?;
        // Errors of earlier writebacks are reported, too.
        if !kiocb.has_cached_pages() && !kiocb.has_writeback_error() {
            return Ok(true);
        }
        match self.direction {
            Direction::Read => kiocb.write_and_wait(self.len, io)?,
            Direction::Write => kiocb.invalidate_pages(self.len, io).map_err(|err| {
                if err == EAGAIN {
                    err
                } else {
                    ENOTBLK
                }
            })?,
        }
        Ok(true)
    }

    /// Returns what is known before the first mapping.
    #[inline]
    pub(super) fn progress<F: Files>(&self, kiocb: &DioKiocb<Engine<F>>) -> Progress {
        Progress {
            size: 0,
            end_io_flags: EndIoFlags::NONE,
            work: self.extends,
            // Metadata does not go through the cache, so `O_SYNC` needs a sync in any case.
            write_through: self.dsync && !kiocb.is_full_sync(),
        }
    }

    /// Returns the limits of bios to `device`.
    #[inline]
    pub(super) fn limits<F: Files>(
        &self,
        kiocb: &DioKiocb<Engine<F>>,
        device: &BlockDevice,
    ) -> DmaLimits {
        let mut limits = DmaLimits::of(device);
        if self.call.needs_whole_blocks() {
            limits.block = kiocb.file_block_size();
        }
        limits
    }

    /// Returns the operation of bios to the mapping, and notes what it means for the end of the
    /// request.
    #[inline]
    pub(super) fn operation(
        &self,
        mappings: &Mappings<'_>,
        device: &BlockDevice,
        progress: &mut Progress,
    ) -> Opf {
        if self.direction == Direction::Read {
            return Opf::READ;
        }
        let mut work = mappings.is_new();
        if mappings.mapping_type() == MappingType::Unwritten {
            progress.end_io_flags = progress.end_io_flags.or(EndIoFlags::UNWRITTEN);
            work = true;
        }
        if mappings.is_shared() {
            progress.end_io_flags = progress.end_io_flags.or(EndIoFlags::COW);
            work = true;
        }
        progress.work |= work;
        if !progress.write_through {
            return Opf::WRITE;
        }
        if !work && !mappings.is_dirty() && (!device.has_write_cache() || device.has_fua()) {
            return Opf::WRITE.fua();
        }
        progress.write_through = false;
        Opf::WRITE
    }

    /// Returns whether the request is done by one bio or not at all, because it must not sleep: no
    /// part of it may be transferred if the submission of the rest would sleep. File systems that
    /// count their requests decide this themselves.
    #[inline]
    pub(super) fn is_one_bio<F: Files>(&self) -> bool {
        !F::COUNTED && self.nowait
    }

    /// Returns whether a request of one bio is polled for.
    #[inline]
    pub(super) fn may_poll<F: Files>(&self, needs: Needs, kiocb: &DioKiocb<Engine<F>>) -> bool {
        // A reaper does not complete what needs more if the request is counted.
        kiocb.is_hipri()
            && self.policy.polls(needs)
            && (needs == Needs::Nothing || !F::COUNTED)
            && !self.call.is_waited_for()
            && kiocb.target().files.may_poll()
    }

    /// Returns what the end of the request needs, as far as is known.
    #[inline]
    pub(super) fn summary(&self, progress: &Progress) -> Summary {
        let sync = self.dsync && !progress.write_through;
        let needs = if progress.work || sync {
            Needs::Io
        } else {
            Needs::Nothing
        };
        Summary {
            size: progress.size,
            needs: self.policy.raise(self.direction, needs),
            sync,
            end_io_flags: progress.end_io_flags,
        }
    }
}

/// Returns whether a worker of io-wq, which may sleep, waits for a write behind the end of a file. On
/// XFS, such writes wait for each other, so another task would only add the time until it runs. Not
/// for a write that is polled for: a poller returns at once while io-wq has the request.
#[cold]
fn waits_in_io_wq(policy: Policy) -> bool {
    policy == Policy::Auto && task::is_io_worker()
}
