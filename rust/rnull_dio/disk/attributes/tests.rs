// SPDX-License-Identifier: GPL-2.0

//! Tests of attributes: their values, and which go together.

use super::*;

use kernel_ext::block::MAX_BLOCK_SIZE;

#[kunit_tests(rnull_dio_disk_attributes)]
mod attributes {
    use super::*;

    fn set(attribute: Attribute, text: &str) -> Result<Config> {
        let mut config = Config::default();
        config.set(attribute, BStr::from_bytes(text.as_bytes()))?;
        Ok(config)
    }

    fn shown(config: &Config, attribute: Attribute) -> Result<([u8; 32], usize)> {
        let mut buf = [0; 32];
        let mut f = kernel::str::Formatter::new(&mut buf);
        config.show(attribute, &mut f)?;
        let len = f.bytes_written();
        Ok((buf, len))
    }

    /// Values as users write them, and as they are shown.
    const GOOD: &[(Attribute, &str)] = &[
        (Attribute::size, "0"),
        (Attribute::size, "1"),
        (Attribute::size, "8796093022207"),
        (Attribute::blocksize, "512"),
        (Attribute::blocksize, "2048"),
        (Attribute::blocksize, "65536"),
        (Attribute::max_sectors, "0"),
        (Attribute::max_sectors, "8388607"),
        (Attribute::virt_boundary, "1"),
        (Attribute::backing_file, ""),
        (Attribute::backing_file, "/a file with blanks"),
        (Attribute::backing_offset, "512"),
        (Attribute::direct_io, "0"),
        (Attribute::queue_mode, "2"),
        (Attribute::blocking, "1"),
        (Attribute::mbps, "40960"),
        (Attribute::shared_tag_bitmap, "1"),
        (Attribute::shared_tags, "1"),
        (Attribute::no_sched, "0"),
        (Attribute::use_per_node_hctx, "1"),
        (Attribute::home_node, "-1"),
        (Attribute::home_node, "0"),
        (Attribute::rotational, "1"),
        (Attribute::memory_backed, "1"),
        (Attribute::irqmode, "0"),
        (Attribute::irqmode, "1"),
        (Attribute::irqmode, "2"),
        (Attribute::completion_nsec, "0"),
        (Attribute::completion_nsec, "10000000000"),
        (Attribute::submit_queues, "1"),
        (Attribute::poll_queues, "0"),
        (Attribute::poll_queues, "1"),
        (Attribute::hw_queue_depth, "1"),
        (Attribute::hw_queue_depth, "10240"),
        (Attribute::write_cache, "1"),
        (Attribute::fua, "1"),
        (Attribute::cache_size, "1"),
        (Attribute::badblocks_once, "1"),
        (Attribute::badblocks_partial_io, "1"),
        (Attribute::discard, "1"),
        (Attribute::zoned, "1"),
        (Attribute::zone_size, "1"),
        (Attribute::zone_size, "1048576"),
        (Attribute::zone_capacity, "3"),
        (Attribute::zone_nr_conv, "16777216"),
        (Attribute::zone_max_open, "16777216"),
        (Attribute::zone_max_active, "16777216"),
        (Attribute::zone_append_max_sectors, "4294967295"),
        (Attribute::zone_full, "1"),
        (Attribute::index, "4294967295"),
    ];

    #[test]
    fn good_values_are_shown_as_set() -> Result {
        for &(attribute, text) in GOOD {
            let config = set(attribute, text)?;
            let (buf, len) = shown(&config, attribute)?;
            assert_eq!(&buf[..len], text.as_bytes());
        }
        Ok(())
    }

    #[test]
    fn nonsense_is_refused() {
        for (attribute, text) in [
            (Attribute::size, "-1"),
            (Attribute::size, "many"),
            (Attribute::size, ""),
            (Attribute::size, "8796093022208"),
            (Attribute::size, "99999999999999999999"),
            (Attribute::blocksize, "0"),
            (Attribute::blocksize, "256"),
            (Attribute::blocksize, "513"),
            (Attribute::blocksize, "12288"),
            (Attribute::blocksize, "131072"),
            (Attribute::backing_file, "image"),
            (Attribute::backing_file, "./image"),
            (Attribute::backing_offset, "-1"),
            (Attribute::max_sectors, "1"),
            (Attribute::max_sectors, "8388608"),
            (Attribute::queue_mode, "0"),
            (Attribute::queue_mode, "1"),
            (Attribute::queue_mode, "3"),
            (Attribute::mbps, "40961"),
            (Attribute::home_node, "-2"),
            (Attribute::home_node, "100000"),
            (Attribute::home_node, "4294967295"),
            (Attribute::badblocks, "1"),
            (Attribute::power, "1"),
            (Attribute::blocksize, "512 4096"),
            (Attribute::rotational, "2"),
            (Attribute::memory_backed, "maybe"),
            (Attribute::irqmode, "3"),
            (Attribute::irqmode, "-1"),
            (Attribute::completion_nsec, "10000000001"),
            (Attribute::submit_queues, "0"),
            (Attribute::submit_queues, "100000"),
            (Attribute::poll_queues, "100000"),
            (Attribute::hw_queue_depth, "0"),
            (Attribute::hw_queue_depth, "10241"),
            (Attribute::write_cache, ""),
            (Attribute::fua, "-"),
            (Attribute::discard, "x"),
            (Attribute::index, "4294967296"),
        ] {
            assert_eq!(set(attribute, text).err(), Some(EINVAL));
        }
    }

