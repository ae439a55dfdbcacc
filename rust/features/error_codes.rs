// SPDX-License-Identifier: GPL-2.0

use kernel::error::code::{
    ECANCELED as _,
    EINPROGRESS as _,
    ELOOP as _,
    EOPNOTSUPP as _,
    ETIME as _, //
};
