"""Figures of an evaluation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from saccade_env.drawing import style
from saccade_env.evaluation import report

_ACROSS = 4  # panels


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


def stopping_rules(summary: dict[str, Any], path: Path) -> Path:
    """Accuracy against mean saccades, a panel a policy: rules for stopping side by side.

    Beside them the same number of saccades for every image, which a rule should be better than.

    Args:
        summary: As ``summary.json`` holds it, of images with labels.
        path: PNG, SVG or PDF by suffix; its folder is created.

    Raises:
        OSError: It cannot be written; the message names it.
    """
    results = summary["results"]
    rules = {rule: curves for rule, curves in summary["stopping"]["rules"].items() if curves}
    across = min(len(results), _ACROSS)
    down = -(-len(results) // across)
    figure = style.figure(max(7, 3.3 * across), 1 + 2.9 * down)
    panels = figure.subplots(down, across, squeeze=False, sharex=True, sharey=True).flatten()
    for axes, (policy, values) in zip(panels, results.items(), strict=False):
        up = [100 * share for share in values["accuracy"]]
        axes.plot(range(1, len(up) + 1), up, **style.OTHER, label="as many for every image")
        for look, (rule, curves) in zip(style.LOOKS, rules.items(), strict=False):
            curve = curves.get(policy, {"saccades": [], "accuracy": []})
            points = [100 * share for share in curve["accuracy"]]
            axes.plot(curve["saccades"], points, **{**look, "markersize": 3}, label=rule)
        style.dress(axes, policy, "mean saccades", "top-1 accuracy (%)")
    for axes in panels[len(results) :]:
        axes.set_visible(False)
    return _finish(figure, panels[0], f"rules for stopping, {report.title(summary)}", path)


def cost(summary: dict[str, Any], path: Path) -> Path:
    """Accuracy against what it has cost, policy and classifier together.

    The unit is one forward of the classifier on the whole image, which is a point itself.

    Args:
        summary: As ``summary.json`` holds it, of images with labels and counted FLOPs.
        path: PNG, SVG or PDF by suffix; its folder is created.

    Raises:
        OSError: It cannot be written; the message names it.
    """
    figure = style.figure(10, 5)
    axes, looks, full = figure.subplots(), _looks(summary), summary["full_image"]
    for policy, own in summary["cost"].items():
        spent = zip(own["policy_flops"], own["classifier_flops"], strict=True)
        up = [100 * share for share in summary["results"][policy]["accuracy"]]
        axes.plot([sum(both) / full["flops"] for both in spent], up, **looks[policy])
    star = {"marker": "*", "markersize": 12, "linestyle": "none", "clip_on": False}
    axes.plot(1, 100 * full["accuracy"], **star, color=style.QUIET, label="full image")
    label = "FLOPs of policy and classifier, in forwards of the whole image"
    style.dress(axes, "", label, "top-1 accuracy (%)", xscale="log", ylim=(0, 100))
    return _finish(figure, axes, f"a point a saccade, {report.title(summary)}", path)


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
