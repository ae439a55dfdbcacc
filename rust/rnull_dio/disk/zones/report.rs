// SPDX-License-Identifier: GPL-2.0

//! Reports of zones to the block layer.

use kernel::prelude::*;

use kernel_ext::block::mq::{
    ReportZones,
    Zone,
    ZoneCondition,
    ZoneReport, //
};

use super::Zones;

impl Zones {
    fn zone(&self, zone: usize) -> Zone {
        let (start, len) = (self.layout.start(zone), self.layout.len(zone));
        let Some(state) = self.state(zone) else {
            return Zone {
                start,
                len,
                capacity: len,
                write_pointer: start + len,
                condition: ZoneCondition::Conventional,
            };
        };
        let write_pointer = match state.condition {
            ZoneCondition::Full => start + len,
            ZoneCondition::ReadOnly | ZoneCondition::Offline => u64::MAX,
            _ => start + u64::from(state.written),
        };
        Zone {
            start,
            len,
            capacity: self.layout.capacity(zone).into(),
            write_pointer,
            condition: state.condition,
        }
    }
}

impl ReportZones for Zones {
    fn report(&self, sector: u64, report: &mut ZoneReport<'_>) -> Result {
        let (first, _) = self.layout.locate(sector);
        for zone in first..self.count() {
            if report.is_full() {
                break;
            }
            report.add(&self.zone(zone))?;
        }
        Ok(())
    }
}
