// SPDX-License-Identifier: GPL-2.0

//! Requests that sync a file.

use kernel::{
    error::to_result,
    prelude::*,
    workqueue, //
};

use super::request::{
    Request,
    Requests, //
};
use crate::{
    bindings,
    cred::current_cred, //
};

impl<T: Requests> Request<T> {
    /// Has a worker sync the file, or its data only, with the rights of the current task. The
    /// context gets the request back when it is complete.
    ///
    /// # Errors
    ///
    /// The context does not get the request.
    ///
    /// - `EINVAL`: the file cannot be synced.
    /// - `ENOMEM`.
    pub fn fsync(mut self, data_only: bool) -> Result {
        let Some(file) = self.inner_mut().file.clone() else {
            return Err(EINVAL);
        };
        // SAFETY: The file is open.
        if unsafe { (*(*file.as_ptr()).f_op).fsync.is_none() } {
            return Err(EINVAL);
        }
        let cred = current_cred();
        workqueue::system().try_spawn(GFP_KERNEL, move || {
            // SAFETY: The file is open, and the credentials are valid.
            let ret = to_result(unsafe {
                bindings::ext_vfs_fsync_as(cred.as_ptr(), file.as_ptr(), data_only)
            });
            drop(file);
            let res = ret.err().map_or(0, |err| err.to_errno() as isize);
            self.complete(res);
        })?;
        Ok(())
    }
}
