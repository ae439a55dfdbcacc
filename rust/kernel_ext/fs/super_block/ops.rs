// SPDX-License-Identifier: GPL-2.0

//! The C operations of a file system type, its contexts and super blocks.

use core::{
    marker::PhantomData,
    ptr::NonNull, //
};

use kernel::{
    error::from_result,
    ffi::c_int,
    prelude::*,
    sync::Arc,
    types::ForeignOwnable, //
};

use super::{
    file_system::FileSystem,
    file_system_type::FileSystemType,
    options::OptionsVTable,
    root::{
        new_inode,
        NewRoot, //
    },
};
use crate::{
    bindings,
    block::BdevFile,
    compat::module::this_module,
    context::MayIo,
    fs::file_vtable::FileVTable, //
};

/// The C operations of a file system type, its contexts and super blocks.
pub(super) struct SuperVTable<F>(PhantomData<F>);

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
    pub(super) unsafe extern "C" fn init_fs_context(
        fc: *mut kernel::bindings::fs_context,
    ) -> c_int {
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
        let device = unsafe { BdevFile::get((*ptr).s_bdev_file) };
        let block_size = device.logical_block_size() as c_int;
        // SAFETY: The VFS has put the device's name there, ended by a null.
        let name = unsafe { CStr::from_char_ptr((*ptr).s_id.as_ptr()) };
        // SAFETY: Only types in statics are registered.
        let fs = unsafe { FileSystemType::<F>::get((*ptr).s_type) }.ok_or(ENODEV)?;
        let info = fs.mount(device, name, options, &MayIo::new())?;
        // SAFETY: The super block is ours; from here on `kill_sb` drops what it owns.
        unsafe {
            (*ptr).s_fs_info = Arc::clone(&info).into_foreign().cast();
            (*ptr).s_magic = F::MAGIC;
            (*ptr).s_op = &Self::SUPER_OPERATIONS;
            (*ptr).s_time_gran = 1;
            (*ptr).s_maxbytes = i64::MAX;
        }
        // SAFETY: As above.
        if unsafe { bindings::sb_set_blocksize(ptr, block_size) } == 0 {
            return Err(EINVAL);
        }
        // SAFETY: As above.
        unsafe { Self::make_root(sb)? };
        // SAFETY: The root has just been made. The operations are a constant of the module.
        let mut root = unsafe { NewRoot::from_raw(sb, &Self::FILE_OPERATIONS) };
        F::populate(&info, &mut root)
    }

    /// # Safety
    ///
    /// `sb` must be a new super block.
    unsafe fn make_root(sb: NonNull<bindings::super_block>) -> Result {
        let ptr = sb.as_ptr();
        // SAFETY: By the safety requirements of this function.
        let root = unsafe { new_inode(sb, bindings::S_IFDIR | 0o755)? };
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
        Ok(())
    }

    /// # Safety
    ///
    /// For the VFS to call.
    pub(super) unsafe extern "C" fn kill_sb(sb: *mut bindings::super_block) {
        // SAFETY: The VFS passes a super block that is not in use any more, to be shut down once.
        let info = unsafe { (*sb).s_fs_info };
        // SAFETY: As above. All its inodes are evicted, and their data dropped.
        unsafe { bindings::kill_block_super(sb) };
        if !info.is_null() {
            // SAFETY: `try_fill_super` put it there, for us to take.
            drop(unsafe { Arc::<F::Super>::from_foreign(info.cast()) });
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
        let (sb, info) = unsafe {
            let sb = (*dentry).d_sb;
            (sb, Arc::<F::Super>::borrow((*sb).s_fs_info.cast()))
        };
        let stat = F::statfs(&info);
        // SAFETY: `buf` is valid for writes.
        unsafe {
            bindings::ext_set_statfs(
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
        // The first of two calls only starts writeback.
        if wait == 0 {
            return 0;
        }
        // SAFETY: The VFS passes a valid super block of a file system that is mounted.
        let info = unsafe { Arc::<F::Super>::borrow((*sb).s_fs_info.cast()) };
        from_result(|| F::sync(&info, &MayIo::new()).map(|()| 0))
    }

    /// Does nothing, because the VFS excludes new writes and faults, has waited for those in
    /// progress, and has called `sync_fs`. Its presence makes the VFS allow freezing.
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
        // SAFETY: The VFS passes an inode that is not in use any more.
        let file = unsafe {
            bindings::truncate_inode_pages_final(&raw mut (*inode).i_data);
            bindings::clear_inode(inode);
            (*inode).i_private.cast::<F::File>()
        };
        if !file.is_null() {
            // SAFETY: `add_file` put a reference there, for us to take.
            drop(unsafe { Arc::from_raw(file) });
        }
    }
}
