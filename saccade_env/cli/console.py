"""What the command line says and how: errors, notes, tables, names. It knows no policy or agent."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    import pandas as pd


def note(message: Any, *_: Any, **__: Any) -> None:
    """Say something on standard error; also takes the place of ``warnings.showwarning``."""
    typer.secho(f"note: {message}", fg="yellow", err=True)


@contextmanager
def kept_on_interrupt(folder: Path, how: str = "the same command") -> Iterator[None]:
    """Ctrl-C says what is kept and how to go on."""
    try:
        yield
    except KeyboardInterrupt as error:
        kept = f"what is finished is kept in {folder}; {how} goes on from there"
        typer.secho(f"stopped: {kept}", err=True)
        raise typer.Exit(130) from error


def numbers(text: str) -> list[float]:
    """``"0.5,0.9"`` to numbers.

    Raises:
        ValueError: One is none.
    """
    try:
        return [float(part) for part in text.split(",")]
    except ValueError as error:
        raise ValueError(f"expected numbers separated by commas; got {text!r}") from error


def whole_numbers(text: str) -> list[int]:
    """``"3,5,10"`` to numbers.

    Raises:
        ValueError: One is no whole number.
    """
    if wrong := [number for number in numbers(text) if not number.is_integer()]:
        raise ValueError(f"expected whole numbers separated by commas; got {wrong[0]:g}")
    return [int(number) for number in numbers(text)]


def default_folder(classifier: str, source: Any, policies: list[str], **options: Any) -> Path:
    """A folder of its own for every set of options: the same command finds it again."""
    what = [classifier, source.identity, sorted(policies), options]
    key = hashlib.sha256(json.dumps(what).encode()).hexdigest()[:8]
    return Path("saccade-runs") / f"evaluate-{source.name}-{file_name(classifier)}-{key}"


def file_name(spec: str) -> str:
    """A name without what file names must not hold, as parameters and paths do."""
    return re.sub(r"[^\w.-]+", "-", spec).strip("-")


def best(summary: dict[str, Any]) -> str:
    """Policy with the highest last accuracy, then certainty.

    Chance only if there is no other, and a ceiling only if there is no policy at all.
    """
    results, described = summary["results"], summary["policies"]
    rivals = [name for name in results if not described[name].get("sees_label")] or list(results)
    candidates = [name for name in rivals if not name.startswith("random")] or rivals
    return max(
        candidates,
        key=lambda name: (results[name]["accuracy"][-1] or 0, results[name]["certainty"][-1]),
    )


def worth_showing(records: pd.DataFrame, policy: str) -> str:
    """The first image that the policy gets right in the end; the first one if it never does."""
    last = records[(records["policy"] == policy) & (records["saccade"] == records["saccade"].max())]
    right = last[last["correct"]]
    return str((right if len(right) else last)["image"].iloc[0])
