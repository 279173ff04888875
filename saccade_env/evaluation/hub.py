"""Records of an evaluation as a data set on the Hub, and its results as cards tell them."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from saccade_env.evaluation.part_file import read_whole
from saccade_env.evaluation.plan import FIGURES, PLAN, Plan
from saccade_env.evaluation.report import title
from saccade_env.evaluation.store import PARTS, RECORDS, RUN, SUMMARY
from saccade_env.files import read_object
from saccade_env.hub import card
from saccade_env.hub.manifest import Publication, there

_FILES = (RUN, PLAN, SUMMARY, RECORDS)
_SHOWN = (1, 3, 5, 10)  # saccades
_OPENED_BY_NAME = ("sample", "imagenette")


def publication(folder: Path, repo: str, licence: str | None = None) -> Publication:
    """What is pushed of an evaluation: no picture, and no film, since these show the images.

    Raises:
        OSError: A file is missing or damaged, or the run is not finished; the message names it.
    """
    summary = finished(folder)
    Plan.read(folder)
    read_whole(folder / RECORDS)
    names = there(folder, (*_FILES, *FIGURES))
    drawn = [f"![{Path(name).stem}]({name})" for name in names if name in FIGURES]
    body = "\n\n".join([
        f"# {folder.resolve().name}",
        f"Records of an evaluation: {title(summary)}.",
        results_table({f"`{name}`": values for name, values in summary["results"].items()}),
        "A row of `records.parquet` is a saccade: of which image and policy, where it went, and "
        "what the classifier made of it. `summary.json` has these results, `run.json` the task.",
        f"```bash\n{command(summary, summary['results'])}\n```",
        f"```python\nfrom datasets import load_dataset\nload_dataset({repo!r})\n```",
        *drawn,
    ])  # fmt: skip
    text = card.data_card(folder.resolve().name, licence, {"records": RECORDS}, body)
    return Publication("evaluation", folder, names, text)


def finished(folder: Path) -> dict[str, Any]:
    """The summary of a finished evaluation.

    Raises:
        OSError: It is not finished, or the summary is damaged.
    """
    lacking = [name for name in _FILES if not (folder / name).is_file()]
    if lacking or any((folder / PARTS).glob("*.parquet")):
        raise OSError(
            f"{folder} holds no finished evaluation: it lacks "
            f"{', '.join(lacking) or 'the end of its run'}; the same command ends it, "
            "`saccade-env merge` puts shards together"
        )
    return read_object(folder / SUMMARY)


def eval_results(summary: dict[str, Any], policy: str, name: str) -> list[Any]:
    """What a policy reached, as the Hub's client keeps results.

    Args:
        summary: Of an evaluation.
        policy: As the summary calls it.
        name: As others call it, for the command.

    Returns:
        An EvalResult for the accuracy after 1, 3, 5, 10 and all saccades and for the area under
        its curve, each with its 95 % interval; none without labels.
    """
    from huggingface_hub import EvalResult

    task, images = summary["config"], summary["images"]
    count = summary["full_image"]["images"]
    shared = {
        "task_type": card.TASK,
        "task_name": f"{task['fovea']}×{task['fovea']} fovea, {task['max_saccades']} saccades, "
        f"{summary['classifier']['name']}",
        "dataset_type": images["name"],
        "dataset_name": f"{images['name']}, {count} images",
        "dataset_args": {
            "images": count,
            "identity": images["identity"],
            "limit": summary["limit"],
            "seed": summary["seed"],
            "policy_seed": summary["policies"][policy].get("seed"),
            "classifier": summary["classifier"]["name"],
            "classifier_sha256": summary["classifier"]["weights"]["sha256"],
            "command": command(summary, [name]),
        },
    }
    return [
        EvalResult(
            metric_type=kind,
            metric_name=said,
            metric_value=round(value, 4),
            metric_args={"interval": [round(end, 4) for end in ends], "confidence": 0.95, **more},
            **shared,
        )
        for kind, said, value, ends, more in _measured(summary["results"][policy])
        if value is not None
    ]


def results_table(results: dict[str, dict[str, Any]]) -> str:
    """Accuracy in per cent after some saccades and the area under its curve, in Markdown.

    Args:
        results: As in a summary, by what is to stand before them.
    """
    measured = {name: _measured(values) for name, values in results.items()}
    rows = [
        [name, *(_percent(value, ends) for _, _, value, ends, _ in metrics)]
        for name, metrics in measured.items()
    ]
    header = ["policy", *(said for _, said, *_ in next(iter(measured.values())))]
    return f"{card.table(header, rows)}\n\nIn %, with 95 % bootstrap intervals over images."


def command(summary: dict[str, Any], policies: Iterable[str]) -> str:
    """How to evaluate the same again, once one has the images."""
    task, source, judge = (summary[key] for key in ("config", "images", "classifier"))
    images = source["name"] if source["name"] in _OPENED_BY_NAME else f"PATH/TO/{source['name']}"
    mode = f":mode={judge['mode']}" if "mode" in judge else ""
    pairs = [("--images", images), ("--classifier", judge["name"] + mode),
             ("--fovea", task["fovea"]), ("--saccades", task["max_saccades"]),
             *([("--limit", summary["limit"])] if summary["limit"] else []),
             ("--seed", summary["seed"]),
             *(("--policy", policy) for policy in policies)]  # fmt: skip
    return "saccade-env evaluate " + shlex.join(str(part) for pair in pairs for part in pair)


def _measured(values: dict[str, Any]) -> list[tuple[str, str, Any, list[Any], dict[str, int]]]:
    """Kind, name, value, interval and what else is to be known, of each metric."""
    accuracy, intervals = values["accuracy"], values["accuracy_interval"]
    shown = sorted({*(n for n in _SHOWN if n < len(accuracy)), len(accuracy)})
    found: list[tuple[str, str, Any, list[Any], dict[str, int]]] = [
        ("accuracy", f"accuracy@{n}", accuracy[n - 1], intervals[n - 1], {"saccade": n})
        for n in shown
    ]
    return [*found, (card.AREA, "AUGC", values["augc"], values["augc_interval"], {})]


def _percent(value: float | None, ends: list[float | None]) -> str:
    if value is None or None in ends:
        return "–"
    low, high = (100 * end for end in ends if end is not None)
    return f"{100 * value:.1f} ({low:.1f}–{high:.1f})"
