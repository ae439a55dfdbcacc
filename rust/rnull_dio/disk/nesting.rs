// SPDX-License-Identifier: GPL-2.0

//! Disks in files that are on top of each other.

use kernel::{
    new_mutex,
    prelude::*,
    str::CString,
    sync::{
        Arc,
        Mutex, //
    }, //
};

use kernel_ext::compat::error::code::ELOOP;

/// Limit of the disks in files that are on top of each other.
///
/// When a request of the lowest disk ends, one of each disk above may end within it, on the stack of
/// the interrupt. Each level takes about 150 bytes of it in Debian's kernel for x86-64, where the stack
/// has 16 KiB, and several times as much in kernels with debugging aids. What may be between the disks,
/// such as device mapper, also takes some.
pub(super) const MAX_LEVELS: u32 = 8;

/// The disks in files that are in the system, or are being added.
#[pin_data]
pub(super) struct Nesting {
    #[pin]
    disks: Mutex<KVec<Arc<Nested>>>,
}

struct Nested {
    name: CString,
    /// 1 if there is no disk in a file below.
    level: u32,
}

impl Nesting {
    /// Creates an empty set.
    pub(super) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            disks <- new_mutex!(KVec::new()),
        })
    }

    /// Adds a disk in a file, which is on the disk named `below` if that is known. To be called before
    /// the disk is in the system, so that disks on top of it find it here. The disk stays in the set
    /// as long as the returned object.
    ///
    /// # Errors
    ///
    /// - [`ELOOP`]: there would be more than [`MAX_LEVELS`].
    /// - [`ENOMEM`].
    pub(super) fn add(self: &Arc<Self>, name: &CStr, below: Option<&CStr>) -> Result<Level> {
        let mut disks = self.disks.lock();
        // A disk that is being removed may have the name of one that is being added.
        let same_name = disks.iter().filter(|disk| Some(&*disk.name) == below);
        let level = 1 + same_name.map(|disk| disk.level).max().unwrap_or(0);
        if level > MAX_LEVELS {
            return Err(ELOOP);
        }
        let name = name.try_into()?;
        let disk = Arc::new(Nested { name, level }, GFP_KERNEL)?;
        disks.push(disk.clone(), GFP_KERNEL)?;
        Ok(Level {
            nesting: self.clone(),
            disk,
        })
    }
}

/// The place of a disk in a [`Nesting`], which its drop gives up.
pub(super) struct Level {
    nesting: Arc<Nesting>,
    disk: Arc<Nested>,
}

impl Drop for Level {
    fn drop(&mut self) {
        let mut disks = self.nesting.disks.lock();
        disks.retain(|disk| !Arc::ptr_eq(disk, &self.disk));
    }
}

#[kunit_tests(rnull_dio_disk_nesting)]
mod tests {
    use super::*;
    use kernel::str::CString;

    #[test]
    fn levels_are_limited() -> Result {
        let nesting = Arc::pin_init(Nesting::new(), GFP_KERNEL)?;
        let mut disks: KVec<Level> = KVec::new();
        for number in 0..MAX_LEVELS {
            let name = CString::try_from_fmt(fmt!("disk{number}"))?;
            let below = disks.last().map(|level| level.disk.clone());
            let below = below.as_ref().map(|disk| &*disk.name);
            let level = nesting.add(&name, below)?;
            assert_eq!(level.disk.level, number + 1);
            disks.push(level, GFP_KERNEL)?;
        }
        let top = disks.pop().ok_or(EINVAL)?;
        let refused = nesting.add(c"other", Some(&top.disk.name));
        assert_eq!(refused.err(), Some(ELOOP));
        // Beside the highest one, on another disk, and on none.
        let second = disks.pop().ok_or(EINVAL)?;
        for (below, expected) in [
            (Some(&*second.disk.name), MAX_LEVELS),
            (Some(c"sda"), 1),
            (None, 1),
        ] {
            assert_eq!(nesting.add(c"other", below)?.disk.level, expected);
        }
        Ok(())
    }

    #[test]
    fn only_a_disk_that_is_removed_is_forgotten() -> Result {
        let nesting = Arc::pin_init(Nesting::new(), GFP_KERNEL)?;
        let old = nesting.add(c"disk", None)?;
        let new = nesting.add(c"disk", Some(c"disk"))?;
        drop(old);
        assert_eq!(nesting.disks.lock().len(), 1);
        assert_eq!(nesting.add(c"other", Some(c"disk"))?.disk.level, 3);
        drop(new);
        assert_eq!(nesting.add(c"other", Some(c"disk"))?.disk.level, 1);
        Ok(())
    }
}
