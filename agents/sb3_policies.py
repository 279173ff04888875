"""Stable-Baselines3 policies on :class:`TokenGridNet`, for every algorithm offered.

SB3 builds a network from a features extractor, shared layers and heads. Here the extractor is the
whole network, and what follows only takes its output apart: SB3's logits are the network's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from jaxtyping import Float
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.dqn.policies import DQNPolicy, QNetwork
from torch import Tensor, nn
from torch.nn import functional as F

from saccade_env.agents.compact import CompactExtractor, whole_space
from saccade_env.agents.net import Observation, TokenGridNet, pool
from saccade_env.errors import unknown_name

_COARSE = 4  # rows and columns of the coarse map that an LSTM is shown
_COARSE_CHANNELS = 16


class TokenGridExtractor(BaseFeaturesExtractor):
    """The network as SB3's features extractor: logits and, last, the value, [B, actions + 1]."""

    def __init__(self, observation_space: spaces.Dict, **network: Any) -> None:
        net = TokenGridNet(observation_space, **network)
        super().__init__(observation_space, net.num_actions + 1)
        self.net = net

    def forward(self, observation: Observation) -> Tensor:
        logits, value = self.net(observation)
        return torch.cat((logits, value[:, None]), 1)


class GridPooledExtractor(BaseFeaturesExtractor):
    """Features for an LSTM: mean and maximum over the cells, and a coarse map of them.

    For sb3-contrib's ``"MultiInputLstmPolicy"``, with ``normalize_images=False``.
    """

    def __init__(self, observation_space: spaces.Dict, **network: Any) -> None:
        net = TokenGridNet(observation_space, **network)
        super().__init__(observation_space, 2 * net.channels + _COARSE_CHANNELS * _COARSE**2)
        self.net = net
        self.reduce = nn.Conv2d(net.channels, _COARSE_CHANNELS, 1)

    def forward(self, observation: Observation) -> Tensor:
        features = self.net.features(observation)
        coarse = F.adaptive_avg_pool2d(self.reduce(features), _COARSE)
        return torch.cat((pool(features), coarse.flatten(1)), 1)


class _Split(nn.Module):
    """Stands where SB3 has layers between extractor and heads: takes logits and value apart."""

    def forward(self, output: Tensor) -> tuple[Tensor, Tensor]:
        return self.forward_actor(output), self.forward_critic(output)

    def forward_actor(self, output: Tensor) -> Tensor:
        return output[:, :-1]

    def forward_critic(self, output: Tensor) -> Tensor:
        return output[:, -1:]


class OnTokenGrid:
    """Makes one of SB3's policy classes use the network; ``features_extractor_kwargs`` go to it.

    With ``pictures`` among them it takes compact observations: see :class:`.CompactExtractor`.

    Raises:
        ValueError: The actions are not one a token, or one a token and stopping.
    """

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **{**keywords, "normalize_images": False})

    def make_features_extractor(self) -> TokenGridExtractor | CompactExtractor:
        space: Any = self.observation_space  # type: ignore[attr-defined]
        actions: Any = self.action_space  # type: ignore[attr-defined]
        given: dict[str, Any] = self.features_extractor_kwargs  # type: ignore[attr-defined]
        if "pictures" not in given:
            return TokenGridExtractor(space, stop_action=_stops(space, actions), **given)
        stops = _stops(whole_space(space, given["pictures"]), actions)
        return CompactExtractor(space, inner=TokenGridExtractor, stop_action=stops, **given)


class OnTokenGridActorCritic(OnTokenGrid):
    """The same for actor and critic. SB3's orthogonal initialisation is left out."""

    mlp_extractor: Any
    action_net: Any
    value_net: Any

    def _build(self, lr_schedule: Any) -> None:
        self.mlp_extractor = _Split()
        self.action_net, self.value_net = nn.Identity(), nn.Identity()
        make: Any = self.optimizer_class  # type: ignore[attr-defined]
        keywords: dict[str, Any] = self.optimizer_kwargs  # type: ignore[attr-defined]
        parameters = self.parameters()  # type: ignore[attr-defined]
        self.optimizer = make(parameters, lr=lr_schedule(1), **keywords)


class TokenGridPolicy(OnTokenGridActorCritic, ActorCriticPolicy):
    """For PPO and A2C."""


