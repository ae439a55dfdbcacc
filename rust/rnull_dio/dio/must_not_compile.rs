// SPDX-License-Identifier: GPL-2.0

//! Mistakes that the compiler has to find. `make check` builds the module with each of them by
//! itself (`DIO_CFG=NAME`), and wants the error that is told before it.

#![allow(dead_code, unused_imports)]

use kernel_ext::{
    block::bio::EndedHead,
    context::{
        Io,
        Irq,
        Task, //
    },
    fs::Kiocb, //
};

use super::{
    complete,
    DioFile,
    Engine, //
};

// E0308: sleeps in an interrupt
#[cfg(rnull_dio_task_in_interrupt)]
fn mistake<F: DioFile>(head: EndedHead<F>, irq: &Irq) {
    complete::in_task(head, irq);
}

// E0308: waits for I/O in an interrupt
#[cfg(rnull_dio_io_in_interrupt)]
fn mistake<F: DioFile>(head: EndedHead<F>, irq: &Irq) {
    complete::with_io(head, irq);
}

// E0308: waits for I/O in a task that others, or the I/O itself, may be waiting for
#[cfg(rnull_dio_io_in_issuer)]
fn mistake<F: DioFile>(engine: &Engine<F>, task: &Task) {
    let _ = engine.device.issue_flush(task);
}

// E0624: makes up a context
#[cfg(rnull_dio_forged_context)]
fn mistake() -> Io {
    Io::new()
}

// E0277: takes a context elsewhere
#[cfg(rnull_dio_stolen_context)]
fn mistake(task: Task) -> impl Send {
    task
}

// E0382: completes a request twice
#[cfg(rnull_dio_completed_twice)]
fn mistake<F: DioFile>(kiocb: Kiocb<F>) {
    kiocb.complete(Ok(0));
    kiocb.complete(Ok(0));
}

// E0382: goes on with a request that it has handed over
#[cfg(rnull_dio_used_after_hand_over)]
fn mistake<F: DioFile>(head: EndedHead<F>) {
    let _ = head.hand_over();
    let _ = head.kiocb();
}
