"""Figure 18, which the paper names as future work: one pass in place of two.

A cheap map (an early layer, a small input) chooses k windows, and the classifier runs once, on
these. The classification after saccade k is that one, as nothing is carried over from the
saccades before: what is new here is what it costs.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np
import pandas as pd

from saccade_env.drawing import style
from saccade_env.evaluation import metrics
from saccade_env.evaluation.metrics.tables import by_image, policies_of
from saccade_env.paper.figures.recipe import Drawn, Numbers, Recipe, images_text, looks_of
from saccade_env.paper.findings import Claim, Measured, of_images, of_means
from saccade_env.paper.results import (
    ATTENTION,
    CENTRE,
    COMBINED,
    MAIN,
    RANDOM,
    SAMPLES,
    NotRunError,
    Results,
    name_of,
    of_policies,
    percent,
)

POINT = 0.01  # of accuracy: as good, in the text
_NO_MAP = (CENTRE, RANDOM)  # they look at nothing before they choose
_ACROSS = "cost (× a pass on the full image)"
_CAPTION = (
    "Cost is the FLOPs of the map, up to the layer that it is taken from, and of one "
    "classification with the mean number of tokens that k windows reveal, against one with all; "
    "torch counts matrix products, convolutions and attention. A classifier that paints hidden "
    "tokens, as CNNs do, costs as much whatever is revealed, so that no setting is cheaper than "
    "the full image; a transformer drops them. Along a line k grows. Two passes: the last "
    "layer, of the largest input. Steps: the settings, also those without a map, that none is as "
    "good as for less."
)  # fmt: skip


def priced(results: Results) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Which images are right, and what every setting costs.

    Returns:
        An image a row, right (1.0) or wrong (0.0), NaN without label; and a row a setting, the
        columns of the first: by ``policy`` and number of ``windows``, its ``resolution`` and
        ``layer`` (from 0; missing without a map), ``visible_share``, ``map_gflops``,
        ``classifier_gflops``, and ``cost``: their sum in passes on the full image.

    Raises:
        NotRunError: It was not run, FLOPs were not counted, a classification is not one pass, or no
            image has a label.
    """
    settings, flops = results.varied(COMBINED, "resolution", "layer"), _flops(results)
    if lacking := {*settings["policy"]} - {*flops["maps"]}:
        raise NotRunError(f"the FLOPs of {', '.join(sorted(lacking))} were not counted")
    records = _records(results)
    correct, visible = (_wide(records, column) for column in ("correct", "visible_share"))
    if correct.isna().all(axis=None):
        raise NotRunError("no image has a label")
    rows, cols = results.grids[COMBINED]
    found = visible.mean().rename("visible_share").to_frame()
    tokens = found["visible_share"] * rows * cols
    maps = found.index.get_level_values("policy").map(lambda policy: flops["maps"].get(policy, 0))
    found["map_gflops"] = maps.to_numpy() / 1e9
    found["classifier_gflops"] = np.interp(tokens, flops["tokens"], flops["classifier"]) / 1e9
    total = found["map_gflops"] + found["classifier_gflops"]
    found["cost"] = total / (flops["classifier"][-1] / 1e9)
    found = settings.set_index("policy").join(found, how="right")
    return correct, found.sort_values(["resolution", "layer"], kind="stable")


def _flops(results: Results) -> dict[str, Any]:
    if results.run.get("classifier", {}).get("mode", "recompute") != "recompute":
        raise NotRunError("a classifier with a KV cache sees k windows in k passes, not in one")
    flops: dict[str, Any] = results.run.get("flops", {})
    if not flops or not flops["classifier"][-1]:
        raise NotRunError("the FLOPs of the networks were not counted")
    return flops


def _records(results: Results) -> pd.DataFrame:
    """Of every layer and resolution, and without a map, on the same images."""
    records = results.of(COMBINED)
    for role in _NO_MAP:
        with suppress(NotRunError):
            more, policy = results.with_role(COMBINED, role)
            records = pd.concat([records, more[more["policy"] == policy]], ignore_index=True)
    return of_policies(records, *policies_of(records))


def _wide(records: pd.DataFrame, column: str) -> pd.DataFrame:
    """An image a row, and a column a policy and number of windows."""
    parts = {policy: by_image(records, policy, column) for policy in policies_of(records)}
    return pd.concat(parts, axis=1, names=["policy", "windows"])


