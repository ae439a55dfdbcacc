// SPDX-License-Identifier: GPL-2.0

//! The attributes of a disk, a line each: type, limits, default and documentation.

#[cfg(CONFIG_KUNIT = "y")]
mod tests;

use kernel::{
    fmt,
    page::PAGE_SIZE,
    prelude::*,
    str::BStr, //
};

use kernel_ext::block::SECTOR_SHIFT;

use crate::named::{
    named_enum,
    Named, //
};

use super::value::{
    IrqMode,
    Limits,
    Path,
    Value, //
};

/// Limit of `size`: beyond it the number of bytes does not fit into a `loff_t`.
const MAX_SIZE_MIB: u64 = (1 << 43) - 1;

/// Limits of `blocksize`, those of the block layer where it has blocks larger than a page.
const BLOCK_SIZES: Limits = Limits::PowerOfTwo(1 << SECTOR_SHIFT, 64 << 10);

/// Limits of the number of a sector.
pub(super) const SECTORS: Limits = Limits::Range(0, MAX_SIZE_MIB << 11);

/// Limit of `completion_nsec`: 10 s, because power-off waits for it, and tasks that wait much longer
/// are reported as hung.
const MAX_COMPLETION_NSEC: u64 = 10_000_000_000;

/// Limit of `mbps`, as in null_blk.
const MAX_MBPS: u64 = 40 << 10;

/// Limit of `hw_queue_depth`, that of blk-mq.
const MAX_QUEUE_DEPTH: u64 = 10240;

/// Limits of `max_sectors`: a request must be able to transfer a page, and its bytes are counted by 32
/// bits.
// CAST: From 64 bits to 64.
const MIN_REQUEST_SECTORS: u64 = (PAGE_SIZE >> SECTOR_SHIFT) as u64;
pub(super) const MAX_REQUEST_SECTORS: u64 = (u32::MAX >> SECTOR_SHIFT) as u64;

/// Limit of `zone_size` in MiB: the sectors of a zone are counted by 32 bits.
const MAX_ZONE_MIB: u64 = 1 << 20;

/// Limit of the numbers of zones.
pub(super) const MAX_ZONES: u64 = 1 << 24;

