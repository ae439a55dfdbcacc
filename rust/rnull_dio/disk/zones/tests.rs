// SPDX-License-Identifier: GPL-2.0

//! Tests of writes to zones, of their limits, and of both at once.

use super::*;

#[kunit_tests(rnull_dio_disk_zones)]
mod zones {
    use super::*;
    use ZoneCondition::*;

    /// The sectors of a zone, and how many can be written.
    const ZONE: u32 = 2048;
    const CAPACITY: u32 = 1536;

    /// Makes 8 zones, of which the first is conventional.
    fn zones(max_open: u32, max_active: u32) -> Result<Pin<KBox<Zones>>> {
        let layout = Layout {
            disk: 8 * u64::from(ZONE),
            zone: ZONE,
            capacity: CAPACITY,
            conventional: 1,
            full: false,
            max_open,
            max_active,
            max_append: 8,
        };
        KBox::try_pin_init(Zones::new(layout), GFP_KERNEL)
    }

    fn start(zone: u32) -> u64 {
        u64::from(zone * ZONE)
    }

    /// Writes to a zone at its write pointer.
    fn append(zones: &Zones, zone: u32, sectors: u32) -> Result<u64, BlkError> {
        let sector = zones.begin_write(start(zone), sectors, true)?;
        zones.end_write(sector, sectors, sectors);
        Ok(sector)
    }

    fn state(zones: &Zones, zone: usize) -> Option<(ZoneCondition, u32)> {
        zones
            .state(zone)
            .map(|state| (state.condition, state.written))
    }

    #[test]
    fn writes_begin_at_the_write_pointer() -> Result {
        let zones = zones(0, 0)?;
        assert_eq!(
            zones.begin_write(start(1) + 8, 8, false),
            Err(BlkError::IOERR)
        );
        assert_eq!(state(&zones, 1), Some((Empty, 0)));
        assert_eq!(zones.begin_write(start(1), 8, false), Ok(start(1)));
        // The next one may begin before that has ended.
        assert_eq!(zones.begin_write(start(1) + 8, 8, false), Ok(start(1) + 8));
        assert_eq!(zones.begin_write(start(1), 8, true), Ok(start(1) + 16));
        assert_eq!(state(&zones, 1), Some((ImplicitlyOpen, 24)));
        Ok(())
    }

    #[test]
    fn conventional_zones_are_written_anywhere() -> Result {
        let zones = zones(0, 0)?;
        assert_eq!(zones.begin_write(16, 8, false), Ok(16));
        zones.end_write(16, 8, 0);
        assert_eq!(zones.begin_write(0, 8, true), Err(BlkError::IOERR));
        assert_eq!(zones.readable(16, 8), Ok(8));
        for result in [
            zones.open(0),
            zones.close(0),
            zones.finish(0),
            zones.reset(0),
        ] {
            assert_eq!(result, Err(BlkError::IOERR));
        }
        Ok(())
    }

    #[test]
    fn zones_are_written_to_their_capacity() -> Result {
        let zones = zones(0, 0)?;
        assert_eq!(append(&zones, 1, CAPACITY - 8), Ok(start(1)));
        assert_eq!(append(&zones, 1, 16), Err(BlkError::IOERR));
        assert_eq!(append(&zones, 1, u32::MAX), Err(BlkError::IOERR));
        let last = start(1) + u64::from(CAPACITY) - 8;
        assert_eq!(append(&zones, 1, 8), Ok(last));
        assert_eq!(state(&zones, 1), Some((Full, CAPACITY)));
        assert_eq!(append(&zones, 1, 8), Err(BlkError::IOERR));
        assert_eq!(zones.readable(last, 16), Ok(8));
        assert_eq!(zones.readable(last + 8, 8), Ok(0));
        Ok(())
    }

    #[test]
    fn the_write_pointer_goes_back_after_a_failure() -> Result {
        let zones = zones(2, 2)?;
        assert_eq!(zones.begin_write(start(1), 16, false), Ok(start(1)));
        zones.end_write(start(1), 16, 8);
        assert_eq!(state(&zones, 1), Some((ImplicitlyOpen, 8)));
        // Not if another write has followed.
        assert_eq!(zones.begin_write(start(1), 8, true), Ok(start(1) + 8));
        assert_eq!(append(&zones, 1, 8), Ok(start(1) + 16));
        zones.end_write(start(1) + 8, 8, 0);
        assert_eq!(state(&zones, 1), Some((ImplicitlyOpen, 24)));
        // The zone is closed before the write fails that has opened it, and no longer active then.
        assert_eq!(zones.begin_write(start(2), 8, true), Ok(start(2)));
        assert_eq!(zones.close(start(2)), Ok(()));
        zones.end_write(start(2), 8, 0);
        assert_eq!(state(&zones, 2), Some((Empty, 0)));
        assert_eq!(append(&zones, 3, 8), Ok(start(3)));
        Ok(())
    }

    #[test]
    fn zones_are_emptied_after_writes_have_ended() -> Result {
        let zones = zones(1, 1)?;
        for done in [0, 8, CAPACITY] {
            assert_eq!(zones.begin_write(start(1), CAPACITY, false), Ok(start(1)));
            assert_eq!(zones.reset(start(1)), Err(BlkError::IOERR));
            assert_eq!(zones.fail(start(1), Offline), Err(BlkError::IOERR));
            zones.end_write(start(1), CAPACITY, done);
            let held = zones.hold(start(1));
            assert!(held.is_ok());
            assert_eq!(zones.reset(start(1)), Ok(()));
            drop(held);
            assert_eq!(state(&zones, 1), Some((Empty, 0)));
        }
        assert!(zones.hold(0).is_err());
        assert!(zones.hold(start(8)).is_err());
        Ok(())
    }

