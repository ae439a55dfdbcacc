#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""measure.py SET: measures the points of a set, in the guest. Writes /results/points.json, one JSON
object a line: the labels of a point and the cost of an I/O. Prints its progress."""

import json
import sys
import time
from pathlib import Path

from sampler import Sampler
from sets import SETS

from guest import kernel

RESULTS = Path("/results/points.json")


def main() -> None:
    name = sys.argv[1]
    kernel.load_module()
    kind = getattr(SETS[name], "SAMPLER", Sampler)
    meter = kind.METER()
    begin = time.time()
    with RESULTS.open("w") as results:
        for point in SETS[name].points():
            sampler = kind(meter, point)
            sampler.sample_all()
            result = sampler.result()
            results.write(json.dumps(result) + "\n")
            results.flush()
            words = " ".join(str(value) for value in point.labels.values())
            print(f"{words}: {sampler.summary(result['values'])}", flush=True)
    kernel.unload_module()
    print(f"{name}: {time.time() - begin:.0f} s of the guest's time")


if __name__ == "__main__":
    main()
