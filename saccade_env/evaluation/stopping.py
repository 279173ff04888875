"""Stopping curves as plain data for the summary, and in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from saccade_env.evaluation import metrics
from saccade_env.evaluation.metrics.tables import policies_of

# Rules as arguments of :func:`saccade_env.evaluation.metrics.stopping_curve`.
SIDE_BY_SIDE: dict[str, dict[str, Any]] = {
    "certainty": {},
    "certainty twice in a row": {"patience": 2},
    "map entropy": {"rule": "map entropy"},
    "predicted gain": {"rule": "predicted gain"},
}


def summarise(
    records: pd.DataFrame,
    results: dict[str, dict[str, Any]],
    thresholds: Sequence[float],
    patience: int,
) -> dict[str, Any]:
    """The curve of every policy, and where it first is as accurate as its full budget.

    Args:
        records: Of an evaluation.
        results: By policy, ``accuracy`` per saccade.
        thresholds: See :func:`saccade_env.evaluation.metrics.stopping_curve`.
        patience: Likewise.

    Returns:
        ``patience``, and by policy ``threshold``, ``accuracy`` (None if unknown), ``saccades`` and
        ``visible_share``, a value a threshold, and ``earliest``, one of these points or None.
        ``rules`` holds the same curves of each of :data:`SIDE_BY_SIDE`, of the policies that it can
        be told for.
    """
    policies = _plain(metrics.stopping_curve(records, thresholds, patience))
    for policy, values in results.items():
        curve, full = pd.DataFrame(policies[policy]), values["accuracy"]
        point = None if full[-1] is None else earliest(curve, full[-1], len(full))
        policies[policy]["earliest"] = None if point is None else point.to_dict()
    rules = {n: _plain(metrics.stopping_curve(records, **how)) for n, how in SIDE_BY_SIDE.items()}
    return {"patience": patience, "policies": policies, "rules": rules}


def _plain(curves: pd.DataFrame) -> dict[str, Any]:
    found = {}
    for policy in policies_of(curves):
        curve = curves[curves["policy"] == policy].drop(columns="policy").astype(object)
        found[policy] = curve.where(curve.notna(), None).to_dict("list")
    return found


def earliest(
    curve: pd.DataFrame, accuracy: float, saccades: float, tolerance: float = 0.005
) -> pd.Series | None:
    """The point of a policy's curve that is as accurate as the full budget with fewest saccades.

    Args:
        curve: Rows of :func:`saccade_env.evaluation.metrics.stopping_curve`.
        accuracy: What the full budget reaches, 0 to 1.
        saccades: The full budget; a point that uses it up does not count.
        tolerance: How far below ``accuracy`` still counts.
    """
    # The last digits of a mean depend on its order.
    reached = curve["accuracy"] >= accuracy - tolerance - 1e-9
    points = curve[reached & (curve["saccades"] < saccades)]
    return None if points.empty else points.sort_values("saccades", kind="stable").iloc[0]


def lines(summary: dict[str, Any]) -> list[str]:
    """One line a policy: with how many saccades it would be as accurate; none without labels."""
    if summary["full_image"]["accuracy"] is None:
        return []
    said = ["stopping once certain, to within 0.5 points of accuracy:"]
    for policy, curve in summary["stopping"]["policies"].items():
        budget, point = len(summary["results"][policy]["accuracy"]), curve["earliest"]
        if point:
            share = f"{100 * point['saccades'] / budget:.0f} %"
            how = f"with {share} of the saccades at threshold {point['threshold']:g}"
        else:
            how = "is not reached with fewer saccades"
        said.append(f"  {policy}: its {budget}-saccade accuracy {how}")
    return said
