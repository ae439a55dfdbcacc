// SPDX-License-Identifier: GPL-2.0

//! Submitting the bios of a request, along the mappings of its file system.

use kernel::prelude::*;

use kernel_ext::{
    block::{
        bio::{
            DmaLimits,
            Filled,
            MAX_VECS, //
        },
        plug::with_plug, //
    },
    context::MayIo,
    dio::{
        trace,
        DioKiocb,
        FilledDio,
        NewDio,
        NewTail,
        SubmitRef, //
    },
    fs::iomap::Mappings,
    iov::RawIovIter,
    task, //
};

use super::{
    direction::Direction,
    engine::Engine,
    files::Files,
    passed::{
        is_for_kernel,
        Reason, //
    },
    plan::{
        Plan,
        Progress, //
    },
    request::State,
    worker, //
};

/// A request of which no bio was submitted, and the error for its issuer.
type Refused<F> = (DioKiocb<Engine<F>>, Error);

/// The state of a request at the end of its submission.
pub(super) enum Submitted<F: Files> {
    /// Nothing has been done.
    Passed(DioKiocb<Engine<F>>, Reason),
    /// The result is known: how many zeroes were read.
    WithoutBios(DioKiocb<Engine<F>>, Result<usize>),
    /// Bios have been submitted. Whether the caller has to wait for them.
    InFlight(SubmitRef<Engine<F>>, bool),
}