    #[test]
    fn prefixes_and_words_are_understood() -> Result {
        assert_eq!(set(Attribute::blocksize, "0x200")?.blocksize, 512);
        assert!(set(Attribute::discard, "on")?.discard);
        assert!(!set(Attribute::discard, "off")?.discard);
        assert!(set(Attribute::discard, "y")?.discard);
        Ok(())
    }

    #[test]
    fn a_config_is_checked_as_a_whole() {
        assert_eq!(Config::default().check(), Ok(()));
        for (config, attribute) in [
            (
                Config {
                    submit_queues: 0,
                    ..Config::default()
                },
                Attribute::submit_queues,
            ),
            (
                Config {
                    blocksize: 513,
                    ..Config::default()
                },
                Attribute::blocksize,
            ),
            (
                Config {
                    cache_size: 1,
                    ..Config::default()
                },
                Attribute::cache_size,
            ),
        ] {
            assert_eq!(config.check().map_err(|it| it.attribute), Err(attribute));
        }
    }

    #[test]
    fn blocks_are_as_large_as_the_block_layer_has_them() {
        for (blocksize, max_sectors, expected) in [
            (MAX_BLOCK_SIZE, 0, Ok(())),
            (MAX_BLOCK_SIZE, MAX_BLOCK_SIZE >> SECTOR_SHIFT, Ok(())),
            (2 * MAX_BLOCK_SIZE, 0, Err(Attribute::blocksize)),
            (4096, 7, Err(Attribute::max_sectors)),
            (
                8192,
                15,
                Err(if MAX_BLOCK_SIZE < 8192 {
                    Attribute::blocksize
                } else {
                    Attribute::max_sectors
                }),
            ),
        ] {
            let config = Config {
                blocksize,
                max_sectors,
                ..Config::default()
            };
            assert_eq!(config.check().map_err(|it| it.attribute), expected);
        }
    }

    #[test]
    fn few_attributes_change_while_the_disk_is_on() -> Result {
        for &attribute in Attribute::ALL {
            let expected = matches!(
                attribute,
                Attribute::submit_queues
                    | Attribute::poll_queues
                    | Attribute::badblocks
                    | Attribute::power
                    | Attribute::zone_readonly
                    | Attribute::zone_offline
            );
            assert_eq!(attribute.is_changeable(), expected);
        }
        let changed = |config: Config, attribute| {
            let before = Config {
                poll_queues: 0,
                ..config.clone()
            };
            let checked = config.check_change(attribute, &before);
            checked.map_err(|it| it.attribute)
        };
        let (submit, poll) = (Attribute::submit_queues, Attribute::poll_queues);
        assert_eq!(changed(Config::default(), submit), Ok(()));
        let shared = set(Attribute::shared_tags, "1")?;
        assert_eq!(changed(shared.clone(), submit), Err(submit));
        assert_eq!(changed(shared, poll), Err(poll));
        let per_node = set(Attribute::use_per_node_hctx, "1")?;
        assert_eq!(changed(per_node.clone(), submit), Err(submit));
        assert_eq!(changed(per_node, poll), Ok(()));
        let mut file = set(Attribute::backing_file, "/image")?;
        assert_eq!(changed(file.clone(), submit), Ok(()));
        file.poll_queues = 1;
        assert_eq!(changed(file.clone(), poll), Err(poll));
        let fewer = file.clone();
        file.poll_queues = 2;
        assert_eq!(fewer.check_change(poll, &file), Ok(()));
        Ok(())
    }

    #[test]
    fn attributes_of_memory_do_not_go_with_a_file() -> Result {
        let plain = set(Attribute::backing_file, "/image")?;
        assert_eq!(plain.check(), Ok(()));
        for (attribute, text) in [
            (Attribute::memory_backed, "1"),
            (Attribute::cache_size, "1"),
            (Attribute::mbps, "1"),
            (Attribute::irqmode, "1"),
            (Attribute::shared_tags, "1"),
            (Attribute::badblocks_partial_io, "1"),
        ] {
            let mut config = plain.clone();
            config.set(attribute, BStr::from_bytes(text.as_bytes()))?;
            assert_eq!(config.check().map_err(|it| it.attribute), Err(attribute));
        }
        let mut polled = plain;
        polled.poll_queues = 1;
        assert_eq!(polled.check(), Ok(()));
        polled.direct_io = false;
        let checked = polled.check().map_err(|it| it.attribute);
        assert_eq!(checked, Err(Attribute::poll_queues));
        Ok(())
    }

    #[test]
    fn the_size_is_that_of_the_file_unless_set() -> Result {
        assert_eq!(Config::default().bytes(), Some(4096 << 20));
        assert_eq!(set(Attribute::size, "3")?.bytes(), Some(3 << 20));
        let mut config = set(Attribute::backing_file, "/image")?;
        assert_eq!(config.bytes(), None);
        config.size = 3;
        assert_eq!(config.bytes(), Some(3 << 20));
        Ok(())
    }
}
