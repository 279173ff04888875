"""Stable-Baselines3 policies on :class:`TokenGridNet`, for every algorithm offered.

SB3 builds a network from a features extractor, shared layers and heads. Here the extractor is the
whole network, and what follows only takes its output apart: SB3's logits are the network's.

>>> policy, keywords = policy_class("maskable-ppo")
>>> model = MaskablePPO(policy, env, policy_kwargs=keywords)
"""

from __future__ import annotations

from typing import Any

import torch
from gymnasium import spaces
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.dqn.policies import DQNPolicy, QNetwork
from torch import Tensor, nn
from torch.nn import functional as F

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

    Raises:
        ValueError: The actions are not one a token, or one a token and stopping.
    """

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **{**keywords, "normalize_images": False})

    def make_features_extractor(self) -> TokenGridExtractor:
        space: Any = self.observation_space  # type: ignore[attr-defined]
        actions: Any = self.action_space  # type: ignore[attr-defined]
        keywords: dict[str, Any] = self.features_extractor_kwargs  # type: ignore[attr-defined]
        return TokenGridExtractor(space, stop_action=_stops(space, actions), **keywords)


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
    network = {"channels": 64, "blocks": 4}
    if algo == "recurrent-ppo":
        return "MultiInputLstmPolicy", {
            "features_extractor_class": GridPooledExtractor,
            "features_extractor_kwargs": network,
            "normalize_images": False,
            "ortho_init": False,
            "net_arch": [],
        }
    names = {
        "ppo": "TokenGridPolicy",
        "maskable-ppo": "MaskableTokenGridPolicy",
        "dqn": "TokenGridDQNPolicy",
    }
    if algo not in names:
        raise unknown_name("algorithm", algo, [*names, "recurrent-ppo"])
    found = globals().get(names[algo]) or __getattr__(names[algo])
    return found, {"features_extractor_kwargs": network}


def token_grid_net(model: Any) -> TokenGridNet:
    """The network inside an SB3 model: the one that chooses, where there are several.

    Raises:
        TypeError: The model's logits are not such a network's.
    """
    policy = getattr(model, "policy", model)
    policy = getattr(policy, "q_net", policy)
    extractor = getattr(policy, "pi_features_extractor", None) or policy.features_extractor
    if not isinstance(extractor, TokenGridExtractor):
        raise TypeError(f"{type(policy).__name__} does not choose by a TokenGridNet's logits")
    return extractor.net


def _stops(space: spaces.Dict, actions: Any) -> bool:
    tokens = space["revealed"].shape[0]  # type: ignore[index]
    count = int(actions.n) if isinstance(actions, spaces.Discrete) else -1
    if count not in (tokens, tokens + 1):
        raise ValueError(
            f"needs action='token': Discrete({tokens}), or one more to stop; got {actions}"
        )
    return count == tokens + 1


def __getattr__(name: str) -> Any:
    """The policy of MaskablePPO, when asked for: it needs sb3-contrib."""
    if name != "MaskableTokenGridPolicy":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from saccade_env.agents.sb3_maskable import MaskableTokenGridPolicy

    return MaskableTokenGridPolicy
