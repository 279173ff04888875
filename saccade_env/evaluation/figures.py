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
    styles = _styles(summary)
    for policy, values in summary["results"].items():
        _line(left, values[kind], styles[policy])
        _line(right, values["visible_share"], styles[policy])
    left.axhline(100 * full[kind], color="#555555", linestyle="--", label="full image")
    steps = range(1, len(values[kind]) + 1)
    _dress(left, "saccade", label, xticks=steps)
    _dress(right, "saccade", "visible share (%)", xticks=steps)
    return _finish(figure, left, report.title(summary), path)


def stopping(summary: dict[str, Any], path: Path) -> Path:
    """Accuracy against mean saccades and mean visible share: a point a threshold of certainty.

    The star at the end of a line is the full budget of saccades.

    Args:
        summary: As ``summary.json`` holds it, of images with labels.
        path: PNG, SVG or PDF by suffix; its folder is created.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    styles = _styles(summary)
    for policy, curve in summary["stopping"]["policies"].items():
        values, style = summary["results"][policy], {**styles[policy], "markersize": 3}
        budget = {"saccades": len(values["accuracy"]), "visible_share": values["visible_share"][-1]}
        for axes, name, factor in ((left, "saccades", 1), (right, "visible_share", 100)):
            across = [factor * value for value in (*curve[name], budget[name])]
            up = [100 * value for value in (*curve["accuracy"], values["accuracy"][-1])]
            axes.plot(across, up, **style)
            axes.plot(across[-1:], up[-1:], marker="*", markersize=12, color=style["color"])
    _dress(left, "mean saccades", "top-1 accuracy (%)")
    _dress(right, "mean visible share (%)", "top-1 accuracy (%)")
    title = f"stopped once certain (full budget: ★), {report.title(summary)}"
    return _finish(figure, left, title, path)


def _styles(summary: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """How each policy is drawn, the same in every figure; ceilings are grey and dotted."""
    bounds = report.ceilings(summary)
    styles: dict[str, dict[str, Any]] = {
        policy: {
            "color": "#888888",
            "linestyle": ":",
            "marker": ".",
            "label": f"{policy} ({report.CEILING})",
        }
        for policy in bounds
    }
    for place, policy in enumerate(name for name in summary["results"] if name not in bounds):
        styles[policy] = {
            "color": _COLOURS[place % len(_COLOURS)],
            "marker": _MARKERS[place % len(_MARKERS)],
            "label": policy,
            "markersize": 5,
        }
    return styles


def _line(axes: Any, shares: list[float], style: dict[str, Any]) -> None:
    axes.plot(range(1, len(shares) + 1), [100 * share for share in shares], **style)


def _dress(axes: Any, across: str, up: str, **settings: Any) -> None:
    axes.set(xlabel=across, ylabel=up, ylim=(0, 100), **settings)
    axes.grid(color="#e6e9ee")
    axes.spines[["top", "right"]].set_visible(False)


def _finish(figure: Any, axes: Any, title: str, path: Path) -> Path:
    handles, names = axes.get_legend_handles_labels()
    figure.legend(
        handles, names, loc="outside lower center", ncols=min(len(names), 6), frameon=False
    )
    figure.suptitle(title, fontsize=10)
    return _save(figure, path)


def _save(figure: Any, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.stem}.tmp{path.suffix}")
    try:
        figure.savefig(temporary, dpi=150)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return path
