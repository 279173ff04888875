"""A policy whose every answer is looked at while an evaluation follows it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from saccade_env import core
from saccade_env.classifiers.base import Classifier
from saccade_env.config import SaccadeConfig
from saccade_env.testing.contract import Contract, kind


class Watched:
    """A policy whose every answer is looked at."""

    def __init__(self, policy: core.Policy, contract: Contract, config: SaccadeConfig) -> None:
        self.policy, self.contract, self.config = policy, contract, config
        self.name, self.sees_full_image = policy.name, policy.sees_full_image

    def reset(self, images: Tensor) -> None:
        with self.contract.doing(f"reset(images) on {len(images)} pictures"):
            self.policy.reset(images)

    def act(self, view: core.View) -> Tensor:
        before = core.View(*(field.clone() for field in view))
        with self.contract.doing(f"act(view) on {len(view.revealed)} episodes"):
            chosen = self.policy.act(view)
        _check_answer(chosen, len(view.revealed), self.config, self.contract)
        _check_untouched(before, view, self.contract)
        if isinstance(self.policy, core.PredictsGain):
            _check_gain(self.policy.predicted_gain(view), len(chosen), self.contract)
        return chosen


class WatchedOracle(Watched):
    """The same for a policy that is handed the episodes."""

    sees_label = False

    def reset_seeing(
        self, state: core.State, config: SaccadeConfig, classifier: Classifier
    ) -> None:
        with self.contract.doing(f"reset_seeing(state, …) on {len(state.labels)} episodes"):
            core.reset_policy(self.policy, state, config, classifier)


def _check_answer(chosen: Any, count: int, config: SaccadeConfig, contract: Contract) -> None:
    end = config.num_tokens
    wanted = f"act(view) returned {kind(chosen)}; expected torch.int64 [{count}], token indices"
    if not isinstance(chosen, Tensor):
        contract.require(False, f"{wanted} in a torch.Tensor: torch.as_tensor(…)")
    if chosen.shape == (count, 2):
        contract.require(
            False,
            f"{wanted} row · cols + col: saccade_env.geometry.row_col_to_index(fixation, grid)",
        )
    if chosen.is_floating_point() or chosen.dtype == torch.bool or chosen.shape != (count,):
        contract.require(False, f"{wanted}, one an episode: of a map, map.flatten(1).argmax(-1)")
    listed = chosen.tolist()
    legal = all(0 <= one < end or (config.stop_action and one == end) for one in listed)
    stops = not config.stop_action and end in listed
    ending = f"; it stops, so pass config=SaccadeConfig(stop_action=True): {end} is no token"
    told = f"act(view) chose {listed}; expected token indices 0 to {end - 1}{ending * stops}"
    contract.require(legal, told)


def _check_untouched(before: core.View, after: core.View, contract: Contract) -> None:
    for name, old, new in zip(core.View._fields, before, after, strict=True):
        same = old.shape == new.shape and torch.equal(old.nan_to_num(), new.nan_to_num())
        contract.require(
            same, f"act(view) changed view.{name} in place, which is the environment's; copy it"
        )


def _check_gain(gain: Any, count: int, contract: Contract) -> None:
    right = isinstance(gain, Tensor) and gain.is_floating_point() and gain.shape == (count,)
    told = f"predicted_gain(view) returned {kind(gain)}; expected finite floats [{count}], in nats"
    contract.require(right and bool(gain.isfinite().all()), told)
