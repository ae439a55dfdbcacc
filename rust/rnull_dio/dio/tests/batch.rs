// SPDX-License-Identifier: GPL-2.0

//! Requests that end together.

use kernel::prelude::*;

use kernel_ext::dio::test_io::{
    CallOptions,
    TestIoOptions,
    TestMapping,
    TestType, //
};

use super::{
    super::route::Route,
    bytes,
    maps::{
        ended,
        rest_of_block,
        unwritten,
        whole,
        Call,
        COW,
        UNWRITTEN, //
    },
    Fixture,
    ASYNC_WRITE,
    BLOCK,
    SIZE, //
};

#[kunit_tests(rnull_dio_batch)]
mod cases {
    use super::*;

    /// Issues writes whose bios all end while the worker is in the first one, which is elsewhere.
    /// Returns the calls of `->end_io` for them.
    fn end_together(
        fixture: &Fixture,
        writes: &[(u64, usize, TestIoOptions)],
    ) -> Result<(KVec<Call>, KVec<Result<usize>>)> {
        let maps = fixture.file.maps();
        maps.block_next_end();
        let far = SIZE - BLOCK as u64;
        let call = CallOptions::default();
        let first = fixture.issue(far, bytes(1, BLOCK)?, ASYNC_WRITE, call)?;
        maps.wait_until_blocked();
        let mut ios = KVec::new();
        for &(block, count, options) in writes {
            let buf = bytes(2, count * BLOCK)?;
            ios.push(
                fixture.issue(block * BLOCK as u64, buf, options, call)?,
                GFP_KERNEL,
            )?;
        }
        // Each is pushed to the worker's list before it is counted.
        while fixture.route(Route::Worker) < 1 + writes.len() as u64 {
            first.nap();
        }
        first.nap();
        maps.go_on();
        let _ = first.wait();
        let mut results = KVec::new();
        for io in &ios {
            results.push(io.wait(), GFP_KERNEL)?;
        }
        for io in &ios {
            fixture.settle(io);
        }
        let mut ends = KVec::new();
        for &end in fixture.ends()?.iter().filter(|end| end.pos != far) {
            ends.push(end, GFP_KERNEL)?;
        }
        Ok((ends, results))
    }

    #[test]
    fn contiguous_writes_share_a_call() -> Result {
        let fixture = Fixture::slow(unwritten)?;
        let writes = [0, 1, 2, 3].map(|block| (block, 1, ASYNC_WRITE));
        let (ends, results) = end_together(&fixture, &writes)?;
        assert_eq!(ends[..], [ended(0, 4 * BLOCK, UNWRITTEN)]);
        assert!(results.iter().all(|&ret| ret == Ok(BLOCK)));
        Ok(())
    }

    #[test]
    fn the_order_of_contiguous_writes_does_not_matter() -> Result {
        let fixture = Fixture::slow(unwritten)?;
        let writes = [
            (3, 1, ASYNC_WRITE),
            (4, 2, ASYNC_WRITE),
            (2, 1, ASYNC_WRITE),
        ];
        let (ends, results) = end_together(&fixture, &writes)?;
        assert_eq!(ends[..], [ended(2 * BLOCK as u64, 4 * BLOCK, UNWRITTEN)]);
        assert_eq!(results[..], [Ok(BLOCK), Ok(2 * BLOCK), Ok(BLOCK)]);
        Ok(())
    }

    #[test]
    fn writes_to_two_places_in_turn_share_two_calls() -> Result {
        let fixture = Fixture::slow(unwritten)?;
        let writes = [0, 4, 1, 5].map(|block| (block, 1, ASYNC_WRITE));
        let (ends, results) = end_together(&fixture, &writes)?;
        assert_eq!(
            ends[..],
            [
                ended(0, 2 * BLOCK, UNWRITTEN),
                ended(4 * BLOCK as u64, 2 * BLOCK, UNWRITTEN)
            ]
        );
        assert!(results.iter().all(|&ret| ret == Ok(BLOCK)));
        Ok(())
    }

    #[test]
    fn writes_to_many_places_in_turn_are_all_ended() -> Result {
        let fixture = Fixture::slow(unwritten)?;
        // More places than there are runs
        let mut writes = KVec::new();
        for block in 0..12 {
            writes.push((2 * block, 1, ASYNC_WRITE), GFP_KERNEL)?;
        }
        let (ends, results) = end_together(&fixture, &writes)?;
        assert_eq!(ends.len(), writes.len());
        for (end, &(block, ..)) in ends.iter().zip(&writes) {
            assert!(*end == ended(block * BLOCK as u64, BLOCK, UNWRITTEN));
        }
        assert!(results.iter().all(|&ret| ret == Ok(BLOCK)));
        Ok(())
    }

