// SPDX-License-Identifier: GPL-2.0

//! File systems on a block device, flat ones so far: a root directory of regular files.
//!
//! C headers: [`include/linux/fs.h`](srctree/include/linux/fs.h),
//! [`include/linux/fs_context.h`](srctree/include/linux/fs_context.h)

use core::{
    marker::PhantomData,
    ptr::NonNull, //
};

use kernel::{
    container_of,
    error::{
        from_result,
        to_result, //
    },
    ffi::c_int,
    module::this_module,
    prelude::*,
    sync::{
        aref::ARef,
        Arc, //
    },
    types::{
        ForeignOwnable,
        Opaque, //
    },
    ModuleMetadata, //
};

use super::{
    file::{
        FileOperations,
        FileVTable, //
    },
    iomap::AddressSpaceVTable,
    options::{
        Options,
        OptionsVTable, //
    },
};
use crate::{
    bindings,
    block::BlockDevice,
    context::Io, //
};

/// What `statfs(2)` tells, beside what the VFS knows.
pub struct StatFs {
    /// In bytes.
    pub block_size: u32,
    /// All blocks of the file system; none of them is free.
    pub blocks: u64,
    /// The number of inodes.
    pub files: u64,
}

/// A type of file system that is mounted on a block device.
pub trait FileSystem: Sized + Send + Sync + 'static {
    /// What `mount -t` calls it.
    const NAME: &'static CStr;

    /// What `statfs(2)` calls it.
    const MAGIC: usize;

    /// The module it belongs to; an instance that is mounted pins it.
    type Module: ModuleMetadata;

    /// A mounted instance.
    type Mount: Send + Sync + 'static;

    /// A regular file of it.
    type File: FileOperations;

    /// What can be told to `mount(8)` after `-o`.
    type Options: Options;

    /// Mounts the device called `name`. Sleeps and does I/O.
    ///
    /// # Errors
    ///
    /// Whatever the one who mounts shall get, `EINVAL` if there is no such file system.
    fn mount(
        &self,
        device: ARef<BlockDevice>,
        name: &CStr,
        options: &Self::Options,
    ) -> Result<Arc<Self::Mount>>;

    /// Changes the options of an instance that is mounted.
    ///
    /// # Errors
    ///
    /// Whatever the one who remounts shall get; nothing has changed then.
    fn reconfigure(mount: &Self::Mount, options: &Self::Options) -> Result;

    /// The options of an instance.
    fn options(mount: &Self::Mount) -> Self::Options;

    /// Adds the files to the root directory. May sleep.
    ///
    /// # Errors
    ///
    /// Whatever [`NewRoot::add_file`] returns.
    fn populate(mount: &Arc<Self::Mount>, root: &mut NewRoot<'_, Self>) -> Result;

    /// Makes what has been written durable. Sleeps and does I/O.
    ///
    /// # Errors
    ///
    /// Whatever the device answers.
    fn sync(mount: &Self::Mount, io: &Io) -> Result;

    /// Answers `statfs(2)`.
    fn statfs(mount: &Self::Mount) -> StatFs;
}

/// The root directory of a file system that is being mounted.
///
/// # Invariants
///
/// `sb` is valid, not yet active, and has its root.
pub struct NewRoot<'a, F: FileSystem> {
    sb: NonNull<bindings::super_block>,
    _lifetime: PhantomData<&'a F>,
}

