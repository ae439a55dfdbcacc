// SPDX-License-Identifier: GPL-2.0

//! Fault injection that is set up by directories in configfs.
//!
//! On kernels without `CONFIG_FAULT_INJECTION_CONFIGFS`, there are no such directories, nothing fails,
//! and none of this takes memory or time.
//!
//! C header: [`include/linux/fault-inject.h`](srctree/include/linux/fault-inject.h)

#[cfg(CONFIG_FAULT_INJECTION_CONFIGFS)]
mod item;

use kernel::{
    configfs::Group,
    prelude::*, //
};

#[cfg(CONFIG_FAULT_INJECTION_CONFIGFS)]
use kernel::sync::aref::ARef;

#[cfg(CONFIG_FAULT_INJECTION_CONFIGFS)]
use crate::configfs::DefaultGroups;

#[cfg(CONFIG_FAULT_INJECTION_CONFIGFS)]
use self::item::Item;

/// Whether the kernel has such directories.
pub const HAS_CONFIGFS: bool = cfg!(CONFIG_FAULT_INJECTION_CONFIGFS);

/// A reference to a point of fault injection.
///
/// The files in its directory are those of `Documentation/fault-injection/fault-injection.rst`. At first
/// their values are such that nothing fails. They keep them as long as there is a reference.
#[derive(Clone)]
pub struct FaultConfig(#[cfg(CONFIG_FAULT_INJECTION_CONFIGFS)] ARef<Item>);

/// The directory of a [`FaultConfig`] that is in no group yet. It can be in one only.
pub struct FaultGroup(#[cfg(CONFIG_FAULT_INJECTION_CONFIGFS)] ARef<Item>);

#[cfg(CONFIG_FAULT_INJECTION_CONFIGFS)]
impl FaultConfig {
    /// Makes a point and its directory, which gets this name. May sleep.
    ///
    /// # Errors
    ///
    /// [`ENOMEM`].
    pub fn new(name: &CStr) -> Result<(Self, FaultGroup)> {
        let item = Item::new(name)?;
        Ok((Self(item.clone()), FaultGroup(item)))
    }

    /// Returns whether a fault is to be injected, and counts and logs it if so. May be called in any
    /// context.
    #[inline]
    pub fn should_fail(&self) -> bool {
        self.0.should_fail()
    }
}

#[cfg(not(CONFIG_FAULT_INJECTION_CONFIGFS))]
impl FaultConfig {
    /// Returns what stands for a point on kernels that have none.
    pub fn new(_name: &CStr) -> Result<(Self, FaultGroup)> {
        Ok((Self(), FaultGroup()))
    }

    /// Returns whether a fault is to be injected: never.
    #[inline]
    pub fn should_fail(&self) -> bool {
        false
    }
}

/// Returns an initializer of `group` with these directories in it, which are removed with it. May
/// sleep.
///
/// # Errors
///
/// [`ENOMEM`].
///
/// # Examples
///
/// ```
/// # use kernel::{configfs::Group, prelude::*};
/// # use kernel_ext::fault_inject::{with_fault_groups, FaultConfig};
/// fn with_a_point<T: 'static>(
///     group: impl PinInit<Group<T>, Error>,
/// ) -> Result<(impl PinInit<Group<T>, Error>, FaultConfig)> {
///     let (point, directory) = FaultConfig::new(c"my_point")?;
///     Ok((with_fault_groups(group, [directory])?, point))
/// }
/// ```
#[cfg(CONFIG_FAULT_INJECTION_CONFIGFS)]
pub fn with_fault_groups<Data: 'static, const N: usize>(
    group: impl PinInit<Group<Data>, Error>,
    faults: [FaultGroup; N],
) -> Result<impl PinInit<Group<Data>, Error>> {
    let defaults = DefaultGroups::new()?;
    Ok(group.pin_chain(move |group| {
        let defaults = defaults.attach(group);
        for FaultGroup(item) in faults {
            // SAFETY: A `FaultGroup` stands for a group that is in no other one, and is consumed here. The
            // reference is passed on, and with it, `Item::release()` is not called before the group is put.
            unsafe { defaults.add(Item::into_group(item)) };
        }
        Ok(())
    }))
}

/// Returns `group`, because the kernel has no such directories.
///
/// # Errors
///
/// None.
#[cfg(not(CONFIG_FAULT_INJECTION_CONFIGFS))]
pub fn with_fault_groups<Data: 'static, const N: usize>(
    group: impl PinInit<Group<Data>, Error>,
    _faults: [FaultGroup; N],
) -> Result<impl PinInit<Group<Data>, Error>> {
    Ok(group)
}

