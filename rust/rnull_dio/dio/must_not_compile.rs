// SPDX-License-Identifier: GPL-2.0

//! Mistakes that must not compile. `make check` builds the module with each of them alone
//! (`DIO_CFG=NAME`), and expects the error in the comment before it.

#![allow(dead_code, unused_imports)]

use kernel_ext::{
    block::BlockDevice,
    context::{
        InAtomic,
        MayIo,
        MaySleep, //
    },
    dio::{
        DioKiocb,
        EndedDio,
        FilledDio, //
    },
};

use super::{
    complete,
    engine::Engine,
    files::Files, //
};

// E0308: sleeps in an interrupt
#[cfg(rnull_dio_task_in_interrupt)]
fn mistake<F: Files>(dio: EndedDio<Engine<F>>, ctx: &InAtomic) {
    complete::in_task(dio, ctx);
}

// E0308: waits for I/O in an interrupt
#[cfg(rnull_dio_io_in_interrupt)]
fn mistake<F: Files>(dio: EndedDio<Engine<F>>, ctx: &InAtomic) {
    complete::with_io(dio, ctx);
}

// E0308: waits for I/O in a task that the I/O itself may be waiting for
#[cfg(rnull_dio_io_in_issuer)]
fn mistake(device: &BlockDevice, ctx: &MaySleep) {
    let _ = device.issue_flush(ctx);
}

// E0624: makes up a context
#[cfg(rnull_dio_forged_context)]
fn mistake() -> MayIo {
    MayIo::new()
}

// E0277: sends a context to another thread
#[cfg(rnull_dio_stolen_context)]
fn mistake(ctx: MaySleep) -> impl Send {
    ctx
}

// E0382: completes a request twice
#[cfg(rnull_dio_completed_twice)]
fn mistake<F: Files>(kiocb: DioKiocb<Engine<F>>) {
    kiocb.complete(Ok(0));
    kiocb.complete(Ok(0));
}

// E0382: uses a request after its hand-over
#[cfg(rnull_dio_used_after_hand_over)]
fn mistake<F: Files>(dio: EndedDio<Engine<F>>) {
    let _ = dio.hand_over();
    let _ = dio.kiocb();
}

// E0382: submits a bio twice
#[cfg(rnull_dio_submitted_twice)]
fn mistake<F: Files>(dio: FilledDio<Engine<F>>) {
    let _submitter = dio.submit();
    let _submitter = dio.submit();
}
