// SPDX-License-Identifier: GPL-2.0

//! Mount options.
//!
//! C header: [`include/linux/fs_context.h`](srctree/include/linux/fs_context.h)

use kernel::{
    prelude::*,
    seq_file::SeqFile, //
};

/// The reason for which an option is refused.
pub enum OptionError {
    /// There is no option of this name.
    Unknown,
    /// The value is invalid. The text lists the valid ones.
    Value(&'static CStr),
}

/// The options of a file system type.
///
/// # Examples
///
/// ```
/// use kernel::{prelude::*, seq_file::SeqFile, seq_print};
/// use kernel_ext::fs::options::{OptionError, Options};
///
/// /// `verbose=0` or `verbose=1`.
/// #[derive(Clone, Default)]
/// struct Verbose(bool);
///
/// impl Options for Verbose {
///     fn parse(&mut self, key: &CStr, value: Option<&CStr>) -> Result<(), OptionError> {
///         if key != c"verbose" {
///             return Err(OptionError::Unknown);
///         }
///         self.0 = match value.map(CStr::to_bytes) {
///             Some(b"0") => false,
///             Some(b"1") => true,
///             _ => return Err(OptionError::Value(c"0, 1")),
///         };
///         Ok(())
///     }
///
///     fn show(&self, m: &SeqFile) {
///         seq_print!(m, ",verbose={}", u8::from(self.0));
///     }
/// }
/// ```
pub trait Options: Clone + Default + Send + 'static {
    /// Sets the option `key` to `value`, which is [`None`] if the user gave none.
    ///
    /// # Errors
    ///
    /// An [`OptionError`], which is reported to the caller of `mount(2)` and in the kernel's log.
    fn parse(&mut self, key: &CStr, value: Option<&CStr>) -> Result<(), OptionError>;

    /// Writes the options as in `/proc/mounts`, each with a comma before it.
    fn show(&self, m: &SeqFile);
}