def cheapest(accuracy: np.ndarray, cost: np.ndarray) -> np.ndarray:
    """The place of the cheapest setting within a point of the best, settings along the axis 0."""
    good = accuracy >= accuracy.max(axis=0) - POINT - 1e-9
    return np.where(good.T, cost, np.inf).argmin(axis=-1)


def efficient(table: pd.DataFrame) -> pd.Series:
    """Whether no other setting is at least as right for as little."""
    order = table.sort_values(["cost", "accuracy"], ascending=[True, False])["accuracy"]
    before = order.cummax().shift(fill_value=-np.inf)
    return (order > before).reindex(table.index)


def draw(results: Results) -> Drawn:
    """Accuracy against cost, a panel a resolution and a line a layer."""
    correct, settings = priced(results)
    bounds = {"mean": "accuracy", "low": "accuracy_low", "high": "accuracy_high"}
    table = settings.join(metrics.bootstrap_columns(correct, SAMPLES).rename(columns=bounds))
    table["efficient"] = efficient(table)
    resolutions = sorted(settings["resolution"].dropna().unique(), reverse=True)
    figure = style.figure(10, 3.7 * -(-len(resolutions) // 2) + 0.6)
    panels = figure.subplots(-(-len(resolutions) // 2), 2, sharex=True, sharey=True, squeeze=False)
    looks, full = _looks(results, table), _full(results)
    for axes, pixels in zip(panels.flat, resolutions, strict=False):
        there = table["resolution"].isna() | (table["resolution"] == pixels)
        own = pd.concat([table[there], table.loc[[two_passes(table)]]])
        _panel(axes, own[~own.index.duplicated()], looks, table[table["efficient"]], full)
        style.dress(axes, f"input of {pixels:.0f} pixels", _ACROSS, "top-1 accuracy (%)")
    for axes in panels.flat[len(resolutions) :]:
        axes.set_visible(False)
    style.legend_below(figure, panels.flat[len(resolutions) - 1])
    shows = " ".join((_told(results, correct, settings), _without_map(results, correct, settings)))
    alt = "Charts of accuracy against cost, one for each input resolution, a line for each layer."
    numbers = [
        Numbers("Settings that none is as good as for less", table[table["efficient"]], "best"),
        Numbers("Each layer, resolution and number of windows", table),
    ]
    records = results.of(COMBINED)
    return Drawn(figure, alt, shows, numbers, f"{images_text(records)} {_CAPTION}")


def _looks(results: Results, table: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Policy → how it is drawn: a shade a layer, two passes black, without a map as elsewhere."""
    maps = table.dropna(subset="layer").groupby(level="policy", sort=False).first()
    layers = sorted(maps["layer"].unique())
    shade = dict(zip(layers, style.shades(layers), strict=True))
    looks: dict[str, dict[str, Any]] = {
        str(policy): {"color": shade[layer], "label": f"layer {layer + 1:.0f}", "linewidth": 1.2}
        for policy, layer in maps["layer"].items()
    }
    looks[two_passes(table)] |= {"color": "#000000", "linewidth": 2.2, "label": "two passes"}
    usual = looks_of(results, _records(results))
    return {policy: looks.get(policy, usual[policy]) for policy in usual}


def _panel(
    axes: Any, own: pd.DataFrame, looks: dict[str, Any], best: pd.DataFrame, full: float
) -> None:
    steps = best.sort_values("cost")
    axes.step(
        steps["cost"], 100 * steps["accuracy"], where="post", color="#9aa3ad", linewidth=3,
        alpha=0.5, zorder=0,
    )  # fmt: skip
    for policy in own.index.unique("policy"):
        line, look = own.loc[policy], {"marker": "o"} | looks[policy] | {"markersize": 2.5}
        axes.plot(line["cost"], 100 * line["accuracy"], **look)
    label = f"full image ({percent(full)})"
    star = {"marker": "*", "markersize": 13, "linestyle": "", "color": style.ORANGE}
    axes.plot([1], [100 * full], label=label, **star)
    axes.set_xscale("log")
    axes.xaxis.get_major_locator().set_params(subs=(1, 2, 5))
    axes.xaxis.set_major_formatter("{x:g}")


def _full(results: Results) -> float:
    return float(metrics.full_image(results.of(COMBINED))["accuracy"])


def two_passes(settings: pd.DataFrame) -> str:
    """The policy of the paper: the last layer, of the largest input."""
    return str(settings.sort_values(["resolution", "layer"]).dropna().index[-1][0])


def _told(results: Results, correct: pd.DataFrame, settings: pd.DataFrame) -> str:
    """The best setting, the cheapest within a point of it, two passes, and the full image."""
    maps = settings.dropna(subset="layer")
    means = correct[maps.index].mean()
    near = maps.index[cheapest(means.to_numpy(), maps["cost"].to_numpy())]
    places = means.idxmax(), near, _last(maps, two_passes(maps))
    best, within, two = (_named(place, maps, means) for place in places)
    return (
        f"Best is {best}; the cheapest within a point of it is {within}. Two passes: {two}. The "
        f"full image: {percent(_full(results))} for 1.00."
    )


def _last(settings: pd.DataFrame, policy: str) -> Any:
    """The place of a policy's setting with most windows."""
    return settings.loc[[policy]].index[-1]


def _named(place: Any, settings: pd.DataFrame, means: pd.Series) -> str:
    row = settings.loc[place]
    return (
        f"layer {row['layer'] + 1:.0f} at {row['resolution']:.0f} pixels with {place[1]} windows, "
        f"{percent(means[place])} for {row['cost']:.2f} passes on the full image"
    )


def _without_map(results: Results, correct: pd.DataFrame, settings: pd.DataFrame) -> str:
    others = settings[settings["layer"].isna()]
    places = [_last(others, policy) for policy in others.index.unique("policy")]
    told = [
        f"{name_of(place[0])} {percent(correct[place].mean())} for {others['cost'][place]:.2f}"
        for place in places
    ]
    return f"Without a map, after the last window: {' and '.join(told)}." if told else ""


def share_of_full(results: Results) -> Measured:
    """Cost of the cheapest setting within a point of the best, chosen in every resample anew."""
    correct, settings = priced(results)
    maps = settings.dropna(subset="layer")
    costs = 100 * maps["cost"].to_numpy()
    note = _told(results, correct, settings)
    return of_means(correct[maps.index], lambda means: costs[cheapest(means, costs)], note)


def at_half_the_cost(results: Results) -> Measured:
    """Accuracy of the best setting for half the cost of two passes, less theirs.

    It is chosen on every other image and measured on the rest, both ways round, as the best of many
    settings is too good on the images that it was chosen on.
    """
    correct, settings = priced(results)
    maps = settings.dropna(subset="layer")
    two = _last(maps, two_passes(maps))
    cheap = maps.index[maps["cost"] <= maps["cost"][two] / 2]
    if cheap.empty:
        raise NotRunError("no setting costs half as much as two passes")
    right = correct[[*cheap, two]].dropna()
    first = np.arange(len(right)) % 2 == 0
    leads = []
    for part in (first, ~first):
        chosen = right.loc[~part, cheap].mean().idxmax()
        leads.append(right.loc[part, chosen] - right.loc[part, two])
    place = right[cheap].mean().idxmax()
    note = (
        f"Chosen on every other image, measured on the rest; on all of them it is "
        f"{_named(place, maps, right.mean())}, against {_named(two, maps, right.mean())}"
    )
    return of_images(pd.concat(leads), note)


RECIPES = (
    Recipe(
        18, "one pass instead of two",
        "Not in the paper, which names it as future work: a map of an early layer or of a small "
        "input could choose the windows, and the classifier run once. The statements are this "
        "project’s.",
        (MAIN, "layers", "resolutions", COMBINED), draw,
        (
            Claim(
                "half-the-cost-as-good",
                "For half the cost of two passes, a map of an earlier layer or of a smaller input "
                "chooses nearly as good windows.",
                "points", at_half_the_cost, (ATTENTION,), margin=-5,
            ),
            Claim(
                "cheaper-than-full-image",
                "A map and one classification of the windows that it chose, within a point of the "
                "best, cost less than the full image.",
                "% of the full image’s FLOPs", share_of_full, (ATTENTION,), "below", 100,
            ),
        ),
    ),
)  # fmt: skip
