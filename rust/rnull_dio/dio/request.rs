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
    policy::Policy,
    range::Direction,
    route::Needs, //
};

/// The state of a request, shared by its submitter and its bios.
///
/// Relaxed access does: dropping a reference to the request publishes what its holder wrote, to
/// the one who drops the last.
pub(crate) struct Dio {
    pub(super) direction: Direction,
    /// Where in the file it begins, in bytes.
    pub(super) pos: u64,
    /// Does the worker know of it, as one of those that will want a flush?
    pub(super) is_expected: bool,
    /// Who completes it?
    pub(super) policy: Policy,
    /// The bytes that the issuer is told of, if there is no error.
    pub(super) report: usize,
    /// What is left to do, as a [`Needs`], which is only ever raised; or the first error, as an
    /// errno. One word, as it is looked at several times a request.
    state: Atomic<i32>,
}

impl Dio {
    pub(super) fn new(
        direction: Direction,
        pos: u64,
        report: usize,
        policy: Policy,
        needs: Needs,
        is_expected: bool,
    ) -> Self {
        Self {
            direction,
            pos,
            is_expected,
            policy,
            report,
            // CAST: One of three.
            state: Atomic::new(needs as i32),
        }
    }

    /// What is left to do, when everything has ended. There is nothing to flush for what has
    /// failed.
    pub(super) fn needs(&mut self) -> Needs {
        match *self.state.get_mut() {
            0 => Needs::Nothing,
            2 => Needs::Io,
            // An error needs a task, since not all who take it expect an interrupt.
            _ => Needs::Task,
        }
    }

    /// Makes sure that the completion may sleep.
    pub(super) fn raise_to_task(&self) {
        // If it fails, it was no less before.
        let _ = self
            .state
            .cmpxchg(Needs::Nothing as i32, Needs::Task as i32, Relaxed);
    }

    /// Has something gone wrong already?
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

    /// What the issuer is told, when everything has ended.
    pub(super) fn result(&mut self) -> Result<usize> {
        match *self.state.get_mut() {
            errno @ ..0 => Err(Error::from_errno(errno)),
            _ => Ok(self.report),
        }
    }
}

#[kunit_tests(rnull_dio_request)]
mod tests {
    use super::*;

    fn dio(needs: Needs) -> Dio {
        Dio::new(Direction::Read, 0, 4096, Policy::Auto, needs, false)
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
    fn what_has_failed_needs_a_task() {
        for needs in [Needs::Nothing, Needs::Task, Needs::Io] {
            let mut request = dio(needs);
            request.fail(EIO);
            assert_eq!(request.needs(), Needs::Task);
        }
    }
}
