// SPDX-License-Identifier: GPL-2.0

//! How the issuers of polled requests issue transfers.

use crate::bindings;

use super::{
    super::request::Request,
    TransferOperations, //
};

impl<T: TransferOperations> Request<T> {
    /// As [`transfer`](Self::transfer), of all of a polled request, so that it is polled. To be called
    /// in `queue_rq()`, which must be allowed to sleep, for a request that the issuer polls for. Does
    /// not sleep for locks and space of the file, but it may for memory, for requests of the device
    /// below, and where a file system reads what it needs.
    ///
    /// If that is not possible now, [`TransferOperations::would_sleep`] gets the request.
    ///
    /// # Errors
    ///
    /// The request, if the current task must not issue I/O of the file, because it may be any that
    /// runs the queue, with a transaction, or with little room on its stack; if many transfers are in
    /// flight already; or if the request has to update the time stamps of the file.
    pub fn transfer_polled(self) -> Result<(), Self> {
        let plan = match self.plan(0) {
            Ok(plan) => plan,
            Err(err) => {
                T::transferred(self, Err(err), false);
                return Ok(());
            }
        };
        // SAFETY: The request is owned by `self`, and has bios, because the plan is one of data.
        if !unsafe { bindings::ext_task_may_issue(self.as_raw(), plan.end()) } {
            return Err(self);
        }
        let polled = T::polled(self.hctx()).as_raw();
        // SAFETY: It stays until the request ends, which is owned by `self`.
        if !unsafe { bindings::ext_polled_has_room(polled, self.as_raw()) } {
            return Err(self);
        }
        match self.have_polled(plan) {
            Some(plan) => {
                // SAFETY: It is one of this request.
                unsafe { self.begin(&plan) };
                Ok(())
            }
            None => Err(self),
        }
    }
}
