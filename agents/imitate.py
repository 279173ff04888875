"""Warm start: before it is trained, a network learns to do what a fixed policy or the oracle does.

Behaviour cloning: cross-entropy over the actions, along the policy's own scanpaths.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from tqdm.auto import tqdm

from saccade_env.core import Policy


class _Scanpaths(NamedTuple):
    """Rows of an environment over some saccades; every field is [rows, saccades, …]."""

    observations: dict[str, np.ndarray]
    actions: np.ndarray
    masks: np.ndarray
    starts: np.ndarray


def imitate(
    model: Any,
    env: Any,
    policy: Policy,
    steps: int,
    learning_rate: float = 1e-3,
    batch_size: int = 80,
    n_epochs: int = 2,
    seed: int = 0,
    progress: bool = True,
) -> list[float]:
    """Clone a policy.

    Args:
        model: An algorithm of Stable-Baselines3, whose network learns.
        env: A vector environment on the pictures to learn from, bare or in vector wrappers.
        policy: Shows where to look; it may be an oracle.
        steps: Saccades to see, over all rows.
        learning_rate: Of an Adam of its own.
        batch_size: Saccades in a minibatch of whole scanpaths.
        n_epochs: How often each episode is used.
        seed: Of pictures and minibatches.
        progress: Show a progress bar.

    Returns:
        Cross-entropy of every round of episodes, in nats.
    """
    network = model.policy
    optimizer = torch.optim.Adam(network.parameters(), learning_rate)
    loss = _losses.get(type(model).__name__, _actor_loss)
    generator, horizon = np.random.default_rng(seed), env.unwrapped.config.max_saccades
    rows = max(1, int(batch_size) // horizon)
    observation = env.reset(seed=seed)[0]
    env.unwrapped.reset_policy(policy)
    network.set_training_mode(True)
    curve = []
    with tqdm(total=steps, unit="saccade", desc="imitating", disable=not progress) as bar:
        for _ in range(math.ceil(steps / (horizon * env.num_envs))):
            seen, observation = _follow(env, policy, observation, horizon)
            curve.append(_fit(seen, loss, model, optimizer, rows, int(n_epochs), generator))
            bar.update(horizon * env.num_envs)
            bar.set_postfix(loss=f"{curve[-1]:.3f}")
    if hasattr(network, "q_net_target"):
        network.q_net_target.load_state_dict(network.q_net.state_dict())
    return curve


def _follow(
    env: Any, policy: Policy, observation: dict[str, np.ndarray], horizon: int
) -> tuple[_Scanpaths, dict[str, np.ndarray]]:
    """Let the policy make some saccades; the observation it ends on is the next one's first."""
    steps, starts = [], env.unwrapped.view.saccades_done.cpu().numpy() == 0
    for _ in range(horizon):
        actions = policy.act(env.unwrapped.view).cpu().numpy()
        steps.append((observation, actions, env.action_masks(), starts))
        observation, _, over, _, _ = env.step(actions)
        if over.any():  # a policy may be reset on episodes that are under way
            env.unwrapped.reset_policy(policy)
        starts = over
    seen, *others = zip(*steps, strict=True)
    observations = {key: np.stack([one[key] for one in seen], 1) for key in seen[0]}
    return _Scanpaths(observations, *(np.stack(other, 1) for other in others)), observation


def _fit(
    seen: _Scanpaths,
    loss: Callable[..., Tensor],
    model: Any,
    optimizer: torch.optim.Optimizer,
    rows: int,
    epochs: int,
    generator: np.random.Generator,
) -> float:
    values = []
    for _ in range(epochs):
        order = generator.permutation(len(seen.actions))
        for first in range(0, len(order), rows):
            own = order[first : first + rows]
            part = _Scanpaths(
                {key: value[own] for key, value in seen.observations.items()},
                *(field[own] for field in seen[1:]),
            )
            value = loss(model.policy, part, model.device)
            optimizer.zero_grad()
            value.backward()
            torch.nn.utils.clip_grad_norm_(model.policy.parameters(), 1.0)
            optimizer.step()
            values.append(float(value.detach()))
    return float(np.mean(values))


def _flat(network: Any, part: _Scanpaths, device: Any) -> tuple[Any, Tensor]:
    """Observations and actions of all saccades, a scanpath after the other."""
    observations = {k: v.reshape(-1, *v.shape[2:]) for k, v in part.observations.items()}
    tensors, _ = network.obs_to_tensor(observations)
    return tensors, torch.as_tensor(part.actions.reshape(-1), device=device)


def _actor_loss(network: Any, part: _Scanpaths, device: Any) -> Tensor:
    observations, actions = _flat(network, part, device)
    return -network.evaluate_actions(observations, actions)[1].mean()


def _masked_loss(network: Any, part: _Scanpaths, device: Any) -> Tensor:
    observations, actions = _flat(network, part, device)
    masks = part.masks.reshape(len(actions), -1)
    free = torch.as_tensor(masks[np.arange(len(actions)), part.actions.reshape(-1)], device=device)
    log_p = network.evaluate_actions(observations, actions, action_masks=masks)[1]
    return -(torch.where(free, log_p, 0)).sum() / free.sum().clamp(min=1)


def _recurrent_loss(network: Any, part: _Scanpaths, device: Any) -> Tensor:
    from sb3_contrib.common.recurrent.type_aliases import RNNStates

    observations, actions = _flat(network, part, device)
    shape = (network.lstm_actor.num_layers, len(part.actions), network.lstm_actor.hidden_size)
    blank = (torch.zeros(shape, device=device), torch.zeros(shape, device=device))
    starts = torch.as_tensor(part.starts.reshape(-1), dtype=torch.float32, device=device)
    states = RNNStates(blank, blank)
    return -network.evaluate_actions(observations, actions, states, starts)[1].mean()


def _value_loss(network: Any, part: _Scanpaths, device: Any) -> Tensor:
    observations, actions = _flat(network, part, device)
    return F.cross_entropy(network.q_net(observations), actions)


_losses: dict[str, Callable[..., Tensor]] = {
    "MaskablePPO": _masked_loss,
    "RecurrentPPO": _recurrent_loss,
    "DQN": _value_loss,
}
