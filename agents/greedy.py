"""The action that a Stable-Baselines3 model likes best among those that are open.

As :class:`saccade_env.agents.policy.AgentPolicy` acts, whatever the algorithm: also those
that know no masks.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor


@torch.no_grad()
def choose(
    model: Any,
    observation: dict[str, np.ndarray],
    state: Any,
    starts: np.ndarray,
    masks: np.ndarray,
) -> tuple[np.ndarray, Any]:
    """Actions [B] and the network's state.

    Args:
        model: An algorithm of Stable-Baselines3 on :mod:`.sb3_policies`.
        observation: Batch first.
        state: What the last call returned, None at first.
        starts: Which episodes begin, bool [B].
        masks: Open actions, bool [B, actions].
    """
    network = model.policy
    network.set_training_mode(False)
    tensors, _ = network.obs_to_tensor(observation)
    logits, state = _logits(network, tensors, state, starts)
    closed = ~torch.as_tensor(masks, device=logits.device)
    return logits.masked_fill(closed, -torch.inf).argmax(1).cpu().numpy(), state


def _logits(network: Any, tensors: Any, state: Any, starts: np.ndarray) -> tuple[Tensor, Any]:
    if hasattr(network, "q_net"):
        return network.q_net(tensors), None
    if not hasattr(network, "lstm_actor"):
        return network.get_distribution(tensors).distribution.logits, None
    if state is None:
        shape = (network.lstm_actor.num_layers, len(starts), network.lstm_actor.hidden_size)
        state = tuple(torch.zeros(shape, device=network.device) for _ in range(2))
    begun = torch.as_tensor(starts, dtype=torch.float32, device=network.device)
    distribution, state = network.get_distribution(tensors, state, begun)
    return distribution.distribution.logits, state
