"""Shards of a run put together: everything is there, and once, or it is said what is not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from saccade_env.evaluation.metrics import THRESHOLDS, check_rule
from saccade_env.evaluation.part_file import difference, read_part
from saccade_env.evaluation.plan import WRITTEN, Evaluation, Plan
from saccade_env.evaluation.records import Part
from saccade_env.evaluation.store import RECORDS, Store, kept_in

_NAMED = 20


def merge(
    folders: Sequence[str | Path],
    out: str | Path,
    overwrite: bool = False,
    stop_at: Sequence[float] = THRESHOLDS,
    patience: int = 1,
) -> Evaluation:
    """Put the shards of one run together; neither images nor networks are needed.

    Args:
        folders: Where shards of the run have written: one folder that they share, or several.
        out: Folder of the whole run; it may be one of them. It gets what
            :func:`saccade_env.evaluation.evaluate` writes, equal to the byte.
        overwrite: Drop another run in ``out`` instead of refusing.
        stop_at: See :func:`saccade_env.evaluation.evaluate`.
        patience: Likewise.

    Returns:
        The whole evaluation.

    Raises:
        BlockingIOError: Another process writes to ``out``.
        FileExistsError: ``out`` holds another run, or a file that is not a run's where this run
            would write one.
        OSError: A folder holds no run, or a file in it is damaged or of another run; the message
            names it.
        ValueError: Images are missing or double, or the folders hold different runs; the message
            names them.
    """
    check_rule(stop_at, patience)
    given = [folders] if isinstance(folders, str | Path) else folders
    plan, parts = gather([Path(folder) for folder in given], Path(out))
    return put(plan, parts, out, overwrite, stop_at, patience)


def put(
    plan: Plan,
    parts: list[Part],
    out: str | Path,
    overwrite: bool = False,
    stop_at: Sequence[float] = THRESHOLDS,
    patience: int = 1,
    draw: bool = True,
) -> Evaluation:
    """Write what was gathered; see :func:`merge` and, for ``draw``, :func:`.evaluate`."""
    with Store(out, plan.run, overwrite, WRITTEN) as store:
        plan.write(store)
        return plan.end(parts, store, stop_at, patience, draw)


def gather(folders: Sequence[Path], out: Path) -> tuple[Plan, list[Part]]:
    """The run in these folders, and all that is in them.

    Where ``out`` is one of them and has the whole already, the others' parts are in it.

    Raises:
        OSError: A folder holds no run, or a file in it is damaged or of another run.
        ValueError: Images are missing or double, or the folders hold different runs.
    """
    plan = _same_run(folders)
    for home in folders:
        if home.resolve() == out.resolve() and (home / RECORDS).exists():
            part = _read(home / RECORDS, plan)
            if not plan.missing([part]):
                return plan, [part]
    parts, places, double = list[Part](), dict[str, Path](), dict[str, str]()
    for folder in folders:
        for path in kept_in(folder):
            parts.append(_read(path, plan))
            for image in parts[-1].records["image"].unique():
                before = places.setdefault(image, path)
                # One killed while it put its parts together has them twice.
                if before not in (path, folder / RECORDS):
                    double[image] = f"{image} ({before} and {path})"
    if double:
        raise ValueError(
            f"double in {_all(folders)}: {_listed(double.values())}; shards need the same number "
            "of them and the same --batch-size; move one of the files away"
        )
    if missing := plan.missing(parts):
        raise ValueError(
            f"missing in {_all(folders)}: {len(missing)} of {len(plan.images)} images: "
            f"{_listed(missing)}; run the shards again that did not come to their end (all with "
            "the same --batch-size), or the command without --shard, which does all that is left"
        )
    return plan, parts


def _read(path: Path, plan: Plan) -> Part:
    try:
        return read_part(path, plan.run, plan.check)
    except OSError as error:
        raise OSError(
            f"{error}; copy it anew, or move it away, and its shard does it again"
        ) from error


def _same_run(folders: Sequence[Path]) -> Plan:
    if not folders:
        raise ValueError("expected folders to put together; got none")
    plans = [Plan.read(folder) for folder in folders]
    for number, (folder, plan) in enumerate(zip(folders, plans, strict=True)):
        if folder.resolve() in [other.resolve() for other in folders[:number]]:
            raise ValueError(f"{folder} is given twice")
        if plan != plans[0]:
            differ = difference(plan.run, plans[0].run) or "images"
            raise ValueError(f"{folder} holds another run than {folders[0]}, with other {differ}")
    return plans[0]


def _all(folders: Iterable[Path]) -> str:
    return ", ".join(map(str, folders))


def _listed(names: Iterable[str]) -> str:
    found = list(names)
    more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    return ", ".join(found[:_NAMED]) + more
