"""The goldens' differences as rows: one a network, which names the values that differ."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tqdm.auto import tqdm

from saccade_env.verify import goldens
from saccade_env.verify.goldens import Difference
from saccade_env.verify.table import Row


def check() -> Iterator[Row]:
    """A row for every network with goldens; they have seeded weights, and nothing is downloaded."""
    for name in tqdm(goldens.NETWORKS, "goldens", unit="network", disable=None):
        yield row(name, goldens.check([name]))


def row(name: str, found: Sequence[Difference]) -> Row:
    """All values of a network in one row: how many are right, and the one that is farthest off.

    Args:
        name: The network.
        found: One difference or more.
    """
    wrong = [each.what for each in found if not each.ok]
    worst = max(found, key=_excess)
    shown = f"largest difference {worst.largest:.1e} of {worst.tolerance:.1e}"
    note = f"differ: {', '.join(wrong)}" if wrong else f"{len(found)} tensors, seeded weights"
    return Row(f"goldens: {name}", "the original code's values", shown, not wrong, note)


def _excess(each: Difference) -> float:
    excess = each.largest / each.tolerance
    return excess if excess == excess else float("inf")  # NaN is the worst
