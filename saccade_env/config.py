"""What one task is: a frozen configuration, validated once.

Sizes are in tokens unless the name says otherwise; grids are (rows, cols).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from numbers import Integral, Real
from typing import Any, Literal, TypedDict, get_args

from saccade_env.errors import unknown_name

RewardKind = Literal[
    "certainty_gain",
    "certainty",
    "correct_certainty_gain",
    "true_class_gain",
    "true_class_log_gain",
    "correct",
]
ActionKind = Literal["token", "grid", "continuous"]

UNLABELLED = -1  # the label of an image that has none
LABEL_REWARDS: frozenset[str] = frozenset(
    {"correct_certainty_gain", "true_class_gain", "true_class_log_gain", "correct"}
)


def check_whole(name: str, value: Any, least: int) -> int:
    """Pass a whole number through.

    Raises:
        ValueError: It is none, or below ``least``.
    """
    if not isinstance(value, Integral) or isinstance(value, bool) or value < least:
        raise ValueError(f"{name} must be a whole number ≥ {least}; got {value!r}")
    return int(value)


class Rules(TypedDict, total=False):
    """What a caller may set of a :class:`SaccadeConfig`; the grid is the classifier's."""

    fovea: int
    max_saccades: int
    reward: RewardKind
    saccade_cost: float
    action: ActionKind
    stop_action: bool


@dataclass(frozen=True)
class SaccadeConfig:
    """One active-vision task (arXiv:2603.09613, section on the saccade pipeline).

    Attributes:
        grid: Token grid as (rows, cols); ViT-S/16 at 224 px gives (14, 14).
        fovea: Side of the square fovea in tokens; odd, at most the shorter side of the grid.
            The paper uses 3 and 5.
        max_saccades: Budget of saccades per episode, at least 1. The paper uses 10.
        reward: What one saccade earns, see :func:`saccade_env.core.reward`.
        saccade_cost: Subtracted from the reward of every saccade, at least 0.
        action: ``"token"`` (row-major token index), ``"grid"`` (row, col) or
            ``"continuous"`` ((row, col) in [-1, 1]).
        stop_action: Adds one last discrete action that ends the episode.

    Raises:
        ValueError: The values contradict each other; the message holds them.

    >>> SaccadeConfig(fovea=4)
    Traceback (most recent call last):
        ...
    ValueError: fovea must be odd and ≤ 14; got 4
    """

    grid: tuple[int, int] = (14, 14)
    fovea: int = 3
    max_saccades: int = 10
    reward: RewardKind = "certainty_gain"
    saccade_cost: float = 0.0
    action: ActionKind = "token"
    stop_action: bool = False

    def __post_init__(self) -> None:
        if min(self.grid) < 1:
            raise ValueError(f"grid must have at least one row and column; got {self.grid}")
        limit = min(self.grid)
        whole = isinstance(self.fovea, Integral) and not isinstance(self.fovea, bool)
        if not whole or self.fovea % 2 == 0 or not 1 <= self.fovea <= limit:
            raise ValueError(f"fovea must be odd and ≤ {limit}; got {self.fovea}")
        check_whole("max_saccades", self.max_saccades, 1)
        if self.reward not in get_args(RewardKind):
            raise unknown_name("reward", str(self.reward), get_args(RewardKind))
        cost = self.saccade_cost
        if not isinstance(cost, Real) or not 0 <= cost < float("inf"):
            raise ValueError(f"saccade_cost must be finite and ≥ 0; got {self.saccade_cost}")
        if self.action not in get_args(ActionKind):
            raise unknown_name("action", str(self.action), get_args(ActionKind))
        if self.stop_action not in (True, False):
            raise ValueError(f"stop_action must be true or false; got {self.stop_action!r}")
        if self.stop_action and self.action != "token":
            raise ValueError(f"stop_action needs action='token'; got action={self.action!r}")

    def on(self, grid: tuple[int, int]) -> SaccadeConfig:
        """The same rules on another token grid.

        Raises:
            ValueError: The fovea does not fit it.
        """
        return replace(self, grid=(int(grid[0]), int(grid[1])))

    @property
    def num_tokens(self) -> int:
        """Number of tokens N = rows · cols."""
        return self.grid[0] * self.grid[1]

    @property
    def needs_label(self) -> bool:
        """Whether the reward can only be computed for a labelled image."""
        return self.reward in LABEL_REWARDS


PAPER = SaccadeConfig()  # what the paper does, and what everything here does unless told otherwise
