# SPDX-License-Identifier: GPL-2.0
"""The picture of a comparison."""

import compare
import plot
from matplotlib import pyplot as plt
from matplotlib import rcParams

# For browsers, whose fonts may be wider than those of the layout
rcParams["svg.fonttype"] = "path"

NOISE_COLOUR = plot.GREYS[0]


def bars(axes: plt.Axes, pairs: list[tuple[dict, dict]]) -> None:
    """A bar for the change of each point, grey if it is noise."""
    names = [compare.words(before) for before, _ in pairs]
    changes = [compare.change(*pair) for pair in pairs]
    noise = [compare.is_noise(*pair) for pair in pairs]
    colours = [NOISE_COLOUR if quiet else plot.OUR_COLOUR for quiet in noise]
    drawn = axes.barh(names, changes, 0.7, color=colours)
    labels = [
        f"{change:+.2f}%{' (noise)' * quiet}" for change, quiet in zip(changes, noise, strict=True)
    ]
    axes.bar_label(drawn, labels, padding=2, fontsize=6)


def picture(before: dict, after: dict) -> plt.Figure:
    pairs = compare.pairs(before, after)
    figure, axes = plt.subplots(figsize=(7, 0.2 * len(pairs) + 0.9))
    bars(axes, pairs)
    axes.axvline(0, color="black", linewidth=0.6)
    axes.invert_yaxis()
    axes.margins(x=0.25, y=0.02)
    axes.set_xlabel(f"change in percent ({plot.LESS})")
    axes.spines[["top", "right", "left"]].set_visible(False)
    return figure
