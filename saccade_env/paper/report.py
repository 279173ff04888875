"""The report of the paper's experiments: figures, tables, findings, and a page with all of them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from saccade_env.paper import figures, page
from saccade_env.paper.figures.parts import networks
from saccade_env.paper.findings import RULE, findings
from saccade_env.paper.page import Page, Section, write_text
from saccade_env.paper.reading import name_of, run_name, suspicion
from saccade_env.paper.results import Results
from saccade_env.paper.stored import FINDINGS, REPORT

_PLAIN = ("preset", "limit", "seed", "command")  # of a run, shown as they are


def write_report(
    results: Results,
    out: str | Path,
    pictures: Sequence[Section] = (),
    warnings: Iterable[str] = (),
) -> Path:
    """Write ``report.html``, ``findings.json``, ``figures/`` and ``tables/*.csv``.

    The same results give the same tables and findings.

    Args:
        results: Of the paper's experiments; what is missing is said in the report.
        out: Folder, created if need be.
        pictures: Sections of further figures, whose files lie in ``out/figures``.
        warnings: What the reader has to beware of, besides the notes of the run.

    Returns:
        The path of the page.

    Raises:
        ValueError: A picture's file lies elsewhere, or two sections have the same key.
    """
    folder, only = Path(out), results.figures or None
    found, doubt = findings(results, only), suspicion(results)
    noted = [*([doubt] if doubt else []), *warnings, *results.run.get("notes", ())]
    sections = [*figures.sections(results, folder, only), *pictures]
    plain = page.findings_json(found, results.run)
    text = json.dumps(plain, indent=2, allow_nan=False, ensure_ascii=False, default=str)
    write_text(folder / FINDINGS, text + "\n")
    made = Page(
        title="The paper’s analyses of saccades",
        summary=summary(results),
        warnings=list(dict.fromkeys(noted)),
        findings=found,
        sections=sorted(sections, key=_place),
    )
    return page.write(made, folder / REPORT)


def summary(results: Results) -> dict[str, str]:
    """What was run, name by name, as text."""
    run = results.run
    told = {
        "networks": networks(results).removeprefix("Networks: "),
        "weights": run_name(run, "weights") or _weights(run, "source"),
        "weights hash": _weights(run, "sha256"),
        "single crops": name_of(run_name(run, "crop_classifier")),
        "images": _images(run.get("images")),
        "parts": ", ".join(f"{role}: {policy}" for role, policy in results.roles.items()),
        "experiments": _experiments(results),
        "versions": _joined(run.get("versions")),
        **{name: str(run[name]) for name in _PLAIN if run.get(name) is not None},
        "verdicts": RULE,
    }
    return {name: text for name, text in told.items() if text}


def _experiments(results: Results) -> str:
    tables = {**results.records, "entropies": results.entropies, "single crops": results.crops}
    return ", ".join(
        f"{name} ({table['image'].nunique()} images)"
        for name, table in tables.items()
        if table is not None
    )


def _weights(run: Mapping[str, Any], key: str) -> str:
    classifier = run.get("classifier")
    weights = classifier.get("weights") if isinstance(classifier, Mapping) else None
    return str(weights.get(key, "")) if isinstance(weights, Mapping) else ""


def _images(images: Any) -> str:
    if not isinstance(images, Mapping):
        return str(images or "")
    count = f" (a folder of {images['count']} images)" if "count" in images else ""
    return f"{images.get('name', '')}{count}".strip()


def _joined(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {item}" for name, item in value.items())
    return str(value or "")


def _place(section: Section) -> int:
    """Sections stand in the order of the paper's figures; what is no figure comes last."""
    number = re.search(r"\d+", section.key)
    return int(number[0]) if number else 1000
