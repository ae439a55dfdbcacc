// SPDX-License-Identifier: GPL-2.0

//! Kinds of mappings: what is transferred, and what `->end_io` gets.

use kernel::prelude::*;

use kernel_ext::{
    compat::error::code::EOPNOTSUPP,
    dio::test_io::{
        BeginFlags,
        TestIoOptions,
        TestMapping,
        TestType, //
    }, //
};

use crate::disk::Counter;

use super::{
    super::{
        passed::Reason,
        route::Route, //
    },
    all_are,
    bytes,
    maps::{
        blocks,
        ended,
        plain,
        rest_of_block,
        unwritten,
        whole,
        Script,
        COW,
        UNWRITTEN, //
    },
    Fixture,
    ASYNC_WRITE,
    BLOCK,
    READ,
    SIZE,
    WRITE, //
};

#[kunit_tests(rnull_dio_mappings)]
mod cases {
    use super::*;

    #[test]
    fn data_is_read_where_it_is_mapped() -> Result {
        for script in [plain as Script, blocks] {
            let fixture = Fixture::new(script)?;
            fixture.fill(0, bytes(7, 4 * BLOCK)?)?;
            for sync in [true, false] {
                let io = fixture.run(512, bytes(0, 2 * BLOCK)?, TestIoOptions { sync, ..READ })?;
                assert_eq!(io.wait(), Ok(2 * BLOCK));
                assert_eq!(io.advanced_to(), 512 + 2 * BLOCK as u64);
                assert!(all_are(io.buf(), 7));
                assert_eq!(fixture.ends()?[..], [ended(512, 2 * BLOCK, 0)]);
            }
            let read = BeginFlags {
                direct: true,
                ..BeginFlags::default()
            };
            assert!(fixture.file.maps().was_for(read));
            assert_eq!(fixture.all_passed(), 0);
        }
        Ok(())
    }

    #[test]
    fn holes_and_unwritten_blocks_are_read_as_zeroes() -> Result {
        let hole = |_, _| Ok(whole(TestType::Hole));
        for script in [hole as Script, unwritten] {
            let fixture = Fixture::new(script)?;
            fixture.fill(0, bytes(7, 4 * BLOCK)?)?;
            let reads = fixture.disk.counters().get(Counter::Read);
            let io = fixture.run(512, bytes(1, 2 * BLOCK)?, READ)?;
            assert_eq!(io.wait(), Ok(2 * BLOCK));
            assert!(all_are(io.buf(), 0));
            assert_eq!(fixture.ends()?[..], [ended(512, 2 * BLOCK, 0)]);
            assert_eq!(fixture.disk.counters().get(Counter::Read), reads);
        }
        Ok(())
    }

    #[test]
    fn a_read_crosses_mappings_of_all_types() -> Result {
        let fixture = Fixture::new(|pos, index| {
            let kinds = [TestType::Mapped, TestType::Hole, TestType::Unwritten];
            Ok(rest_of_block(kinds[index as usize % 3], pos))
        })?;
        fixture.fill(0, bytes(7, 8 * BLOCK)?)?;
        let io = fixture.run(0, bytes(1, 6 * BLOCK)?, READ)?;
        assert_eq!(io.wait(), Ok(6 * BLOCK));
        for (index, block) in io.buf().chunks(BLOCK).enumerate() {
            assert!(all_are(block, if index % 3 == 0 { 7 } else { 0 }));
        }
        assert_eq!(fixture.ends()?[..], [ended(0, 6 * BLOCK, 0)]);
        Ok(())
    }

    #[test]
    fn a_read_stops_at_the_end_of_the_file() -> Result {
        let fixture = Fixture::new(plain)?;
        fixture.fill(0, bytes(7, SIZE as usize)?)?;
        let pos = SIZE - BLOCK as u64;
        let io = fixture.run(pos, bytes(1, 2 * BLOCK)?, READ)?;
        assert_eq!(io.wait(), Ok(BLOCK));
        assert_eq!(io.advanced_to(), SIZE);
        // As mainline, which tells the file system what was transferred.
        assert_eq!(fixture.ends()?[..], [ended(pos, 2 * BLOCK, 0)]);
        let io = fixture.run(SIZE, bytes(1, BLOCK)?, READ)?;
        assert_eq!(io.wait(), Ok(0));
        assert_eq!(fixture.ends()?[..], []);
        Ok(())
    }

    #[test]
    fn the_file_system_learns_what_was_written_to() -> Result {
        let new = |_, _| {
            Ok(TestMapping {
                new: true,
                ..whole(TestType::Mapped)
            })
        };
        let shared = |_, _| {
            Ok(TestMapping {
                shared: true,
                ..whole(TestType::Mapped)
            })
        };
        let shared_unwritten = |_, _| {
            Ok(TestMapping {
                shared: true,
                ..whole(TestType::Unwritten)
            })
        };
        // The flags of `->end_io`, and whether an asynchronous request needs a task.
        for (script, flags, works) in [
            (plain as Script, 0, false),
            (new, 0, true),
            (unwritten, UNWRITTEN, true),
            (shared, COW, true),
            (shared_unwritten, UNWRITTEN | COW, true),
        ] {
            let fixture = Fixture::slow(script)?;
            for (options, route) in [
                (WRITE, Route::Waiter),
                (
                    ASYNC_WRITE,
                    if works { Route::Worker } else { Route::Inline },
                ),
            ] {
                let taken = fixture.route(route);
                let io = fixture.run(0, bytes(9, 2 * BLOCK)?, options)?;
                assert_eq!(io.wait(), Ok(2 * BLOCK));
                assert_eq!(fixture.ends()?[..], [ended(0, 2 * BLOCK, flags)]);
                assert_eq!(fixture.route(route), taken + 1);
                assert!(all_are(fixture.data(0, 2 * BLOCK)?.buf(), 9));
            }
            let write = BeginFlags {
                direct: true,
                write: true,
                ..BeginFlags::default()
            };
            assert!(fixture.file.maps().was_for(write));
        }
        Ok(())
    }

