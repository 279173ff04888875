"""The report as one web page: plain data in, HTML text out.

What is shown, and every table's CSV file, is inside the page as a data URI, so that the page alone
is enough and asks nothing of a network. Links that download a figure are relative: its files lie
in ``figures/`` beside the page. All text is escaped.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote

import jinja2
import pandas as pd

from saccade_env.card import plain
from saccade_env.drawing import player
from saccade_env.drawing.data_uri import data_uri
from saccade_env.files import write_text
from saccade_env.paper.findings import Finding

FIGURES, TABLES = "figures", "tables"  # the folders beside the page
ROWS_SHOWN = 200  # of a table; its CSV file has them all
MISSING = "–"
LARGEST_SVG = 300_000  # bytes; above, the PNG is shown
_KINDS = {".svg": "image/svg+xml", ".png": "image/png", ".csv": "text/csv;charset=utf-8"}


@dataclass(frozen=True)
class Figure:
    """One picture in two files, with what a reader who cannot see it needs.

    Attributes:
        svg: The drawing.
        png: The same in pixels.
        alt: What is drawn.
        scanpaths: Of several pictures, as a JSON list: a reader may play them.

    Raises:
        ValueError: ``alt`` is empty.
    """

    svg: Path
    png: Path
    alt: str
    scanpaths: Path | None = None

    def __post_init__(self) -> None:
        if not self.alt.strip():
            raise ValueError(f"a figure needs a text for those who cannot see it: {self.png}")

    @property
    def files(self) -> tuple[Path, ...]:
        """What can be downloaded."""
        return (self.svg, self.png, *((self.scanpaths,) if self.scanpaths else ()))

    @property
    def shown(self) -> Path:
        """The file that the page shows: the drawing, unless it is large."""
        return self.png if self.svg.stat().st_size > LARGEST_SVG else self.svg


@dataclass(frozen=True, eq=False)
class Table:
    """Numbers behind a figure, and their CSV file; ``unfolded`` ones need no click."""

    title: str
    frame: pd.DataFrame
    path: Path
    unfolded: bool = False


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
class Page:
    """Everything on the page; ``summary`` says what was run, name by name."""

    template: ClassVar = "page.html.j2"
    title: str
    summary: dict[str, str]
    warnings: Sequence[str] = ()
    findings: Sequence[Finding] = ()
    sections: Sequence[Section] = ()


def render(page: Page) -> str:
    """The page as HTML."""
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        loader=jinja2.FunctionLoader(_template),
    )  # fmt: skip
    environment.filters |= {
        "data": _data, "effect": _effect, "grid": _grid, "player": _player, "slug": slug,
        "link": lambda path: f"{FIGURES}/{quote(path.name)}",
    }  # fmt: skip
    plays = any(figure.scanpaths for section in page.sections for figure in section.figures)
    script = player.script() if plays else ""
    return environment.get_template(page.template).render(
        page=page,
        script=script,
        script_hash=player.source_hash(script),
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


def findings_json(findings: Iterable[Finding], run: dict[str, Any]) -> dict[str, Any]:
    """The findings and what was run as plain data; what is not a finite number is None."""
    return {"run": plain(run), "findings": [plain(asdict(finding)) for finding in findings]}


def slug(text: str) -> str:
    """An address on the page: lower case, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "section"


def _template(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _data(path: Path) -> str:
    """A file as a data URI."""
    return data_uri(path.read_bytes(), _KINDS[path.suffix])


def _player(path: Path) -> str:
    """The player of a file of scanpaths; it begins as the drawing does, at the end.

    Raises:
        OSError: The file does not hold what was written there.
    """
    try:
        documents = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(documents, list):
            raise ValueError(f"expected a JSON list; got {documents!r:.40}")
        checked = [player.check_scanpaths(document) for document in documents]
    except ValueError as error:
        raise OSError(f"{path} cannot be read: {error}") from error
    return player.element(checked, at="last")


def _effect(finding: Finding) -> dict[str, str]:
    numbers = (finding.effect, finding.low, finding.high)
    effect, low, high = cells([None if v is None else float(v) for v in numbers])
    return {
        "value": effect if effect == MISSING else f"{effect} {finding.unit}".strip(),
        "interval": "" if MISSING in (low, high) else f"{low} to {high}",
    }


def _grid(frame: pd.DataFrame) -> dict[str, Any]:
    """Heads of columns, rows of cells, how many lead a row, and which columns are numbers."""
    flat = frame.head(ROWS_SHOWN).reset_index()
    columns = [flat[name].tolist() for name in flat]
    return {
        "heads": [str(name) for name in flat],
        "rows": list(zip(*map(cells, columns), strict=True)),
        "leading": frame.index.nlevels,
        "numeric": [all(_is_number(v) or _is_missing(v) for v in column) for column in columns],
    }


def cells(values: Sequence[Any]) -> list[str]:
    """Numbers with the same decimals, MISSING for what is missing, others as they are."""
    decimals = _decimals(values)
    return [_cell(value, decimals) for value in values]


def _decimals(values: Iterable[Any]) -> int:
    """As many for a whole column, so that its numbers line up."""
    sizes = [abs(v) for v in values if isinstance(v, float) and math.isfinite(v)]
    if all(size.is_integer() for size in sizes):
        return 0
    return next((places for places, least in enumerate((1000, 10, 1)) if max(sizes) >= least), 3)


def _cell(value: Any, decimals: int) -> str:
    if _is_missing(value):
        return MISSING
    if not _is_number(value):
        return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
    text = f"{value:,.{decimals if isinstance(value, float) else 0}f}"
    if value and not float(text.replace(",", "")):
        text = f"{value:.0e}"  # small is not zero
    text = text if abs(value) >= 10_000 else text.replace(",", "")
    return text.replace("-", "−")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_missing(value: Any) -> bool:
    return bool(pd.api.types.is_scalar(value) and pd.isna(value))
