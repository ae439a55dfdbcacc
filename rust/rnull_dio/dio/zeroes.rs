// SPDX-License-Identifier: GPL-2.0

//! Zeroes: those that are read from holes, and those around writes in new blocks.

use kernel::prelude::*;

use kernel_ext::{
    block::bio::Opf,
    context::MayIo,
    dio::{
        DioKiocb,
        NewTail,
        SubmitRef, //
    },
    fs::iomap::{
        MappingType,
        Mappings, //
    },
    iov::RawIovIter, //
};

use super::{
    direction::Direction,
    engine::Engine,
    files::Files,
    plan::{
        Plan,
        Progress, //
    },
};

impl Plan<'_> {
    /// Returns whether the mapping is read as zeroes.
    #[inline]
    fn is_zeroes(&self, mappings: &Mappings<'_>) -> bool {
        match mappings.mapping_type() {
            // Nothing can be written to a hole. `next_data` fails.
            MappingType::Hole => true,
            MappingType::Unwritten => self.direction == Direction::Read,
            MappingType::Mapped | MappingType::Other => false,
        }
    }

    /// Reads zeroes, as far as the mapping and the memory go.
    #[cold]
    fn read_zeroes(
        &self,
        mappings: &mut Mappings<'_>,
        progress: &mut Progress,
        iter: &mut RawIovIter<'_>,
        io: &MayIo,
    ) {
        // CAST: No more than the length of the request.
        let wanted = mappings.len() as usize;
        match iter.zero(wanted, io) {
            Ok(0) => mappings.fail(EFAULT),
            Ok(bytes) => {
                mappings.advance(bytes as u64);
                progress.size += bytes;
            }
            // A file system has mapped a write to a hole.
            Err(_) => mappings.fail(EIO),
        }
    }

    /// Moves to the next mapping that is not read as zeroes. Returns whether there is one.
    // Hot path: the call would cost as much as the body.
    #[inline(always)]
    pub(super) fn skip_zeroes(
        &self,
        mappings: &mut Mappings<'_>,
        progress: &mut Progress,
        iter: &mut RawIovIter<'_>,
        io: &MayIo,
    ) -> Result<bool> {
        while mappings.next(io)? {
            // The kernel's own code gets all of a request whose first mapping is special.
            if !self.is_zeroes(mappings) || mappings.has_special_bios() {
                return Ok(true);
            }
            self.read_zeroes(mappings, progress, iter, io);
        }
        Ok(false)
    }

    /// Returns how many bytes of the first block of the mapping are before the position, and have to
    /// be zeroed.
    #[inline]
    pub(super) fn padding_before<F: Files>(
        &self,
        kiocb: &DioKiocb<Engine<F>>,
        mappings: &Mappings<'_>,
    ) -> u32 {
        if !self.needs_zeroes(mappings) {
            return 0;
        }
        // CAST: Less than a block.
        (mappings.pos() & (u64::from(kiocb.file_block_size()) - 1)) as u32
    }

    /// Returns whether the parts of blocks that are not written to have to be zeroed.
    #[inline]
    fn needs_zeroes(&self, mappings: &Mappings<'_>) -> bool {
        self.direction == Direction::Write
            && (mappings.mapping_type() == MappingType::Unwritten || mappings.is_new())
    }

    /// Returns how many bytes from the position to the end of the block have to be zeroed: in new
    /// blocks, and behind the end of the file, where a mapping of the file to memory would show
    /// them.
    #[inline]
    pub(super) fn padding_after<F: Files>(
        &self,
        kiocb: &DioKiocb<Engine<F>>,
        mappings: &Mappings<'_>,
    ) -> u32 {
        if self.direction == Direction::Read {
            return 0;
        }
        let block = kiocb.file_block_size();
        // CAST: Less than a block.
        let used = (mappings.pos() & (u64::from(block) - 1)) as u32;
        let shows = || self.needs_zeroes(mappings) || mappings.pos() >= kiocb.file_size();
        if used == 0 || !shows() {
            return 0;
        }
        block - used
    }

    /// Zeroes `padding` bytes before the position, less the `done` bytes that have been submitted.
    pub(super) fn pad_before<F: Files>(
        &self,
        submitter: &SubmitRef<Engine<F>>,
        mappings: &Mappings<'_>,
        done: usize,
        padding: u32,
        io: &MayIo,
    ) -> Result {
        if padding == 0 {
            return Ok(());
        }
        let back = done as u64 + u64::from(padding);
        zero(
            submitter,
            mappings,
            mappings.sector() - back / 512,
            padding,
            io,
        )
    }

    /// Zeroes what [`padding_after`](Self::padding_after) says.
    pub(super) fn pad_after<F: Files>(
        &self,
        submitter: &SubmitRef<Engine<F>>,
        mappings: &Mappings<'_>,
        io: &MayIo,
    ) -> Result {
        match self.padding_after(submitter.kiocb(), mappings) {
            0 => Ok(()),
            len => zero(submitter, mappings, mappings.sector(), len, io),
        }
    }
}

/// Zeroes `len` bytes at `sector`, as a part of a request.
fn zero<F: Files>(
    submitter: &SubmitRef<Engine<F>>,
    mappings: &Mappings<'_>,
    sector: u64,
    len: u32,
    io: &MayIo,
) -> Result {
    // Enough for the largest block, of 64 KiB, in pages of 4 KiB.
    const VECS: u16 = 16;

    NewTail::new(submitter, mappings, VECS, Opf::WRITE, io)?
        .fill_with_zeroes(sector, len)?
        .submit();
    Ok(())
}