    #[test]
    fn finished_zones_stay_full_when_writes_end() -> Result {
        let zones = zones(1, 1)?;
        for done in [0, 8] {
            assert_eq!(zones.begin_write(start(1), 8, false), Ok(start(1)));
            assert_eq!(zones.finish(start(1)), Ok(()));
            zones.end_write(start(1), 8, done);
            assert_eq!(state(&zones, 1), Some((Full, CAPACITY)));
            assert_eq!(zones.reset(start(1)), Ok(()));
        }
        Ok(())
    }

    #[test]
    fn writes_without_data_are_over_at_once() -> Result {
        let zones = zones(1, 1)?;
        let write = |sector, sectors, append, done| {
            let mut found = 0;
            let result = zones.write(sector, sectors, append, |sector| {
                found = sector;
                done
            });
            (result, found)
        };
        let wrong = Err(BlkError::IOERR);
        assert_eq!(write(start(1) + 8, 8, false, 8), (wrong, 0));
        assert_eq!(write(start(1), 8, false, 8), (Ok(start(1)), start(1)));
        // It fails behind this many sectors.
        let next = start(1) + 8;
        assert_eq!(write(start(1), 16, true, 8), (Ok(next), next));
        assert_eq!(write(next + 8, 16, false, 0), (Ok(next + 8), next + 8));
        assert_eq!(state(&zones, 1), Some((ImplicitlyOpen, 16)));
        assert_eq!(write(start(1), CAPACITY - 8, true, 0), (wrong, 0));
        let next = start(1) + 16;
        let left = CAPACITY - 16;
        assert_eq!(write(start(1), left, true, left), (Ok(next), next));
        assert_eq!(state(&zones, 1), Some((Full, CAPACITY)));
        assert_eq!(zones.reset(start(1)), Ok(()));
        assert_eq!(write(16, 8, false, 8), (Ok(16), 16));
        assert_eq!(write(0, 8, true, 8), (wrong, 0));
        Ok(())
    }

    #[test]
    fn writes_without_data_do_not_wait() -> Result {
        let zones = zones(0, 0)?;
        let held = zones.hold(start(1));
        assert!(held.is_ok());
        for done in [8, 8, CAPACITY - 16] {
            assert!(zones.write(start(1), done, true, |_| done).is_ok());
        }
        drop(held);
        assert_eq!(state(&zones, 1), Some((Full, CAPACITY)));
        assert_eq!(zones.reset(start(1)), Ok(()));
        assert_eq!(append(&zones, 1, 8), Ok(start(1)));
        Ok(())
    }

    #[test]
    fn zones_are_closed_to_make_room() -> Result {
        let zones = zones(2, 0)?;
        for zone in 1..5 {
            assert_eq!(append(&zones, zone, 8), Ok(start(zone)));
        }
        let conditions = |zones: &Zones| [1, 2, 3, 4].map(|zone| state(zones, zone).map(|it| it.0));
        let expected = [Closed, Closed, ImplicitlyOpen, ImplicitlyOpen].map(Some);
        assert_eq!(conditions(&zones), expected);
        // Not the ones that were opened by request.
        assert_eq!(zones.open(start(3)), Ok(()));
        assert_eq!(zones.open(start(4)), Ok(()));
        assert_eq!(append(&zones, 1, 8), Err(BlkError::ZONE_OPEN_RESOURCE));
        zones.close_all();
        assert_eq!(conditions(&zones), [Some(Closed); 4]);
        assert_eq!(append(&zones, 1, 8), Ok(start(1) + 8));
        Ok(())
    }

    #[test]
    fn a_zone_is_full_that_is_closed_during_its_last_write() -> Result {
        let zones = zones(1, 2)?;
        assert_eq!(zones.begin_write(start(1), CAPACITY, false), Ok(start(1)));
        assert_eq!(append(&zones, 2, 8), Ok(start(2)));
        assert_eq!(state(&zones, 1), Some((Closed, CAPACITY)));
        assert_eq!(append(&zones, 3, 8), Err(BlkError::ZONE_ACTIVE_RESOURCE));
        zones.end_write(start(1), CAPACITY, CAPACITY);
        assert_eq!(state(&zones, 1), Some((Full, CAPACITY)));
        assert_eq!(append(&zones, 3, 8), Ok(start(3)));
        Ok(())
    }

    #[test]
    fn failed_zones_are_not_active() -> Result {
        let zones = zones(0, 1)?;
        assert_eq!(append(&zones, 1, 8), Ok(start(1)));
        assert_eq!(append(&zones, 2, 8), Err(BlkError::ZONE_ACTIVE_RESOURCE));
        assert_eq!(zones.fail(start(1), Offline), Ok(()));
        assert_eq!(append(&zones, 2, 8), Ok(start(2)));
        assert_eq!(zones.readable(start(1), 8), Err(BlkError::IOERR));
        assert_eq!(zones.fail(start(1), ReadOnly), Ok(()));
        assert_eq!(zones.readable(start(1), 16), Ok(8));
        assert_eq!(append(&zones, 1, 8), Err(BlkError::IOERR));
        assert_eq!(zones.fail(0, Offline), Err(BlkError::IOERR));
        Ok(())
    }
}
