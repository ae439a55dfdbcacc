# SPDX-License-Identifier: GPL-2.0
"""Sphinx configuration, see `make docs`."""

project = "rnull-dio"
author = "The rnull-dio developers"
extensions = []
exclude_patterns = ["_build"]
html_theme = "alabaster"
html_theme_options = {"description": "Null block device, direct I/O engine, scratch file system"}
nitpicky = True
man_pages = [
    ("man/mkfs.diofs", "mkfs.diofs", "make a diofs on a block device", "", 8),
    ("man/rnull-dio", "rnull-dio", "control the kernel module rnull_dio", "", 8),
]
