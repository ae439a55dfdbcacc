// SPDX-License-Identifier: GPL-2.0

//! Planning a request: what it transfers, where, how, and what its completion will need.

use kernel::prelude::*;

use kernel_ext::{
    block::bio::{
        DmaLimits,
        Filled,
        Opf,
        MAX_VECS, //
    },
    context::{
        MayIo,
        MaySleep, //
    },
    dio::{
        DioKiocb,
        FilledDio,
        FilledTail,
        NewDio,
        NewTail,
        SubmitRef, //
    },
    fs::iomap::Extent,
    iov::RawIovIter,
    task, //
};

use super::{
    file::{
        DioFile,
        EndIoHook,
        File, //
    },
    needs::Needs,
    policy::Policy,
    range::{
        range,
        Direction,
        Range, //
    },
    request::DioState, //
};

/// A request that was not submitted, and the error for its issuer.
type Refused<F> = (DioKiocb<File<F>>, Error);

/// The plan of a request, made before its first bio is allocated.
pub(super) struct Plan {
    pub(super) direction: Direction,
    pub(super) range: Range,
    pub(super) needs: Needs,
    pos: u64,
    /// The first extent.
    extent: Extent,
    limits: DmaLimits,
    opf: Opf,
    policy: Policy,
    nowait: bool,
    polled: bool,
}

impl Plan {
    /// Checks a request, counts it in `i_dio_count`, and prepares the page cache. Returns [`None`]
    /// if there is nothing to transfer.
    ///
    /// # Errors
    ///
    /// Those of [`submit`](super::submit()), except for those of memory.
    #[inline]
    pub(super) fn new<F: DioFile>(
        direction: Direction,
        kiocb: &mut DioKiocb<File<F>>,
        iter: &RawIovIter<'_>,
        io: &MayIo,
    ) -> Result<Option<Self>> {
        let limits = kiocb.target().engine().limits;
        let (pos, size) = (kiocb.ki_pos(), kiocb.target().inner.size());
        let range = range(direction, pos, iter.len(), size, limits.block)?;
        if range.transfer == 0 {
            return Ok(None);
        }
        match direction {
            // Access times are not kept, see `FileOperations`.
            Direction::Read => (),
            Direction::Write => kiocb.modified()?,
        }
        kiocb.begin_dio()?;
        prepare_page_cache(direction, kiocb, range.transfer, io)?;
        let extent = kiocb.target().inner.map(pos, range.transfer as u64)?;
        let (opf, needs) = operation(direction, kiocb);
        let engine = kiocb.target().engine();
        let policy = engine.policy();
        let needs = policy.raise(direction, needs);
        Ok(Some(Self {
            direction,
            range,
            needs,
            pos,
            extent,
            limits,
            opf,
            policy,
            nowait: kiocb.is_nowait(),
            polled: kiocb.is_hipri() && !kiocb.is_sync() && engine.pollable && policy.polls(needs),
        }))
    }

    /// Allocates the request, and fills its first bio.
    ///
    /// # Errors
    ///
    /// Returns the kiocb, with the error for the issuer.
    #[inline]
    pub(super) fn first_bio<F: DioFile>(
        &self,
        kiocb: DioKiocb<File<F>>,
        iter: &mut RawIovIter<'_>,
        ctx: &MaySleep,
    ) -> Result<FilledDio<File<F>>, Refused<F>> {
        let segments = nr_segments(iter);
        // An estimate: memory may turn out to be more contiguous than its pages suggest.
        let one_bio = segments <= MAX_VECS && self.extent.len >= self.range.transfer as u64;
        if self.nowait && !one_bio {
            return Err((kiocb, EAGAIN));
        }
        let state = self.state(&kiocb);
        let dio = NewDio::new(kiocb, segments, self.opf, self.nowait, state)
            .map_err(|kiocb| (kiocb, EAGAIN))?;
        let len = self.extent.len.min(self.range.transfer as u64);
        let filled = iter.with_limit(len, |iter| {
            dio.fill(self.extent.sector, iter, self.limits, ctx)
        });
        let (mut dio, filled) = filled?;
        if let Err(err) = self.check_nowait(filled, dio.bytes()) {
            return Err((dio.into_kiocb(), err));
        }
        match self.direction {
            Direction::Read => dio.mark_pages_dirty(ctx),
            Direction::Write => task::account_write(dio.bytes()),
        }
        // Only a request of one bio is polled for, because the kiocb has one hardware queue.
        if self.polled && dio.bytes() == self.range.transfer {
            dio.set_polled();
        }
        Ok(dio)
    }

