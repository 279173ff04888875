"""Figures 6 and 17: maps of other layers, and of low-resolution inputs."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from itertools import cycle, product
from typing import Any, cast

import numpy as np
import pandas as pd

from saccade_env.drawing import style
from saccade_env.evaluation import metrics
from saccade_env.evaluation.metrics.intervals import Interval
from saccade_env.paper.figures.recipe import (
    Drawn,
    Numbers,
    Recipe,
    accuracy_table,
    images_text,
    looks_of,
    mean_table,
)
from saccade_env.paper.findings import Claim, Measured, of_images
from saccade_env.paper.results import (
    ATTENTION,
    COMBINED,
    FOVEA,
    MAIN,
    PAIR,
    RANDOM,
    SAMPLES,
    NotRunError,
    Results,
    of_policies,
    percent,
)

_OVER = "mean accuracy over all saccades"
COLUMNS = (
    ("accuracy", "top-1 accuracy (%)", "mean over saccades"),
    ("visible_share", "visible share (% of tokens)", "after the last saccade"),
)


def one_by_one(results: Results) -> Drawn:
    """Accuracy and visible share per layer, and per resolution (figure 6)."""
    rows, missing = [], []
    for end, kind in product(("", " fovea 5"), ("layer", "resolution")):
        try:
            rows.append(_read(results, f"{kind}s{end}", kind))
        except NotRunError as error:
            missing += [str(error)] * (not end)  # a quick run has no other fovea
    if not rows:
        raise NotRunError("; ".join(missing))
    figure = style.figure(10, 3.9 * len(rows))
    numbers, texts = [], []
    for (name, kind, records, settings), axes in zip(
        rows, figure.subplots(len(rows), 3, squeeze=False), strict=True
    ):
        means, fovea = _means(results, records, settings), results.fovea(name)
        beside = "" if fovea == FOVEA else f" (fovea {fovea})"
        _row(results, kind, beside, records, settings, means, axes)
        texts.append(_best(kind, beside, settings, means))
        part = kind + (f" fovea {fovea}" if beside else "")
        numbers.append(Numbers(f"Each {kind}{beside}", means, part))
    shows = " ".join([*texts, *(f"Not drawn, as {reason}." for reason in missing)])
    alt = (
        "Charts of accuracy against the saccade, mean accuracy and visible share for each "
        f"{' and each '.join(dict.fromkeys(kind for _, kind, _, _ in rows))}."
    )
    return Drawn(figure, alt, shows, numbers, caption(rows[0][2]))


def _read(results: Results, name: str, kind: str) -> tuple[str, str, pd.DataFrame, pd.DataFrame]:
    """An experiment: its name, what is varied, records, and settings with that as ``value``."""
    settings, records = results.varied(name, kind), results.of(name)
    with suppress(NotRunError):  # random fixations, for comparison
        records, _ = results.with_role(name, RANDOM)
    return name, kind, records, settings.rename(columns={kind: "value"})


def _means(results: Results, records: pd.DataFrame, settings: pd.DataFrame) -> pd.DataFrame:
    """A row a policy, random the last one; ``value`` is the layer or the resolution."""
    policies = list(settings["policy"])
    reference = results.roles.get(RANDOM)
    if reference in set(records["policy"]) and reference not in policies:
        policies.append(str(reference))
    found = mean_table(records, policies)
    return found.assign(value=settings.set_index("policy")["value"].reindex(policies))


def _row(
    results: Results, kind: str, beside: str, records: pd.DataFrame, settings: pd.DataFrame,
    means: pd.DataFrame, axes: Sequence[Any],
) -> None:  # fmt: skip
    policies = list(settings["policy"])
    names = [_name(kind, value) for value in settings["value"]]
    own = accuracy_table(records[records["policy"].isin(list(means.index))])
    varied = zip(policies, names, style.shades(policies), cycle("osD^v*PXhp<>"), strict=False)
    looks = {
        policy: {"color": shade, "label": name, "linewidth": 1.3, "marker": marker, "markersize": 3}
        for policy, name, shade, marker in varied
    }
    for policy in [policy for policy in means.index if policy not in looks]:
        looks[policy] = looks_of(results, records)[policy] | {"markersize": 3}
    full = metrics.full_image(records)["accuracy"]
    title, up = f"each {kind}{beside}", COLUMNS[0][1]
    style.panel(axes[0], own, "accuracy", looks, title, up, full, band=False, every=3)
    for place, (column, label, when) in enumerate(COLUMNS, start=1):
        _points(axes[place], means, policies, names, column, looks)
        across = "layer" if kind == "layer" else "input (pixels)"
        style.dress(axes[place], when, across, label)


def _points(
    axes: Any, means: pd.DataFrame, policies: list[str], names: list[str], column: str,
    looks: dict[str, Any],
) -> None:  # fmt: skip
    own, across = means.loc[policies], range(len(policies))
    axes.plot(across, 100 * own[column], color="#9aa3ad", linewidth=1, zorder=1)
    error = style.errors(own, column)
    for place, policy in enumerate(policies):
        look = looks[policy]
        axes.errorbar(
            [place], [100 * own[column].iloc[place]], error[:, [place]], color=look["color"],
            marker=look["marker"], markersize=5, capsize=3,
        )  # fmt: skip
    for policy in means.index.difference(policies):
        level, (low, high) = 100 * means.loc[policy, column], style.bounds(means, column)
        at, look = means.index.get_loc(policy), looks[policy]
        axes.axhline(level, color=look["color"], linestyle=look["linestyle"], linewidth=1.2)
        axes.axhspan(100 * low[at], 100 * high[at], color=look["color"], alpha=0.1, linewidth=0)
        axes.annotate(
            look["label"], (0.99, level), (0, 2), xycoords=axes.get_yaxis_transform(), ha="right",
            textcoords="offset points", fontsize=style.SMALL, color=look["color"],
        )  # fmt: skip
    axes.set_xticks(across, [name.removeprefix("layer ") for name in names], fontsize=style.SMALL)
    if column == "accuracy":
        style.from_zero(axes)


def _name(kind: str, value: int) -> str:
    """Layers are counted from 1 here, as in the paper."""
    return f"layer {value + 1}" if kind == "layer" else f"{value}"


def _best(kind: str, beside: str, settings: pd.DataFrame, means: pd.DataFrame) -> str:
    own = means.loc[list(settings["policy"])]
    ends = own.iloc[[0, -1]]
    first, last = (
        f"{percent(row['accuracy'])} with {_title(kind, int(row['value']))}"
        for _, row in ends.iterrows()
    )
    text = f"Mean accuracy{beside} is {first} and {last}"
    if own["accuracy"].notna().any():
        top = own.iloc[int(own["accuracy"].argmax())]
        text += f", highest ({percent(top['accuracy'])}) with {_title(kind, int(top['value']))}"
    rest = means.drop(index=own.index)
    compared = f" ({percent(rest['accuracy'].iloc[0])} with random fixations)" if len(rest) else ""
    return f"{text}{compared}."


def _title(kind: str, value: int) -> str:
    return _name(kind, value) if kind == "layer" else f"an input of {value} pixels"


def caption(records: pd.DataFrame) -> str:
    """From what the figures of maps are made."""
    return (
        f"{images_text(records)} Layers are counted from 1, as in the paper. Fovea of 3×3 tokens "
        "where no other is named."
    )


def combined(results: Results) -> Drawn:
    """Accuracy and visible share of every layer at every resolution (figure 17)."""
    settings = results.varied(COMBINED, "resolution", "layer")
    records = results.of(COMBINED)
    found = mean_table(records, list(settings["policy"]))
    means = settings.set_index("policy").join(found).set_index(["resolution", "layer"])
    figure = style.figure(10, 1.9 + 0.75 * 2 * settings["resolution"].nunique())
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
    alt = "Two heat maps, layers across and input resolutions down."
    numbers = Numbers("Each layer at each resolution", means)
    return Drawn(figure, alt, shows, [numbers], caption(records))


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


def layer_lead(results: Results, layer: int) -> Measured:
    """Lead of the map of a layer, counted from 1, over random fixations."""
    policy = _layer(results.varied("layers", "layer"), layer)
    records, random = results.with_role("layers", RANDOM)
    return _lead(records, policy, random, _OVER)


def rise_after(results: Results, layer: int) -> Measured:
    """Gain of the next layer, counted from 1, over this one, less the mean gain elsewhere."""
    settings = results.varied("layers", "layer")
    policies = [_layer(settings, either) for either in (layer, layer + 1)]
    records = of_policies(results.of("layers"), *settings["policy"])
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
    settings = results.varied("resolutions", "tokens")
    records, small = results.of("resolutions"), settings[settings["tokens"] == tokens]
    if small.empty:
        raise NotRunError(f"no map of an input of {tokens}×{tokens} tokens was followed")
    whole = settings.iloc[-1]
    note = f"{_OVER}; {tokens} tokens a side against {whole['tokens']}"
    return _lead(records, small["policy"].iloc[0], whole["policy"], note)


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


RECIPES = (
    Recipe(
        6, "maps of other layers and resolutions",
        "The map of layer 1 does worse than random fixations, that of layer 2 better, and after "
        "layer 3 accuracy rises sharply. A map of 10×10 tokens does nearly as well as one of "
        "14×14.",
        (MAIN, "layers", "resolutions", "layers fovea 5", "resolutions fovea 5"), one_by_one,
        (
            Claim(
                "layer-1-below-random",
                "The attention map of layer 1 does worse than random fixations.",
                "points", partial(layer_lead, layer=1), PAIR, "below",
            ),
            Claim(
                "layer-2-above-random",
                "The attention map of layer 2 does better than random fixations.",
                "points", partial(layer_lead, layer=2), PAIR,
            ),
            Claim(
                "rise-after-layer-3", "Accuracy rises sharply after layer 3.",
                "points", partial(rise_after, layer=3), (ATTENTION,),
            ),
            Claim(
                "10x10-close", "A map of 10×10 tokens does nearly as well as one of 14×14.",
                "points", partial(close_resolution, tokens=10), (ATTENTION,), "within", 5,
            ),
        ),
    ),
    Recipe(
        17, "layers and resolutions combined",
        "The paper varies the layer and the resolution of the map together; of this figure no "
        "statement is tested here.",
        (MAIN, "layers", "resolutions", COMBINED), combined,
    ),
)  # fmt: skip
