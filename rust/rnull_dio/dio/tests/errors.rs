// SPDX-License-Identifier: GPL-2.0

//! Errors: of mappings, of the device, of `->end_io`.

use kernel::{
    prelude::*,
    sync::atomic::ordering::Relaxed, //
};

use kernel_ext::{
    compat::error::code::EOPNOTSUPP,
    dio::test_io::{
        TestIoOptions,
        TestMapping,
        TestType, //
    }, //
};

use super::{
    super::passed::Reason,
    bytes,
    maps::{
        blocks,
        ended,
        plain,
        rest_of_block,
        unwritten,
        whole,
        Script, //
    },
    Fixture,
    ASYNC_WRITE,
    BLOCK,
    READ,
    WRITE, //
};

#[kunit_tests(rnull_dio_errors)]
mod cases {
    use super::*;

    /// The first mapping fails; the second one.
    fn first_fails(_pos: u64, _index: u32) -> Result<TestMapping> {
        Err(ENOSPC)
    }

    fn second_fails(pos: u64, index: u32) -> Result<TestMapping> {
        if index == 0 {
            Ok(rest_of_block(TestType::Mapped, pos))
        } else {
            Err(ENOSPC)
        }
    }

    #[test]
    fn the_error_of_a_mapping_is_the_issuers() -> Result {
        for script in [first_fails as Script, second_fails] {
            for options in [READ, WRITE, ASYNC_WRITE] {
                let fixture = Fixture::new(script)?;
                let io = fixture.run(0, bytes(9, 2 * BLOCK)?, options)?;
                assert_eq!(io.wait(), Err(ENOSPC));
                assert_eq!(io.advanced_to(), 0);
                let ends = fixture.ends()?;
                assert_eq!(ends.len(), 1);
                assert_eq!(ends[0].error, ENOSPC.to_errno());
                assert_eq!(fixture.all_passed(), 0);
            }
        }
        Ok(())
    }

    #[test]
    fn the_error_at_the_end_of_a_mapping_is_the_issuers() -> Result {
        for options in [WRITE, ASYNC_WRITE] {
            let fixture = Fixture::new(plain)?;
            let maps = fixture.file.maps();
            maps.end_error.store(ENOSPC.to_errno(), Relaxed);
            let io = fixture.run(0, bytes(9, BLOCK)?, options)?;
            // As mainline: the mapping has been processed, so it is done.
            assert_eq!(io.wait(), Ok(BLOCK));
            assert_eq!(maps.processed(), BLOCK as u64);
        }
        Ok(())
    }

    #[test]
    fn the_error_of_end_io_is_the_issuers() -> Result {
        for script in [plain as Script, unwritten] {
            for options in [WRITE, ASYNC_WRITE] {
                let fixture = Fixture::slow(script)?;
                let maps = fixture.file.maps();
                maps.end_io_error.store(ENOSPC.to_errno(), Relaxed);
                let io = fixture.run(0, bytes(9, BLOCK)?, options)?;
                assert_eq!(io.wait(), Err(ENOSPC));
                assert_eq!(io.advanced_to(), 0);
                assert_eq!(fixture.ends()?.len(), 1);
            }
        }
        Ok(())
    }

    #[test]
    fn the_error_of_the_device_goes_to_end_io() -> Result {
        for script in [plain as Script, unwritten, blocks] {
            for options in [READ, WRITE, ASYNC_WRITE] {
                let fixture = Fixture::slow(script)?;
                fixture.disk.storage().bad().set_bad(8..16)?;
                let io = fixture.run(0, bytes(9, 4 * BLOCK)?, options)?;
                if !options.write && script(0, 0)?.kind == TestType::Unwritten {
                    assert_eq!(io.wait(), Ok(4 * BLOCK));
                    continue;
                }
                assert_eq!(io.wait(), Err(EIO));
                let ends = fixture.ends()?;
                assert_eq!(ends.len(), 1);
                assert_eq!(ends[0].error, EIO.to_errno());
            }
        }
        Ok(())
    }

    #[test]
    fn the_cache_takes_over_where_direct_io_ends() -> Result {
        // `ENOTBLK` from the first mapping, and from the second one.
        let first = |_, _| Err(ENOTBLK);
        let second = |pos, index| {
            if index == 0 {
                Ok(rest_of_block(TestType::Mapped, pos))
            } else {
                Err(ENOTBLK)
            }
        };
        for (script, done) in [(first as Script, 0), (second, BLOCK)] {
            for options in [WRITE, ASYNC_WRITE] {
                let fixture = Fixture::slow(script)?;
                let io = fixture.run(0, bytes(9, 2 * BLOCK)?, options)?;
                assert_eq!(io.wait(), Ok(done));
                assert!(!io.was_queued());
                assert_eq!(fixture.ends()?[..], [ended(0, done, 0)]);
            }
        }
        Ok(())
    }

    #[test]
    fn new_blocks_are_not_left_to_the_kernel() -> Result {
        let fixture = Fixture::new(|_, _| {
            Ok(TestMapping {
                new: true,
                ..whole(TestType::Mapped)
            })
        })?;
        let unaligned = TestIoOptions { offset: 1, ..WRITE };
        let io = fixture.run(0, bytes(9, BLOCK + 1)?, unaligned)?;
        assert_eq!(io.wait(), Err(EINVAL));
        assert_eq!(fixture.all_passed(), 0);
        assert_eq!(fixture.file.maps().begun_mappings(), 1);
        Ok(())
    }

    #[test]
    fn a_request_that_is_not_aligned_is_left_to_the_kernel() -> Result {
        let fixture = Fixture::new(plain)?;
        let io = fixture.run(100, bytes(9, BLOCK)?, WRITE)?;
        assert_eq!(io.wait(), Err(EOPNOTSUPP));
        assert_eq!(fixture.passed(Reason::Fill), 1);
        assert_eq!(fixture.ends()?[..], []);
        Ok(())
    }
}
