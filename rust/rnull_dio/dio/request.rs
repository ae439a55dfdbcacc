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
    /// The bytes that the issuer is told of, if there is no error.
    pub(super) report: usize,
    /// What is left to do; only ever raised.
    needs: Atomic<u32>,
    /// The first error, as an errno, or 0.
    error: Atomic<i32>,
}

impl Dio {
    pub(super) fn new(
        direction: Direction,
        pos: u64,
        report: usize,
        needs: Needs,
        is_expected: bool,
    ) -> Self {
        Self {
            direction,
            pos,
            is_expected,
            report,
            needs: Atomic::new(needs as u32),
            error: Atomic::new(0),
        }
    }

    /// What is left to do. There is nothing to flush for what has failed.
    pub(super) fn needs(&self) -> Needs {
        match self.needs.load(Relaxed) {
            _ if self.has_failed() => Needs::Task,
            0 => Needs::Nothing,
            1 => Needs::Task,
            _ => Needs::Io,
        }
    }

    /// Makes sure that the completion may sleep.
    pub(super) fn raise_to_task(&self) {
        // If it fails, it was no less before.
        let _ = self
            .needs
            .cmpxchg(Needs::Nothing as u32, Needs::Task as u32, Relaxed);
    }

    /// Has something gone wrong already?
    pub(super) fn has_failed(&self) -> bool {
        self.error.load(Relaxed) != 0
    }

    /// Records an error; the first one stays. Errors are reported by a task, since not all who
    /// take them expect an interrupt.
    pub(super) fn fail(&self, err: Error) {
        // If it fails, there was an error before.
        let _ = self.error.cmpxchg(0, err.to_errno(), Relaxed);
        self.raise_to_task();
    }

    /// What the issuer is told.
    pub(super) fn result(&self) -> Result<usize> {
        match self.error.load(Relaxed) {
            0 => Ok(self.report),
            errno => Err(Error::from_errno(errno)),
        }
    }
}

#[kunit_tests(rnull_dio_request)]
mod tests {
    use super::*;

    fn dio(needs: Needs) -> Dio {
        Dio::new(Direction::Read, 0, 4096, needs, false)
    }

    #[test]
    fn first_error_wins() {
        let dio = dio(Needs::Nothing);
        assert_eq!(dio.result(), Ok(4096));
        assert!(!dio.has_failed());
        dio.fail(EIO);
        dio.fail(ENOSPC);
        assert!(dio.has_failed());
        assert_eq!(dio.result(), Err(EIO));
    }

    #[test]
    fn needs_are_only_raised() {
        let request = dio(Needs::Nothing);
        assert_eq!(request.needs(), Needs::Nothing);
        request.raise_to_task();
        assert_eq!(request.needs(), Needs::Task);

        let request = dio(Needs::Io);
        request.raise_to_task();
        assert_eq!(request.needs(), Needs::Io);
    }

    #[test]
    fn what_has_failed_needs_a_task() {
        for needs in [Needs::Nothing, Needs::Task, Needs::Io] {
            let request = dio(needs);
            request.fail(EIO);
            assert_eq!(request.needs(), Needs::Task);
        }
    }
}
