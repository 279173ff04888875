"""Graph-Based Visual Saliency (Harel, Koch & Perona, NIPS 2006), batched.

Colour, intensity and orientation maps of a Gaussian pyramid are brought to one small grid of
cells. Two Markov chains run over the cells of each: *activation* gathers mass where the map is
unlike its surroundings, *normalisation* concentrates it. Maps are flattened to ``[maps, cells]``.

Both chains are reversible, so their stationary distributions π need no iteration. With
F_ij = exp(-d_ij² / 2σ²) and P the weights w with columns made to sum to one,

* activation, ``w_ij = |M_i - M_j| F_ij`` (the paper's simpler choice), is symmetric:
  π_i ∝ Σ_j w_ij;
* normalisation, ``w_ij = A_i F_ij``, has π_i ∝ A_i Σ_j F_ij A_j, as then P_ij π_j ∝ A_i F_ij A_j.

What the paper leaves open (filters, borders, interpolation) follows a widespread Python
implementation, the reference; saliency correlates with its own at 0.997 to 0.9997. Most of the
rest is its power iteration, stopped at a step of 1e-4, before the normalisation chain settles.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from typing import Annotated, Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional as F

from saccade_env.geometry import Grid, resize_map
from saccade_env.policies.base import SaliencyPolicy

# A map that varies by less than this (images are 0 to 1) holds nothing but rounding errors.
_FLAT = 1e-4
# Weights of the activation chain computed at a time: 1 MB, small enough to stay in the cache.
_BLOCK = 1 << 18
# Gabor filters, in pixels: deviations of the envelope along the wave and across it, wavelength.
_ALONG, _ACROSS, _PERIOD = 2.0, 4.0, math.pi

_bicubic = partial(F.interpolate, mode="bicubic", align_corners=False)
Pictures = UInt8[Tensor, "batch 3 height width"]
RGB = Float[Tensor, "batch 3 height width"]
Plane = Float[Tensor, "batch 1 height width"]
Cells = Float[Tensor, "maps cells"]
Filters = Float[Tensor, "filters 1 side side"]
Device = str | torch.device


@dataclass(frozen=True)
class GBVSParameters:
    """Parameters of :func:`gbvs`.

    Attributes:
        pyramid_levels: Halvings of the image at which features are taken.
        map_size: Cells (rows, cols) of the graph, whatever the shape of the image.
        sigma_activation: σ of the activation chain, as a fraction of the mean of ``map_size``.
        sigma_normalisation: σ of the normalisation chain, likewise.
        channels: Any of ``C`` (blue-yellow and red-green), ``I`` (intensity), ``O`` (orientation).
        gabor_orientations: Directions of the wave in degrees, 0 along a row, 90 along a column.
        textbook_gabors: Turn the envelope with the wave. The reference turns it the other way, so
            that diagonal filters are stripes; True lowers the correlation to 0.97 to 0.99.

    Raises:
        ValueError: A parameter is out of range.
    """

    pyramid_levels: tuple[int, ...] = (2, 3, 4)
    map_size: tuple[int, int] = (28, 32)
    sigma_activation: float = 0.15
    sigma_normalisation: float = 0.06
    channels: str = "CIO"
    gabor_orientations: tuple[float, ...] = (0.0, 45.0, 90.0, 135.0)
    textbook_gabors: bool = False

    def __post_init__(self) -> None:
        if not self.channels or set(self.channels) - set("CIO"):
            raise ValueError(f"channels must be some of 'CIO'; got {self.channels!r}")
        if min(self.pyramid_levels, default=-1) < 0:
            raise ValueError(f"pyramid_levels must be some of 0, 1, …; got {self.pyramid_levels}")
        if not self.gabor_orientations:
            raise ValueError("gabor_orientations must hold a direction; got none")
        if not min(self.sigma_activation, self.sigma_normalisation, *self.map_size) > 0:
            raise ValueError(f"sigmas and map_size must be positive; got {self}")
        if (cells := self.map_size[0] * self.map_size[1]) > 128 * 128:  # squared it fills memory
            raise ValueError(f"map_size must hold up to {128 * 128} cells; got {cells}")


@torch.no_grad()
def gbvs(images: Pictures | RGB, **parameters: Any) -> Float[Tensor, "batch height width"]:
    """Saliency of every pixel: the sum of the stationary distributions of all maps.

    Args:
        images: RGB, uint8 or floating from 0 to 1.
        **parameters: Fields of :class:`GBVSParameters`.

    Returns:
        float32 ≥ 0; the least salient cell is 0, the most salient 1, which the bicubic
        interpolation to pixels can overshoot. A picture without contrast is 0 everywhere.

    Raises:
        ValueError: The image is too small for the pyramid, or a parameter is out of range.
        TypeError: A parameter is unknown.
    """
    chosen, size = GBVSParameters(**parameters), tuple(images.shape[-2:])
    if min(size) < (least := 2 << max(chosen.pyramid_levels)):
        raise ValueError(f"these pyramid_levels need sides of at least {least} px; got {size}")
    rgb = images.float() if images.is_floating_point() else images.float() / 255
    features = _features(rgb, chosen)
    maps = _normalise(_activate(features.flatten(0, 1).flatten(1), chosen), chosen)
    saliency = maps.unflatten(0, features.shape[:2]).sum(1)
    saliency = F.normalize(saliency - saliency.amin(1, keepdim=True), p=math.inf)
    pixels: Tensor = _bicubic(saliency.reshape(-1, 1, *chosen.map_size), size=size)
    return pixels[:, 0].clamp(min=0)


def _features(rgb: RGB, chosen: GBVSParameters) -> Float[Tensor, "batch maps rows cols"]:
    gabors, maps = _gabors(chosen).to(rgb.device), []
    for depth in range(max(chosen.pyramid_levels) + 1):
        rgb = _halve(rgb) if depth else rgb
        if depth in chosen.pyramid_levels:
            peak = rgb.amax(1, keepdim=True)
            found = {"C": _opponency(rgb, peak), "I": peak, "O": _orientation(peak, gabors)}
            maps += [_bicubic(found[name], size=chosen.map_size) for name in chosen.channels]
    return torch.cat(maps, 1)


def _halve(rgb: RGB) -> Float[Tensor, "batch 3 rows cols"]:
    """One step of the Gaussian pyramid: 5-tap binomial blur, then every second pixel."""
    taps = torch.tensor([1, 4, 6, 4, 1], dtype=torch.float32, device=rgb.device) / 16
    blur = torch.outer(taps, taps).expand(3, 1, 5, 5)
    return F.conv2d(F.pad(rgb, (2, 2, 2, 2), mode="reflect"), blur, stride=2, groups=3)


def _opponency(rgb: RGB, intensity: Plane) -> Float[Tensor, "batch 2 height width"]:
    """|blue - yellow| and |red - green| over intensity; yellow = min(r, g); 0 where black."""
    red, green, blue = rgb.unbind(1)
    opponents = torch.stack((blue - torch.minimum(red, green), red - green), 1)
    return opponents.abs() / intensity.clamp(min=_FLAT)


def _gabors(chosen: GBVSParameters) -> Filters:
    """Even and odd filter of every orientation, of mean 0 and norm 1."""
    reach = math.ceil(_ACROSS * math.sqrt(10))
    x = torch.arange(-reach, reach + 1, dtype=torch.float32)
    angle = (
        torch.tensor(chosen.gabor_orientations, dtype=torch.float32).deg2rad().reshape(-1, 1, 1, 1)
    )
    cos, sin = angle.cos(), angle.sin()
    along = cos * x + sin * x[:, None]
    across = cos * x[:, None] + (-sin if chosen.textbook_gabors else sin) * x
    envelope = torch.exp(-((along / _ALONG).square() + (across / _ACROSS).square()) / 2)
    wave = 2 * math.pi / _PERIOD * along
    filters = (envelope * torch.cat((wave.cos(), wave.sin()), 1)).flatten(0, 1)
    filters = filters - filters.mean((1, 2), keepdim=True)
    return (filters / filters.norm(dim=(1, 2), keepdim=True))[:, None]


def _orientation(plane: Plane, gabors: Filters) -> Float[Tensor, "batch angles height width"]:
    """|even response| + |odd response| of every orientation."""
    padded = F.pad(plane, (gabors.shape[-1] // 2,) * 4, mode="replicate")
    return F.conv2d(padded, gabors).abs().unflatten(1, (-1, 2)).sum(2)


@lru_cache(maxsize=8)
def _closeness(map_size: tuple[int, int], fraction: float, device: torch.device) -> Tensor:
    """F_ij = exp(-d_ij² / 2σ²) with d in cells; a Gaussian is separable in rows and columns."""
    (rows, cols), sigma = map_size, fraction * sum(map_size) / 2
    place = torch.arange(max(map_size), dtype=torch.float32, device=device)
    near = torch.exp(-(place[:, None] - place).square() / (2 * sigma**2))
    return torch.kron(near[:rows, :rows], near[:cols, :cols])


def _activate(maps: Cells, chosen: GBVSParameters) -> Cells:
    """Stationary mass of ``w_ij = |M_i - M_j| F_ij``, to scale; none for a map without contrast."""
    near = _closeness(chosen.map_size, chosen.sigma_activation, maps.device)
    step = max(1, _BLOCK // max(1, maps.numel()))
    mass = [
        (some[:, :, None] - maps[:, None]).abs_().mul_(close).sum(-1)
        for some, close in zip(maps.split(step, 1), near.split(step), strict=True)
    ]
    contrast = maps.amax(1, keepdim=True) - maps.amin(1, keepdim=True)
    return torch.cat(mass, 1) * (contrast > _FLAT)


def _normalise(mass: Cells, chosen: GBVSParameters) -> Cells:
    """Stationary distribution of w_ij = A_i F_ij; a map of zeros stays one."""
    near = _closeness(chosen.map_size, chosen.sigma_normalisation, mass.device)
    return F.normalize(mass * (mass @ near), p=1)


class GBVSPolicy(SaliencyPolicy):
    """Looks where :func:`gbvs`, averaged over each token, is highest; takes its keywords too."""

    name = "gbvs"
    sees_full_image = True
    maps_version = 1

    def __init__(
        self,
        *,
        grid: Grid = (14, 14),
        device: Device = "cpu",
        cache: bool = True,
        **fields: Annotated[Any, GBVSParameters],
    ) -> None:
        super().__init__(grid=grid, device=device, cache=cache)
        self.parameters = GBVSParameters(**fields)

    def saliency_map(self, images: Pictures) -> Float[Tensor, "batch rows cols"]:
        saliency = gbvs(images.to(self.device), **asdict(self.parameters))
        return resize_map(saliency, self.grid, mode="area").to(images.device)
