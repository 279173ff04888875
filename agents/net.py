"""A fully convolutional network on the token grid: one logit a cell, a value, a stop logit.

It reads the environment's Dict observation as it is, or as Stable-Baselines3 hands it on, and
knows the grid only through the observation space: the same ``state_dict`` runs on any grid of the
same patch size. Torch only.
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

Observation = dict[str, Tensor]

EXTRAS = ("periphery", "saliency", "belief", "activation")
_NEEDED = ("tokens", "revealed", "fixation", "saccades_left")
_EMBEDDING = 32  # values a token is encoded to
_GROUPS = 8  # of the normalisation


class TokenGridNet(nn.Module):
    """Observation → one logit a cell (and one to stop) and a value.

    Args:
        observation_space: The environment's, with any of ``periphery``, ``saliency``, ``belief``,
            ``activation``.
        channels: Width, a multiple of 8.
        blocks: Number of residual blocks; their dilations are 1, 2, 1, 2, …
        stop_action: Whether there is a last logit that ends the episode.
        prior_weight: How far it follows the maps it observes before it has learned anything: what
            multiplies the standardised sum of what they promise around a cell. 0: not at all.

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
        prior_weight: float = 0.0,
    ) -> None:
        super().__init__()
        if channels < _GROUPS or channels % _GROUPS:
            raise ValueError(f"channels must be a multiple of {_GROUPS}; got {channels}")
        known = _check_space(observation_space)
        self.grid = _grid_of(known)
        self.patch_size = round((_width(known, "tokens") / 3) ** 0.5)
        self.budget = int(known["saccades_left"].high[0])  # type: ignore[attr-defined]
        self.channels, self.blocks, self.stop_action = channels, blocks, stop_action
        self.extras = tuple(key for key in EXTRAS if key in known)
        self._guides = tuple(key for key in ("saliency", "activation") if key in known)
        widths = {"periphery": 12, "saliency": 1, "activation": 1}
        widths["belief"] = _width(known, "belief")
        inputs = _EMBEDDING + 5 + sum(widths[key] for key in self.extras)
        self.encoder = nn.Linear(_width(known, "tokens"), _EMBEDDING)
        self.project = nn.Conv2d(inputs, channels, 1)
        self.body = nn.Sequential(*(_Block(channels, 1 + i % 2) for i in range(blocks)))
        self.norm = nn.GroupNorm(_GROUPS, channels)
        self.cell = _small(nn.Conv2d(channels, 1, 1))
        self.stop = _small(nn.Linear(2 * channels, 1)) if stop_action else None
        self.value = nn.Sequential(
            nn.Linear(2 * channels, channels), nn.SiLU(), nn.Linear(channels, 1)
        )
        if self._guides:
            self.prior_weight = nn.Parameter(torch.tensor(float(prior_weight)))

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
        features = self.features(observation)
        pooled = pool(features)
        logits = self.cell(features)[:, 0]
        if self._guides:
            logits = logits + self.prior_weight * self._promise(observation)
        logits = logits.flatten(1)
        if self.stop is not None:
            logits = torch.cat((logits, self.stop(pooled)), 1)
        return logits, self.value(pooled)[:, 0]

    def features(self, observation: Observation) -> Float[Tensor, "batch channels rows cols"]:
        """What the network makes of every cell and its surroundings."""
        return F.silu(self.norm(self.body(self.project(self._inputs(observation)))))

    def _promise(self, observation: Observation) -> Float[Tensor, "batch rows cols"]:
        """What the maps promise of the hidden cells in the 3 × 3 around each cell, standardised."""
        maps = torch.stack([standardise(observation[key]) for key in self._guides]).sum(0)
        hidden = 1 - observation["revealed"].float().reshape(-1, *self.grid)
        above = (maps - maps.amin((1, 2), keepdim=True)) * hidden
        return standardise(F.avg_pool2d(above[:, None], 3, 1, 1)[:, 0])

    def _inputs(self, observation: Observation) -> Float[Tensor, "batch inputs rows cols"]:
        revealed = observation["revealed"].float()
        batch = len(revealed)
        tokens = self.encoder(observation["tokens"].float() / 255 - 0.5) * revealed[..., None]
        share = observation["saccades_left"].float() / self.budget
        maps = [
            tokens.transpose(1, 2).reshape(batch, -1, *self.grid),
            revealed.reshape(batch, 1, *self.grid),
            self._fixated(observation["fixation"]),
            self._broadcast(share),
            self._coordinates(revealed.device).expand(batch, -1, -1, -1),
        ]
        if "periphery" in self.extras:
            picture = _channels_first(observation["periphery"]) / 255 - 0.5
            small = F.interpolate(picture, (2 * self.grid[0], 2 * self.grid[1]), mode="area")
            maps.append(F.pixel_unshuffle(small, 2))
        if "saliency" in self.extras:
            maps.append(standardise(observation["saliency"])[:, None])
        if "belief" in self.extras:
            maps.append(self._broadcast(observation["belief"].float()))
        if "activation" in self.extras:
            maps.append(standardise(observation["activation"])[:, None])
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


def standardise(saliency: Tensor) -> Float[Tensor, "batch rows cols"]:
    """Maps with mean 0 and deviation 1, each for itself; a flat one becomes 0."""
    centred = saliency.float() - saliency.float().mean((1, 2), keepdim=True)
    deviation = centred.square().mean((1, 2), keepdim=True).sqrt()
    flat = deviation < 1e-5  # nothing but rounding
    return torch.where(flat, 0, centred / deviation.clamp(min=1e-5))


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


def _width(known: dict[str, spaces.Space], key: str) -> int:
    return int(known[key].shape[-1]) if key in known else 0  # type: ignore[index]
