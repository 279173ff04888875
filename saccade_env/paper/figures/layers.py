"""Figure 6: maps of other layers, and of low-resolution inputs."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd

from saccade_env.evaluation import metrics
from saccade_env.paper.figures import style
from saccade_env.paper.figures.parts import Drawn, accuracy_table, images_text, mean_table, table
from saccade_env.paper.reading import (
    NotRunError,
    fovea_of,
    percent,
    records_of,
    varied,
    with_role,
)
from saccade_env.paper.results import FOVEA, RANDOM, Results

COLUMNS = (
    ("accuracy", "top-1 accuracy (%)", "mean over saccades"),
    ("visible_share", "visible share (% of tokens)", "after the last saccade"),
)


def one_by_one(results: Results, folder: Path) -> Drawn:
    """Accuracy and visible share per layer, and per resolution (figure 6)."""
    rows, missing = [], []
    for end, kind in product(("", " fovea 5"), ("layer", "resolution")):
        try:
            rows.append(_read(results, f"{kind}s{end}", kind))
        except NotRunError as error:
            missing += [str(error)] * (not end)  # a quick run has no other fovea
    if not rows:
        raise NotRunError("; ".join(missing))
    figure = style.drawing(10, 3.9 * len(rows))
    tables, texts = [], []
    for (name, kind, records, settings), axes in zip(
        rows, figure.subplots(len(rows), 3, squeeze=False), strict=True
    ):
        means, fovea = _means(results, records, settings), fovea_of(results, name)
        beside = "" if fovea == FOVEA else f" (fovea {fovea})"
        _row(results, kind, beside, records, settings, means, axes)
        texts.append(_best(kind, beside, settings, means))
        file = f"figure-6-{kind}" + (f"-fovea-{fovea}" if beside else "")
        tables.append(table(means, f"Each {kind}{beside}", file, folder))
    shows = " ".join([*texts, *(f"Not drawn, as {reason}." for reason in missing)])
    alt = (
        "Charts of accuracy against the saccade, mean accuracy and visible share for each "
        f"{' and each '.join(dict.fromkeys(kind for _, kind, _, _ in rows))}. {shows}"
    )
    saved = style.save(figure, folder, "figure-6", alt)
    return Drawn(shows, [saved], tables, caption(rows[0][2]))


def _read(results: Results, name: str, kind: str) -> tuple[str, str, pd.DataFrame, pd.DataFrame]:
    """An experiment: its name, what is varied, records, and settings with that as ``value``."""
    settings, records = varied(results, name, kind), records_of(results, name)
    with suppress(NotRunError):  # random fixations, for comparison
        records, _ = with_role(results, name, RANDOM)
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
    looks = {
        policy: {"color": shade, "label": name, "linewidth": 1.3, "marker": marker, "markersize": 3}
        for policy, name, shade, marker in zip(
            policies,
            names,
            style.shades(policies),
            "osD^v*PXhp<>" * len(policies),
            strict=False,
        )
    }
    for policy in [policy for policy in means.index if policy not in looks]:
        looks[policy] = style.styles(results, records)[policy] | {"markersize": 3}
    last = own.index.get_level_values("saccade").max()
    ends = style.curves(axes[0], own, "accuracy", looks, band=False)
    style.full_line(axes[0], metrics.full_image(records)["accuracy"])
    style.from_zero(axes[0])
    style.dress(
        axes[0], f"each {kind}{beside}", "saccade", COLUMNS[0][1], xticks=range(1, last + 1, 3)
    )
    style.name_ends(axes[0], ends, last)
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
