"""Figure 17: maps of every layer at every input resolution."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd

from saccade_env.paper.figures import style
from saccade_env.paper.figures.layers import COLUMNS, caption
from saccade_env.paper.figures.parts import Drawn, mean_table, table
from saccade_env.paper.reading import percent, records_of, varied
from saccade_env.paper.results import Results


def combined(results: Results, folder: Path) -> Drawn:
    """Accuracy and visible share of every layer at every resolution (figure 17)."""
    experiment = "layers and resolutions"
    settings = varied(results, experiment, "resolution", "layer")
    records = records_of(results, experiment)
    found = mean_table(records, list(settings["policy"]))
    means = settings.set_index("policy").join(found).set_index(["resolution", "layer"])
    figure = style.drawing(10, 1.9 + 0.75 * 2 * settings["resolution"].nunique())
    for axes, (column, label, when) in zip(figure.subplots(2, 1), COLUMNS, strict=True):
        _heat(figure, axes, means[column].unstack(), label, when)
    accuracy, visible = means["accuracy"], means["visible_share"]
    pixels, layer = cast(tuple[int, int], accuracy.idxmax())
    few, low = cast(tuple[int, int], visible.idxmin())
    shows = (
        f"Mean accuracy is highest, {percent(accuracy.max())}, with layer {layer + 1} at {pixels} "
        f"pixels. The fewest tokens, {percent(visible.min())}, are revealed with layer {low + 1} "
        f"at {few} pixels."
    )
    alt = f"Two heat maps, layers across and input resolutions down. {shows}"
    saved = style.save(figure, folder, "figure-17", alt)
    named = table(means, "Each layer at each resolution", "figure-17", folder)
    return Drawn(shows, [saved], [named], caption(records))


def _heat(figure: Any, axes: Any, values: pd.DataFrame, label: str, when: str) -> None:
    """Rows are resolutions, the lowest at the bottom; every cell bears its number."""
    values = 100 * values.sort_index()
    image = axes.imshow(values, aspect="auto", cmap="cividis", origin="lower")
    cells = values.to_numpy(dtype=float)
    middle = (np.nanmin(cells) + np.nanmax(cells)) / 2
    for (row, col), value in np.ndenumerate(cells):
        if np.isfinite(value):
            ink = "#ffffff" if value <= middle else "#000000"
            axes.text(
                col, row, f"{value:.1f}", ha="center", va="center", color=ink, fontsize=style.SMALL
            )
    axes.set_xticks(range(values.shape[1]), [str(int(layer) + 1) for layer in values.columns])
    axes.set_yticks(range(values.shape[0]), [str(pixels) for pixels in values.index])
    axes.set(xlabel="layer", ylabel="input (pixels)")
    axes.set_title(f"{label}, {when}", loc="left", fontsize=10)
    figure.colorbar(image, ax=axes, pad=0.01)
