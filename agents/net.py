"""A fully convolutional network on the token grid: one logit a cell, a value, a stop logit.

It reads the environment's Dict observation as it is, or as Stable-Baselines3 hands it on, and
knows the grid only through the observation space: the same ``state_dict`` runs on any grid of the
same patch size. Torch only.

A logit is a gain: in units of :data:`TEMPERATURE` nats, what the network expects that looking there
adds to the log-probability of the right class. Imitation teaches this (:mod:`.imitate`); what
reinforcement makes of the logits later is a preference and no more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from saccade_env.observe.sight import standardised

Observation = dict[str, Tensor]

EXTRAS = ("periphery", "saliency", "belief", "eye")
TEMPERATURE = 0.5  # nats
_PROMISE = 3  # place among an eye's maps of what it believes around a cell, if it shows activation
_NEEDED = ("tokens", "revealed", "fixation", "saccades_left")
_GROUPS = 8  # of the normalisation


class TokenGridNet(nn.Module):
    """Observation → one logit a cell (and one to stop) and a value.

    Args:
        observation_space: The environment's, with any of ``periphery``, ``saliency``, ``belief``,
            ``eye``.
        channels: Width, a multiple of 8.
        blocks: Number of residual blocks; their dilations are 1, 2, 1, 2, …
        stop_action: Whether there is a last logit that ends the episode.
        embedding: Values that the pixels of a token are encoded to; with 0 it does not look at
            them, and has few parameters.
        prior_weight: How far it follows the activation that an eye shows before it has learned
            anything: what multiplies the map of what the eye believes around a cell.

    Attributes:
        grid: (rows, cols).
        patch_size: Side of a token in pixels.
        budget: Saccades an episode; the network sees only the share that is left of it.

    Raises:
        ValueError: The space is no token grid's, or ``channels`` cannot be normalised in groups.
    """

    def __init__(
        self,
        observation_space: spaces.Space[Any],
        channels: int = 64,
        blocks: int = 4,
        stop_action: bool = False,
        embedding: int = 32,
        prior_weight: float = 0.0,
    ) -> None:
        super().__init__()
        if prior_weight and "eye" not in _check_space(observation_space):
            raise ValueError("prior_weight follows what an eye shows, and there is none")
        if channels < _GROUPS or channels % _GROUPS:
            raise ValueError(f"channels must be a multiple of {_GROUPS}; got {channels}")
        known = _check_space(observation_space)
        self.grid = _grid_of(known)
        self.patch_size = round((_width(known, "tokens") / 3) ** 0.5)
        self.budget = int(known["saccades_left"].high[0])  # type: ignore[attr-defined]
        self.channels, self.blocks, self.stop_action = channels, blocks, stop_action
        self.embedding = embedding
        self.extras = tuple(key for key in EXTRAS if key in known)
        widths = {"periphery": 12, "saliency": 2}
        widths |= {"belief": _width(known, "belief"), "eye": _width(known, "eye", 0)}
        inputs = embedding + 5 + sum(widths[key] for key in self.extras)
        self.encoder = nn.Linear(_width(known, "tokens"), embedding) if embedding else None
        self.project = nn.Conv2d(inputs, channels, 1)
        direct = nn.Conv2d(inputs, 1, 3, padding=1)
        self.direct = _small(direct)
        if prior_weight:
            before = sum(widths[key] for key in ("periphery", "saliency") if key in known)
            with torch.no_grad():
                direct.weight[0, 5 + embedding + before + _PROMISE, 1, 1] += prior_weight
        self.body = nn.Sequential(*(_Block(channels, 1 + i % 2) for i in range(blocks)))
        self.norm = nn.GroupNorm(_GROUPS, channels)
        self.cell = _small(nn.Conv2d(channels, 1, 1))
        self.stop = _small(nn.Linear(2 * channels, 1)) if stop_action else None
        self.value = nn.Sequential(
            nn.Linear(2 * channels, channels), nn.SiLU(), nn.Linear(channels, 1)
        )

    @property
    def num_actions(self) -> int:
        """Number of logits."""
        return self.grid[0] * self.grid[1] + self.stop_action

    def logits(
        self, observation: Mapping[str, np.ndarray], budget: int, state: None = None
    ) -> tuple[Float[Tensor, "batch actions"], None]:
        """Logits of an observation in NumPy, see :class:`saccade_env.agents.policy.Network`."""
        self.budget, device = budget, self.norm.weight.device
        return self({k: torch.as_tensor(v, device=device) for k, v in observation.items()})[0], None

    def forward(
        self, observation: Observation
    ) -> tuple[Float[Tensor, "batch actions"], Float[Tensor, " batch"]]:
        """Logits of the actions, row-major and stopping last, and the value."""
        inputs = self._inputs(observation)
        features = self._features(inputs)
        pooled = pool(features)
        logits = (self.cell(features) + self.direct(inputs)).flatten(1)
        if self.stop is not None:
            logits = torch.cat((logits, self.stop(pooled)), 1)
        return logits, self.value(pooled)[:, 0]

    def features(self, observation: Observation) -> Float[Tensor, "batch channels rows cols"]:
        """What the network makes of every cell and its surroundings."""
        return self._features(self._inputs(observation))

    def _features(self, inputs: Tensor) -> Float[Tensor, "batch channels rows cols"]:
        return F.silu(self.norm(self.body(self.project(inputs))))

    def _inputs(self, observation: Observation) -> Float[Tensor, "batch inputs rows cols"]:
        revealed = observation["revealed"].float()
        seen = revealed.reshape(-1, 1, *self.grid)
        maps = [
            seen,
            self._fixated(observation["fixation"]),
            self._broadcast(observation["saccades_left"].float() / self.budget),
            self._coordinates(revealed.device).expand(len(revealed), -1, -1, -1),
        ]
        if self.encoder is not None:
            pixels = observation["tokens"].float() / 255 - 0.5
            tokens = self.encoder(pixels) * revealed[..., None]
            maps.append(tokens.transpose(1, 2).unflatten(2, self.grid))
        if "periphery" in self.extras:
            picture = _channels_first(observation["periphery"]) / 255 - 0.5
            small = F.interpolate(picture, (2 * self.grid[0], 2 * self.grid[1]), mode="area")
            maps.append(F.pixel_unshuffle(small, 2))
        if "saliency" in self.extras:
            saliency = standardised(observation["saliency"].float())[:, None]
            maps += [saliency, observation["saliency"][:, None] * (1 - seen)]
        if "eye" in self.extras:
            maps.append(observation["eye"])
        if "belief" in self.extras:
            maps.append(self._broadcast(observation["belief"].float()))
        return torch.cat(maps, 1)

    def _fixated(self, fixation: Tensor) -> Float[Tensor, "batch 1 rows cols"]:
        """1 at the last fixation, 0 elsewhere and before the first."""
        row, col = (torch.arange(side, device=fixation.device) for side in self.grid)
        here = (fixation[:, 0, None] == row)[:, :, None] & (fixation[:, 1, None] == col)[:, None]
        return here[:, None].float()

    def _coordinates(self, device: torch.device) -> Float[Tensor, "1 2 rows cols"]:
        """Row and column from -1 to 1, so that a bias to the centre can be learned."""
        sides = [torch.linspace(-1, 1, side, device=device) for side in self.grid]
        return torch.stack(torch.meshgrid(*sides, indexing="ij"))[None]

    def _broadcast(self, values: Tensor) -> Float[Tensor, "batch values rows cols"]:
        return values[:, :, None, None].expand(-1, -1, *self.grid)


class _Block(nn.Module):
    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(_GROUPS, channels)
        self.conv = nn.Conv2d(channels, channels, 3, padding=dilation, dilation=dilation)

    def forward(self, x: Tensor) -> Tensor:
        return x + F.silu(self.conv(self.norm(x)))


def pool(features: Float[Tensor, "batch channels rows cols"]) -> Float[Tensor, "batch pooled"]:
    """Mean and maximum over the cells, [B, 2·channels]."""
    return torch.cat((features.mean((2, 3)), features.amax((2, 3))), 1)


def _channels_first(periphery: Tensor) -> Float[Tensor, "batch 3 height width"]:
    """[B, S, S, 3], or [B, 3, S, S] as SB3's VecTransposeImage makes of it; values 0 to 255.

    SB3 would also divide by 255: the policies of :mod:`.sb3_policies` switch that off, as nothing
    in the numbers tells a dark picture from a scaled one.
    """
    last = periphery.shape[-1] == 3
    return (periphery.permute(0, 3, 1, 2) if last else periphery).float()


def _small(layer: nn.Conv2d | nn.Linear) -> nn.Module:
    """Start with nearly equal logits, so that exploration starts everywhere."""
    nn.init.orthogonal_(layer.weight, 0.01)
    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return layer


def _check_space(space: spaces.Space) -> dict[str, spaces.Space]:
    if not isinstance(space, spaces.Dict):
        raise ValueError(f"TokenGridNet needs the Dict observation of tokens; got {space}")
    missing = [key for key in _NEEDED if key not in space.spaces]
    if missing:
        raise ValueError(f"TokenGridNet needs observations with {missing}; got {list(space)}")
    return dict(space.spaces)


def _grid_of(known: dict[str, spaces.Space]) -> tuple[int, int]:
    rows, cols = (known["fixation"].high + 1).tolist()  # type: ignore[attr-defined]
    return int(rows), int(cols)


def _width(known: dict[str, spaces.Space], key: str, axis: int = -1) -> int:
    return int(known[key].shape[axis]) if key in known else 0  # type: ignore[index]
