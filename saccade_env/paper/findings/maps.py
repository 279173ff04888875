"""Effects of other maps: layers, resolutions, saliency models (figures 6, 10 and 11)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd

from saccade_env.evaluation import metrics
from saccade_env.evaluation.metrics.intervals import Interval
from saccade_env.evaluation.metrics.tables import lengths
from saccade_env.paper.findings.claims import SAMPLES, Measured, of_images
from saccade_env.paper.findings.saccades import pair
from saccade_env.paper.reading import (
    SIZES,
    NotRunError,
    fovea_of,
    number,
    of_policies,
    percent,
    policy_of,
    records_of,
    runs_of,
    varied,
    with_role,
)
from saccade_env.paper.results import RANDOM, Results

_OVER = "mean accuracy over all saccades"


def layer_lead(results: Results, layer: int) -> Measured:
    """Lead of the map of a layer, counted from 1, over random fixations."""
    policy = _layer(varied(results, "layers", "layer"), layer)
    records, random = with_role(results, "layers", RANDOM)
    return _lead(records, policy, random, _OVER)


def rise_after(results: Results, layer: int) -> Measured:
    """Gain of the next layer, counted from 1, over this one, less the mean gain elsewhere."""
    settings = varied(results, "layers", "layer")
    policies = [_layer(settings, either) for either in (layer, layer + 1)]
    records = of_policies(records_of(results, "layers"), *settings["policy"])
    means = {name: metrics.correctness(records, name).mean(axis=1) for name in settings["policy"]}
    rise = means[policies[1]] - means[policies[0]]
    others = len(settings) - 2  # steps from a layer to the next, without this one
    if others < 1:
        raise NotRunError("there are too few layers to compare")
    whole = means[settings["policy"].iloc[-1]] - means[settings["policy"].iloc[0]]
    note = (
        f"layer {layer + 1} less layer {layer} ({percent(float(rise.mean()))}), less the mean "
        "of such steps elsewhere"
    )
    return of_images(rise - (whole - rise) / others, note)


def close_resolution(results: Results, tokens: int) -> Measured:
    """Accuracy with the map of an input of few tokens a side, less that with the full one."""
    settings = varied(results, "resolutions", "tokens")
    records, small = records_of(results, "resolutions"), settings[settings["tokens"] == tokens]
    if small.empty:
        raise NotRunError(f"no map of an input of {tokens}×{tokens} tokens was followed")
    whole = settings.iloc[-1]
    note = f"{_OVER}; {tokens} tokens a side against {whole['tokens']}"
    return _lead(records, small["policy"].iloc[0], whole["policy"], note)


def crop_lead(results: Results, first: str, second: str) -> Measured:
    """A role's lead over another's in accuracy on a single crop."""
    if results.crops is None or results.crops.empty:
        raise NotRunError("the single crops were not classified")
    own, other = (
        crops[crops["label"] >= 0].set_index("image")["correct"].astype(float)
        for crops in (
            results.crops[results.crops["policy"] == policy_of(results, role, results.crops)]
            for role in (first, second)
        )
    )
    return of_images((own - other).dropna())


def at_sizes(measure: Callable[..., Measured], results: Results, **asked: Any) -> Measured:
    """An effect at the first of UNISAL's image sizes that was run; the note tells the others."""
    name, *others = runs_of(results, *SIZES)
    found, where = measure(results, name, **asked), f"experiment “{name}”"
    for other in others:
        value, low, high = map(number, measure(results, other, **asked).interval)
        where += f"; in “{other}” it is {value} ({low} to {high})"
    return found._replace(note=f"{found.note}; {where}" if found.note else where)


def alike_at_first(results: Results, name: str, first: str, second: str) -> Measured:
    """Share of images on which the first foveas of two roles overlap."""
    records = records_of(results, name)
    one, other = (policy_of(results, role, records) for role in (first, second))
    both = of_policies(records, one, other)
    within = fovea_of(results, name) - 1
    table = metrics.fixation_agreement(both, one, other, within, samples=SAMPLES)
    columns = ["agreement", "agreement_low", "agreement_high"]
    found = Interval(*(float(100 * value) for value in table[columns].iloc[0]))
    note = f"first fixations within {within} tokens"
    return Measured(found, both["image"].nunique(), note)


def diverge(results: Results, name: str, first: str, second: str) -> Measured:
    """Growth of the distance between the fixations of two roles, from the first to the last."""
    rows, cols = (
        own - other
        for own, other in (pair(results, name, first, second, axis) for axis in ("row", "col"))
    )
    apart = lengths(rows, cols)
    note = "distance at the last saccade less that at the first"
    return of_images(apart.iloc[:, -1] - apart.iloc[:, 0], note, 1)


def farther(results: Results, name: str, first: str, second: str) -> Measured:
    """How much farther from its first fixation a role looks than another, over all saccades."""
    paths = zip(*(pair(results, name, first, second, axis) for axis in ("row", "col")), strict=True)
    own, other = (_reach(*path) for path in paths)
    note = "mean distance from the first fixation"
    return of_images(own - other, note, 1)


def _reach(row: pd.DataFrame, col: pd.DataFrame) -> pd.Series:
    """Mean distance from the first fixation of the later ones, by image."""
    rows, cols = (axis.sub(axis.iloc[:, 0], axis=0).iloc[:, 1:] for axis in (row, col))
    return lengths(rows, cols).mean(axis=1)


def _layer(settings: pd.DataFrame, layer: int) -> str:
    found = settings[settings["layer"] == layer - 1]["policy"]
    if found.empty:
        raise NotRunError(f"the map of layer {layer} was not followed")
    return str(found.iloc[0])


def _lead(records: pd.DataFrame, policy: str, reference: str, note: str) -> Measured:
    both = of_policies(records, policy, reference)
    if both.empty:
        raise NotRunError(f"{policy} and {reference} were run on different images")
    found = metrics.bootstrap(both, policy, reference, samples=SAMPLES)
    labelled = both[both["label"] >= 0]["image"].nunique()
    return Measured(Interval(*(100 * value for value in found)), labelled, note)
