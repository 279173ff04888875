"""The rows of a verification, what they add up to, and how they are written down."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from saccade_env.files import write_json, write_text

AGREES, DIFFERS, UNCHECKED = 0, 1, 3  # exit codes; 2 is a wrong command line's
VERDICTS = ("agrees", "DIFFERS", "not checked", "measured")
COLUMNS = ("what", "expected", "found", "result")
REPORT, PAGE = "verify.json", "verify.md"


@dataclass(frozen=True)
class Row:
    """One thing that was checked.

    Attributes:
        what: Its name, the part of the verification first: ``"accuracy: dino_vits16"``.
        expected: In words or numbers; empty for what is only measured.
        found: The same; empty if nothing was.
        ok: Whether they agree; None if it could not be checked, and ``note`` says why.
        note: What a reader should know besides.
    """

    what: str
    expected: str
    found: str
    ok: bool | None
    note: str = ""

    @property
    def verdict(self) -> str:
        """One of :data:`VERDICTS`."""
        if self.ok:
            return "agrees" if self.expected else "measured"
        return "not checked" if self.ok is None else "DIFFERS"

    @property
    def result(self) -> str:
        """The verdict with the note."""
        return f"{self.verdict}: {self.note}" if self.note else self.verdict


def unchecked(what: str, expected: str, reason: object) -> Row:
    """The row of what could not be checked."""
    return Row(what, expected, "", None, str(reason))


def exit_code(rows: Sequence[Row]) -> int:
    """1 if anything differs, else 3 if anything could not be checked, else 0."""
    verdicts = {row.ok for row in rows}
    return DIFFERS if False in verdicts else UNCHECKED if None in verdicts else AGREES


def in_short(rows: Sequence[Row]) -> str:
    """How many rows have each verdict."""
    count = Counter(row.verdict for row in rows)
    return ", ".join(f"{verdict}: {count[verdict]}" for verdict in VERDICTS)


def write(folder: Path, rows: Sequence[Row], about: dict[str, Any]) -> list[Path]:
    """Write ``verify.json`` and ``verify.md``.

    Args:
        folder: Where they go; it is made.
        rows: The table.
        about: What was verified and where, as plain data.

    Raises:
        OSError: A file cannot be written; the message names it.
    """
    listed = [{**asdict(row), "verdict": row.verdict} for row in rows]
    data = {**about, "exit_code": exit_code(rows), "rows": listed}
    return [
        write_json(folder / REPORT, data),
        write_text(folder / PAGE, markdown(rows, about)),
    ]


def markdown(rows: Sequence[Row], about: dict[str, Any]) -> str:
    """The table as a page."""
    told = [f"- {key}: {_told(value)}" for key, value in about.items()]
    lines = [COLUMNS, ("---",) * len(COLUMNS), *(_cells(row) for row in rows)]
    table = [f"| {' | '.join(cells)} |" for cells in lines]
    return "\n".join(["# Verification", "", *told, "", *table, "", in_short(rows), ""])


def _told(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {part}" for key, part in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _cells(row: Row) -> tuple[str, ...]:
    cells = (row.what, row.expected, row.found, row.result)
    return tuple(" ".join(cell.split()).replace("|", r"\|") for cell in cells)
