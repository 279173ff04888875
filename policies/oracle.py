"""The greedy oracle: tries fixations with the classifier and the label at hand, takes the best.

It says how far a policy could get with the same classifier, and is no policy to compare with.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal, NamedTuple, get_args

import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from saccade_env import core
from saccade_env.classifiers.base import Classifier
from saccade_env.config import RewardKind, SaccadeConfig
from saccade_env.errors import unknown_name
from saccade_env.policies.base import trying
from saccade_env.rows import take_rows

Target = Literal[RewardKind, "true_class", "correct_certainty"]
# Within an episode a gain and its level have the same best fixation: each reward is a target too.
_REWARD_OF = {
    "true_class": "true_class_log_gain",
    "correct_certainty": "correct_certainty_gain",
    **{kind: kind for kind in get_args(RewardKind)},
}
# Where the reward of two fixations is the same, as when no class is right, the one with more
# probability of the true class is better. Rewards are float32, and differ by more if they do.
_TIE = 1e-9


class _Episodes(NamedTuple):
    state: core.State  # as it was at the reset, without its pixels
    config: SaccadeConfig  # rewards the target
    judge: Classifier


class GreedyOracle:
    """Looks ahead one saccade, and fixates what is best for the target.

    It sees image and label, so that it is the ceiling of a report and never a competitor. Greedy
    is not optimal: several saccades together could do better still.

    Args:
        target: ``"true_class"`` (log-probability of the label), ``"certainty"`` (needs no label),
            ``"correct_certainty"`` (certainty counts only where the prediction is right), or any
            reward of :data:`saccade_env.core.REWARDS`.
        stride: Tries fixations on every ``stride``-th row and column, at least 1; where all of
            these are inhibited, every open one.
        classifier: Looks ahead with this one; by default with the one that judges the episodes.
            A KV cache is always left out: what it recomputes is asked.
        grid: Token grid (rows, cols) of the classifier.
        device: Taken as every policy's is, and not needed: it computes where the episodes are.
        batch_size: Fixations tried per forward, at least 1; changes no result. A CPU is fastest
            with few, a GPU with many.

    Raises:
        ValueError: No such target, or a value is out of range.
    """

    name = "greedy-oracle"
    sees_full_image = True
    sees_label = True

    def __init__(
        self,
        target: Target = "true_class",
        stride: int = 2,
        batch_size: int = 16,
        *,
        classifier: Classifier | None = None,
        grid: tuple[int, int] = (14, 14),
        device: str | torch.device = "cpu",
    ) -> None:
        if target not in _REWARD_OF:
            raise unknown_name("target", target, _REWARD_OF)
        for name, value in (("stride", stride), ("batch_size", batch_size)):
            if value < 1:
                raise ValueError(f"{name} must be ≥ 1; got {value}")
        self.target, self.stride, self.grid = target, stride, grid
        self._batch_size, self._judge = batch_size, classifier
        self._episodes: _Episodes | None = None
        if classifier is not None:
            self.weights = classifier.weights

    def reset(self, images: UInt8[Tensor, "batch 3 height width"]) -> None:
        """Refuse images alone: see :meth:`reset_seeing`.

        Raises:
            TypeError: Always.
        """
        raise TypeError(
            f"policy {self.name!r} sees labels and classifier, so images are not enough: start it "
            "with env.unwrapped.reset_policy(policy), or use evaluation or rendering.record"
        )

    def reset_seeing(
        self, state: core.State, config: SaccadeConfig, classifier: Classifier
    ) -> None:
        """Take in a batch of running episodes.

        Raises:
            ValueError: An image has no label and the target needs it, or the grid is another.
        """
        kind: Any = _REWARD_OF[self.target]
        config = replace(config, reward=kind, saccade_cost=0.0)
        if config.needs_label and (state.labels < 0).any():
            raise ValueError(
                f"policy {self.name!r} with target {self.target!r} needs labelled images, and an "
                "image has no label; use target='certainty' or images sorted into class folders"
            )
        judge = trying(self._judge or classifier, self, config.grid)
        memory = state.memory if judge is classifier else judge.begin(state.images)
        pixels = state.images[..., :0, :0]  # rows are repeated: without their pixels, which weigh
        self._episodes = _Episodes(state._replace(memory=memory, images=pixels), config, judge)

    def act(self, view: core.View) -> Int[Tensor, " batch"]:
        """Token index of the best fixation tried; ties go to the first."""
        return self.scores(view).flatten(1).argmax(-1).to(view.revealed.device)

    @torch.no_grad()
    def scores(self, view: core.View) -> Float[Tensor, "batch rows cols"]:
        """What every fixation would earn, float64 on the CPU; −∞ where it was not tried.

        The reward of the target, and 1e-9 of the probability of the true class to part ties if
        the target looks at labels.
        """
        episodes = self._begun(view)
        tried = candidates(view, self.stride)
        rows, fixations = tried.flatten(1).nonzero().unbind(-1)
        earned = [
            _earned(episodes, view, *part)
            for part in zip(
                rows.split(self._batch_size), fixations.split(self._batch_size), strict=True
            )
        ]
        # On the CPU: not every device has float64.
        scores = torch.full(tried.shape, -torch.inf, dtype=torch.float64)
        return scores.masked_scatter(tried.cpu(), torch.cat(earned))

    def gains(self, view: core.View) -> Float[Tensor, "batch rows cols"]:
        """The scores, with NaN where a fixation was not tried.

        With the target ``"true_class"`` they are gains in log-probability of the label, in nats.
        """
        scores = self.scores(view)
        return torch.where(scores.isfinite(), scores, torch.nan)

    def _begun(self, view: core.View) -> _Episodes:
        if self._episodes is None:
            raise RuntimeError(f"policy {self.name!r}: it must be reset before act(view)")
        if (given := len(view.revealed)) != (known := len(self._episodes.state.labels)):
            raise ValueError(f"policy {self.name!r} was reset on {known} episodes; got {given}")
        return self._episodes


def _earned(
    episodes: _Episodes,
    view: core.View,
    rows: Int[Tensor, " some"],
    fixations: Int[Tensor, " some"],
) -> Float[Tensor, " some"]:
    """What one saccade of each of these rows, which may come more than once, would earn."""
    start, config, judge = episodes
    state = take_rows(start._replace(**view._asdict()), rows)
    after, outcome = core.saccade(state, fixations, config, judge)
    earned = outcome.reward.cpu().double()
    if config.needs_label:
        earned = earned + _TIE * core.true_class_probability(after).cpu()
    return earned


def candidates(view: core.View, stride: int) -> Bool[Tensor, "batch rows cols"]:
    """Open cells on every ``stride``-th row and column; all open ones where none of these is."""
    cells = core.open_cells(view)
    rows, cols = (_every(stride, length, cells.device) for length in cells.shape[1:])
    tried = cells & (rows[:, None] & cols)
    return torch.where(tried.flatten(1).any(-1)[:, None, None], tried, cells)


def _every(stride: int, length: int, device: torch.device) -> Bool[Tensor, " length"]:
    """Every ``stride``-th place, those at both ends equally far from the border, or nearly."""
    first = (length - 1) % stride // 2
    return torch.arange(length, device=device) % stride == first
