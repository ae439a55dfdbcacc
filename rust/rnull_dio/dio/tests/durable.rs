// SPDX-License-Identifier: GPL-2.0

//! Writes that have to be durable.

use kernel::prelude::*;

use kernel_ext::dio::test_io::{
    TestIoOptions,
    TestMapping, //
};

use crate::disk::{
    Config,
    Counter, //
};

use super::{
    bytes,
    maps::{
        mapped,
        plain,
        unwritten,
        Script, //
    },
    Fixture,
    BLOCK,
    SIZE,
    WRITE, //
};

#[kunit_tests(rnull_dio_durable)]
mod cases {
    use super::*;

    /// A file on a disk with a volatile cache.
    fn cached(script: Script, fua: bool) -> Result<Fixture> {
        Fixture::with(
            script,
            SIZE,
            Config {
                write_cache: true,
                fua,
                ..Config::for_tests()
            },
        )
    }

    #[test]
    fn an_overwrite_is_durable_by_fua() -> Result {
        for fua in [true, false] {
            let fixture = cached(plain, fua)?;
            let options = TestIoOptions {
                dsync: true,
                ..WRITE
            };
            assert_eq!(fixture.run(0, bytes(9, BLOCK)?, options)?.wait(), Ok(BLOCK));
            let counters = fixture.disk.counters();
            assert_eq!(counters.get(Counter::Fua), u64::from(fua));
            assert_eq!(counters.get(Counter::Flush), u64::from(!fua));
        }
        Ok(())
    }

    #[test]
    fn other_writes_need_a_sync() -> Result {
        let dirty = |_, _| {
            Ok(TestMapping {
                dirty: true,
                ..mapped(0, SIZE)
            })
        };
        let dsync = TestIoOptions {
            dsync: true,
            ..WRITE
        };
        let full = TestIoOptions {
            full_sync: true,
            ..WRITE
        };
        for (script, options) in [(dirty as Script, dsync), (unwritten, dsync), (plain, full)] {
            let fixture = cached(script, true)?;
            assert_eq!(fixture.run(0, bytes(9, BLOCK)?, options)?.wait(), Ok(BLOCK));
            assert_eq!(fixture.disk.counters().get(Counter::Fua), 0);
            assert_eq!(fixture.disk.counters().get(Counter::Flush), 1);
        }
        Ok(())
    }
}
