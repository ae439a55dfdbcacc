// SPDX-License-Identifier: GPL-2.0

//! The limit of the requests of all contexts: `fs.aio-max-nr`.
//!
//! It holds for the kernel's contexts and for those of this module together. `fs.aio-nr` is the
//! number of the former only.

use kernel::{
    new_mutex,
    prelude::*,
    sync::{
        atomic::{
            ordering::Relaxed,
            Atomic, //
        },
        Arc,
        Mutex, //
    },
};

use kernel_ext::{
    context::MayIo,
    sysctl::Sysctl, //
};

/// The limit, and how many requests this module's contexts were made for.
#[pin_data]
pub(super) struct Limit {
    max_nr: Sysctl,
    nr: Sysctl,
    #[pin]
    reserved: Mutex<u64>,
}

impl Limit {
    /// Opens the kernel's settings. Sleeps.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, and those of `open(2)`.
    pub(super) fn new() -> Result<Arc<Self>> {
        Arc::try_pin_init(
            try_pin_init!(Self {
                max_nr: Sysctl::open(c"/proc/sys/fs/aio-max-nr")?,
                nr: Sysctl::open(c"/proc/sys/fs/aio-nr")?,
                reserved <- new_mutex!(0),
            }? Error),
            GFP_KERNEL,
        )
    }

    /// Reserves `requests`. Sleeps.
    ///
    /// # Errors
    ///
    /// - `EAGAIN`: they are too many.
    /// - `EIO`: the limit cannot be read.
    pub(super) fn reserve(self: &Arc<Self>, requests: u32, io: &MayIo) -> Result<Reservation> {
        let requests = u64::from(requests);
        let mut reserved = self.reserved.lock();
        let read = |setting: &Sysctl| setting.read(io).map_err(|_| EIO);
        let left = read(&self.max_nr)?
            .saturating_sub(read(&self.nr)?)
            .saturating_sub(*reserved);
        if requests > left {
            return Err(EAGAIN);
        }
        *reserved += requests;
        Ok(Reservation {
            limit: self.clone(),
            requests,
            ended: Atomic::new(false),
        })
    }

    /// Returns how many requests are reserved.
    pub(super) fn reserved(&self) -> u64 {
        *self.reserved.lock()
    }
}

/// Requests that a context was made for, until this is ended or dropped.
pub(super) struct Reservation {
    limit: Arc<Limit>,
    requests: u64,
    ended: Atomic<bool>,
}

impl Reservation {
    /// Gives the requests back. Sleeps.
    pub(super) fn end(&self) {
        if !self.ended.xchg(true, Relaxed) {
            *self.limit.reserved.lock() -= self.requests;
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.end();
    }
}
