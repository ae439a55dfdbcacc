# SPDX-License-Identifier: GPL-2.0
"""The program rnull-dio."""
