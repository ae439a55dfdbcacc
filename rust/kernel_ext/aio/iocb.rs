// SPDX-License-Identifier: GPL-2.0

//! What user space submits.
//!
//! C header: [`include/uapi/linux/aio_abi.h`](srctree/include/uapi/linux/aio_abi.h)

use kernel::{
    prelude::*,
    transmute::FromBytes,
    uaccess::{
        UserPtr,
        UserSlice, //
    }, //
};

use crate::{
    bindings,
    context::MaySleep, //
};

/// A request as user space describes it (`struct iocb`). Field names are those of C, without
/// `aio_`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Iocb {
    /// Goes into the result.
    pub data: u64,
    key: u32,
    /// `RWF_*`.
    pub rw_flags: i32,
    /// See [`Iocb::command`].
    lio_opcode: u16,
    /// An I/O priority, with [`Iocb::IOPRIO`].
    pub reqprio: i16,
    /// The file descriptor.
    pub fildes: u32,
    /// The address of the memory or of the `struct iovec`s, or a mask of events.
    pub buf: u64,
    /// Bytes, or the number of `struct iovec`s.
    pub nbytes: u64,
    /// The position in the file, in bytes.
    pub offset: i64,
    /// 0.
    pub reserved2: u64,
    /// `IOCB_FLAG_*`.
    pub flags: u32,
    /// The file descriptor of an eventfd, with [`Iocb::RESFD`].
    pub resfd: u32,
}

const _: () = assert!(size_of::<Iocb>() == size_of::<bindings::iocb>());

/// What is to be done (`IOCB_CMD_*`).
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// `IOCB_CMD_PREAD`, or `IOCB_CMD_PREADV` if `vectored`.
    Read {
        /// Whether there are several ranges of memory.
        vectored: bool,
    },
    /// `IOCB_CMD_PWRITE`, or `IOCB_CMD_PWRITEV` if `vectored`.
    Write {
        /// Whether there are several ranges of memory.
        vectored: bool,
    },
    /// `IOCB_CMD_FSYNC`, or `IOCB_CMD_FDSYNC` if `data_only`.
    Fsync {
        /// Whether metadata that is not needed to find the data may be left out.
        data_only: bool,
    },
    /// `IOCB_CMD_POLL`.
    Poll,
}

// SAFETY: All values of all fields are valid.
unsafe impl FromBytes for Iocb {}

impl Iocb {
    /// `IOCB_FLAG_RESFD`.
    pub const RESFD: u32 = 1 << 0;
    /// `IOCB_FLAG_IOPRIO`.
    pub const IOPRIO: u32 = 1 << 1;

    /// Returns what is to be done, or `None` if that is nothing known. `IOCB_CMD_NOOP` is not known,
    /// as in the kernel.
    pub fn command(&self) -> Option<Command> {
        Some(match u32::from(self.lio_opcode) {
            bindings::IOCB_CMD_PREAD => Command::Read { vectored: false },
            bindings::IOCB_CMD_PREADV => Command::Read { vectored: true },
            bindings::IOCB_CMD_PWRITE => Command::Write { vectored: false },
            bindings::IOCB_CMD_PWRITEV => Command::Write { vectored: true },
            bindings::IOCB_CMD_FSYNC => Command::Fsync { data_only: false },
            bindings::IOCB_CMD_FDSYNC => Command::Fsync { data_only: true },
            bindings::IOCB_CMD_POLL => Command::Poll,
            _ => return None,
        })
    }

    /// Returns whether memory, position and flags are all zero.
    pub fn has_no_range(&self) -> bool {
        self.buf == 0 && self.has_only_events()
    }

    /// Returns whether there are no memory, position and flags besides `buf`, which has events.
    pub fn has_only_events(&self) -> bool {
        self.offset == 0 && self.nbytes == 0 && self.rw_flags == 0
    }

    /// Copies a request from user space. May sleep.
    ///
    /// # Errors
    ///
    /// `EFAULT`.
    #[inline]
    pub fn read(from: UserPtr, _ctx: &MaySleep) -> Result<Self> {
        UserSlice::new(from, size_of::<Self>()).reader().read()
    }

    /// Returns the key of the request at `from` in user space. May sleep.
    ///
    /// # Errors
    ///
    /// `EFAULT`.
    pub fn key_of(from: UserPtr, _ctx: &MaySleep) -> Result<u32> {
        UserSlice::new(Self::key_at(from), size_of::<u32>())
            .reader()
            .read()
    }

    /// Sets the key of the request at `to` in user space to [`Iocb::KEY`]. May sleep.
    ///
    /// # Errors
    ///
    /// `EFAULT`.
    #[inline]
    pub fn set_key(to: UserPtr, _ctx: &MaySleep) -> Result {
        let key = Self::key_at(to);
        // SAFETY: The kernel checks the address.
        if unsafe { bindings::ext_put_user_u32(Self::KEY, key.as_mut_ptr()) } != 0 {
            return Err(EFAULT);
        }
        Ok(())
    }

    /// The key of all requests.
    pub const KEY: u32 = 0;

    fn key_at(iocb: UserPtr) -> UserPtr {
        iocb.wrapping_byte_add(core::mem::offset_of!(Self, key))
    }
}
