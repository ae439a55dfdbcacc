// SPDX-License-Identifier: GPL-2.0

//! A file system that is or will be attached.

use kernel::{
    fmt, new_mutex,
    prelude::*,
    str::{
        BStr,
        CString, //
    },
    sync::{
        Arc,
        Mutex, //
    },
};

use kernel_ext::{
    compat::error::code::EOPNOTSUPP,
    dio::{
        Attachment,
        Redirection, //
    },
    fs::mount::OpenMount,
    percpu_ref::Counted, //
};

use crate::{
    debugfs::Dir,
    dio::{
        Engine,
        Policy,
        StatsFiles, //
    },
    named::Named,
    path, //
};

use super::attached::AttachedFiles;

/// The types of file systems that the engine is tested with. Others that call `iomap_dio_rw()` may
/// rely on something else.
const TYPES: [&CStr; 2] = [c"xfs", c"ext4"];

/// A file system that is or will be attached.
#[pin_data]
pub(super) struct Item {
    name: CString,
    debugfs: Dir,
    redirection: Arc<Redirection>,
    #[pin]
    state: Mutex<State>,
}

struct State {
    path: CString,
    policy: Policy,
    attached: Option<Attached>,
}

/// An attached file system, with its files in debugfs.
struct Attached {
    // First, so that no request is taken when the rest is dropped.
    attachment: Attachment<Engine<AttachedFiles>>,
    _stats: Pin<KBox<StatsFiles>>,
}

impl Item {
    pub(super) fn new(
        name: &CStr,
        debugfs: Dir,
        redirection: Arc<Redirection>,
    ) -> impl PinInit<Self, Error> + '_ {
        try_pin_init!(Self {
            name: name.try_into()?,
            debugfs,
            redirection,
            state <- new_mutex!(State {
                path: c"".try_into()?,
                policy: Policy::default(),
                attached: None,
            }),
        })
    }

    /// Returns the name.
    pub(super) fn name(&self) -> &CStr {
        &self.name
    }

    /// Writes the path of the mount.
    pub(super) fn show_path(&self, f: &mut dyn fmt::Write) -> fmt::Result {
        let state = self.state.lock();
        path::show(&state.path, f)
    }

    /// Writes the completion policy.
    pub(super) fn show_policy(&self, f: &mut dyn fmt::Write) -> fmt::Result {
        f.write_str(self.state.lock().policy.name())
    }

    /// Writes whether the file system is attached, as 0 or 1.
    pub(super) fn show_attached(&self, f: &mut dyn fmt::Write) -> fmt::Result {
        let attached = self.state.lock().attached.is_some();
        f.write_str(if attached { "1" } else { "0" })
    }

    /// Sets the path of the mount.
    pub(super) fn set_path(&self, text: &BStr) -> Result {
        let mut state = self.state.lock();
        if state.attached.is_some() {
            return self.refuse("path", "the file system is attached", EBUSY);
        }
        state.path = path::from_bytes(text)?;
        Ok(())
    }

    /// Sets the completion policy, of requests that begin from now on.
    pub(super) fn set_policy(&self, text: &BStr) -> Result {
        let Some(policy) = Policy::from_name(text) else {
            return self.refuse("completion", "there is no such policy", EINVAL);
        };
        let mut state = self.state.lock();
        state.policy = policy;
        if let Some(attached) = &state.attached {
            attached.attachment.engine().set_policy(policy);
        }
        Ok(())
    }

    /// Attaches the file system. Sleeps.
    pub(super) fn attach(&self) -> Result {
        let mut state = self.state.lock();
        if state.attached.is_some() {
            return Ok(());
        }
        let mount = self.open(&state.path)?;
        let name = CString::try_from_fmt(fmt!("{}-dio", &*self.name))?;
        let engine = Engine::new(&name, state.policy, AttachedFiles)?;
        let engine = KBox::try_pin_init(Counted::new(engine), GFP_KERNEL)?;
        let stats = engine.stats.clone();
        let attachment = Attachment::new(mount, engine, &self.redirection);
        let attachment = match attachment {
            Ok(attachment) => attachment,
            Err(err) => return self.refuse("attached", reason(err), err),
        };
        let directory = self.debugfs.subdir(&self.name);
        state.attached = Some(Attached {
            attachment,
            _stats: KBox::try_pin_init(StatsFiles::new(&directory, &stats), GFP_KERNEL)?,
        });
        let path = &*state.path;
        pr_info!("{path}: direct I/O is redirected, and the file system cannot be unmounted\n");
        Ok(())
    }

    /// Opens the mount, if it is one whose direct I/O can be taken.
    fn open(&self, path: &CStr) -> Result<OpenMount> {
        let opened = if path.is_empty() {
            Err(ENOENT)
        } else {
            OpenMount::open(path)
        };
        let mount = match opened {
            Ok(mount) => mount,
            Err(err) => return self.refuse("path", reason(err), err),
        };
        let (fs_type, _) = mount.names();
        if !TYPES.contains(&fs_type) {
            return self.refuse(
                "path",
                "the file system is neither XFS nor ext4",
                EOPNOTSUPP,
            );
        }
        if mount.is_readonly() {
            return self.refuse("path", "the mount is read-only", EROFS);
        }
        Ok(mount)
    }

    /// Detaches the file system, and waits for requests that are under way. Sleeps.
    pub(super) fn detach(&self) {
        let mut state = self.state.lock();
        if state.attached.take().is_some() {
            let path = &*state.path;
            pr_info!("{path}: direct I/O is not redirected any more\n");
        }
    }

    /// Logs why an attribute was refused, and returns `err`.
    fn refuse<T>(&self, attribute: &str, reason: &str, err: Error) -> Result<T> {
        let name = &*self.name;
        pr_err!("live/{name}: {attribute} refused: {reason}\n");
        Err(err)
    }
}

/// Returns what `err` means when a file system is attached.
fn reason(err: Error) -> &'static str {
    match err {
        EXDEV => "the path is not the root of a mount",
        ENOENT => "there is no such path",
        ENOTDIR => "the path is not a directory",
        EOPNOTSUPP => "this kernel cannot redirect functions (CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS on x86-64)",
        EBUSY => "the file system is attached already, or iomap_dio_rw() is redirected by another user",
        ENOSPC => "too many file systems are attached",
        ENOMEM => "out of memory",
        _ => "the mount cannot be opened",
    }
}