    #[test]
    fn writes_with_a_gap_do_not_share_a_call() -> Result {
        let fixture = Fixture::slow(unwritten)?;
        let (ends, _) = end_together(&fixture, &[(0, 1, ASYNC_WRITE), (2, 1, ASYNC_WRITE)])?;
        assert_eq!(
            ends[..],
            [
                ended(0, BLOCK, UNWRITTEN),
                ended(2 * BLOCK as u64, BLOCK, UNWRITTEN)
            ]
        );
        Ok(())
    }

    #[test]
    fn writes_of_different_blocks_do_not_share_a_call() -> Result {
        let fixture = Fixture::slow(|pos, _| {
            Ok(TestMapping {
                shared: pos == 0,
                ..rest_of_block(TestType::Unwritten, pos)
            })
        })?;
        let (ends, _) = end_together(&fixture, &[(0, 1, ASYNC_WRITE), (1, 1, ASYNC_WRITE)])?;
        assert_eq!(
            ends[..],
            [
                ended(0, BLOCK, UNWRITTEN | COW),
                ended(BLOCK as u64, BLOCK, UNWRITTEN)
            ]
        );
        Ok(())
    }

    #[test]
    fn writes_behind_the_end_of_the_file_do_not_share_a_call() -> Result {
        let fixture = Fixture::slow(unwritten)?;
        let end = SIZE / BLOCK as u64;
        let (ends, _) = end_together(
            &fixture,
            &[(end, 1, ASYNC_WRITE), (end + 1, 1, ASYNC_WRITE)],
        )?;
        assert_eq!(
            ends[..],
            [
                ended(SIZE, BLOCK, UNWRITTEN),
                ended(SIZE + BLOCK as u64, BLOCK, UNWRITTEN)
            ]
        );
        Ok(())
    }

    #[test]
    fn overwrites_behind_the_end_of_the_file_do_not_share_a_call() -> Result {
        let fixture = Fixture::slow(|pos, _| {
            Ok(if pos < SIZE {
                whole(TestType::Unwritten)
            } else {
                rest_of_block(TestType::Mapped, pos)
            })
        })?;
        let end = SIZE / BLOCK as u64;
        let (ends, _) = end_together(
            &fixture,
            &[(end, 1, ASYNC_WRITE), (end + 1, 1, ASYNC_WRITE)],
        )?;
        assert_eq!(
            ends[..],
            [ended(SIZE, BLOCK, 0), ended(SIZE + BLOCK as u64, BLOCK, 0)]
        );
        Ok(())
    }

    #[test]
    fn a_write_that_failed_has_a_call_of_its_own() -> Result {
        let fixture = Fixture::slow(unwritten)?;
        fixture.disk.storage().bad().set_bad(8..16)?;
        let writes = [0, 1, 2].map(|block| (block, 1, ASYNC_WRITE));
        let (ends, results) = end_together(&fixture, &writes)?;
        assert_eq!(ends.len(), 3);
        assert_eq!(ends[1].error, EIO.to_errno());
        assert_eq!(results[..], [Ok(BLOCK), Err(EIO), Ok(BLOCK)]);
        Ok(())
    }

    #[test]
    fn a_call_that_fails_is_repeated_for_each_write() -> Result {
        let fixture = Fixture::slow(unwritten)?;
        fixture.file.maps().fail_later(ENOSPC);
        let writes = [0, 1].map(|block| (block, 1, ASYNC_WRITE));
        let (ends, results) = end_together(&fixture, &writes)?;
        assert_eq!(
            ends[..],
            [
                ended(0, 2 * BLOCK, UNWRITTEN),
                ended(0, BLOCK, UNWRITTEN),
                ended(BLOCK as u64, BLOCK, UNWRITTEN)
            ]
        );
        assert_eq!(results[..], [Err(ENOSPC), Err(ENOSPC)]);
        Ok(())
    }

    #[test]
    fn durable_writes_share_a_call_and_are_completed() -> Result {
        let fixture = Fixture::slow(unwritten)?;
        let durable = TestIoOptions {
            dsync: true,
            ..ASYNC_WRITE
        };
        let full = TestIoOptions {
            full_sync: true,
            ..ASYNC_WRITE
        };
        let writes = [(0, 1, durable), (1, 1, full), (2, 1, ASYNC_WRITE)];
        let (ends, results) = end_together(&fixture, &writes)?;
        assert_eq!(ends[..], [ended(0, 3 * BLOCK, UNWRITTEN)]);
        assert!(results.iter().all(|&ret| ret == Ok(BLOCK)));
        Ok(())
    }
}