    /// Allocates and fills the bio that continues the request `done` bytes behind its start.
    ///
    /// # Errors
    ///
    /// The error for the issuer.
    pub(super) fn next_bio<'a, F: DioFile>(
        &self,
        submitter: &'a SubmitRef<File<F>>,
        iter: &mut RawIovIter<'_>,
        done: usize,
        ctx: &MaySleep,
    ) -> Result<FilledTail<'a, File<F>>> {
        let left = (self.range.transfer - done) as u64;
        let file = submitter.kiocb().target();
        let extent = file.inner.map(self.pos + done as u64, left)?;
        let tail = NewTail::new(submitter, nr_segments(iter), self.opf, ctx);
        let (mut tail, _) = iter.with_limit(extent.len.min(left), |iter| {
            tail.fill(extent.sector, iter, self.limits, ctx)
        })?;
        match self.direction {
            Direction::Read => tail.mark_pages_dirty(ctx),
            Direction::Write => task::account_write(tail.bytes()),
        }
        Ok(tail)
    }

    fn state<F: DioFile>(&self, kiocb: &DioKiocb<File<F>>) -> DioState {
        DioState::new(
            self.direction,
            self.pos,
            self.range.reported_bytes,
            self.policy,
            self.needs,
            self.needs == Needs::Io && !kiocb.is_sync(),
        )
    }

    /// Checks that a request which must not sleep fits into its first bio, of `len` bytes, because
    /// no part of it may be transferred if the submission of the rest would sleep.
    #[inline]
    fn check_nowait(&self, filled: Filled, len: usize) -> Result {
        match filled {
            Filled::Fault(err) if self.nowait => Err(err),
            _ if self.nowait && len != self.range.transfer => Err(EAGAIN),
            _ => Ok(()),
        }
    }
}

/// Writes back the cached pages of a read of `len` bytes, or drops those of a write.
#[inline]
fn prepare_page_cache<F: DioFile>(
    direction: Direction,
    kiocb: &DioKiocb<File<F>>,
    len: usize,
    io: &MayIo,
) -> Result {
    // Errors of earlier writebacks are reported, too.
    if !kiocb.has_cached_pages() && !kiocb.has_writeback_error() {
        return Ok(());
    }
    match direction {
        Direction::Read => kiocb.write_and_wait(len, io),
        Direction::Write => {
            kiocb
                .invalidate_pages(len, io)
                .map_err(|err| if err == EAGAIN { err } else { ENOTBLK })
        }
    }
}

/// Returns the operation of the bios of a request, and what its completion will need.
// Hot path: the call would cost more than the body.
#[inline(always)]
fn operation<F: DioFile>(direction: Direction, kiocb: &DioKiocb<File<F>>) -> (Opf, Needs) {
    let opf = match direction {
        Direction::Read => Opf::READ,
        Direction::Write => Opf::WRITE,
    };
    let opf = if kiocb.is_nowait() { opf.nowait() } else { opf };
    let hook = match F::END_IO {
        EndIoHook::None => Needs::Nothing,
        EndIoHook::Counted | EndIoHook::Uncounted => Needs::Task,
    };
    if direction == Direction::Read || !kiocb.is_dsync() {
        return (opf, hook);
    }
    let device = &kiocb.target().engine().device;
    if device.has_fua() || !device.has_write_cache() {
        (opf.fua(), hook)
    } else {
        (opf, Needs::Io)
    }
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
