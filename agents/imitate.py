"""Warm start: before it is trained, a network learns to prefer what a teacher prefers.

Behaviour cloning: cross-entropy with the teacher's preferences over the actions, along the
scanpaths of :mod:`.demonstrations`. The teacher is a fixed policy or the oracle.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from stable_baselines3.dqn.policies import DQNPolicy
from torch import Tensor
from tqdm.auto import tqdm

from saccade_env.agents.demonstrations import Round, read
from saccade_env.agents.sb3_policies import Sb3Network


def imitate(
    model: Any,
    paths: list[Path],
    learning_rate: float = 1e-3,
    batch_size: int = 80,
    n_epochs: int = 4,
    weight_decay: float = 0.01,
    seed: int = 0,
    progress: bool = True,
    masked: bool = False,
) -> list[float]:
    """Clone a teacher.

    Args:
        model: An algorithm of Stable-Baselines3, whose network learns.
        paths: Rounds of demonstrations.
        learning_rate: Of an AdamW of its own; it falls to 0.
        batch_size: Saccades in a minibatch of whole scanpaths.
        n_epochs: How often each round is used.
        weight_decay: Of that AdamW.
        seed: Of the order.
        progress: Show a progress bar.
        masked: The network chooses among open fixations alone.

    Returns:
        Cross-entropy of every epoch, in nats.
    """
    network, generator = model.policy, np.random.default_rng(seed)
    optimizer = torch.optim.AdamW(network.parameters(), learning_rate, weight_decay=weight_decay)
    total = int(n_epochs) * len(paths)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.01, total)
    asked = Sb3Network(model)
    keys = list(model.observation_space.spaces)
    network.set_training_mode(True)
    curve = []
    with tqdm(total=total, unit="round", desc="imitating", disable=not progress) as bar:
        for _ in range(int(n_epochs)):
            values: list[float] = []
            for place in generator.permutation(len(paths)):
                seen = read(paths[place], keys)
                rows = max(1, int(batch_size) // seen.asked.shape[1])
                for part in _batches(seen, rows, generator):
                    values += _step(model, optimizer, asked, part, masked)
                schedule.step()
                bar.update()
            curve.append(float(np.mean(values)) if values else np.nan)
            bar.set_postfix(loss=f"{curve[-1]:.3f}")
    if isinstance(network, DQNPolicy):
        network.q_net_target.load_state_dict(network.q_net.state_dict())
    return curve


def _batches(seen: Round, rows: int, generator: np.random.Generator) -> list[Round]:
    order = generator.permutation(len(seen.asked))
    return [
        Round(
            {key: value[own] for key, value in seen.observations.items()},
            *(field[own] for field in seen[1:]),
        )
        for own in np.split(order, range(rows, len(order), rows))
    ]


def _step(
    model: Any, optimizer: torch.optim.Optimizer, asked: Sb3Network, part: Round, masked: bool
) -> list[float]:
    """One step of the optimiser; nothing where the teacher was not asked."""
    if not part.asked.any():
        return []
    if asked.recurrent:
        value = _recurrent_loss(model.policy, part, asked.blank(len(part.asked)))
    else:
        observed = {k: v[part.asked] for k, v in part.observations.items()}
        logits, _ = asked.logits(observed, asked.net.budget)
        value = _cross_entropy(logits, part, part.masks[part.asked] if masked else None)
    optimizer.zero_grad()
    value.backward()
    torch.nn.utils.clip_grad_norm_(model.policy.parameters(), 1.0)
    optimizer.step()
    return [float(value.detach())]


def _cross_entropy(logits: Tensor, part: Round, free: np.ndarray | None = None) -> Tensor:
    """Mean over these saccades, among the actions that the teacher weighed and that are free."""
    among = part.weighed[part.asked] if free is None else part.weighed[part.asked] & free
    weighed = torch.as_tensor(among, device=logits.device)
    targets = torch.as_tensor(part.targets[part.asked], device=logits.device) * weighed
    # Far below the others, but finite: where nothing is weighed, nothing is learnt.
    log_p = logits.masked_fill(~weighed, -1e9).log_softmax(1)
    return -(targets * log_p).sum(1).mean()


def _recurrent_loss(network: Any, part: Round, blank: tuple[Tensor, Tensor]) -> Tensor:
    """Of the teacher's best action alone, as the network must see every saccade in order."""
    from sb3_contrib.common.recurrent.type_aliases import RNNStates

    flat = {k: v.reshape(-1, *v.shape[2:]) for k, v in part.observations.items()}
    observations, _ = network.obs_to_tensor(flat)
    device = network.device
    starts = torch.as_tensor(part.starts.reshape(-1), dtype=torch.float32, device=device)
    actions = torch.as_tensor(part.targets.argmax(-1).reshape(-1), device=device)
    log_p = network.evaluate_actions(observations, actions, RNNStates(blank, blank), starts)[1]
    asked = torch.as_tensor(part.asked.reshape(-1), device=device)
    return -log_p[asked].mean()
