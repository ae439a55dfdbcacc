// SPDX-License-Identifier: GPL-2.0

use kernel::sync::barrier::Read as _;
