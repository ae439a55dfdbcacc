// SPDX-License-Identifier: GPL-2.0

//! Arguments of the system calls that are in user space.

use kernel::{
    error::to_result,
    prelude::*,
    uaccess::{
        UserPtr,
        UserSlice, //
    },
};

use crate::{
    bindings,
    context::MaySleep, //
};

/// Returns the arguments of a `struct __aio_sigset` in user space: the mask and its size. May sleep.
///
/// # Errors
///
/// `EFAULT`.
#[inline]
pub fn read_sigset(from: UserPtr, _ctx: &MaySleep) -> Result<(UserPtr, usize)> {
    if from.as_const_ptr().is_null() {
        return Ok((from, 0));
    }
    let [mask, size] = UserSlice::new(from, size_of::<[usize; 2]>())
        .reader()
        .read()?;
    Ok((UserPtr::from_addr(mask), size))
}

/// Returns the timeout in ns that `from` points to in user space, or `None` for NULL and, as the
/// kernel, for negative times. May sleep.
///
/// # Errors
///
/// `EFAULT`.
#[inline]
pub fn read_timeout(from: UserPtr, _ctx: &MaySleep) -> Result<Option<i64>> {
    if from.as_const_ptr().is_null() {
        return Ok(None);
    }
    let mut ns = 0;
    // SAFETY: `ns` is valid for writes; the kernel checks the address.
    to_result(unsafe { bindings::ext_get_timeout(from.as_const_ptr(), &mut ns) })?;
    Ok((0..i64::MAX).contains(&ns).then_some(ns))
}

/// Puts the address of a context where user space wants it. May sleep.
///
/// # Errors
///
/// `EFAULT`.
pub fn write_address(address: usize, to: UserPtr, _ctx: &MaySleep) -> Result {
    UserSlice::new(to, size_of::<usize>())
        .writer()
        .write(&address)
}

/// Reads an address from user space. May sleep.
///
/// # Errors
///
/// `EFAULT`.
#[inline]
pub fn read_address(from: UserPtr, _ctx: &MaySleep) -> Result<usize> {
    let mut address = 0;
    // SAFETY: `address` is valid for writes; the kernel checks that of user space.
    if unsafe { bindings::ext_get_user_ulong(&mut address, from.as_const_ptr()) } != 0 {
        return Err(EFAULT);
    }
    Ok(address)
}
