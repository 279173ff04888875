"""Imitation: a network learns what a teacher says each fixation would gain.

Cross-entropy with the softmax of the gains that the teacher tells (:mod:`.demonstrations`), and a
regression of the network's own gains on them. A policy that tells none is cloned: its choice has
gained by far the most. What is learned best on demonstrations that are held back is kept.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from stable_baselines3.dqn.policies import DQNPolicy
from torch import Tensor
from torch.nn import functional as F
from tqdm.auto import tqdm

from saccade_env.agents.demonstrations import FAR, Round, read
from saccade_env.agents.net import TEMPERATURE
from saccade_env.agents.sb3_policies import Sb3Network


def imitate(
    model: Any,
    paths: list[Path],
    learning_rate: float = 1e-3,
    batch_size: int = 80,
    n_epochs: int = 4,
    weight_decay: float = 0.01,
    regression: float = 0.05,
    seed: int = 0,
    progress: bool = True,
    masked: bool = False,
    held_back: Sequence[Path] = (),
) -> pd.DataFrame:
    """Learn from a teacher.

    Args:
        model: An algorithm of Stable-Baselines3, whose network learns.
        paths: Rounds of demonstrations.
        learning_rate: Of an AdamW of its own; it falls to 0.
        batch_size: Saccades in a minibatch of whole scanpaths.
        n_epochs: How often each round is used.
        weight_decay: Of that AdamW.
        regression: Weight of the regression on the gains, against 1 for the cross-entropy.
        seed: Of the order.
        progress: Show a progress bar.
        masked: The network chooses among open fixations alone.
        held_back: Rounds that are not learned from: with these, the network is in the end as it was
            after the epoch that had the lowest cross-entropy on them.

    Returns:
        A row an epoch: ``loss``, and ``held_back``, the cross-entropy there in nats, NaN without.
    """
    network, generator = model.policy, np.random.default_rng(seed)
    optimizer = torch.optim.AdamW(network.parameters(), learning_rate, weight_decay=weight_decay)
    total = int(n_epochs) * len(paths)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.01, total)
    asked, keys = Sb3Network(model), list(model.observation_space.spaces)
    learning = _Learning(model, asked, masked, regression)
    curve, best = [], None
    with tqdm(total=total, unit="round", desc="imitating", disable=not progress) as bar:
        for _ in range(int(n_epochs)):
            network.set_training_mode(True)
            values: list[float] = []
            for place in generator.permutation(len(paths)):
                seen = read(paths[place], keys)
                rows = max(1, int(batch_size) // seen.asked.shape[1])
                for part in _batches(seen, rows, generator):
                    values += learning.step(optimizer, part)
                schedule.step()
                bar.update()
            network.set_training_mode(False)
            held = [value for path in held_back for value in learning.judged(read(path, keys))]
            curve.append((_mean(values), _mean(held)))
            if held and curve[-1][1] == min(value for _, value in curve):
                best = copy.deepcopy(network.state_dict())
            bar.set_postfix(loss=f"{curve[-1][0]:.3f}", held_back=f"{curve[-1][1]:.3f}")
    if best:
        network.load_state_dict(best)
    if isinstance(network, DQNPolicy):
        network.q_net_target.load_state_dict(network.q_net.state_dict())
    return pd.DataFrame(curve, columns=["loss", "held_back"])


def _mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else math.nan


def _batches(seen: Round, rows: int, generator: np.random.Generator) -> list[Round]:
    order = generator.permutation(len(seen.asked))
    return [
        Round(
            {key: value[own] for key, value in seen.observations.items()},
            *(field[own] for field in seen[1:]),
        )
        for own in np.split(order, range(rows, len(order), rows))
    ]


@dataclass(frozen=True)
class _Learning:
    model: Any
    asked: Sb3Network
    masked: bool
    regression: float

    def step(self, optimizer: torch.optim.Optimizer, part: Round) -> list[float]:
        """One step of the optimiser; nothing where the teacher was not asked."""
        if not part.asked.any():
            return []
        cross_entropy, distance = self._losses(part)
        value = cross_entropy + self.regression * distance
        optimizer.zero_grad()
        value.backward()
        torch.nn.utils.clip_grad_norm_(self.model.policy.parameters(), 1.0)
        optimizer.step()
        return [float(value.detach())]

    @torch.no_grad()
    def judged(self, part: Round) -> list[float]:
        """Cross-entropy alone; nothing where the teacher was not asked."""
        return [float(self._losses(part)[0])] if part.asked.any() else []

    def _losses(self, part: Round) -> tuple[Tensor, Tensor]:
        if self.asked.recurrent:
            value = _recurrent_loss(self.model.policy, part, self.asked.blank(len(part.asked)))
            return value, value.new_zeros(())
        observed = {k: v[part.asked] for k, v in part.observations.items()}
        logits, _ = self.asked.logits(observed, self.asked.net.budget)
        free = part.masks[part.asked] if self.masked else None
        gains = torch.as_tensor(part.gains[part.asked], device=logits.device)
        told = gains.isfinite() if free is None else gains.isfinite() & torch.as_tensor(free)
        return _losses(logits, gains.nan_to_num(FAR), told)


def _losses(logits: Tensor, gains: Tensor, told: Tensor) -> tuple[Tensor, Tensor]:
    """Means over these saccades: cross-entropy among what was told, and distance to its gains."""
    told = told & (told & (gains > FAR)).any(1, keepdim=True)  # a choice may be closed
    # Far below the others, but finite: where nothing is told, nothing is learnt.
    log_p = logits.masked_fill(~told, -1e9).log_softmax(1)
    targets = (gains / TEMPERATURE).masked_fill(~told, -1e9).softmax(1) * told
    known = told & (gains > FAR)
    known &= known.sum(1, keepdim=True) > 1  # a choice is no gain
    distance = F.smooth_l1_loss(TEMPERATURE * logits, gains, reduction="none")
    return -(targets * log_p).sum(1).mean(), (distance * known).sum() / known.sum().clamp(min=1)


def _recurrent_loss(network: Any, part: Round, blank: tuple[Tensor, Tensor]) -> Tensor:
    """Of the teacher's best action alone, as the network must see every saccade in order."""
    from sb3_contrib.common.recurrent.type_aliases import RNNStates

    flat = {k: v.reshape(-1, *v.shape[2:]) for k, v in part.observations.items()}
    observations, _ = network.obs_to_tensor(flat)
    device = network.device
    starts = torch.as_tensor(part.starts.reshape(-1), dtype=torch.float32, device=device)
    actions = torch.as_tensor(np.nan_to_num(part.gains, nan=FAR).argmax(-1).ravel(), device=device)
    log_p = network.evaluate_actions(observations, actions, RNNStates(blank, blank), starts)[1]
    asked = torch.as_tensor(part.asked.reshape(-1), device=device)
    return -log_p[asked].mean()