#[cfg(CONFIG_FAULT_INJECTION_CONFIGFS)]
#[kunit_tests(rnull_dio_fault_inject)]
mod tests {
    use core::ptr::null_mut;

    use super::*;
    use crate::bindings;
    use kernel::{
        configfs::{
            AttributeList,
            HasGroup,
            ItemType, //
        },
        sync::{
            atomic::{
                Atomic,
                Relaxed, //
            },
            Arc, //
        }, //
    };

    /// What a group of the tests has.
    struct Data(Arc<Atomic<bool>>);

    impl Drop for Data {
        fn drop(&mut self) {
            self.0.store(true, Relaxed);
        }
    }

    // SAFETY: Nothing gets references of the module: the groups are not in configfs.
    static MODULE: ThisModule = unsafe { ThisModule::from_ptr(null_mut()) };
    // SAFETY: Without attributes, this is a list that ends at once, and that nothing changes.
    static ATTRIBUTES: AttributeList<1, Data> = unsafe { AttributeList::new() };
    static ITEM_TYPE: ItemType<Group<Data>, Data> =
        ItemType::<Group<Data>, Data>::new(&MODULE, &ATTRIBUTES);

    /// Returns how many references a point has.
    fn references(fault: &FaultConfig) -> i32 {
        // SAFETY: The item is initialized. No other task has it.
        unsafe { (*fault.0.item()).ci_kref.refcount.refs.counter }
    }

    /// Writes to the file with this name in the directory of a point.
    fn write(fault: &FaultConfig, name: &CStr, value: &CStr) -> Result {
        let item = fault.0.item();
        // SAFETY: The item is initialized. The attributes of its type are a list that ends with NULL, and
        // can be written.
        unsafe {
            let mut attributes = (*(*item).ci_type).ct_attrs;
            while CStr::from_char_ptr((*attributes).as_ref().ok_or(ENOENT)?.ca_name) != name {
                attributes = attributes.add(1);
            }
            let store = (**attributes).store.ok_or(EPERM)?;
            let len = value.to_bytes().len();
            assert_eq!(store(item, value.as_char_ptr(), len), len as isize);
        }
        Ok(())
    }

    #[test]
    fn faults_are_injected_as_set_up() -> Result {
        let (fault, _directory) = FaultConfig::new(c"a_name_longer_than_others")?;
        assert_eq!([(); 3].map(|()| fault.should_fail()), [false; 3]);
        write(&fault, c"verbose", c"0")?;
        write(&fault, c"times", c"2")?;
        write(&fault, c"probability", c"100")?;
        assert_eq!([(); 3].map(|()| fault.should_fail()), [true, true, false]);
        Ok(())
    }

    #[test]
    fn groups_put_their_directories() -> Result {
        let (fault, directory) = FaultConfig::new(c"point")?;
        let (other, other_directory) = FaultConfig::new(c"other")?;
        let dropped = Arc::new(Atomic::new(false), GFP_KERNEL)?;

        let group = Group::new(c"group".try_into()?, &ITEM_TYPE, Ok(Data(dropped.clone())));
        let group = with_fault_groups(group, [directory])?;
        let group = with_fault_groups(group, [other_directory])?;
        let group = Arc::pin_init(group, GFP_KERNEL)?.into_raw();
        assert_eq!((references(&fault), references(&other)), (2, 2));

        // SAFETY: The group is valid, and this is its only reference, as that of `make_group()` is.
        unsafe {
            let raw = <Group<Data> as HasGroup<Data>>::group(group).cast_mut();
            bindings::config_item_put(&raw mut (*raw).cg_item);
        }
        assert!(dropped.load(Relaxed));
        assert_eq!((references(&fault), references(&other)), (1, 1));
        Ok(())
    }

    #[test]
    fn groups_that_are_not_made_put_their_directories() -> Result {
        let (fault, directory) = FaultConfig::new(c"point")?;
        let group = Group::new(c"group".try_into()?, &ITEM_TYPE, Err::<Data, _>(EINVAL));
        let group = with_fault_groups(group, [directory])?;
        assert_eq!(Arc::pin_init(group, GFP_KERNEL).err(), Some(EINVAL));
        assert_eq!(references(&fault), 1);
        Ok(())
    }
}
