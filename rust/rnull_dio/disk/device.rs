// SPDX-License-Identifier: GPL-2.0

//! Devices: disks that are set up while they are off.

use kernel::{
    fmt::{
        self,
        Write as _, //
    },
    new_mutex,
    page::PAGE_SIZE,
    prelude::*,
    str::{
        BStr,
        CString,
        Formatter, //
    },
    sync::{
        Arc,
        Mutex, //
    }, //
};

use kernel_ext::{
    block::{
        self,
        mq::ZoneCondition,
        SECTOR_SHIFT, //
    }, //
    compat::error::code::ELOOP,
};

use crate::{
    debugfs::Dir, //
    named::Named,
};

use super::{
    attributes::{
        Attribute,
        Config,
        SECTORS, //
    },
    backing::{
        Backing,
        Unusable, //
    },
    config::Conflict,
    faults::Faults,
    nesting::Level,
    pages,
    value::{
        sector_range,
        Limits,
        Value, //
    },
    zones::Zones,
    Disk,
    Kept,
    Shared,
    Storage, //
};

/// How many bytes of a refused value are logged.
const LOG_LEN: usize = 40;

/// A device, which a disk is made from.
#[pin_data]
pub(super) struct Device {
    name: CString,
    debugfs: Dir,
    shared: Shared,
    // Kept over power-off, as in null_blk.
    storage: Arc<Storage>,
    faults: Faults,
    // Held while the disk is made and removed, which may take as long as its I/O.
    #[pin]
    state: Mutex<State>,
}

struct State {
    config: Config,
    // Kept over power-off, as the data are.
    zones: Option<Arc<Zones>>,
    // With its level if its data is in a file, which is given up after the disk is gone.
    disk: Option<(Disk, Option<Level>)>,
}

impl Device {
    pub(super) fn new(
        name: &CStr,
        debugfs: Dir,
        shared: Shared,
        faults: Faults,
    ) -> impl PinInit<Self, Error> + '_ {
        try_pin_init!(Self {
            name: name.try_into()?,
            debugfs,
            shared,
            storage: Arc::pin_init(Storage::new(), GFP_KERNEL)?,
            faults,
            state <- new_mutex!(State {
                config: Config::default(),
                zones: None,
                disk: None,
            }),
        })
    }

    /// Returns the name of the disk.
    pub(super) fn name(&self) -> &CStr {
        &self.name
    }

    /// Writes the value of an attribute, and returns how many bytes that took.
    pub(super) fn show(&self, attribute: Attribute, page: &mut [u8; PAGE_SIZE]) -> Result<usize> {
        if attribute == Attribute::badblocks {
            return self.storage.bad().show(page);
        }
        let mut f = Formatter::new(page);
        let state = self.state.lock();
        match attribute {
            Attribute::power => state.disk.is_some().show(&mut f)?,
            Attribute::zone_readonly => state.show_zones(ZoneCondition::ReadOnly, &mut f)?,
            Attribute::zone_offline => state.show_zones(ZoneCondition::Offline, &mut f)?,
            setup => state.config.show(setup, &mut f)?,
        }
        f.write_str("\n")?;
        Ok(f.bytes_written())
    }

    /// Sets an attribute from the text of a user, and logs why if that fails.
    pub(super) fn store(&self, attribute: Attribute, text: &BStr) -> Result {
        let result = match attribute {
            Attribute::power => self.power(text),
            Attribute::badblocks => self.set_badblocks(text),
            Attribute::zone_readonly => self.fail_zone(attribute, ZoneCondition::ReadOnly, text),
            Attribute::zone_offline => self.fail_zone(attribute, ZoneCondition::Offline, text),
            setup => self.set_up(setup, text),
        };
        result.map_err(|refusal| {
            let text = BStr::from_bytes(&text[..text.len().min(LOG_LEN)]);
            let (device, name) = (&*self.name, attribute.name());
            pr_err!("{device}: {name}: '{text}' refused: {refusal}\n");
            refusal.into()
        })
    }

    fn set_up(&self, attribute: Attribute, text: &BStr) -> Result<(), Refusal> {
        let mut state = self.state.lock();
        if state.disk.is_some() && !attribute.is_changeable() {
            return Err(Refusal::Error(EBUSY));
        }
        let mut config = state.config.clone();
        let parsed = config.set(attribute, text);
        parsed.map_err(|_| Refusal::Limits(attribute.limits()))?;
        if let Some((disk, _)) = &state.disk {
            let checked = config.check_change(attribute, &state.config);
            checked.map_err(Refusal::Conflict)?;
            disk.set_queues(&config).map_err(Refusal::Error)?;
        }
        state.config = config;
        Ok(())
    }

    fn power(&self, text: &BStr) -> Result<(), Refusal> {
        let limits = Attribute::power.limits();
        if bool::parse(text, limits).map_err(|_| Refusal::Limits(limits))? {
            self.power_on()
        } else {
            self.power_off();
            Ok(())
        }
    }

    fn power_on(&self) -> Result<(), Refusal> {
        let mut state = self.state.lock();
        if state.disk.is_some() {
            return Ok(());
        }
        state.config.check().map_err(Refusal::Conflict)?;
        // The driver core would refuse it too, but with a stack trace in the log.
        if block::disk_name_in_use(&self.name) {
            return Err(Refusal::Error(EEXIST));
        }
        let backing = Backing::open(&state.config).map_err(Refusal::File)?;
        let level = backing
            .as_ref()
            .map(|backing| self.nest(backing))
            .transpose()?;
        state.set_up_zones().map_err(Refusal::Error)?;
        let kept = Kept {
            storage: self.storage.clone(),
            zones: state.zones.clone(),
            faults: self.faults.clone(),
            shared: &self.shared,
            debugfs: &self.debugfs,
        };
        let disk = Disk::with(&self.name, &state.config, backing, kept);
        let disk = disk.map_err(Refusal::Error)?;
        state.config.index = disk.index();
        state.disk = Some((disk, level));
        Ok(())
    }

    /// Puts the disk on top of that which its file is on.
    fn nest(&self, backing: &Backing) -> Result<Level, Refusal> {
        let below = backing.file.disk_name().map_err(Refusal::Error)?;
        let level = self.shared.nesting.add(&self.name, below.as_deref());
        level.map_err(|err| match err {
            ELOOP => Refusal::File(Unusable::Nested),
            other => Refusal::Error(other),
        })
    }

    /// Waits for all I/O in flight.
    pub(super) fn power_off(&self) {
        // Under the lock, so that the name is free for the next power-on.
        self.state.lock().disk = None;
    }

    /// Makes a zone read-only or takes it offline. If it is that, it becomes empty again, and its data are
    /// gone.
    fn fail_zone(
        &self,
        attribute: Attribute,
        condition: ZoneCondition,
        text: &BStr,
    ) -> Result<(), Refusal> {
        let limits = attribute.limits();
        let sector = u64::parse(text, SECTORS).map_err(|_| Refusal::Limits(limits))?;
        let state = self.state.lock();
        let (Some(zones), Some(_)) = (&state.zones, &state.disk) else {
            return Err(Refusal::NoZones);
        };
        let beyond = |_| Refusal::Limits(limits);
        let _held = zones.hold(sector).map_err(beyond)?;
        if zones.condition(sector) == Some(condition) {
            let (start, len) = zones.range(sector);
            let data = self.storage.data();
            pages::zero(data, start << SECTOR_SHIFT, len << SECTOR_SHIFT)
                .map_err(Refusal::Error)?;
        }
        zones.fail(sector, condition).map_err(beyond)
    }

    fn set_badblocks(&self, text: &BStr) -> Result<(), Refusal> {
        let limits = Attribute::badblocks.limits();
        let (bad, sectors) = sector_range(text, SECTORS).map_err(|_| Refusal::Limits(limits))?;
        let blocks = self.storage.bad();
        let set = if bad {
            blocks.set_bad(sectors)
        } else {
            blocks.set_good(sectors)
        };
        set.map_err(Refusal::Error)
    }
}

