// SPDX-License-Identifier: GPL-2.0

use pin_init::raw_try_init as _;
