"""Compact observations for Stable-Baselines3: a replay buffer without pixels.

>>> from sb3_contrib import QRDQN
>>> from saccade_env import SaccadeVectorEnv
>>> from saccade_env.agents import CompactExtractor, PatchCache, SB3VecEnv
>>> envs = SaccadeVectorEnv(8, "sample", "efficientnet_lite0", observation="compact")
>>> pictures = PatchCache(envs.source, envs.patch_size, megabytes=512)
>>> extractor = {"features_extractor_class": CompactExtractor,
...              "features_extractor_kwargs": {"pictures": pictures}}
>>> model = QRDQN("MultiInputPolicy", SB3VecEnv(envs), buffer_size=1_000, policy_kwargs=extractor)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gymnasium import spaces
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor, CombinedExtractor
from torch import Tensor

from saccade_env.images import ImageSource
from saccade_env.images.patch_cache import PatchCache
from saccade_env.observe.compact import PARTS, config_of, expand
from saccade_env.spaces import observation_space

_LARGEST = 2**24  # whole numbers up to it are exact in the float32 that SB3 makes of observations


class CompactExtractor(BaseFeaturesExtractor):
    """Makes the default observation of a compact one, and applies another extractor to it.

    What wrappers added is passed on as it is.

    Args:
        observation_space: The compact environment's, bare or in wrappers.
        pictures: Its pictures. Networks that are given the same, as a target network is, share
            what is in memory. A saved model has none: see :func:`open_pictures`.
        inner: The extractor that sees the default observation.
        **keywords: Of ``inner``.

    Attributes:
        whole: The space that ``inner`` sees.

    Raises:
        ValueError: The space is not compact, or ``pictures`` are not those of the environment.
    """

    def __init__(
        self,
        observation_space: spaces.Dict,
        pictures: PatchCache,
        inner: type[BaseFeaturesExtractor] = CombinedExtractor,
        **keywords: Any,
    ) -> None:
        whole = whole_space(observation_space, pictures)
        extractor = inner(whole, **keywords)
        super().__init__(observation_space, extractor.features_dim)
        self.whole: Any = whole
        self.inner, self.pictures = extractor, pictures
        self._config = config_of(observation_space)

    def forward(self, observation: Mapping[str, Tensor]) -> Tensor:
        shown = expand(observation, self.pictures, self._config)
        given = {key: observation[key] for key in self.whole.spaces.keys() - shown.keys()}
        floats = {key: value.float() for key, value in shown.items()}  # as SB3 gives an extractor
        features: Tensor = self.inner({**given, **floats})
        return features


def whole_space(compact: spaces.Dict, pictures: PatchCache) -> spaces.Dict:
    """The default observation's space, with what wrappers added, for a compact one.

    Raises:
        ValueError: The space is not compact, or ``pictures`` are not of it.
    """
    config = config_of(compact)
    found = int(compact["image"].high[0]) + 1, config.grid  # type: ignore[attr-defined]
    if found != (len(pictures), pictures.grid):
        raise ValueError(
            f"the environment draws from {found[0]} pictures with tokens {found[1]}; 'pictures' "
            f"has {len(pictures)} of {pictures.name!r} with tokens {pictures.grid}: give it "
            "PatchCache(env.unwrapped.source, env.unwrapped.patch_size)"
        )
    if found[0] > _LARGEST:
        raise ValueError(
            f"Stable-Baselines3 turns observations into float32, which tells {_LARGEST} pictures "
            f"apart; {pictures.name!r} has {found[0]}"
        )
    whole = observation_space(config, pictures.patch_size).spaces
    return spaces.Dict({**whole, **{key: compact[key] for key in compact if key not in PARTS}})


def open_pictures(model: Any, source: ImageSource) -> None:
    """Give a loaded model the pictures that it was saved without.

    Args:
        model: Of Stable-Baselines3, on a :class:`CompactExtractor`.
        source: The pictures that it learned from.

    Raises:
        ValueError: They are others, or the model is on no compact observations.
    """
    found = {
        layer.pictures for layer in model.policy.modules() if isinstance(layer, CompactExtractor)
    }
    if not found:
        raise ValueError(f"{type(model.policy).__name__} takes no compact observations")
    for pictures in found:
        pictures.open(source)
