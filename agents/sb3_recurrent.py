"""The LSTM of sb3-contrib's RecurrentPPO, asked for its logits one saccade at a time."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn


class LstmNet(nn.Module):
    """Answers like a ``TokenGridNet``, and remembers the saccades since :meth:`begin`.

    Args:
        policy: Of a RecurrentPPO model with Dict observations.
    """

    def __init__(self, policy: Any) -> None:
        super().__init__()
        self.policy = policy
        self.stop_action = bool(
            policy.action_space.n > policy.observation_space["revealed"].shape[0]
        )
        self._states: tuple[Tensor, Tensor] | None = None

    @property
    def budget(self) -> int:
        """Saccades an episode."""
        return self.policy.features_extractor.net.budget

    @budget.setter
    def budget(self, saccades: int) -> None:
        self.policy.features_extractor.net.budget = saccades

    def begin(self) -> None:
        """Forget: new episodes follow."""
        self._states = None

    def forward(
        self, observation: dict[str, Tensor]
    ) -> tuple[Float[Tensor, "batch actions"], None]:
        """Logits after one more saccade in every row; no value."""
        batch = len(observation["revealed"])
        states = self._blank(batch) if self._states is None else self._states
        starts = torch.zeros(batch, device=states[0].device)
        tensors, _ = self.policy.obs_to_tensor({k: v.cpu().numpy() for k, v in observation.items()})
        distribution, self._states = self.policy.get_distribution(tensors, states, starts)
        return distribution.distribution.logits, None

    def _blank(self, batch: int) -> tuple[Tensor, Tensor]:
        lstm = self.policy.lstm_actor
        zero = torch.zeros(lstm.num_layers, batch, lstm.hidden_size, device=self.policy.device)
        return zero, zero