impl<F: FileSystem> NewRoot<'_, F> {
    /// Adds a regular file of `size` bytes with data `file`, that root may read and write. It is
    /// there until the file system is unmounted.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn add_file(&mut self, name: &CStr, size: u64, file: Pin<KBox<F::File>>) -> Result {
        // SAFETY: By the type invariant.
        let sb = unsafe { self.sb.as_ref() };
        let inode = new_inode(self.sb, bindings::S_IFREG | 0o600)?;
        // SAFETY: The inode is new, and ours. What it owns from here on is dropped when it is
        // evicted. The pinned data is not moved.
        unsafe {
            (*inode).i_flags |= bindings::S_NOATIME;
            (*inode).i_private = KBox::into_raw(Pin::into_inner_unchecked(file)).cast();
            (*inode).__bindgen_anon_3.i_fop = &SuperVTable::<F>::FILE_OPERATIONS;
            (*inode).i_op = &FileVTable::<F::File>::INODE_OPERATIONS;
            (*inode).i_data.a_ops = &AddressSpaceVTable::<F::File>::OPERATIONS;
            bindings::rnull_dio_mapping_set_large_folios(&raw mut (*inode).i_data);
            bindings::rnull_dio_i_size_write(inode, size as bindings::loff_t);
            // Only what is hashed is written back.
            bindings::__insert_inode_hash(inode, (*inode).i_ino);
        }
        // SAFETY: The root is there; the name is copied.
        let dentry = unsafe { bindings::d_alloc_name(sb.s_root, name.as_char_ptr()) };
        if dentry.is_null() {
            // SAFETY: The reference is ours.
            unsafe { bindings::iput(inode) };
            return Err(ENOMEM);
        }
        // SAFETY: The dentry is new and takes over the reference to the inode. The directory
        // keeps it until it is unmounted; ours is dropped.
        unsafe {
            bindings::d_make_persistent(dentry, inode);
            bindings::dput(dentry);
        }
        Ok(())
    }
}

/// Makes an inode that belongs to root and was changed just now.
fn new_inode(sb: NonNull<bindings::super_block>, mode: u32) -> Result<*mut bindings::inode> {
    // SAFETY: The super block is valid.
    let inode = unsafe { bindings::new_inode(sb.as_ptr()) };
    if inode.is_null() {
        return Err(ENOMEM);
    }
    // SAFETY: The inode is new, and ours. CAST: A mode has 16 bits.
    unsafe {
        (*inode).i_ino = bindings::get_next_ino().into();
        (*inode).i_mode = mode as bindings::umode_t;
        bindings::simple_inode_init_ts(inode);
    }
    Ok(inode)
}

/// A file system type that is registered, until it is dropped.
///
/// # Invariants
///
/// The inner `struct file_system_type` is registered.
#[pin_data(PinnedDrop)]
pub struct Registration<F: FileSystem> {
    #[pin]
    fs_type: Opaque<bindings::file_system_type>,
    fs: F,
}

// SAFETY: Registration belongs to no thread.
unsafe impl<F: FileSystem> Send for Registration<F> {}

// SAFETY: There are no methods on `&self`.
unsafe impl<F: FileSystem> Sync for Registration<F> {}

impl<F: FileSystem> Registration<F> {
    /// Registers the file system.
    ///
    /// To be used in place, for the last field of the module: lockdep wants the keys of its locks
    /// to be there, and what is mounted keeps the module, but nothing else.
    ///
    /// # Errors
    ///
    /// `EBUSY` if there is one of that name.
    pub fn new(fs: F) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            // First, since a file system may be mounted as soon as it is registered.
            fs,
            fs_type <- Opaque::try_ffi_init(|fs_type: *mut bindings::file_system_type| {
                // SAFETY: `fs_type` is valid for writes.
                unsafe {
                    fs_type.write(bindings::file_system_type {
                        name: F::NAME.as_char_ptr(),
                        owner: this_module::<F::Module>().as_ptr(),
                        fs_flags: bindings::FS_REQUIRES_DEV as c_int,
                        init_fs_context: Some(SuperVTable::<F>::init_fs_context),
                        kill_sb: Some(SuperVTable::<F>::kill_sb),
                        ..pin_init::zeroed()
                    })
                };
                // SAFETY: It has just been initialized, and stays where it is.
                to_result(unsafe { bindings::register_filesystem(fs_type) })
            }),
        })
    }
}