class _TokenGridQ(QNetwork):
    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **{**keywords, "net_arch": []})
        self.q_net = _Actions()  # type: ignore[assignment]


class _Actions(nn.Module):
    def forward(self, output: Tensor) -> Tensor:
        return output[:, :-1]


class TokenGridDQNPolicy(OnTokenGrid, DQNPolicy):
    """For DQN: the logits are the action values; the network's own value is not used."""

    def make_q_net(self) -> QNetwork:
        keywords = self._update_features_extractor(self.net_args, features_extractor=None)
        return _TokenGridQ(**keywords).to(self.device)


def policy_class(algo: str) -> tuple[Any, dict[str, Any]]:
    """SB3's ``policy`` and default ``policy_kwargs`` for an algorithm.

    ``features_extractor_kwargs`` are the keywords of :class:`TokenGridNet`.

    Raises:
        ValueError: No such algorithm.
    """
    network = {"features_extractor_kwargs": {"channels": 64, "blocks": 4}}
    if algo == "ppo":
        return TokenGridPolicy, network
    if algo == "dqn":
        return TokenGridDQNPolicy, network
    if algo == "maskable-ppo":
        from saccade_env.agents.sb3_maskable import MaskableTokenGridPolicy

        return MaskableTokenGridPolicy, network
    if algo == "recurrent-ppo":
        return "MultiInputLstmPolicy", {
            **network,
            "features_extractor_class": GridPooledExtractor,
            "normalize_images": False,
            "ortho_init": False,
            "net_arch": [],
        }
    raise unknown_name("algorithm", algo, ["dqn", "maskable-ppo", "ppo", "recurrent-ppo"])


class Sb3Network:
    """A model of Stable-Baselines3 on these policies, asked as a ``TokenGridNet`` is.

    See :class:`saccade_env.agents.policy.Network`.

    Args:
        model: PPO, MaskablePPO, DQN or RecurrentPPO.

    Attributes:
        net: The token grid network in it: the one that chooses, where there are several.
        recurrent: Whether an LSTM chooses by what the network makes of the cells. Else the logits
            are the network's.

    Raises:
        TypeError: The model is on other policies.
    """

    def __init__(self, model: Any) -> None:
        self._policy = policy = model.policy
        valued = isinstance(policy, DQNPolicy)
        extractor = (policy.q_net if valued else policy).features_extractor
        space = policy.observation_space
        if isinstance(extractor, CompactExtractor):
            extractor, space = extractor.inner, extractor.whole
        if not isinstance(extractor, TokenGridExtractor | GridPooledExtractor):
            raise TypeError(f"{type(policy).__name__} does not choose by a TokenGridNet")
        self.net, self.recurrent = extractor.net, isinstance(extractor, GridPooledExtractor)
        self.stop_action = _stops(space, policy.action_space)

    def logits(
        self, observation: Mapping[str, np.ndarray], budget: int, state: Any = None
    ) -> tuple[Float[Tensor, "batch actions"], Any]:
        """The network's logits, which are DQN's values; or an LSTM's, and what it remembers."""
        if not self.recurrent:
            return self.net.logits(observation, budget)
        self.net.budget = budget
        tensors, _ = self._policy.obs_to_tensor(observation)
        batch, device = len(observation["revealed"]), self._policy.device
        state = self.blank(batch) if state is None else state
        starts = torch.zeros(batch, device=device)
        distribution, state = self._policy.get_distribution(tensors, state, starts)
        return distribution.distribution.logits, state

    def blank(self, batch: int) -> tuple[Tensor, Tensor]:
        """What an LSTM remembers before the first saccade."""
        lstm = self._policy.lstm_actor
        zero = torch.zeros(lstm.num_layers, batch, lstm.hidden_size, device=self._policy.device)
        return zero, zero


def _stops(space: spaces.Dict, actions: Any) -> bool:
    tokens = space["revealed"].shape[0]  # type: ignore[index]
    count = int(actions.n) if isinstance(actions, spaces.Discrete) else -1
    if count not in (tokens, tokens + 1):
        raise ValueError(
            f"needs action='token': Discrete({tokens}), or one more to stop; got {actions}"
        )
    return count == tokens + 1
