// SPDX-License-Identifier: GPL-2.0

//! debugfs: directories and read-only text files that pin the module they belong to.
//!
//! `kernel::debugfs` leaves `file_operations.owner` NULL, so that a module can be unloaded while
//! one of its files is open. debugfs reads the `file_operations`, which lie in the module, when
//! that file is closed. Here `owner` is the module, and unloading fails until the last file is
//! closed.
//!
//! A kernel without `CONFIG_DEBUG_FS`, or out of memory, has none of these directories and files;
//! nothing here fails for this reason.
//!
//! C header: [`include/linux/debugfs.h`](srctree/include/linux/debugfs.h)

use core::{
    marker::{
        PhantomData,
        PhantomPinned, //
    },
    ops::Deref,
    ptr, //
};

use kernel::{
    fmt,
    prelude::*,
    seq_file::SeqFile,
    seq_print,
    sync::Arc,
    ModuleMetadata, //
};

use crate::{
    bindings,
    compat::module::this_module, //
};

/// The mode of a file: only root may read it.
const MODE: bindings::umode_t = 0o400;

/// A `dentry` of debugfs, which is removed when this is dropped.
///
/// # Invariants
///
/// `self.dentry` is an error pointer, or was returned for this object by a function of debugfs that
/// creates entries, and is not removed before the drop.
struct Entry {
    dentry: *mut bindings::dentry,
    // Dropped after `drop()`: to remove a directory removes what is in it.
    _parent: Option<Arc<Entry>>,
}

// SAFETY: A `dentry` of debugfs belongs to no thread.
unsafe impl Send for Entry {}

// SAFETY: `&self` methods only pass the pointer to functions that lock what they change.
unsafe impl Sync for Entry {}

impl Entry {
    fn dir(name: &CStr, parent: Option<Arc<Self>>) -> Self {
        let parent_dentry = parent
            .as_ref()
            .map_or(ptr::null_mut(), |parent| parent.dentry);
        // INVARIANT: The entry has just been created for this object.
        Self {
            // SAFETY: The name is a valid string. The parent is NULL, an error pointer, or an entry
            // that is there, by the type invariant.
            dentry: unsafe { bindings::ext_debugfs_create_dir(name.as_char_ptr(), parent_dentry) },
            _parent: parent,
        }
    }

    /// Creates a file of `M` with `show` for its contents.
    ///
    /// # Safety
    ///
    /// `show` must be valid until the entry is dropped, and not be written to.
    unsafe fn file<T: Send + Sync, M: ModuleMetadata>(
        name: &CStr,
        parent: Arc<Self>,
        show: *const Show<T>,
    ) -> Self {
        // INVARIANT: The entry has just been created for this object.
        Self {
            // SAFETY: The name is a valid string, and the parent is an error pointer or a directory
            // that is there, by the type invariant. By the safety requirements of this function
            // `show` is what the operations expect in `i_private` as long as the file is there. The
            // operations are those of `M`, in whose memory they are, or in that of the kernel.
            dentry: unsafe {
                bindings::ext_debugfs_create_file(
                    name.as_char_ptr(),
                    MODE,
                    parent.dentry,
                    show.cast_mut().cast(),
                    &FileOperations::<T, M>::TABLE,
                )
            },
            _parent: Some(parent),
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        // SAFETY: By the type invariant; debugfs ignores error pointers. This waits for reads that
        // are under way; later ones fail, because debugfs no longer calls `seq_read()`.
        unsafe { bindings::ext_debugfs_remove(self.dentry) };
    }
}

/// A directory in debugfs, for files of the module `M`, which is the one that has the code.
///
/// It is removed when the last clone of it, the last file in it and the last directory in it are
/// dropped.
///
/// # Examples
///
/// ```
/// # use kernel::{fmt, prelude::*};
/// # use kernel_ext::debugfs::{Dir, File};
/// struct Limits {
///     depth: u32,
/// }
///
/// fn show(limits: &Limits, f: &mut fmt::Formatter<'_>) -> fmt::Result {
///     writeln!(f, "depth: {}", limits.depth)
/// }
///
/// // In `/sys/kernel/debug/my_module/disk0/limits`:
/// let dir = Dir::<LocalModule>::new(c"my_module").subdir(c"disk0");
/// let file = dir.read_callback_file(c"limits", Limits { depth: 64 }, show);
/// let file: Pin<KBox<File<Limits>>> = KBox::pin_init(file, GFP_KERNEL)?;
/// assert_eq!(file.depth, 64);
/// # Ok::<(), Error>(())
/// ```
pub struct Dir<M: ModuleMetadata> {
    entry: Option<Arc<Entry>>,
    _p: PhantomData<fn() -> M>,
}

impl<M: ModuleMetadata> Clone for Dir<M> {
    fn clone(&self) -> Self {
        Self {
            entry: self.entry.clone(),
            _p: PhantomData,
        }
    }
}

impl<M: ModuleMetadata + 'static> Dir<M> {
    /// Creates a directory in the root of debugfs. May sleep.
    pub fn new(name: &CStr) -> Self {
        Self::create(name, None)
    }