#[pinned_drop]
impl<F: FileSystem> PinnedDrop for Registration<F> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: By the type invariant. It cannot fail for one that is registered. Nothing is
        // mounted when the module goes, as that would pin it.
        unsafe { bindings::unregister_filesystem(self.fs_type.get()) };
        // A task that has completed the last request, and by that allowed all of this, may have
        // been preempted before it returned from the module.
        // SAFETY: May sleep, as does whoever unloads a module.
        unsafe { bindings::rnull_dio_synchronize_rcu_tasks() };
    }
}

/// The C operations of a file system type, its contexts and super blocks.
struct SuperVTable<F>(PhantomData<F>);

impl<F: FileSystem> SuperVTable<F> {
    const CONTEXT_OPERATIONS: bindings::fs_context_operations = bindings::fs_context_operations {
        get_tree: Some(Self::get_tree),
        free: Some(OptionsVTable::<F>::free),
        dup: None,
        parse_param: Some(OptionsVTable::<F>::parse_param),
        parse_monolithic: None,
        reconfigure: Some(OptionsVTable::<F>::reconfigure),
    };

    const SUPER_OPERATIONS: bindings::super_operations = bindings::super_operations {
        statfs: Some(Self::statfs),
        sync_fs: Some(Self::sync_fs),
        freeze_fs: Some(Self::freeze_fs),
        evict_inode: Some(Self::evict_inode),
        show_options: Some(OptionsVTable::<F>::show_options),
        ..pin_init::zeroed()
    };

    const FILE_OPERATIONS: bindings::file_operations =
        FileVTable::<F::File>::file_operations(this_module::<F::Module>());

