// SPDX-License-Identifier: GPL-2.0

use kernel::module::this_module as _;
