"""The summary of an evaluation, as plain data and as a table for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
from rich import box
from rich.console import Console
from rich.table import Table

from saccade_env.evaluation import metrics, stopping

CEILING = "ceiling"
_SHOWN = (1, 3, 5, 10)


def summarise(
    records: pd.DataFrame,
    thresholds: Sequence[float] = metrics.THRESHOLDS,
    patience: int = 1,
) -> dict[str, Any]:
    """Per-saccade means of every policy, and the full image's; unknown values are None.

    Accuracies and the area under their curve (``augc``, see :func:`.metrics.augc`) come with their
    95 % bootstrap intervals, as (low, high). ``stopping`` holds what rules for stopping would give,
    see :func:`saccade_env.evaluation.metrics.stopping_curve`.
    """
    table = metrics.per_saccade(records)
    results = {
        policy: {
            **{name: _plain(column) for name, column in table.loc[policy].items()},
            **_intervals(metrics.correctness(records, policy)),
        }
        for policy in dict.fromkeys(table.index.get_level_values("policy"))
    }
    full = metrics.full_image(records)
    return {
        "results": results,
        "full_image": {key: _known(value) for key, value in full.items()},
        "stopping": stopping.summarise(records, results, thresholds, patience),
    }


def _intervals(correct: pd.DataFrame) -> dict[str, Any]:
    mean = metrics.interval(correct.mean(axis=1))
    area = metrics.interval(metrics.augc(correct))
    return {
        "accuracy_interval": [
            [_known(end) for end in metrics.interval(correct[saccade])[1:]] for saccade in correct
        ],
        "mean_accuracy": _known(mean.value),
        "mean_accuracy_interval": [_known(end) for end in mean[1:]],
        "augc": _known(area.value),
        "augc_interval": [_known(end) for end in area[1:]],
    }


def table(summary: dict[str, Any]) -> Table:
    """Accuracy per saccade and under its curve, visible share, … as a rich table, in per cent."""
    last = len(next(iter(summary["results"].values()))["accuracy"])
    shown = [saccade for saccade in _SHOWN if saccade < last] + [last]
    built = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    built.add_column("policy", overflow="fold")
    built.add_column("sees\nimage", justify="center", no_wrap=True)
    beside = "AUGC", "ever\nright", "seen", "cert.", "fwds/\nsacc."
    for heading in (*(f"@{n}" for n in shown), *beside):
        built.add_column(heading, justify="right", no_wrap=True)
    bounds = ceilings(summary)
    for policy in [policy for policy in summary["results"] if policy not in bounds]:
        built.add_row(*_row(policy, summary, shown))
    if bounds:
        built.add_section()
        built.add_row(CEILING)
        for policy in bounds:
            built.add_row(*_row(policy, summary, shown))
    return built


def ceilings(summary: dict[str, Any]) -> list[str]:
    """Policies that see the label: bounds to hold the others against."""
    return [name for name in summary["results"] if summary["policies"][name].get("sees_label")]


def _row(policy: str, summary: dict[str, Any], shown: list[int]) -> list[str]:
    values, cost = summary["results"][policy], summary.get("cost", {}).get(policy, {})
    forwards = cost.get("forwards_per_saccade")
    return [
        policy,
        _sees(summary["policies"][policy]),
        *(_percent(values["accuracy"][saccade - 1]) for saccade in shown),
        _percent(values["augc"]),
        _percent(values["cumulative_accuracy"][-1]),
        _percent(values["visible_share"][-1]),
        f"{values['certainty'][-1]:.2f}",
        "–" if forwards is None else f"{forwards:.2f}",
    ]


def _sees(described: dict[str, Any]) -> str:
    """What a policy sees beside what it reveals, as in :func:`saccade_env.card.what_it_sees`."""
    side = described.get("periphery", 0)
    small = f"{side}×{side}" if side else "no"
    sees = "yes" if described["sees_full_image"] else small
    return "label" if described.get("sees_label") else sees


def show(summary: dict[str, Any], console: Console | None = None) -> None:
    """Print what was evaluated, the table, what its columns mean, and what stopping would save."""
    console = console or Console()
    early = stopping.lines(summary)
    for part in (title(summary), table(summary), legend(summary), *early):
        console.print(part, highlight=False, markup=False)


def title(summary: dict[str, Any]) -> str:
    """What was evaluated, in one line."""
    full, config = summary["full_image"], summary["config"]
    fovea, (rows, cols) = config["fovea"], config["grid"]
    kept = summary["images"]
    parts = [kept[key] for key in ("layout", "labels_read_as") if key in kept]
    read = f" ({', labels: '.join(parts)})" if parts else ""
    if "label_file" in kept:
        read = f"{read[:-1]} of {kept['label_file']})"
    mode = " (KV cache)" if summary["classifier"].get("mode") == "kv_cache" else ""
    return (
        f"{summary['classifier']['name']}{mode} on {full['images']} images of "
        f"{kept['name']}{read}, {fovea}×{fovea} fovea, {rows}×{cols} tokens"
    )


def legend(summary: dict[str, Any]) -> str:
    """What the columns of the table mean, and what to beware of."""
    full = summary["full_image"]
    lines = [
        "accuracy (%) after saccade @n, area under its curve (AUGC); whole image: "
        f"{_percent(full['accuracy'])}",
        "ever right (%), share of tokens seen (%), certainty (0 to 1): after the last saccade",
        "fwds/sacc.: what a policy computes a saccade (FLOPs), in forwards of the whole image",
    ]
    if agreement := summary.get("kv_cache_agreement"):
        last = [values["same_prediction"][-1] for values in agreement.values()]
        images = max(values["images"] for values in agreement.values())
        lines.append(
            "KV cache: predicts the same as recomputing after the last saccade on "
            f"{_percent(min(last))} to {_percent(max(last))} % of {images} images, by policy"
        )
    if ceilings(summary):
        lines.append("ceiling: sees image and label, and is no policy to compare with")
    if summary["skipped"]:
        lines.append(f"{len(summary['skipped'])} images skipped: they cannot be read")
    if summary["images"]["labels"] == "own":
        lines.append("the classes are not ImageNet's: accuracy means nothing here")
    return "\n".join(lines)


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f}"


def _plain(column: pd.Series) -> list[float | None]:
    return [_known(value) for value in column.tolist()]


def _known(value: float) -> float | None:
    return None if value != value else value  # NaN is the only value that differs from itself