impl Plan<'_> {
    /// Submits the bios of a request.
    // Hot path, as `rw`.
    #[inline(always)]
    pub(super) fn submit<F: Files>(
        &self,
        kiocb: DioKiocb<Engine<F>>,
        iter: &mut RawIovIter<'_>,
        io: &MayIo,
    ) -> Submitted<F> {
        let mut progress = self.progress(&kiocb);
        let mut mappings = match self.call.mappings(&kiocb, self.len as u64) {
            Ok(mappings) => mappings,
            Err(err) => return Submitted::WithoutBios(kiocb, Err(err)),
        };
        match self.skip_zeroes(&mut mappings, &mut progress, iter, io) {
            Ok(true) => (),
            Ok(false) => return Submitted::WithoutBios(kiocb, Ok(progress.size)),
            Err(err) => return self.failed_without_bios(kiocb, err, &progress),
        }
        if is_for_kernel(&mappings) {
            if progress.size > 0 {
                return Submitted::WithoutBios(kiocb, Err(EIO));
            }
            return self.abandon(kiocb, &mut mappings, Reason::Mapping, io);
        }
        self.submit_mapped(kiocb, &mut mappings, progress, iter, io)
    }

    /// Gives the mapping back, and passes the request on.
    #[cold]
    fn abandon<F: Files>(
        &self,
        kiocb: DioKiocb<Engine<F>>,
        mappings: &mut Mappings<'_>,
        reason: Reason,
        io: &MayIo,
    ) -> Submitted<F> {
        mappings.fail(EAGAIN);
        // The status that was just set.
        let _ = mappings.next(io);
        Submitted::Passed(kiocb, reason)
    }

    /// Returns the result of a request that failed behind zeroes, or at its start.
    #[cold]
    fn failed_without_bios<F: Files>(
        &self,
        kiocb: DioKiocb<Engine<F>>,
        err: Error,
        progress: &Progress,
    ) -> Submitted<F> {
        let partial = err == EFAULT && progress.size > 0 && self.call.may_be_partial();
        if partial || err == ENOTBLK {
            return Submitted::WithoutBios(kiocb, Ok(progress.size));
        }
        Submitted::WithoutBios(kiocb, Err(err))
    }

    /// Submits the bios of a request, the first of which is for the mapping.
    #[inline]
    fn submit_mapped<F: Files>(
        &self,
        kiocb: DioKiocb<Engine<F>>,
        mappings: &mut Mappings<'_>,
        mut progress: Progress,
        iter: &mut RawIovIter<'_>,
        io: &MayIo,
    ) -> Submitted<F> {
        let skipped = progress.size;
        let padding = self.padding_before(&kiocb, mappings);
        let filled = iter.try_with(|iter| self.first_bio(kiocb, mappings, &mut progress, iter, io));
        let mut dio = match filled {
            Ok(dio) => dio,
            // The kernel's own code fails in turn. It does not get new blocks, which it would not
            // know to be new: it would not zero those parts of them that are not written to, should
            // it find the memory accessible. Nor does it get what has to be done by one bio.
            Err((kiocb, _)) if skipped == 0 && !mappings.is_new() && !self.is_one_bio::<F>() => {
                return self.abandon(kiocb, mappings, Reason::Fill, io);
            }
            Err((kiocb, err)) => {
                mappings.fail(err);
                let err = mappings.next(io).err().unwrap_or(EIO);
                return self.failed_without_bios(kiocb, err, &progress);
            }
        };
        let bytes = dio.bytes();
        progress.size += bytes;
        mappings.advance(bytes as u64);
        let needs = {
            let state = dio.state_mut();
            state.init_size(progress.size);
            state.is_grouped &= !self.waits;
            state.needs()
        };
        worker::count_submitted(dio.kiocb(), dio.state());
        let write = self.direction == Direction::Write;
        trace::submit(dio.kiocb(), self.len, write, needs as u32);
        dio.kiocb().target().checker.begin(dio.kiocb());
        if bytes == self.len && padding == 0 && self.padding_after(dio.kiocb(), mappings) == 0 {
            if self.may_poll(needs, dio.kiocb()) {
                dio.set_polled();
            }
            return self.submit_last(dio, mappings, io);
        }
        with_plug(|| {
            let submitter = dio.submit();
            self.submit_rest(submitter, mappings, progress, padding, iter, io)
        })
    }

    /// Submits the only bio of a request.
    #[inline]
    fn submit_last<F: Files>(
        &self,
        dio: FilledDio<Engine<F>>,
        mappings: &mut Mappings<'_>,
        io: &MayIo,
    ) -> Submitted<F> {
        let submitter = dio.submit();
        let ended = mappings.next(io).map(|_| ());
        let wait = self.end_submission(&submitter, ended, self.len);
        Submitted::InFlight(submitter, wait)
    }

    /// Allocates the request, and fills its first bio.
    ///
    /// # Errors
    ///
    /// Returns the kiocb, with the error for the issuer.
    #[inline]
    fn first_bio<F: Files>(
        &self,
        mut kiocb: DioKiocb<Engine<F>>,
        mappings: &Mappings<'_>,
        progress: &mut Progress,
        iter: &mut RawIovIter<'_>,
        io: &MayIo,
    ) -> Result<FilledDio<Engine<F>>, Refused<F>> {
        let device = match mappings.device() {
            Ok(device) => device,
            Err(err) => return Err((kiocb, err)),
        };
        let limits = self.limits(&kiocb, device);
        if !is_aligned(mappings, limits) {
            return Err((kiocb, EINVAL));
        }
        let opf = self.operation(mappings, device, progress);
        if kiocb.is_hipri() && (progress.work || mappings.len() < self.len as u64) {
            kiocb.clear_hipri();
        }
        let state = State::new(
            self.direction,
            self.policy,
            self.file_size,
            self.call.has_end_io(),
            self.call.done_before(),
            self.summary(progress),
        );
        let segments = nr_segments(iter);
        let one_bio = self.is_one_bio::<F>();
        if one_bio && (segments > MAX_VECS || mappings.len() < self.reported as u64) {
            return Err((kiocb, EAGAIN));
        }
        let opf = if one_bio { opf.nowait() } else { opf };
        let dio = NewDio::new(kiocb, self.call, mappings, segments, opf, one_bio, state)?;
        let filled = iter.with_limit(mappings.len(), |iter| {
            dio.fill(mappings.sector(), iter, limits, io)
        });
        let (mut dio, filled) = filled?;
        if one_bio {
            if let Err(err) = self.check_one_bio(filled, dio.bytes()) {
                return Err((dio.into_kiocb(), err));
            }
        }
        match self.direction {
            Direction::Read => dio.mark_pages_dirty(io),
            Direction::Write => task::account_write(dio.bytes()),
        }
        Ok(dio)
    }

    /// Checks that a request which must be done by one bio fits into it. The bio has `bytes` bytes.
    #[inline]
    fn check_one_bio(&self, filled: Filled, bytes: usize) -> Result {
        match filled {
            Filled::Fault(err) => Err(err),
            _ if bytes < self.reported => Err(EAGAIN),
            _ => Ok(()),
        }
    }

    /// Submits the rest of a request. `padding` bytes before its first bio are zeroed.
    #[cold]
    fn submit_rest<F: Files>(
        &self,
        submitter: SubmitRef<Engine<F>>,
        mappings: &mut Mappings<'_>,
        mut progress: Progress,
        padding: u32,
        iter: &mut RawIovIter<'_>,
        io: &MayIo,
    ) -> Submitted<F> {
        let first = self.pad_before(&submitter, mappings, progress.size, padding, io);
        let ended =
            first.and_then(|()| self.submit_all(&submitter, mappings, &mut progress, iter, io));
        submitter.state().set_summary(&self.summary(&progress));
        let wait = self.end_submission(&submitter, ended, progress.size);
        Submitted::InFlight(submitter, wait)
    }

    /// Submits bios for the rest of the mapping, and for those behind it.
    fn submit_all<F: Files>(
        &self,
        submitter: &SubmitRef<Engine<F>>,
        mappings: &mut Mappings<'_>,
        progress: &mut Progress,
        iter: &mut RawIovIter<'_>,
        io: &MayIo,
    ) -> Result {
        loop {
            let filled = self.fill_mapping(submitter, mappings, progress, iter, io);
            // Also if this has failed, because the block must not show what was in it before.
            let padded = self.pad_after(submitter, mappings, io);
            if let Err(err) = filled.and(padded) {
                mappings.fail(err);
            } else if submitter.state().has_failed() {
                // The issuer gets the error in any case.
                mappings.fail(EIO);
            }
            if !self.next_data(mappings, progress, iter, io)? {
                return Ok(());
            }
            let padding = self.padding_before(submitter.kiocb(), mappings);
            self.pad_before(submitter, mappings, 0, padding, io)?;
        }
    }

    /// Moves to the next mapping that bios are submitted for. Returns whether there is one.
    fn next_data(
        &self,
        mappings: &mut Mappings<'_>,
        progress: &mut Progress,
        iter: &mut RawIovIter<'_>,
        io: &MayIo,
    ) -> Result<bool> {
        if !self.skip_zeroes(mappings, progress, iter, io)? {
            return Ok(false);
        }
        if is_for_kernel(mappings) {
            mappings.fail(EIO);
            return mappings.next(io);
        }
        Ok(true)
    }

    /// Submits bios for the rest of the mapping. Stops when the request has failed.
    fn fill_mapping<F: Files>(
        &self,
        submitter: &SubmitRef<Engine<F>>,
        mappings: &mut Mappings<'_>,
        progress: &mut Progress,
        iter: &mut RawIovIter<'_>,
        io: &MayIo,
    ) -> Result {
        if mappings.is_empty() {
            return Ok(());
        }
        let device = mappings.device()?;
        let limits = self.limits(submitter.kiocb(), device);
        if !is_aligned(mappings, limits) {
            return Err(EINVAL);
        }
        let opf = self.operation(mappings, device, progress);
        while !mappings.is_empty() && !submitter.state().has_failed() {
            let tail = NewTail::new(submitter, mappings, nr_segments(iter), opf, io)?;
            let (mut tail, _) = iter.with_limit(mappings.len(), |iter| {
                tail.fill(mappings.sector(), iter, limits, io)
            })?;
            match self.direction {
                Direction::Read => tail.mark_pages_dirty(io),
                Direction::Write => task::account_write(tail.bytes()),
            }
            let bytes = tail.bytes();
            tail.submit();
            progress.size += bytes;
            mappings.advance(bytes as u64);
        }
        Ok(())
    }

    /// Records how the submission has ended. Returns whether the caller has to wait.
    #[inline]
    fn end_submission<F: Files>(
        &self,
        submitter: &SubmitRef<Engine<F>>,
        ended: Result,
        size: usize,
    ) -> bool {
        match ended {
            Ok(()) => self.waits,
            // The caller goes on with what is left through the page cache.
            Err(ENOTBLK) => true,
            // The caller gets the memory, and goes on.
            Err(EFAULT) if size > 0 && self.call.may_be_partial() => {
                self.waits || !submitter.kiocb().is_nowait()
            }
            Err(err) => {
                submitter.state().fail(err);
                self.waits
            }
        }
    }
}

/// Returns whether the rest of the request is aligned for direct I/O to the mapping.
#[inline]
fn is_aligned(mappings: &Mappings<'_>, limits: DmaLimits) -> bool {
    (mappings.pos() | mappings.len()) & (u64::from(limits.block) - 1) == 0
}

/// Returns the number of segments to allocate a bio for, which is more than [`MAX_VECS`] if one bio
/// is not enough; 0 if the bio takes those of the iterator.
#[inline]
fn nr_segments(iter: &RawIovIter<'_>) -> u16 {
    if iter.is_bvec() {
        0
    } else {
        iter.nr_segments(MAX_VECS + 1)
    }
}
