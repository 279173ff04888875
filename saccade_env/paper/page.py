"""The report as one web page: plain data in, HTML text out.

What is shown, and every table's CSV file, is inside the page as a data URI, so that the page alone
is enough and asks nothing of a network. Links that download a figure are relative: its files lie
in ``figures/`` beside the page. All text is escaped.
"""

from __future__ import annotations

import base64
import os
import re
import uuid
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Literal, get_args
from urllib.parse import quote

import jinja2
import pandas as pd

from saccade_env.card import plain
from saccade_env.paper import cells

Verdict = Literal["yes", "no", "cannot tell"]

FIGURES = "figures"  # the folder beside the page
LARGEST_SVG = 300_000  # bytes; above, the PNG is shown
_MIME = {".svg": "svg+xml", ".png": "png", ".gif": "gif", ".jpg": "jpeg", ".jpeg": "jpeg"}


@dataclass(frozen=True)
class Figure:
    """One picture.

    Args:
        path_svg: Shown unless it is large. A GIF may stand here: it is shown, and ``path_png``
            in its place in print and to who asked for less motion. None: there is only the other.
        path_png: The same picture in pixels: PNG, GIF or JPEG.
        alt: What a reader who cannot see the picture needs; never empty.

    Raises:
        ValueError: ``alt`` is empty, or a file is no picture that a browser shows.
    """

    path_svg: Path | None
    path_png: Path
    alt: str

    def __post_init__(self) -> None:
        if not self.alt.strip():
            raise ValueError(f"a figure needs a text for those who cannot see it: {self.path_png}")
        for path in self.files:
            if path.suffix.lower() not in _MIME:
                raise ValueError(f"a figure must be one of {', '.join(_MIME)}; got {path}")

    @property
    def files(self) -> list[Path]:
        """What can be downloaded."""
        return [path for path in (self.path_svg, self.path_png) if path]

    @property
    def shown(self) -> Path:
        """The file that the page shows."""
        first = self.files[0]
        large = first.suffix.lower() == ".svg" and first.stat().st_size > LARGEST_SVG
        return self.path_png if large else first

    @property
    def still(self) -> Path | None:
        """What stands for a moving picture."""
        moving = self.shown.suffix.lower() == ".gif" and self.shown != self.path_png
        return self.path_png if moving else None


@dataclass(frozen=True, eq=False)
class Table:
    """Numbers behind a figure; ``path`` is their CSV file, made from the frame if None."""

    title: str
    frame: pd.DataFrame
    path: Path | None = None


@dataclass(frozen=True)
class Section:
    """One analysis: what its figures show and what the paper found."""

    key: str
    title: str
    shows: str
    paper: str
    caption: str
    figures: Sequence[Figure] = ()
    tables: Sequence[Table] = ()


@dataclass(frozen=True)
class Finding:
    """One statement of the paper, and whether it holds here.

    Args:
        key: A short name, for programs.
        statement: What the paper says, in one sentence.
        source: Its figure; a link if it names a section's ``key``.
        effect: The measured size of it, in ``unit``; None if there is none.
        low: Lower end of the 95 % interval.
        high: Upper end of the 95 % interval.
        unit: Of the three numbers, such as ``points``.
        verdict: Does it hold: ``yes``, ``no`` or ``cannot tell``.
        note: Why, or what to beware of; may be empty.

    Raises:
        ValueError: The verdict is another word.
    """

    key: str
    statement: str
    source: str
    effect: float | None
    low: float | None
    high: float | None
    unit: str
    verdict: Verdict
    note: str = ""

    def __post_init__(self) -> None:
        if self.verdict not in get_args(Verdict):
            raise ValueError(f"verdict must be one of {get_args(Verdict)}; got {self.verdict!r}")


@dataclass(frozen=True)
class Page:
    """Everything on the page; ``summary`` says what was run, name by name.

    Raises:
        ValueError: Two sections would have the same address on the page.
    """

    title: str
    summary: dict[str, str]
    warnings: Sequence[str] = ()
    findings: Sequence[Finding] = ()
    sections: Sequence[Section] = ()

    def __post_init__(self) -> None:
        counts = Counter(slug(section.key) for section in self.sections)
        if twice := [key for key, count in counts.items() if count > 1]:
            raise ValueError(f"section keys must differ; got {', '.join(twice)} more than once")


def render(page: Page) -> str:
    """The page as HTML."""
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "csv": lambda table: cells.csv(table.frame, table.path), "effect": _effect,
        "embed": _embed, "grid": lambda table: cells.grid(table.frame),
        "link": lambda path: f"{FIGURES}/{quote(path.name)}", "slug": slug,
    }  # fmt: skip
    source = resources.files(__package__).joinpath("page.html.j2").read_text(encoding="utf-8")
    return environment.from_string(source).render(
        page=page,
        targets={slug(section.key) for section in page.sections},
        verdicts=Counter(finding.verdict for finding in page.findings),
    )


def write(page: Page, path: Path) -> Path:
    """Write the page whole or not at all; the figures' files must lie in its ``figures`` folder.

    Raises:
        ValueError: A figure's file lies elsewhere, so that its link would be dead.
    """
    home = (path.parent / FIGURES).resolve()
    for file in (f for s in page.sections for figure in s.figures for f in figure.files):
        if file.resolve().parent != home:
            raise ValueError(f"figures must lie in {home}; got {file}")
    return write_text(path, render(page))


def write_text(path: Path, text: str) -> Path:
    """Write a file whole or not at all; its folder is created."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def findings_json(findings: Iterable[Finding], run: dict[str, Any]) -> dict[str, Any]:
    """The findings and what was run as plain data; what is not a finite number is None."""
    return {"run": plain(run), "findings": [plain(asdict(finding)) for finding in findings]}


def slug(text: str) -> str:
    """An address on the page: lower case, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "section"


def _embed(path: Path) -> str:
    mime = _MIME[path.suffix.lower()]
    return f"data:image/{mime};base64,{base64.b64encode(path.read_bytes()).decode()}"


def _effect(finding: Finding) -> dict[str, str]:
    numbers = (finding.effect, finding.low, finding.high)
    effect, low, high = cells.cells([None if v is None else float(v) for v in numbers])
    return {
        "value": effect if effect == cells.MISSING else f"{effect} {finding.unit}".strip(),
        "interval": "" if cells.MISSING in (low, high) else f"{low} to {high}",
    }