impl State {
    fn show_zones(&self, condition: ZoneCondition, f: &mut Formatter<'_>) -> fmt::Result {
        self.zones
            .as_ref()
            .map_or(Ok(()), |zones| zones.show(condition, f))
    }

    /// Makes the zones of the disk, if it has any. Those that it had stay, unless their attributes have
    /// changed.
    fn set_up_zones(&mut self) -> Result {
        let layout = self.config.zone_layout();
        if self.zones.as_ref().map(|zones| *zones.layout()) != layout {
            self.zones = None;
            if let Some(layout) = layout {
                self.zones = Some(Arc::pin_init(Zones::new(layout), GFP_KERNEL)?);
            }
        }
        if let Some(zones) = &self.zones {
            zones.close_all();
        }
        Ok(())
    }
}

/// Why a value was refused.
enum Refusal {
    /// It is beyond these limits.
    Limits(Limits),
    /// The disk has no zones, or is off.
    NoZones,
    /// The attributes do not go together.
    Conflict(Conflict),
    /// The file cannot be used.
    File(Unusable),
    /// Any other reason.
    Error(Error),
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Limits(_) | Refusal::NoZones | Refusal::Conflict(_) => EINVAL,
            Refusal::File(why) => why.into(),
            Refusal::Error(error) => error,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Limits(limits) => f.write_fmt(fmt!("it is not {limits}")),
            Self::NoZones => f.write_str("the device is off, or has no zones"),
            Self::Conflict(conflict) => f.write_fmt(fmt!("{conflict}")),
            Self::File(why) => f.write_fmt(fmt!("{why}")),
            Self::Error(EBUSY) => f.write_str("the device is on"),
            Self::Error(EEXIST) => f.write_str("there is another disk of this name"),
            Self::Error(ENOSPC) => f.write_str("the list is full"),
            Self::Error(ENOMEM) => f.write_str("out of memory"),
            Self::Error(error) => write!(f, "{error:?}"),
        }
    }
}
