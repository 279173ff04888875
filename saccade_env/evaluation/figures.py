"""Figures of an evaluation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from saccade_env.drawing import style
from saccade_env.evaluation import report


def accuracy(summary: dict[str, Any], path: Path) -> Path:
    """Accuracy and visible share against saccade number, with the full-image line (figure 3).

    Args:
        summary: As ``summary.json`` holds it.
        path: PNG, SVG or PDF by suffix; its folder is created.

    Raises:
        OSError: It cannot be written; the message names it.
    """
    full = summary["full_image"]
    # Without labels there is no accuracy; certainty then says how far the classifier got.
    kind = "certainty" if full["accuracy"] is None else "accuracy"
    figure = style.figure(10, 4.6)
    left, right = figure.subplots(1, 2)
    looks = _looks(summary)
    for policy, values in summary["results"].items():
        saccades = range(1, len(values[kind]) + 1)
        for axes, name in ((left, kind), (right, "visible_share")):
            axes.plot(saccades, [100 * share for share in values[name]], **looks[policy])
    style.full_line(left, full[kind])
    label = "top-1 accuracy (%)" if kind == "accuracy" else "certainty (%)"
    for axes, up in ((left, label), (right, "visible share (%)")):
        style.dress(axes, "", "saccade", up, xticks=saccades, ylim=(0, 100))
    return _finish(figure, left, report.title(summary), path)


def stopping(summary: dict[str, Any], path: Path) -> Path:
    """Accuracy against mean saccades and mean visible share: a point a threshold of certainty.

    The star at the end of a line is the full budget of saccades.

    Args:
        summary: As ``summary.json`` holds it, of images with labels.
        path: PNG, SVG or PDF by suffix; its folder is created.

    Raises:
        OSError: It cannot be written; the message names it.
    """
    figure = style.figure(10, 4.6)
    left, right = figure.subplots(1, 2)
    looks = _looks(summary)
    for policy, curve in summary["stopping"]["policies"].items():
        values, look = summary["results"][policy], {**looks[policy], "markersize": 3}
        budget = {"saccades": len(values["accuracy"]), "visible_share": values["visible_share"][-1]}
        up = [100 * value for value in (*curve["accuracy"], values["accuracy"][-1])]
        for axes, name, factor in ((left, "saccades", 1), (right, "visible_share", 100)):
            across = [factor * value for value in (*curve[name], budget[name])]
            axes.plot(across, up, **look)
            axes.plot(across[-1:], up[-1:], marker="*", markersize=12, color=look["color"])
    for axes, label in ((left, "mean saccades"), (right, "mean visible share (%)")):
        style.dress(axes, "", label, "top-1 accuracy (%)", ylim=(0, 100))
    title = f"stopped once certain (full budget: ★), {report.title(summary)}"
    return _finish(figure, left, title, path)


def _looks(summary: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """How each policy is drawn, the same in every figure; ceilings are grey and dotted."""
    bounds = report.ceilings(summary)
    ceiling = style.OTHER | {"linestyle": ":", "marker": "."}
    looks = {policy: ceiling | {"label": f"{policy} ({report.CEILING})"} for policy in bounds}
    for place, policy in enumerate(name for name in summary["results"] if name not in bounds):
        looks[policy] = style.LINE | style.LOOKS[place % len(style.LOOKS)] | {"label": policy}
    return looks


def _finish(figure: Any, axes: Any, title: str, path: Path) -> Path:
    style.legend_below(figure, axes)
    figure.suptitle(title, fontsize=10)
    style.save(figure, path)
    return path
