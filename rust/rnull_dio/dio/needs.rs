// SPDX-License-Identifier: GPL-2.0

//! What a completion needs of the context that runs it.

use crate::named::named_enum;

named_enum! {
    /// What is left to do when the last bio has ended. In order: each includes those before it.
    #[derive(PartialOrd, Ord)]
    pub(crate) enum Needs {
        /// Nothing that sleeps.
        Nothing = "Nothing",
        /// Something that sleeps, but neither starts I/O nor waits for I/O that has not been
        /// started: errors, pages to mark dirty, pages to drop from the cache.
        Task = "Task",
        /// Something that starts I/O and waits for it: a sync, or an `->end_io` that has blocks or the
        /// size of the file to change, or an error.
        Io = "Io",
    }
}
