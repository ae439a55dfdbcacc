# SPDX-License-Identifier: GPL-2.0
"""Library for programs that run in a guest, as root: tests, measurements, the main job."""