    #[test]
    fn growth_is_ended_by_a_task() -> Result {
        let fixture = Fixture::slow(plain)?;
        let pos = SIZE - BLOCK as u64;
        let io = fixture.run(pos, bytes(9, 2 * BLOCK)?, ASYNC_WRITE)?;
        assert_eq!(io.wait(), Ok(2 * BLOCK));
        assert_eq!(fixture.ends()?[..], [ended(pos, 2 * BLOCK, 0)]);
        assert_eq!(fixture.route(Route::Worker), 1);
        Ok(())
    }

    #[test]
    fn parts_of_new_blocks_are_zeroed() -> Result {
        let new = |pos, _| {
            Ok(TestMapping {
                new: true,
                ..rest_of_block(TestType::Mapped, pos)
            })
        };
        let one_by_one = |pos, _| Ok(rest_of_block(TestType::Unwritten, pos));
        for script in [unwritten as Script, new, one_by_one] {
            for options in [WRITE, ASYNC_WRITE] {
                let fixture = Fixture::new(script)?;
                fixture.fill(0, bytes(7, 4 * BLOCK)?)?;
                // From the middle of the first block to the middle of the third one.
                let io = fixture.run(1024, bytes(9, 2 * BLOCK)?, options)?;
                assert_eq!(io.wait(), Ok(2 * BLOCK));
                let data = fixture.data(0, 4 * BLOCK)?;
                assert!(all_are(&data.buf()[..1024], 0));
                assert!(all_are(&data.buf()[1024..1024 + 2 * BLOCK], 9));
                assert!(all_are(&data.buf()[1024 + 2 * BLOCK..3 * BLOCK], 0));
                assert!(all_are(&data.buf()[3 * BLOCK..], 7));
                assert_eq!(fixture.ends()?[0].size, 2 * BLOCK);
            }
        }
        Ok(())
    }

    #[test]
    fn what_is_behind_the_end_of_the_file_is_zeroed() -> Result {
        let fixture = Fixture::new(plain)?;
        fixture.fill(SIZE, bytes(7, BLOCK)?)?;
        assert_eq!(fixture.run(SIZE, bytes(9, 512)?, WRITE)?.wait(), Ok(512));
        let data = fixture.data(SIZE, BLOCK)?;
        assert!(all_are(&data.buf()[..512], 9));
        assert!(all_are(&data.buf()[512..], 0));
        Ok(())
    }

    #[test]
    fn mappings_without_blocks_are_left_to_the_kernel() -> Result {
        let delalloc = |_, _| Ok(whole(TestType::Delalloc));
        let inline = |_, _| Ok(whole(TestType::Inline));
        let anon_write = |_, _| {
            Ok(TestMapping {
                anon_write: true,
                ..whole(TestType::Mapped)
            })
        };
        for script in [delalloc as Script, inline, anon_write] {
            let fixture = Fixture::new(script)?;
            for options in [READ, WRITE, ASYNC_WRITE] {
                let passed = fixture.passed(Reason::Mapping);
                let io = fixture.run(0, bytes(9, BLOCK)?, options)?;
                assert_eq!(io.wait(), Err(EOPNOTSUPP));
                assert_eq!(io.advanced_to(), 0);
                assert_eq!(fixture.passed(Reason::Mapping), passed + 1);
                // The kernel's own code does it from the start.
                assert_eq!(fixture.ends()?[..], []);
                assert_eq!(fixture.file.maps().processed(), 0);
            }
        }
        Ok(())
    }

    #[test]
    fn zeroes_of_special_mappings_are_left_to_the_kernel() -> Result {
        let fixture = Fixture::new(|pos, index| {
            let kinds = [TestType::Hole, TestType::Mapped];
            Ok(TestMapping {
                anon_write: true,
                ..rest_of_block(kinds[index as usize % 2], pos)
            })
        })?;
        let io = fixture.run(0, bytes(9, 2 * BLOCK)?, READ)?;
        assert_eq!(io.wait(), Err(EOPNOTSUPP));
        assert!(all_are(io.buf(), 9));
        assert_eq!(fixture.passed(Reason::Mapping), 1);
        Ok(())
    }

    #[test]
    fn the_shorter_of_two_mappings_counts() -> Result {
        let fixture = Fixture::new(|pos, index| {
            Ok(TestMapping {
                offset: pos,
                sector: pos / 512,
                shared: true,
                source_len: if index == 0 { BLOCK as u64 } else { 0 },
                ..whole(TestType::Mapped)
            })
        })?;
        let io = fixture.run(0, bytes(9, 4 * BLOCK)?, WRITE)?;
        assert_eq!(io.wait(), Ok(4 * BLOCK));
        assert_eq!(fixture.file.maps().begun_mappings(), 2);
        assert_eq!(fixture.ends()?[..], [ended(0, 4 * BLOCK, COW)]);
        Ok(())
    }

    #[test]
    fn a_write_to_a_hole_fails() -> Result {
        let fixture = Fixture::new(|_, _| Ok(whole(TestType::Hole)))?;
        for options in [WRITE, ASYNC_WRITE] {
            let io = fixture.run(0, bytes(9, BLOCK)?, options)?;
            assert_eq!(io.wait(), Err(EIO));
            assert_eq!(fixture.ends()?.len(), 1);
        }
        Ok(())
    }
}