    /// Creates a directory in this one. May sleep.
    pub fn subdir(&self, name: &CStr) -> Self {
        match &self.entry {
            Some(parent) => Self::create(name, Some(parent.clone())),
            // There is no parent: create nothing, rather than something in the root of debugfs.
            None => self.clone(),
        }
    }

    fn create(name: &CStr, parent: Option<Arc<Entry>>) -> Self {
        Self {
            entry: Arc::new(Entry::dir(name, parent), GFP_KERNEL).ok(),
            _p: PhantomData,
        }
    }

    /// Creates a file in this directory that shows what `show` writes about `data`. May sleep.
    ///
    /// `show` runs for each read from the start of the file, in the task that reads, and may sleep.
    pub fn read_callback_file<'a, T: Send + Sync + 'static>(
        &self,
        name: &'a CStr,
        data: T,
        show: fn(&T, &mut fmt::Formatter<'_>) -> fmt::Result,
    ) -> impl PinInit<File<T>> + 'a {
        let parent = self.entry.clone();
        pin_init!(&this in File {
            show: Show { data, show },
            // INVARIANT: The file shows the field of this object.
            _entry: parent.map(|parent| {
                // SAFETY: `this` points to the object, the field of which is initialized above. It
                // is pinned, and its entry is dropped first. No method writes to the field.
                unsafe {
                    let show = &raw const (*this.as_ptr()).show;
                    Entry::file::<T, M>(name, parent, show)
                }
            }),
            _pin: PhantomPinned,
        })
    }
}

/// What a file shows, and how.
struct Show<T> {
    data: T,
    show: fn(&T, &mut fmt::Formatter<'_>) -> fmt::Result,
}

impl<T> fmt::Display for Show<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (self.show)(&self.data, f)
    }
}

/// A file in debugfs, with the data that it shows.
///
/// Its drop removes the file and waits for reads that are under way. The file may stay open:
/// reading it then fails with `EIO`, and the module cannot be unloaded before it is closed.
///
/// # Invariants
///
/// The file shows `self.show`, which is not written to while the file is there.
#[pin_data]
pub struct File<T> {
    // The first field, so that it is dropped before what it shows.
    _entry: Option<Entry>,
    show: Show<T>,
    #[pin]
    _pin: PhantomPinned,
}

impl<T> Deref for File<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.show.data
    }
}

/// The operations of files of `M` that show a `T`.
struct FileOperations<T, M>(PhantomData<(T, M)>);

impl<T: Send + Sync, M: ModuleMetadata> FileOperations<T, M> {
    const TABLE: bindings::file_operations = bindings::file_operations {
        owner: this_module::<M>().as_ptr(),
        open: Some(Self::open),
        read: Some(bindings::seq_read),
        llseek: Some(bindings::seq_lseek),
        release: Some(bindings::single_release),
        ..pin_init::zeroed()
    };

    /// # Safety
    ///
    /// Only debugfs may call this, for a file created by [`Entry::file`] with the same `T`, `file`
    /// being new.
    unsafe extern "C" fn open(inode: *mut bindings::inode, file: *mut bindings::file) -> c_int {
        // SAFETY: By the safety requirements of this function `i_private` is a `Show<T>`, and
        // `file` is new. `Self::show` is called only from `seq_read()`, which debugfs does not call
        // once the file is removed.
        unsafe { bindings::single_open(file, Some(Self::show), (*inode).i_private) }
    }

    /// # Safety
    ///
    /// Only `seq_file` may call this, for a file opened by [`Self::open`] that is not removed
    /// before this returns.
    unsafe extern "C" fn show(seq: *mut bindings::seq_file, _v: *mut c_void) -> c_int {
        // SAFETY: By the safety requirements of this function `private` is what `open()` has set,
        // which is valid and not written to as long as the file is there; `T` is `Sync`.
        let show = unsafe { &*(*seq).private.cast::<Show<T>>() };
        // SAFETY: `seq` is valid, and this task holds its lock.
        let seq = unsafe { SeqFile::from_raw(seq) };
        seq_print!(seq, "{show}");
        0
    }
}
