"""A CSV file of fixations as a table; what is wrong with it is said by line number."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

KEYS = ["image", "subject", "order"]


def read_table(path: Path, position: list[str]) -> pd.DataFrame:
    """Columns ``image``, ``subject`` (text), ``order`` and ``position`` (float), by line number.

    Raises:
        ValueError: See :func:`saccade_env.evaluation.human.read_fixations`.
    """
    header, lines = _parse(path)
    check_columns(header, position, path)
    if not lines:
        raise ValueError(f"{path} has a header but no fixations")
    cells = pd.DataFrame([*lines.values()], [*lines], header, dtype=str)[KEYS + position]
    cells = cells.apply(lambda column: column.str.strip())
    numbers = {name: _numbers(cells[name], path) for name in ["order", *position]}
    table = cells.assign(**numbers)
    _check_keys(table, path)
    return table


def read_header(path: Path) -> list[str]:
    """Names of the columns.

    Raises:
        ValueError: The file is empty, no CSV, or a column comes twice.
    """
    return _parse(path, header_only=True)[0]


def check_columns(columns: Iterable[object], position: list[str], source: str | Path) -> None:
    """Refuse a table without the keys and this position."""
    needed, found = KEYS + position, [*map(str, columns)]
    if missing := [name for name in needed if name not in found]:
        raise ValueError(
            f"{source}: missing column {', '.join(missing)} (needed: {', '.join(needed)}; "
            f"a position is row and col, or x and y); found: {', '.join(found)}"
        )


def _parse(path: Path, header_only: bool = False) -> tuple[list[str], dict[int, list[str]]]:
    """The header, and the cells by line number; blank lines do not count."""
    lines: dict[int, list[str]] = {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, strict=True)
            header = [name.strip() for name in next(reader, [])]
            for cells in () if header_only else filter(None, reader):
                lines[reader.line_num] = cells
    except OSError as error:
        raise type(error)(f"cannot read fixations from {path}: {error.strerror}") from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no CSV file in UTF-8: {error}") from error
    _check_shape(header, lines, path)
    return header, lines


def _check_shape(header: list[str], lines: dict[int, list[str]], path: Path) -> None:
    if not header:
        raise ValueError(f"{path} is empty")
    if len(set(header)) < len(header):
        raise ValueError(f"{path}: a column comes twice; found: {', '.join(header)}")
    for line, cells in lines.items():
        if len(cells) != len(header):
            raise ValueError(f"{path}, line {line}: {len(cells)} values for {len(header)} columns")


def _numbers(cells: pd.Series, path: Path) -> pd.Series:
    numbers = pd.to_numeric(cells, errors="coerce").astype(float)
    wrong = ~np.isfinite(numbers.to_numpy())
    if wrong.any():
        line = cells.index[int(wrong.argmax())]
        raise ValueError(
            f"{path}, line {line}: {cells.name} must be a finite number; got {cells[line]!r} "
            f"({wrong.sum()} such lines)"
        )
    return numbers


def _check_keys(table: pd.DataFrame, path: Path) -> None:
    for column in ("image", "subject"):
        if (empty := table[column] == "").any():
            raise ValueError(f"{path}, line {empty.idxmax()}: {column} is empty")
    if (again := table.duplicated(KEYS)).any():
        line = again.idxmax()
        image, subject, order = table.loc[again, KEYS].iloc[0]
        raise ValueError(
            f"{path}, line {line}: image {image!r}, subject {subject!r}, order {order:g} comes "
            f"a second time ({again.sum()} such lines)"
        )
