// SPDX-License-Identifier: GPL-2.0

//! Mount options.

use kernel::{
    prelude::*,
    seq_file::SeqFile,
    seq_print, //
};

use kernel_ext::fs::options::{
    self,
    OptionError, //
};

use crate::{
    dio::Policy,
    named::Named, //
};

/// The options of a mount, which can be changed by remounting.
#[derive(Clone, Default)]
pub(crate) struct Options {
    /// `completion=`: the completion policy.
    pub(super) completion: Policy,
}

impl options::Options for Options {
    fn parse(&mut self, key: &CStr, value: Option<&CStr>) -> Result<(), OptionError> {
        if key != c"completion" {
            return Err(OptionError::Unknown);
        }
        self.completion = value
            .and_then(|value| Policy::from_name(value.to_bytes()))
            .ok_or(OptionError::Value(c"auto, workqueue, defer, inline"))?;
        Ok(())
    }

    fn show(&self, m: &SeqFile) {
        seq_print!(m, ",completion={}", self.completion.name());
    }
}
