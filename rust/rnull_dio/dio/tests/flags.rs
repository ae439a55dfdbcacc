// SPDX-License-Identifier: GPL-2.0

//! What a file system may ask of `iomap_dio_rw()`.

use kernel::prelude::*;

use kernel_ext::{
    compat::error::code::EOPNOTSUPP,
    dio::test_io::{
        BeginFlags,
        CallOptions,
        TestIoOptions, //
    }, //
};

use super::{
    super::{
        passed::Reason,
        route::Route, //
    },
    bytes,
    maps::{
        plain,
        unwritten,
        Script, //
    },
    Fixture,
    ASYNC_WRITE,
    BLOCK,
    READ,
    SIZE,
    WRITE, //
};

#[kunit_tests(rnull_dio_flags)]
mod cases {
    use super::*;

    fn with(set: impl FnOnce(&mut CallOptions)) -> CallOptions {
        let mut options = CallOptions::default();
        set(&mut options);
        options
    }

    #[test]
    fn a_caller_that_waits_gets_the_result() -> Result {
        let fixture = Fixture::slow(plain)?;
        let call = with(|call| call.force_wait = true);
        let io = fixture.call(0, bytes(9, BLOCK)?, ASYNC_WRITE, call)?;
        assert_eq!(io.wait(), Ok(BLOCK));
        assert!(!io.was_queued());
        assert_eq!(fixture.route(Route::Waiter), 1);
        Ok(())
    }

    #[test]
    fn only_overwrites() -> Result {
        let fixture = Fixture::new(plain)?;
        let call = with(|call| call.overwrite_only = true);
        let io = fixture.call(0, bytes(9, BLOCK)?, WRITE, call)?;
        assert_eq!(io.wait(), Ok(BLOCK));
        let expected = BeginFlags {
            direct: true,
            write: true,
            overwrite_only: true,
            ..BeginFlags::default()
        };
        assert!(fixture.file.maps().was_for(expected));
        let io = fixture.call(SIZE - 512, bytes(9, BLOCK)?, WRITE, call)?;
        assert_eq!(io.wait(), Err(EAGAIN));
        Ok(())
    }

    #[test]
    fn a_request_that_must_not_sleep_says_so() -> Result {
        let fixture = Fixture::new(plain)?;
        for write in [false, true] {
            let options = TestIoOptions {
                write,
                nowait: true,
                ..READ
            };
            let io = fixture.run(0, bytes(9, BLOCK)?, options)?;
            assert_eq!(io.wait(), Ok(BLOCK));
            let expected = BeginFlags {
                direct: true,
                write,
                nowait: true,
                ..BeginFlags::default()
            };
            assert!(fixture.file.maps().was_for(expected));
        }
        Ok(())
    }

    #[test]
    fn the_result_includes_what_was_done_before() -> Result {
        for script in [plain as Script, unwritten] {
            let fixture = Fixture::new(script)?;
            let call = with(|call| call.done_before = 1000);
            for options in [READ, WRITE, ASYNC_WRITE] {
                let io = fixture.call(0, bytes(9, BLOCK)?, options, call)?;
                assert_eq!(io.wait(), Ok(1000 + BLOCK));
                assert_eq!(io.advanced_to(), BLOCK as u64);
            }
        }
        Ok(())
    }

    #[test]
    fn whole_blocks_only() -> Result {
        let fixture = Fixture::new(plain)?;
        let call = with(|call| call.whole_blocks = true);
        let io = fixture.call(0, bytes(9, BLOCK)?, WRITE, call)?;
        assert_eq!(io.wait(), Ok(BLOCK));
        let io = fixture.call(512, bytes(9, BLOCK)?, WRITE, call)?;
        // The kernel's own code fails with `EINVAL`.
        assert_eq!(io.wait(), Err(EOPNOTSUPP));
        Ok(())
    }

    #[test]
    fn what_is_passed_on_is_not_touched() -> Result {
        let atomic = TestIoOptions {
            atomic: true,
            ..WRITE
        };
        for (reason, options, len, call) in [
            (Reason::Empty, WRITE, 0, CallOptions::default()),
            (Reason::Flags, WRITE, BLOCK, with(|call| call.bounce = true)),
            (
                Reason::Bios,
                WRITE,
                BLOCK,
                with(|call| call.submit_io = true),
            ),
            (Reason::Atomic, atomic, BLOCK, CallOptions::default()),
        ] {
            let fixture = Fixture::new(|_, _| Err(EIO))?;
            let io = fixture.call(0, bytes(9, len)?, options, call)?;
            assert_eq!(io.wait(), Err(EOPNOTSUPP));
            assert_eq!(io.advanced_to(), 0);
            assert_eq!(fixture.passed(reason), 1);
            assert_eq!(fixture.all_passed(), 1);
            assert_eq!(fixture.ends()?[..], []);
        }
        Ok(())
    }

    #[test]
    fn a_file_system_without_end_io() -> Result {
        let fixture = Fixture::slow(unwritten)?;
        let call = with(|call| call.without_dio_ops = true);
        let io = fixture.call(0, bytes(9, BLOCK)?, ASYNC_WRITE, call)?;
        assert_eq!(io.wait(), Ok(BLOCK));
        assert_eq!(fixture.ends()?[..], []);
        fixture.disk.storage().bad().set_bad(0..8)?;
        let io = fixture.call(0, bytes(9, BLOCK)?, ASYNC_WRITE, call)?;
        assert_eq!(io.wait(), Err(EIO));
        Ok(())
    }
}