/// Generates everything that depends on the list of attributes.
///
/// Those under `setup` are fields of [`Config`]. Their lines are
/// `NAME: TYPE = DEFAULT, LIMITS;`, below their documentation, with `, changeable` at the end if they
/// can be written while the disk is on as well. Those under `always` can be, too, and are implemented
/// in `device.rs`. Their lines are `NAME = DEFAULT, LIMITS;`.
macro_rules! attributes {
    (@is_changeable) => { false };
    (@is_changeable changeable) => { true };
    (
        setup {
            $(
                $(#[doc = $doc:literal])+
                $name:ident: $type:ty = $default:expr, $limits:expr $(, $changeable:ident)?;
            )*
        }
        always {
            $($(#[doc = $other_doc:literal])+ $other:ident = $other_default:literal, $other_limits:expr;)*
        }
    ) => {
        /// The attributes of a disk that are set up before power-on. [`Default`] has the values that a
        /// new directory has.
        #[derive(Clone, PartialEq, Eq, Debug)]
        pub(crate) struct Config {
            $($(#[doc = $doc])+ pub(crate) $name: $type,)*
        }

        impl Default for Config {
            fn default() -> Self {
                Self { $($name: $default,)* }
            }
        }

        named_enum! {
            /// A file in the directory of a disk.
            #[allow(non_camel_case_types)]
            pub(super) enum Attribute {
                $($(#[doc = $doc])+ $name = stringify!($name),)*
                $($(#[doc = $other_doc])+ $other = stringify!($other),)*
            }
        }

        impl Attribute {
            /// Returns the limits of the values.
            pub(super) fn limits(self) -> Limits {
                match self {
                    $(Self::$name => $limits,)*
                    $(Self::$other => $other_limits,)*
                }
            }

            /// Returns whether the value can be changed while the disk is on.
            pub(super) fn is_changeable(self) -> bool {
                match self {
                    $(Self::$name => attributes!(@is_changeable $($changeable)?),)*
                    $(Self::$other => true,)*
                }
            }

            /// Returns the lines of the documentation, each of which begins with a blank.
            fn lines(self) -> &'static [&'static str] {
                match self {
                    $(Self::$name => &[$($doc,)+],)*
                    $(Self::$other => &[$($other_doc,)+],)*
                }
            }
        }

        impl Config {
            /// Sets an attribute from the text of a user.
            ///
            /// # Errors
            ///
            /// [`EINVAL`] if the text is no value of the attribute.
            pub(super) fn set(&mut self, attribute: Attribute, text: &BStr) -> Result {
                match attribute {
                    $(Attribute::$name => self.$name = Value::parse(text, $limits)?,)*
                    $(Attribute::$other => return Err(EINVAL),)*
                }
                Ok(())
            }

            /// Writes the value of an attribute, or its default if it is no field.
            pub(super) fn show(&self, attribute: Attribute, f: &mut dyn fmt::Write) -> fmt::Result {
                match attribute {
                    $(Attribute::$name => self.$name.show(f),)*
                    $(Attribute::$other => f.write_str($other_default),)*
                }
            }

            /// Returns an attribute that is beyond its limits, if there is one.
            pub(super) fn beyond_limits(&self) -> Option<Attribute> {
                $(
                    if !self.$name.is_within($limits) {
                        return Some(Attribute::$name);
                    }
                )*
                None
            }
        }

        /// Calls the macro of this name with the names of all attributes, in the order of
        /// [`Attribute`].
        macro_rules! with_attributes {
            ($callback:ident) => {
                $callback! { $($name)* $($other)* }
            };
        }
    };
}

attributes! {
    setup {
        /// Capacity in MiB. 0: 4096, or with ``backing_file``, what the file has.
        size: u64 = 0, Limits::Range(0, MAX_SIZE_MIB);
        /// Logical and physical block size in bytes. More than a page has needs a kernel
        /// with ``CONFIG_TRANSPARENT_HUGEPAGE``.
        blocksize: u32 = 4096, BLOCK_SIZES;
        /// Limit of a request, in sectors of 512 bytes, at least a block. 0: 8388607, of
        /// which the block layer uses no more than ``queue/max_sectors_kb`` says.
        max_sectors: u32 = 0, Limits::ZeroOr(MIN_REQUEST_SECTORS, MAX_REQUEST_SECTORS);
        /// Whether the memory of a request must have no gap, as with NVMe: each piece of
        /// it but the first must begin at the boundary of a page, and each but the last
        /// must end at one.
        virt_boundary: bool = false, Limits::Flag;
        /// Whether the disk says that it rotates.
        rotational: bool = false, Limits::Flag;
        /// Whether the disk keeps data, in pages that are allocated when they are
        /// written. Otherwise writes go nowhere, and reads leave the memory of the
        /// reader as it is.
        memory_backed: bool = false, Limits::Flag;
        /// The path of a regular file or a block device that keeps the data. It is opened
        /// when the disk is powered on, and a block device is claimed. If it can only be
        /// read, so can the disk. Empty: none. It does not go with ``memory_backed``,
        /// ``cache_size``, ``mbps``, ``irqmode``, ``shared_tags``, ``zoned`` or
        /// ``badblocks_partial_io``.
        backing_file: Path = Path::default(), Limits::Text("nothing, or an absolute path");
        /// Where the disk begins in the file, in bytes. With ``direct_io`` it must be a
        /// multiple of the unit in which the file takes direct I/O.
        backing_offset: u64 = 0, Limits::Range(0, MAX_SIZE_MIB << 20);
        /// Whether the file is read and written without the page cache. If so, the file
        /// must take direct I/O in units of at most ``blocksize``.
        direct_io: bool = true, Limits::Flag;
        /// The interface to the block layer. 2: blk-mq. Linux no longer has the
        /// interfaces 0 and 1.
        queue_mode: u32 = 2, Limits::Only(2);
        /// Whether requests are submitted in a context that may sleep. With
        /// ``memory_backed`` they always are.
        blocking: bool = false, Limits::Flag;
        /// Where requests end that are not polled. 0: in the context of the
        /// submitter, at once. 1: in a soft interrupt. 2: in the hard interrupt of a
        /// timer.
        irqmode: IrqMode = IrqMode::None, Limits::Range(0, 2);
        /// Time in ns from submission to completion, if ``irqmode`` is 2.
        completion_nsec: u64 = 10_000, Limits::Range(0, MAX_COMPLETION_NSEC);
        /// Limit of the MiB that are read and written in a second. 0: none. With a limit,
        /// a request ends when the disk has transferred it and all that was submitted
        /// before: in the hard interrupt of a timer, whatever ``irqmode`` is, or when it
        /// is polled after that. If ``irqmode`` is 2, ``completion_nsec`` is added. A
        /// request is limited to what is transferred in 10 s.
        mbps: u32 = 0, Limits::Range(0, MAX_MBPS);
        /// Hardware queues for I/O that is not polled. Can be changed while the disk is on.
        submit_queues: u32 = 1, Limits::UpToCpus(1), changeable;
        /// Whether there is a hardware queue for each NUMA node that is online, whatever
        /// ``submit_queues`` is.
        use_per_node_hctx: bool = false, Limits::Flag;
        /// Hardware queues for polled I/O. Can be changed while the disk is on. With
        /// ``backing_file``, the file is polled: it needs ``direct_io``, and a file that can
        /// be polled.
        poll_queues: u32 = 0, Limits::UpToCpus(0), changeable;
        /// Requests of each hardware queue.
        hw_queue_depth: u32 = 64, Limits::Range(1, MAX_QUEUE_DEPTH);
        /// Whether all hardware queues share one set of requests, ``hw_queue_depth`` in
        /// all.
        shared_tag_bitmap: bool = false, Limits::Flag;
        /// Whether all disks with this attribute that are on, and whose queues and requests
        /// are set up alike, share their requests, ``hw_queue_depth`` of each hardware
        /// queue in all.
        shared_tags: bool = false, Limits::Flag;
        /// The NUMA node where the memory of requests and queues is allocated. -1: any.
        home_node: Option<u32> = None, Limits::Node;
        /// Whether the disk starts without an I/O scheduler, also if it has one hardware
        /// queue, or ``shared_tag_bitmap``.
        no_sched: bool = true, Limits::Flag;
        /// Whether the disk says that it has a volatile write cache. If so, it gets
        /// flushes. With ``backing_file`` it always has one.
        write_cache: bool = false, Limits::Flag;
        /// Size of a volatile write cache in MiB. What it has is written back by flushes
        /// and to make room. To power the disk off is a power cut: what the cache has is
        /// lost. 0: no cache. It needs ``memory_backed``, and means ``write_cache``.
        cache_size: u64 = 0, Limits::Range(0, MAX_SIZE_MIB);
        /// Whether the disk says that it can write through its cache (FUA). Without
        /// ``write_cache``, ``cache_size`` or ``backing_file`` it means nothing.
        fua: bool = false, Limits::Flag;
        /// Whether bad sectors become good when a request has failed because of them, at
        /// most 512 at a time.
        badblocks_once: bool = false, Limits::Flag;
        /// Whether a request with a bad sector transfers the blocks before that, and
        /// then fails. Otherwise it transfers nothing.
        badblocks_partial_io: bool = false, Limits::Flag;
        /// Whether the disk supports discards. Without ``memory_backed`` they do
        /// nothing; with ``backing_file`` they free space of the file.
        discard: bool = false, Limits::Flag;
        /// Whether the disk is divided into zones that must be written from the beginning
        /// to the end. It does not go with ``backing_file``, ``cache_size`` or
        /// ``discard``.
        zoned: bool = false, Limits::Flag;
        /// Size of a zone in MiB. The last one may be smaller if ``zone_capacity`` is 0.
        zone_size: u64 = 256, Limits::PowerOfTwo(1, MAX_ZONE_MIB);
        /// How much of a zone can be written, in MiB. 0: all.
        zone_capacity: u64 = 0, Limits::Range(0, MAX_ZONE_MIB);
        /// How many zones, at the beginning, are conventional: they are written anywhere.
        /// At least one zone is not.
        zone_nr_conv: u32 = 0, Limits::Range(0, MAX_ZONES);
        /// Limit of the zones that are open. 0, or the number of zones that are not
        /// conventional and more: none.
        zone_max_open: u32 = 0, Limits::Range(0, MAX_ZONES);
        /// Limit of the zones that are open or closed, at least ``zone_max_open``. 0, or
        /// the number of zones that are not conventional and more: none.
        zone_max_active: u32 = 0, Limits::Range(0, MAX_ZONES);
        /// Limit of a zone append in sectors of 512 bytes, rounded down to whole blocks,
        /// and at most what can be written to a zone. 0: the disk has no zone append, so
        /// that the block layer makes writes of them.
        zone_append_max_sectors: u32 = i32::MAX.unsigned_abs(), Limits::Range(0, 0xffff_ffff);
        /// Whether all zones are full that are not conventional, when the disk is powered
        /// on for the first time.
        zone_full: bool = false, Limits::Flag;
        /// The number of the disk, which no other one has that is on. Set at power-on to
        /// the lowest that is free, whatever was written.
        index: u32 = 0, Limits::Range(0, 0xffff_ffff);
    }
    always {
        /// The first sectors of the zones that can only be read. Writing the number of a
        /// sector to this file makes the zone that has it read-only, or empty if it is
        /// read-only.
        zone_readonly = "none", Limits::Text("a sector of a zone that is not conventional");
        /// The first sectors of the zones that can be neither read nor written. Writing the
        /// number of a sector to this file takes the zone that has it offline, or makes it
        /// empty if it is offline.
        zone_offline = "none", Limits::Text("a sector of a zone that is not conventional");
        /// Sectors of 512 bytes that fail with ``EIO``. To write ``+FIRST-LAST`` adds
        /// the sectors from one to the other, to write ``-FIRST-LAST`` removes them.
        badblocks = "none", Limits::Text("a range of sectors with its sign");
        /// Whether the disk is in the system.
        power = "0", Limits::Flag;
    }
}

/// Writes the list of attributes as `Documentation/use/disk.rst` has it.
pub(crate) fn show_attributes(f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let defaults = Config::default();
    for &attribute in Attribute::ALL {
        f.write_fmt(fmt!("``{attribute}``: {} (default: ", attribute.limits()))?;
        if attribute == Attribute::backing_file {
            f.write_str("none")?;
        }
        defaults.show(attribute, f)?;
        f.write_str(")\n")?;
        for line in attribute.lines() {
            writeln!(f, "   {line}")?;
        }
    }
    Ok(())
}
