# SPDX-License-Identifier: GPL-2.0
"""Completion policies, and how long their tests run."""

import os

from guest import kernel

NAMES = ["auto", "workqueue", "defer", "inline"]

# How often a task waits for its own writes; "make deadlock" sets a higher number.
ROUNDS = int(os.environ.get("ROUNDS", kernel.fewer(200, least=100)))
