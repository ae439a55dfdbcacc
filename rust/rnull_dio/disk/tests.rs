// SPDX-License-Identifier: GPL-2.0

//! Tests of disks: how they are made, and their queues.

use super::*;

#[kunit_tests(rnull_dio_disk)]
mod disk {
    use super::{
        counters::Counter,
        value::IrqMode,
        *, //
    };
    use kernel::cpu::{
        nr_cpu_ids,
        CpuId, //
    };
    use kernel_ext::{
        block::{
            mq::HctxType,
            MAX_BLOCK_SIZE,
            SECTOR_SHIFT, //
        },
        fs::backing_file::{
            Access,
            BackingFile, //
        }, //
    };

    fn config(irqmode: IrqMode, memory_backed: bool, poll_queues: u32) -> Config {
        Config {
            size: 16,
            irqmode,
            memory_backed,
            poll_queues,
            submit_queues: nr_cpu_ids(),
            discard: true,
            write_cache: true,
            fua: true,
            ..Config::default()
        }
    }

    #[test]
    fn disks_come_and_go() -> Result {
        let debugfs = Dir::new(c"rnull_dio_kunit");
        for round in 0..100 {
            let irqmode = match round % 3 {
                0 => IrqMode::None,
                1 => IrqMode::SoftIrq,
                _ => IrqMode::Timer,
            };
            let config = config(irqmode, round % 2 == 0, round % 5 % 2);
            let disk = Disk::new(c"rnull_dio_kunit", &config, &debugfs)?;
            assert!(!disk.block_device().as_raw().is_null());
            assert!(disk.storage().bad().is_empty());
            assert_eq!(disk.counters().get(Counter::Write), 0);
        }
        Ok(())
    }

    #[test]
    fn blocks_have_any_size() -> Result {
        let debugfs = Dir::new(c"rnull_dio_kunit");
        for blocksize in [512, 4096, 8192, MAX_BLOCK_SIZE] {
            let config = Config {
                blocksize: blocksize.min(MAX_BLOCK_SIZE),
                max_sectors: MAX_BLOCK_SIZE >> SECTOR_SHIFT,
                ..config(IrqMode::None, true, 0)
            };
            let disk = Disk::new(c"rnull_dio_kunit", &config, &debugfs)?;
            assert_eq!(disk.block_device().logical_block_size(), config.blocksize);
        }
        Ok(())
    }

    #[test]
    fn bad_names_and_numbers_fail() -> Result {
        let debugfs = Dir::new(c"rnull_dio_kunit");
        let good = Config::default();
        assert!(Disk::new(c"", &good, &debugfs).is_err());
        assert!(Disk::new(c"a_name_that_is_too_long_for_a_disk", &good, &debugfs).is_err());
        let no_queue = Config {
            submit_queues: 0,
            ..good.clone()
        };
        assert!(Disk::new(c"rnull_dio_kunit", &no_queue, &debugfs).is_err());
        let odd_blocks = Config {
            blocksize: 513,
            ..good
        };
        assert!(Disk::new(c"rnull_dio_kunit", &odd_blocks, &debugfs).is_err());
        let less_than_a_block = Config {
            blocksize: MAX_BLOCK_SIZE,
            max_sectors: (MAX_BLOCK_SIZE >> SECTOR_SHIFT) - 1,
            ..Config::default()
        };
        assert!(Disk::new(c"rnull_dio_kunit", &less_than_a_block, &debugfs).is_err());
        Ok(())
    }

    #[test]
    fn queues_cover_all_cpus() -> Result {
        let config = config(IrqMode::None, false, 1);
        let tag_set = TagSet::<NullDisk>::new(tag_set_config(&config));
        let tag_set = KBox::try_pin_init(tag_set, GFP_KERNEL)?;
        let submit = config.submit_queues;
        for (kind, queues) in [
            (HctxType::Default, Some(0..submit)),
            (HctxType::Read, None),
            (HctxType::Poll, Some(submit..submit + 1)),
        ] {
            let map = tag_set.map(kind);
            assert_eq!(map.as_ref().map(|map| map.queues()), queues);
            let Some(map) = map else {
                continue;
            };
            for cpu in (0..nr_cpu_ids()).filter_map(CpuId::from_u32) {
                assert!(map.queues().contains(&map.queue_of(cpu)));
            }
        }
        Ok(())
    }

    #[test]
    fn no_poll_queue_no_map() -> Result {
        let config = config(IrqMode::None, false, 0);
        let tag_set = TagSet::<NullDisk>::new(tag_set_config(&config));
        let tag_set = KBox::try_pin_init(tag_set, GFP_KERNEL)?;
        assert!(tag_set.map(HctxType::Default).is_some());
        assert!(tag_set.map(HctxType::Poll).is_none());
        Ok(())
    }
    /// Changes the queues of a disk. Returns the result, and whether they are those then.
    fn change(
        disk: &Disk,
        config: &Config,
        submit_queues: u32,
        poll_queues: u32,
    ) -> (Result, bool) {
        let changed = Config {
            submit_queues,
            poll_queues,
            ..config.clone()
        };
        let result = disk.set_queues(&changed);
        (result, disk.queues() == changed.queues())
    }

    #[test]
    fn queues_change_while_a_disk_is_on() -> Result {
        let debugfs = Dir::new(c"rnull_dio_kunit");
        let cpus = nr_cpu_ids();
        for memory_backed in [false, true] {
            let config = config(IrqMode::Timer, memory_backed, 0);
            let disk = Disk::new(c"rnull_dio_kunit", &config, &debugfs)?;
            for (submit, poll) in [(1, 0), (cpus, 1), (1, cpus), (cpus, 0), (1, 1), (1, 1)] {
                assert_eq!(change(&disk, &config, submit, poll), (Ok(()), true));
            }
            assert_eq!(change(&disk, &config, 0, 1), (Err(EINVAL), false));
        }
        Ok(())
    }

    #[test]
    fn queues_change_while_a_disk_in_a_file_is_on() -> Result {
        let debugfs = Dir::new(c"rnull_dio_kunit");
        let config = Config {
            backing_file: c"/image".try_into()?,
            ..Config::default()
        };
        let backing = Backing::new(&config, BackingFile::in_memory(1 << 20, Access::Direct, 0)?)?;
        let disk = Disk::for_backing(c"rnull_dio_kunit", &config, Some(backing), &debugfs)?;
        let cpus = nr_cpu_ids();
        // The file cannot be polled, so that the queues for that have no device to poll.
        for (submit, poll) in [(cpus, 0), (1, 1), (1, cpus), (cpus, 1), (1, 0), (cpus, 0)] {
            assert_eq!(change(&disk, &config, submit, poll), (Ok(()), true));
        }
        assert_eq!(change(&disk, &config, 0, 1), (Err(EINVAL), false));
        Ok(())
    }
}
