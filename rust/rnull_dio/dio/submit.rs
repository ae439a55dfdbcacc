// SPDX-License-Identifier: GPL-2.0

//! Submission: from a request to its bios.

use kernel::prelude::*;

use kernel_ext::{
    block::{
        bio::{
            BioMut,
            Filled,
            HeadBio,
            Opf,
            SubmitterRef,
            TailBio, //
        },
        plug::with_plug,
    },
    context::{
        Io,
        Task, //
    },
    fs::{
        iomap::Extent,
        Issued,
        Kiocb, //
    },
    iov::IovIter,
    task,
    trace, //
};

use super::{
    complete,
    end_io::choose_route,
    policy::Policy,
    range::{
        range,
        Direction,
        Range, //
    },
    request::Dio,
    route::{
        Arrival,
        Issuer,
        Needs,
        Route, //
    },
    worker,
    DioFile,
    OwnPart, //
};

/// The segments that a bio can have, `BIO_MAX_VECS`.
const MAX_SEGMENTS: u16 = 256;

/// Reads or writes. Sleeps, unless the kiocb forbids it.
///
/// The issuer is told what the VFS wants to be told: bytes, or
///
/// - `EINVAL`: position, length or memory is not aligned to what the device demands.
/// - `EFAULT`: the memory is not there.
/// - `ENOSPC`: a write begins behind the end of the file.
/// - `EAGAIN`: the request must not sleep, and would.
/// - `ENOTBLK`: the page cache holds something that it cannot give up, so that a write has to go
///   through it. Nothing has been written.
/// - whatever the device, or the file's mapping, answered.
pub(crate) fn submit<F: DioFile>(
    direction: Direction,
    mut kiocb: Kiocb<F>,
    iter: &mut IovIter<'_>,
    io: &Io,
) -> Issued<F> {
    let plan = match Plan::new(direction, &mut kiocb, iter, io) {
        Ok(Some(plan)) => plan,
        Ok(None) => return Issued::Done(kiocb, Ok(0)),
        Err(err) => return Issued::Done(kiocb, Err(err)),
    };
    kiocb.target().engine().checker.begin(&kiocb);
    // A read of the last block may go beyond what the issuer is told of.
    iter.with_progress_of(plan.range.report, |iter| {
        match new_head(kiocb, iter, &plan, io) {
            Ok(head) => finish(submit_bios(head, iter, &plan, io), io),
            Err((kiocb, err)) => {
                kiocb.target().engine().checker.end(&kiocb);
                Issued::Done(kiocb, Err(err))
            }
        }
    })
}

/// What to do, as known before the first bio.
struct Plan {
    direction: Direction,
    range: Range,
    /// The first extent.
    extent: Extent,
    pos: u64,
    nowait: bool,
    opf: Opf,
    policy: Policy,
    needs: Needs,
}

impl Plan {
    /// Checks a request. `None` is for one that has nothing to transfer.
    fn new<F: DioFile>(
        direction: Direction,
        kiocb: &mut Kiocb<F>,
        iter: &IovIter<'_>,
        io: &Io,
    ) -> Result<Option<Self>> {
        let block = kiocb.target().engine().block_size;
        let pos = kiocb.pos();
        let range = range(direction, pos, iter.len(), kiocb.target().size(), block)?;
        if range.transfer == 0 {
            return Ok(None);
        }
        match direction {
            // Access times are not kept, see `FileOperations`.
            Direction::Read => (),
            Direction::Write => kiocb.modified()?,
        }
        kiocb.begin_dio()?;
        make_way(direction, kiocb, range.transfer, io)?;
        let extent = kiocb.target().map(pos, range.transfer as u64)?;
        let (opf, needs) = operation(direction, kiocb);
        let policy = kiocb.target().engine().policy();
        Ok(Some(Self {
            direction,
            range,
            extent,
            pos,
            nowait: kiocb.is_nowait(),
            opf,
            policy,
            needs: policy.raise(direction, needs),
        }))
    }
}

