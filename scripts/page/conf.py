# SPDX-License-Identifier: GPL-2.0
"""Sphinx configuration of the pages that make run and make bench end with."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

extensions = ["ours"]
html_theme = "alabaster"
html_theme_options = {"nosidebar": True, "page_width": "auto", "body_max_width": "none"}
html_static_path = ["static"]
html_css_files = ["page.css"]
html_copy_source = False
html_show_sourcelink = False
html_use_index = False
