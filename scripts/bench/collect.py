# SPDX-License-Identifier: GPL-2.0
"""Puts together what a guest has measured and what it was measured with: JSON to stdout."""

import json
import sys
from pathlib import Path

RESULTS = Path("/results")

identity = dict(line.split("=", 1) for line in (RESULTS / "identity").read_text().splitlines())
points = [json.loads(line) for line in (RESULTS / "points.json").read_text().splitlines()]
document = {"set": sys.argv[1], "identity": identity, "points": points}
json.dump(document, sys.stdout, indent=1)
print()