/// Brings page cache and device into step for the `len` bytes that a request is for.
fn make_way<F: DioFile>(direction: Direction, kiocb: &Kiocb<F>, len: usize, io: &Io) -> Result {
    if !kiocb.has_cached_pages() {
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

/// How the bios of a request do it, and what that leaves to the completion.
// Most requests pass by here, with less to do than a call costs.
#[inline(always)]
fn operation<F: DioFile>(direction: Direction, kiocb: &Kiocb<F>) -> (Opf, Needs) {
    let opf = match direction {
        Direction::Read => Opf::READ,
        Direction::Write => Opf::WRITE,
    };
    let opf = if kiocb.is_nowait() { opf.nowait() } else { opf };
    let own = match F::OWN_PART {
        OwnPart::None => Needs::Nothing,
        OwnPart::Counted | OwnPart::Uncounted => Needs::Task,
    };
    if direction == Direction::Read || !kiocb.is_dsync() {
        return (opf, own);
    }
    let device = &kiocb.target().engine().device;
    if device.has_fua() || !device.has_write_cache() {
        (opf.fua(), own)
    } else {
        (opf, Needs::Io)
    }
}

/// Allocates and fills the head.
fn new_head<F: DioFile>(
    kiocb: Kiocb<F>,
    iter: &mut IovIter<'_>,
    plan: &Plan,
    task: &Task,
) -> Result<HeadBio<F>, (Kiocb<F>, Error)> {
    let segments = nr_segments(iter);
    // A guess: memory may turn out to be more contiguous than its pages are many.
    let one_bio = segments <= MAX_SEGMENTS && plan.extent.len >= plan.range.transfer as u64;
    if plan.nowait && !one_bio {
        // A part that cannot be had without sleeping must not leave another one transferred.
        return Err((kiocb, EAGAIN));
    }
    let expected = plan.needs == Needs::Io && !kiocb.is_sync();
    let dio = Dio::new(
        plan.direction,
        plan.pos,
        plan.range.report,
        plan.policy,
        plan.needs,
        expected,
    );
    let nr_vecs = segments.min(MAX_SEGMENTS);
    let mut head = HeadBio::new(kiocb, nr_vecs, plan.opf, plan.nowait, dio)
        .map_err(|kiocb| (kiocb, EAGAIN))?;
    let geometry = Geometry::of(head.kiocb().target());
    let len = plan.range.transfer;
    let filled = fill(
        head.bio(),
        iter,
        plan.direction,
        plan.extent,
        len,
        geometry,
        task,
    );
    let filled = match filled {
        Ok(filled) => filled,
        Err(err) => return Err((head.into_kiocb(), err)),
    };
    let complete = head.bio().len() == len;
    match filled {
        // The same holds for what is not there.
        Filled::Fault(err) if plan.nowait => return Err((head.into_kiocb(), err)),
        _ if plan.nowait && !complete => return Err((head.into_kiocb(), EAGAIN)),
        _ => (),
    }
    // Only for one bio can be polled: it tells on which queue.
    let kiocb = head.kiocb();
    let engine = kiocb.target().engine();
    if complete
        && kiocb.is_hipri()
        && !kiocb.is_sync()
        && engine.pollable
        && plan.policy.polls(plan.needs)
    {
        head.set_polled();
    }
    Ok(head)
}

/// What the device demands of bios.
#[derive(Clone, Copy)]
struct Geometry {
    dma_mask: u32,
    block: u32,
}

impl Geometry {
    fn of<F: DioFile>(file: &F) -> Self {
        let engine = file.engine();
        Self {
            dma_mask: engine.dma_mask,
            block: engine.block_size,
        }
    }
}

/// The segments to allocate bios for, or more than one can have: none where they take those of the
/// iterator.
fn nr_segments(iter: &IovIter<'_>) -> u16 {
    if iter.is_bvec() {
        0
    } else {
        iter.nr_segments(MAX_SEGMENTS + 1)
    }
}

/// Fills a bio with up to `len` bytes of `iter` for the beginning of `extent`.
fn fill(
    mut bio: BioMut<'_>,
    iter: &mut IovIter<'_>,
    direction: Direction,
    extent: Extent,
    len: usize,
    geometry: Geometry,
    task: &Task,
) -> Result<Filled> {
    if extent.len == 0 {
        return Err(EIO);
    }
    bio.set_sector(extent.sector);
    let filled = iter.with_limit(extent.len.min(len as u64), |iter| {
        bio.add_iter(iter, geometry.dma_mask, geometry.block)
    })?;
    match direction {
        Direction::Read => bio.mark_pages_dirty(task),
        Direction::Write => task::account_write(bio.len()),
    }
    Ok(filled)
}

/// Submits the head, and as many bios more as it takes.
fn submit_bios<F: DioFile>(
    mut head: HeadBio<F>,
    iter: &mut IovIter<'_>,
    plan: &Plan,
    task: &Task,
) -> SubmitterRef<F> {
    if head.data().is_expected {
        head.kiocb().target().worker().expect_write();
    }
    let write = plan.direction == Direction::Write;
    trace::submit(head.kiocb(), plan.range.transfer, write, plan.needs as u32);
    let done = head.bio().len();
    if done == plan.range.transfer {
        return head.submit();
    }
    with_plug(|| {
        let submitter = head.submit();
        if let Err(err) = submit_tail(&submitter, iter, plan, done, task) {
            submitter.data().fail(err);
        }
        submitter
    })
}

/// Submits what the head has left, beginning `done` bytes into the request. Ends early if the
/// device has reported an error, which is what the issuer will be told of.
fn submit_tail<F: DioFile>(
    submitter: &SubmitterRef<F>,
    iter: &mut IovIter<'_>,
    plan: &Plan,
    mut done: usize,
    task: &Task,
) -> Result {
    let file = submitter.kiocb().target();
    let geometry = Geometry::of(file);
    while done < plan.range.transfer && !submitter.data().has_failed() {
        let left = plan.range.transfer - done;
        let extent = file.map(plan.pos + done as u64, left as u64)?;
        let nr_vecs = nr_segments(iter).min(MAX_SEGMENTS);
        let mut tail = TailBio::new(submitter, nr_vecs, plan.opf);
        fill(
            tail.bio(),
            iter,
            plan.direction,
            extent,
            left,
            geometry,
            task,
        )?;
        done += tail.bio().len();
        tail.submit();
    }
    Ok(())
}

/// Drops the submitter's reference, and completes the request if that is up to the submitter.
fn finish<F: DioFile>(submitter: SubmitterRef<F>, io: &Io) -> Issued<F> {
    let arrival = if submitter.kiocb().is_sync() {
        Arrival::Sync
    } else {
        Arrival::Submitter
    };
    match submitter.finish() {
        None => Issued::Queued,
        Some(mut head) => {
            if choose_route(&mut head, arrival, Issuer::Plain) == Route::Worker {
                worker::push(head);
                return Issued::Queued;
            }
            worker::not_for(&head);
            let (kiocb, ret) = complete::with_io(head, io);
            Issued::Done(kiocb, ret)
        }
    }
}
