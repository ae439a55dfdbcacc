// SPDX-License-Identifier: GPL-2.0

//! Submission: from a request to its bios.

use kernel::prelude::*;

use kernel_ext::{
    block::{
        bio::{
            Bio,
            HeadBio,
            HeadRef,
            Opf,
            TailBio, //
        },
        plug::with_plug,
    },
    fs::{
        Issued,
        Kiocb, //
    },
    iov::IovIter,
    task,
};

use super::{
    complete,
    range::{
        range,
        Direction,
        Range, //
    },
    request::Dio,
    route::{
        route,
        Arrival,
        Needs, //
    },
    DioFile,
    Extent, //
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
/// - whatever the device, or the file's mapping, answered.
pub(crate) fn submit<F: DioFile>(
    direction: Direction,
    mut kiocb: Kiocb<F>,
    iter: &mut IovIter<'_>,
) -> Issued<F> {
    let plan = match Plan::new(direction, &mut kiocb, iter) {
        Ok(Some(plan)) => plan,
        Ok(None) => return Issued::Done(kiocb, Ok(0)),
        Err(err) => return Issued::Done(kiocb, Err(err)),
    };
    kiocb.begin_dio();
    let head = match new_head(kiocb, iter, &plan) {
        Ok(head) => head,
        Err((kiocb, err)) => return Issued::Done(kiocb, Err(err)),
    };
    finish(submit_bios(head, iter, &plan))
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
    needs: Needs,
}

impl Plan {
    /// Checks a request. `None` is for one that has nothing to transfer.
    fn new<F: DioFile>(
        direction: Direction,
        kiocb: &mut Kiocb<F>,
        iter: &IovIter<'_>,
    ) -> Result<Option<Self>> {
        let block = kiocb.target().engine().block_size;
        let pos = kiocb.pos();
        let range = range(direction, pos, iter.len(), kiocb.target().size(), block)?;
        if range.transfer == 0 {
            return Ok(None);
        }
        match direction {
            Direction::Read => kiocb.accessed(),
            Direction::Write => kiocb.modified()?,
        }
        let extent = kiocb.target().map(pos, range.transfer as u64)?;
        let (opf, needs) = operation(direction, kiocb);
        Ok(Some(Self {
            direction,
            range,
            extent,
            pos,
            nowait: kiocb.is_nowait(),
            opf,
            needs,
        }))
    }
}

/// How the bios of a request do it, and what that leaves to the completion.
fn operation<F: DioFile>(direction: Direction, kiocb: &Kiocb<F>) -> (Opf, Needs) {
    let opf = match direction {
        Direction::Read => Opf::READ,
        Direction::Write => Opf::WRITE,
    };
    let opf = if kiocb.is_nowait() { opf.nowait() } else { opf };
    if direction == Direction::Read || !kiocb.is_dsync() {
        return (opf, Needs::Nothing);
    }
    let device = &kiocb.target().engine().device;
    if device.has_fua() || !device.has_write_cache() {
        (opf.fua(), Needs::Nothing)
    } else {
        (opf, Needs::Io)
    }
}

/// Allocates and fills the head.
fn new_head<F: DioFile>(
    kiocb: Kiocb<F>,
    iter: &mut IovIter<'_>,
    plan: &Plan,
) -> Result<HeadBio<F>, (Kiocb<F>, Error)> {
    // Only for one bio can be polled: it tells on which queue.
    let one_bio = plan.extent.len >= plan.range.transfer as u64
        && iter.nr_segments(MAX_SEGMENTS + 1) <= MAX_SEGMENTS;
    if plan.nowait && !one_bio {
        // A part that cannot be had without sleeping must not leave another one transferred.
        return Err((kiocb, EAGAIN));
    }
    let polled = one_bio && kiocb.is_hipri() && !kiocb.is_sync();
    let polled = polled && kiocb.target().engine().pollable;

    let ioprio = kiocb.ioprio();
    let dio = Dio::new(plan.direction, plan.range.report, polled, plan.needs);
    let device = kiocb.target().engine().device.clone();
    let mut head = HeadBio::new(kiocb, &device, nr_vecs(iter), plan.opf, plan.nowait, dio)
        .map_err(|kiocb| (kiocb, EAGAIN))?;

    let engine = Geometry::of(&head);
    let bio = head.bio();
    bio.set_ioprio(ioprio);
    if polled {
        bio.set_polled();
    }
    let filled = fill(
        bio,
        iter,
        plan.direction,
        plan.extent,
        plan.range.transfer,
        engine,
    );
    match filled {
        Ok(()) if head.bio().len() < plan.range.transfer && (polled || plan.nowait) => {
            // Memory that is more scattered than it looked like; or not all of it is there.
            Err((head.into_kiocb(), EAGAIN))
        }
        Ok(()) => Ok(head),
        Err(err) => Err((head.into_kiocb(), err)),
    }
}

/// What the device demands of bios.
#[derive(Clone, Copy)]
struct Geometry {
    dma_mask: u32,
    block: u32,
}

impl Geometry {
    fn of<F: DioFile>(head: &HeadBio<F>) -> Self {
        let engine = head.kiocb().target().engine();
        Self {
            dma_mask: engine.dma_mask,
            block: engine.block_size,
        }
    }
}

/// The segments to allocate a bio for: none where it takes those of the iterator.
fn nr_vecs(iter: &IovIter<'_>) -> u16 {
    if iter.is_bvec() {
        0
    } else {
        iter.nr_segments(MAX_SEGMENTS)
    }
}

/// Fills a bio with up to `len` bytes of `iter` for the beginning of `extent`.
fn fill(
    bio: &mut Bio,
    iter: &mut IovIter<'_>,
    direction: Direction,
    extent: Extent,
    len: usize,
    geometry: Geometry,
) -> Result {
    bio.set_sector(extent.sector);
    iter.with_limit(extent.len.min(len as u64), |iter| {
        bio.add_iter(iter, geometry.dma_mask, geometry.block)
    })?;
    match direction {
        Direction::Read => bio.mark_pages_dirty(),
        Direction::Write => task::account_write(bio.len()),
    }
    Ok(())
}

/// Submits the head, and as many bios more as it takes.
fn submit_bios<F: DioFile>(
    mut head: HeadBio<F>,
    iter: &mut IovIter<'_>,
    plan: &Plan,
) -> HeadRef<F> {
    let geometry = Geometry::of(&head);
    let done = head.bio().len();
    if done == plan.range.transfer {
        let head = head.submit();
        if head.data().polled {
            head.kiocb().set_poll_cookie(head.poll_cookie());
        }
        return head;
    }
    with_plug(|| {
        let head = head.submit();
        if let Err(err) = submit_tail(&head, iter, plan, done, geometry) {
            head.data().fail(err);
        }
        head
    })
}

/// Submits what the head has left, beginning `done` bytes into the request. Ends early if the
/// device has reported an error, which is what the issuer will be told of.
fn submit_tail<F: DioFile>(
    head: &HeadRef<F>,
    iter: &mut IovIter<'_>,
    plan: &Plan,
    mut done: usize,
    geometry: Geometry,
) -> Result {
    let file = head.kiocb().target();
    while done < plan.range.transfer && !head.data().has_failed() {
        let left = plan.range.transfer - done;
        let extent = file.map(plan.pos + done as u64, left as u64)?;
        let mut tail = TailBio::new(&file.engine().device, nr_vecs(iter), plan.opf);
        let bio = tail.bio();
        bio.set_ioprio(head.kiocb().ioprio());
        fill(bio, iter, plan.direction, extent, left, geometry)?;
        done += bio.len();
        tail.submit(head.clone());
    }
    Ok(())
}

/// Drops the submitter's reference, and completes the request if that is up to the submitter.
fn finish<F: DioFile>(submitter: HeadRef<F>) -> Issued<F> {
    let arrival = if submitter.kiocb().is_sync() {
        Arrival::Sync
    } else {
        Arrival::Submitter
    };
    match submitter.put_submitter() {
        None => Issued::Queued,
        Some(head) => {
            let engine = head.kiocb().target().engine();
            engine
                .stats
                .count_route(route(head.data().needs(), arrival));
            let (kiocb, ret) = complete::in_task(head);
            Issued::Done(kiocb, ret)
        }
    }
}
