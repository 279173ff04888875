"""Figures of an evaluation. Matplotlib without pyplot: no global state, no window."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from saccade_env.evaluation import report

# Okabe and Ito's colours, which the colour-blind tell apart, and markers for print.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
_MARKERS = "osD^vP*"


def accuracy(summary: dict[str, Any], path: Path) -> Path:
    """Accuracy and visible share against saccade number, with the full-image line (figure 3).

    Args:
        summary: As ``summary.json`` holds it.
        path: PNG, SVG or PDF by suffix; its folder is created.
    """
    from matplotlib.figure import Figure

    full = summary["full_image"]
    # Without labels there is no accuracy; certainty then says how far the classifier got.
    kind = "certainty" if full["accuracy"] is None else "accuracy"
    label = {"accuracy": "top-1 accuracy (%)", "certainty": "certainty (%)"}[kind]
    figure = Figure(figsize=(10, 4.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    for place, (policy, values) in enumerate(summary["results"].items()):
        style = {
            "color": _COLOURS[place % len(_COLOURS)],
            "marker": _MARKERS[place % len(_MARKERS)],
            "label": policy,
            "markersize": 5,
        }
        _line(left, values[kind], style)
        _line(right, values["visible_share"], style)
    left.axhline(100 * full[kind], color="#555555", linestyle="--", label="full image")
    _dress(left, label, len(values[kind]))
    _dress(right, "visible share (%)", len(values[kind]))
    handles, names = left.get_legend_handles_labels()
    figure.legend(
        handles, names, loc="outside lower center", ncols=min(len(names), 6), frameon=False
    )
    figure.suptitle(report.title(summary), fontsize=10)
    return _save(figure, path)


def _line(axes: Any, shares: list[float], style: dict[str, Any]) -> None:
    axes.plot(range(1, len(shares) + 1), [100 * share for share in shares], **style)


def _dress(axes: Any, label: str, saccades: int) -> None:
    axes.set(xlabel="saccade", ylabel=label, ylim=(0, 100), xticks=range(1, saccades + 1))
    axes.grid(color="#e6e9ee")
    axes.spines[["top", "right"]].set_visible(False)


def _save(figure: Any, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.stem}.tmp{path.suffix}")
    try:
        figure.savefig(temporary, dpi=150)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return path
