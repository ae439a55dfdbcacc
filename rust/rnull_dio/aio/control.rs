// SPDX-License-Identifier: GPL-2.0

//! Switching AIO on and off.

use core::mem;

use kernel::{
    new_mutex,
    prelude::*,
    str::BStr,
    sync::{
        Arc,
        Mutex, //
    },
};

use kernel_ext::{
    aio::Interception,
    compat::error::code::EOPNOTSUPP,
    task::COMM_LEN, //
};

use super::{
    calls::{
        Calls,
        Programs, //
    },
    context::Contexts,
    stats::Stats, //
};

/// The switch, and for which programs it is.
#[pin_data]
pub(super) struct Control {
    pub(super) stats: Arc<Stats>,
    #[pin]
    state: Mutex<State>,
}

struct State {
    /// The names of the programs, if not all.
    names: KVec<[u8; COMM_LEN]>,
    enabled: bool,
    /// Made when this is switched on for the first time. Contexts may keep it, and there is one.
    contexts: Option<Arc<Contexts>>,
    /// The redirection of the system calls, as long as there may be contexts.
    interception: Option<Interception<Calls>>,
}

impl State {
    fn contexts(&mut self) -> Result<Arc<Contexts>> {
        Ok(match &self.contexts {
            Some(contexts) => contexts.clone(),
            None => self.contexts.insert(Contexts::new()?).clone(),
        })
    }

    fn programs(&self) -> Result<Programs> {
        Ok(if !self.enabled {
            Programs::None
        } else if self.names.is_empty() {
            Programs::All
        } else {
            let mut names = KVec::new();
            names.extend_from_slice(&self.names, GFP_KERNEL)?;
            Programs::Named(names)
        })
    }

    fn apply(&self) -> Result {
        if let Some(interception) = &self.interception {
            interception.calls().set_programs(self.programs()?);
        }
        Ok(())
    }
}

impl Control {
    pub(super) fn new(stats: Arc<Stats>) -> impl PinInit<Self> {
        pin_init!(Self {
            stats,
            state <- new_mutex!(State {
                names: KVec::new(),
                enabled: false,
                contexts: None,
                interception: None,
            }),
        })
    }

    /// Returns whether contexts are made here.
    pub(super) fn is_enabled(&self) -> bool {
        self.state.lock().enabled
    }

    /// Has the contexts of the chosen programs made here from now on. Sleeps.
    pub(super) fn enable(&self) -> Result {
        let mut state = self.state.lock();
        if state.interception.is_none() {
            let interception = state
                .contexts()
                .and_then(|contexts| {
                    let calls = Calls::new(contexts.clone(), self.stats.clone());
                    Interception::new(contexts, calls)
                })
                .inspect_err(|&err| pr_err!("aio: enabled refused: {}\n", reason(err)))?;
            state.interception = Some(interception);
        }
        let before = mem::replace(&mut state.enabled, true);
        state.apply().inspect_err(|_| state.enabled = before)
    }

    /// Leaves new contexts to the kernel. Those that are there stay, and so does the redirection of
    /// the system calls as long as there are any. Sleeps.
    pub(super) fn disable(&self) -> Result {
        let mut state = self.state.lock();
        state.enabled = false;
        state.apply()?;
        let unused = |interception: &mut Interception<Calls>| interception.calls().reserved() == 0;
        drop(state.interception.take_if(unused));
        Ok(())
    }

    /// Writes the names of the programs to `line`, each once.
    pub(super) fn for_each_name(&self, mut line: impl FnMut(&BStr) -> Result) -> Result {
        let state = self.state.lock();
        for name in &state.names {
            let len = name.iter().position(|&c| c == 0).unwrap_or(COMM_LEN);
            line(BStr::from_bytes(name.get(..len).ok_or(EINVAL)?))?;
        }
        Ok(())
    }

    /// Sets the names of the programs, one a line; none for all programs.
    ///
    /// # Errors
    ///
    /// - `EINVAL`: a name is empty, or longer than that of a task.
    /// - `ENOMEM`.
    pub(super) fn set_names(&self, text: &[u8]) -> Result {
        let mut names = KVec::new();
        if !text.is_empty() {
            for line in text.split(|&c| c == b'\n') {
                if line.is_empty() || line.len() >= COMM_LEN {
                    pr_err!(
                        "aio: comm refused: \"{}\": the name of a task has 1 to {} bytes\n",
                        BStr::from_bytes(line),
                        COMM_LEN - 1
                    );
                    return Err(EINVAL);
                }
                let mut name = [0; COMM_LEN];
                for (to, &from) in name.iter_mut().zip(line) {
                    *to = from;
                }
                names.push(name, GFP_KERNEL)?;
            }
        }
        let mut state = self.state.lock();
        let before = mem::replace(&mut state.names, names);
        if let Err(err) = state.apply() {
            state.names = before;
            return Err(err);
        }
        Ok(())
    }
}

/// Returns what `err` means when the system calls are redirected.
fn reason(err: Error) -> &'static str {
    match err {
        EOPNOTSUPP => "this kernel cannot redirect functions that it is given by name (CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS and CONFIG_KPROBES on x86-64), or its spin locks cannot be tried in interrupts (CONFIG_PREEMPT_RT, or no CONFIG_SMP)",
        EBUSY => "another user has redirected a system call of AIO",
        ENOENT => "this kernel has no AIO, or /proc is not mounted",
        ENOMEM => "out of memory",
        _ => "the system calls cannot be redirected",
    }
}
