"""Warm start: before it is trained, a network learns to prefer what a teacher prefers.

Behaviour cloning: cross-entropy with the teacher's preferences over the actions, along the
scanpaths of :mod:`.demonstrations`. The teacher is a fixed policy or the oracle.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from saccade_env.agents.demonstrations import Round, rounds


def imitate(
    model: Any,
    paths: list[Path],
    learning_rate: float = 1e-3,
    batch_size: int = 80,
    n_epochs: int = 4,
    weight_decay: float = 0.01,
    seed: int = 0,
    progress: bool = True,
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

    Returns:
        Cross-entropy of every epoch, in nats.
    """
    network, generator = model.policy, np.random.default_rng(seed)
    optimizer = torch.optim.AdamW(network.parameters(), learning_rate, weight_decay=weight_decay)
    total = int(n_epochs) * len(paths)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.01, total)
    loss = _losses.get(type(model).__name__, _actor_loss)
    keys = list(model.observation_space.spaces)
    network.set_training_mode(True)
    curve = []
    with tqdm(total=total, unit="round", desc="imitating", disable=not progress) as bar:
        for _ in range(int(n_epochs)):
            values: list[float] = []
            for seen in rounds(paths, keys, generator):
                rows = max(1, int(batch_size) // seen.asked.shape[1])
                for part in _batches(seen, rows, generator):
                    values += _step(model, optimizer, loss, part)
                schedule.step()
                bar.update()
            curve.append(float(np.mean(values)) if values else np.nan)
            bar.set_postfix(loss=f"{curve[-1]:.3f}")
    if hasattr(network, "q_net_target"):
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


def _step(model: Any, optimizer: Any, loss: Callable[..., Tensor], part: Round) -> list[float]:
    """One step of the optimiser; nothing where the teacher was not asked."""
    if not part.asked.any():
        return []
    value = loss(model.policy, part, model.device)
    optimizer.zero_grad()
    value.backward()
    torch.nn.utils.clip_grad_norm_(model.policy.parameters(), 1.0)
    optimizer.step()
    return [float(value.detach())]


def _observed(network: Any, part: Round) -> Any:
    """Observations at the saccades at which the teacher was asked."""
    return network.obs_to_tensor({k: v[part.asked] for k, v in part.observations.items()})[0]


def _cross_entropy(logits: Tensor, part: Round, free: np.ndarray | None = None) -> Tensor:
    """Mean over these saccades, among the actions that the teacher weighed and that are free."""
    among = part.weighed[part.asked] if free is None else part.weighed[part.asked] & free
    weighed = torch.as_tensor(among, device=logits.device)
    targets = torch.as_tensor(part.targets[part.asked], device=logits.device) * weighed
    # Far below the others, but finite: where nothing is weighed, nothing is learnt.
    log_p = logits.masked_fill(~weighed, -1e9).log_softmax(1)
    return -(targets * log_p).sum(1).mean()


def _actor_loss(network: Any, part: Round, device: Any) -> Tensor:
    distribution = network.get_distribution(_observed(network, part)).distribution
    return _cross_entropy(distribution.logits, part)


def _masked_loss(network: Any, part: Round, device: Any) -> Tensor:
    distribution = network.get_distribution(_observed(network, part)).distribution
    return _cross_entropy(distribution.logits, part, part.masks[part.asked])


def _recurrent_loss(network: Any, part: Round, device: Any) -> Tensor:
    """Of the teacher's best action alone, as the network must see every saccade in order."""
    from sb3_contrib.common.recurrent.type_aliases import RNNStates

    flat = {k: v.reshape(-1, *v.shape[2:]) for k, v in part.observations.items()}
    observations, _ = network.obs_to_tensor(flat)
    shape = (network.lstm_actor.num_layers, len(part.asked), network.lstm_actor.hidden_size)
    blank = (torch.zeros(shape, device=device), torch.zeros(shape, device=device))
    starts = torch.as_tensor(part.starts.reshape(-1), dtype=torch.float32, device=device)
    actions = torch.as_tensor(part.targets.argmax(-1).reshape(-1), device=device)
    log_p = network.evaluate_actions(observations, actions, RNNStates(blank, blank), starts)[1]
    asked = torch.as_tensor(part.asked.reshape(-1), device=device)
    return -log_p[asked].mean()


def _value_loss(network: Any, part: Round, device: Any) -> Tensor:
    return _cross_entropy(network.q_net(_observed(network, part)), part)


_losses: dict[str, Callable[..., Tensor]] = {
    "MaskablePPO": _masked_loss,
    "RecurrentPPO": _recurrent_loss,
    "DQN": _value_loss,
}
