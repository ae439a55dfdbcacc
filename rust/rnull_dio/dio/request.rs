// SPDX-License-Identifier: GPL-2.0

//! The state of a request.

use kernel::{
    prelude::*,
    sync::atomic::{
        ordering::Relaxed,
        Atomic, //
    },
};

use super::{
    needs::Needs,
    policy::Policy,
    range::Direction, //
};

/// The state of a request, shared by its submitter and its bios.
///
/// Relaxed ordering is enough, because the reference count orders all accesses before the final
/// put.
pub(crate) struct DioState {
    pub(super) direction: Direction,
    /// Its position in the file, in bytes.
    pub(super) pos: u64,
    /// Whether it is counted in the [flush group](super::flush_group::FlushGroup) of its file.
    pub(super) is_grouped: bool,
    pub(super) policy: Policy,
    /// The bytes that the issuer gets as the result, if there is no error.
    pub(super) reported_bytes: usize,
    /// What is left to do, as a [`Needs`] that is only raised; or the first error, as an errno. One
    /// word, because it is read several times for each request.
    state: Atomic<i32>,
}

impl DioState {
    pub(super) fn new(
        direction: Direction,
        pos: u64,
        reported_bytes: usize,
        policy: Policy,
        needs: Needs,
        is_grouped: bool,
    ) -> Self {
        Self {
            direction,
            pos,
            is_grouped,
            policy,
            reported_bytes,
            // CAST: One of three.
            state: Atomic::new(needs as i32),
        }
    }

    /// Returns what is left to do when all bios have ended. A request that has failed needs no
    /// flush.
    pub(super) fn needs(&mut self) -> Needs {
        match *self.state.get_mut() {
            0 => Needs::Nothing,
            2 => Needs::Io,
            // An error needs a task, because some issuers do not expect it in an interrupt.
            _ => Needs::Task,
        }
    }

    /// Makes sure that the completion may sleep.
    pub(super) fn raise_to_task(&self) {
        // If this fails, the needs are not less already.
        let _ = self
            .state
            .cmpxchg(Needs::Nothing as i32, Needs::Task as i32, Relaxed);
    }

    /// Returns whether there is an error.
    pub(super) fn has_failed(&self) -> bool {
        self.state.load(Relaxed) < 0
    }

    /// Records an error; the first one stays.
    pub(super) fn fail(&self, err: Error) {
        let mut state = self.state.load(Relaxed);
        while state >= 0 {
            match self.state.cmpxchg(state, err.to_errno(), Relaxed) {
                Ok(_) => return,
                Err(found) => state = found,
            }
        }
    }

    /// Returns the issuer's result when all bios have ended.
    pub(super) fn result(&mut self) -> Result<usize> {
        match *self.state.get_mut() {
            errno @ ..0 => Err(Error::from_errno(errno)),
            _ => Ok(self.reported_bytes),
        }
    }
}

#[kunit_tests(rnull_dio_request)]
mod tests {
    use super::*;

    fn dio(needs: Needs) -> DioState {
        DioState::new(Direction::Read, 0, 4096, Policy::Auto, needs, false)
    }

    #[test]
    fn first_error_wins() {
        let mut dio = dio(Needs::Nothing);
        assert_eq!(dio.result(), Ok(4096));
        assert!(!dio.has_failed());
        dio.fail(EIO);
        dio.fail(ENOSPC);
        assert!(dio.has_failed());
        assert_eq!(dio.result(), Err(EIO));
    }

    #[test]
    fn needs_are_only_raised() {
        let mut request = dio(Needs::Nothing);
        assert_eq!(request.needs(), Needs::Nothing);
        request.raise_to_task();
        assert_eq!(request.needs(), Needs::Task);

        let mut request = dio(Needs::Io);
        request.raise_to_task();
        assert_eq!(request.needs(), Needs::Io);
    }

    #[test]
    fn a_request_that_has_failed_needs_a_task() {
        for needs in [Needs::Nothing, Needs::Task, Needs::Io] {
            let mut request = dio(needs);
            request.fail(EIO);
            assert_eq!(request.needs(), Needs::Task);
        }
    }
}