    /// # Safety
    ///
    /// For the VFS to call.
    unsafe extern "C" fn init_fs_context(fc: *mut kernel::bindings::fs_context) -> c_int {
        let fc = fc.cast::<bindings::fs_context>();
        from_result(|| {
            // SAFETY: The VFS passes a valid context, for us to set up.
            unsafe {
                (*fc).ops = &Self::CONTEXT_OPERATIONS;
                OptionsVTable::<F>::init(fc)?;
            }
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// For the VFS to call.
    unsafe extern "C" fn get_tree(fc: *mut bindings::fs_context) -> c_int {
        // SAFETY: The VFS passes a valid context.
        unsafe { bindings::get_tree_bdev(fc, Some(Self::fill_super)) }
    }

    /// # Safety
    ///
    /// For `get_tree_bdev` to call.
    unsafe extern "C" fn fill_super(
        sb: *mut bindings::super_block,
        fc: *mut bindings::fs_context,
    ) -> c_int {
        // SAFETY: The VFS passes a valid super block, for us to set up, and the context for that.
        let (sb, options) =
            unsafe { (NonNull::new_unchecked(sb), OptionsVTable::<F>::options(fc)) };
        // SAFETY: As above; its device is open.
        from_result(|| unsafe { Self::try_fill_super(sb, options) }.map(|()| 0))
    }

    /// # Safety
    ///
    /// `sb` must be a new super block of type `F`, with its device open.
    unsafe fn try_fill_super(sb: NonNull<bindings::super_block>, options: &F::Options) -> Result {
        let ptr = sb.as_ptr();
        // SAFETY: The device stays open until the super block is killed.
        let device = unsafe { BlockDevice::from_raw((*ptr).s_bdev) };
        // SAFETY: The VFS has put the device's name there, ended by a null.
        let name = unsafe { CStr::from_char_ptr((*ptr).s_id.as_ptr()) };
        // SAFETY: This is what `Registration::new` has registered, and what is registered lives.
        let fs = unsafe {
            let fs_type = (*ptr).s_type.cast::<Opaque<bindings::file_system_type>>();
            &(*container_of!(fs_type, Registration<F>, fs_type)).fs
        };
        let mount = fs.mount(device.into(), name, options)?;
        // SAFETY: The super block is ours; what it owns from here on, `kill_sb` drops.
        unsafe {
            (*ptr).s_fs_info = Arc::clone(&mount).into_foreign().cast();
            (*ptr).s_magic = F::MAGIC;
            (*ptr).s_op = &Self::SUPER_OPERATIONS;
            (*ptr).s_time_gran = 1;
            (*ptr).s_maxbytes = i64::MAX;
        }
        // SAFETY: As above.
        if unsafe { bindings::sb_set_blocksize(ptr, device.logical_block_size() as c_int) } == 0 {
            return Err(EINVAL);
        }
        let root = new_inode(sb, bindings::S_IFDIR | 0o755)?;
        // SAFETY: The inode is new; the root takes over the reference, also on failure.
        unsafe {
            (*root).i_op = &raw const bindings::simple_dir_inode_operations;
            (*root).__bindgen_anon_3.i_fop = &raw const bindings::simple_dir_operations;
            // Its own entry, and the one in its parent, which it is itself.
            bindings::set_nlink(root, 2);
            (*ptr).s_root = bindings::d_make_root(root);
            if (*ptr).s_root.is_null() {
                return Err(ENOMEM);
            }
        }
        // INVARIANT: The root has just been made.
        F::populate(
            &mount,
            &mut NewRoot {
                sb,
                _lifetime: PhantomData,
            },
        )
    }

    /// # Safety
    ///
    /// For the VFS to call.
    unsafe extern "C" fn kill_sb(sb: *mut bindings::super_block) {
        // SAFETY: The VFS passes a super block that nobody uses any more, to be shut down once.
        let mount = unsafe { (*sb).s_fs_info };
        // SAFETY: As above. All its inodes are evicted, and their data dropped.
        unsafe { bindings::kill_block_super(sb) };
        if !mount.is_null() {
            // SAFETY: `try_fill_super` put it there, for us to take.
            drop(unsafe { Arc::<F::Mount>::from_foreign(mount.cast()) });
        }
    }

    /// # Safety
    ///
    /// For the VFS to call.
    unsafe extern "C" fn statfs(
        dentry: *mut bindings::dentry,
        buf: *mut kernel::bindings::kstatfs,
    ) -> c_int {
        // SAFETY: The VFS passes a valid dentry of a file system that is mounted.
        let (sb, mount) = unsafe {
            let sb = (*dentry).d_sb;
            (sb, Arc::<F::Mount>::borrow((*sb).s_fs_info.cast()))
        };
        let stat = F::statfs(&mount);
        // SAFETY: `buf` is valid for writes.
        unsafe {
            bindings::rnull_dio_set_statfs(
                buf,
                F::MAGIC,
                stat.block_size as usize,
                stat.blocks,
                stat.files,
                (*sb).s_dev,
            )
        };
        0
    }

    /// # Safety
    ///
    /// For the VFS to call.
    unsafe extern "C" fn sync_fs(sb: *mut bindings::super_block, wait: c_int) -> c_int {
        // The first of two calls shall only start things.
        if wait == 0 {
            return 0;
        }
        // SAFETY: The VFS passes a valid super block of a file system that is mounted.
        let mount = unsafe { Arc::<F::Mount>::borrow((*sb).s_fs_info.cast()) };
        from_result(|| F::sync(&mount, &Io::new()).map(|()| 0))
    }

    /// Has nothing to do: the VFS keeps new writes and faults out, has waited for those under way,
    /// and has called `sync_fs`. That there is such an operation tells that freezing works.
    ///
    /// # Safety
    ///
    /// For the VFS to call.
    unsafe extern "C" fn freeze_fs(_sb: *mut bindings::super_block) -> c_int {
        0
    }

    /// # Safety
    ///
    /// For the VFS to call.
    unsafe extern "C" fn evict_inode(inode: *mut bindings::inode) {
        // SAFETY: The VFS passes an inode that nobody uses any more.
        let file = unsafe {
            bindings::truncate_inode_pages_final(&raw mut (*inode).i_data);
            bindings::clear_inode(inode);
            (*inode).i_private.cast::<F::File>()
        };
        if !file.is_null() {
            // SAFETY: `add_file` put it there, for us to take; it was pinned and is dropped in
            // place.
            drop(unsafe { Pin::new_unchecked(KBox::from_raw(file)) });
        }
    }
}
