"""UNISAL, a network that predicts where people look in pictures and videos.

Droste, Jiao & Noble, "Unified Image and Video Saliency Modeling", ECCV 2020, arXiv 2003.05477.
One network serves four sources of data, three of videos and one of pictures; batch normalisation,
prior maps, the last 1×1 convolution and the smoothing kernel are each source's own. Feature maps
are ``[B, channels, rows, cols]``, row 0 at the top. The network is for inference alone, and built
in evaluation mode. Modules are named as in the published weights, which thus load strictly.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from saccade_env.errors import unknown_name

Source = Literal["DHF1K", "Hollywood", "UCFSports", "SALICON"]
SOURCES: tuple[str, ...] = get_args(Source)
PRIORS, WIDTH, KERNEL = 16, 256, 41
Map = Float[Tensor, "batch _ _ _"]  # channels, rows, cols, which the layers change
Images = Float[Tensor, "batch 3 height width"]  # RGB, by ImageNet's mean and deviation
Norm = Callable[[int], nn.Module]

# MobileNetV2 (Sandler et al. 2018, table 2): expansion, channels, blocks, stride. The stages of 64
# and 160 channels have stride 2 there; here their first blocks are subsampled afterwards, since
# the decoder wants the features as they are before.
_STAGES = (
    *((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 1)),
    *((6, 96, 3, 1), (6, 160, 3, 1), (6, 320, 1, 1)),
)
_SKIPS = (7, 14)  # indices of those first blocks


class _Sourced(nn.Module):
    """A module whose forward takes the source as well: ``module(x, source)``."""


class Chain(_Sourced):
    """Modules in a row, numbered or named; those that want it are told the source."""

    def __init__(self, *numbered: nn.Module, **named: nn.Module) -> None:
        super().__init__()
        for name, module in (*enumerate(numbered), *named.items()):
            self.add_module(str(name), module)

    def forward(self, x: Map, source: str) -> Map:
        for module in self.children():
            x = module(x, source) if isinstance(module, _Sourced) else module(x)
        return x


class SourceNorm(_Sourced):
    """Batch normalisation with statistics and gains of its own for each source."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        for source in SOURCES:
            self.add_module(f"bn_{source}", nn.BatchNorm2d(channels))

    def forward(self, x: Map, source: str) -> Map:
        return self.get_submodule(f"bn_{source}")(x)


def _pointwise(before: int, after: int, norm: Norm = SourceNorm) -> tuple[nn.Module, ...]:
    return nn.Conv2d(before, after, 1, bias=False), norm(after), nn.ReLU6(inplace=True)


def _depthwise(channels: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(channels, channels, 3, stride, 1, groups=channels, bias=False)


class InvertedResidual(_Sourced):
    """MobileNetV2's block: widen, filter every channel, narrow; added to its input if it fits."""

    def __init__(
        self, before: int, after: int, expand: int, stride: int = 1, norm: Norm = SourceNorm
    ) -> None:
        super().__init__()
        wide = before * expand
        self.conv = Chain(
            *(_pointwise(before, wide, norm) if expand > 1 else ()),
            *(_depthwise(wide, stride), norm(wide), nn.ReLU6(inplace=True)),
            *(nn.Conv2d(wide, after, 1, bias=False), norm(after)),
        )
        self.adds = stride == 1 and before == after

    def forward(self, x: Map, source: str) -> Map:
        return x + self.conv(x, source) if self.adds else self.conv(x, source)


class Encoder(nn.Module):
    """MobileNetV2 of width 1, the same for every source."""

    def __init__(self) -> None:
        super().__init__()
        norm, channels = nn.BatchNorm2d, 32
        first = nn.Conv2d(3, channels, 3, 2, 1, bias=False)
        blocks: list[nn.Module] = [Chain(first, norm(channels), nn.ReLU6(inplace=True))]
        for expand, after, count, stride in _STAGES:
            for once in (stride, *[1] * (count - 1)):
                blocks.append(InvertedResidual(channels, after, expand, once, norm))
                channels = after
        self.features = Chain(*blocks, Chain(*_pointwise(channels, 1280, norm)))

    def forward(self, images: Images) -> tuple[Map, Map, Map]:
        """1280 channels at 1/32 of the size, 160 at 1/16 and 64 at 1/8; sizes are rounded up."""
        x, skips = images, []
        for index, block in enumerate(self.features.children()):
            x = block(x, "")  # no module in here differs from source to source
            if index in _SKIPS:
                skips.append(x)
                x = x[..., ::2, ::2]
        return x, skips[1], skips[0]


def _separable(width: int) -> Chain:
    mix = nn.Conv2d(width, width, 1, bias=False)
    return Chain(conv_dw=_depthwise(width), sep_bn=SourceNorm(width), relu=nn.ReLU6(), conv_sep=mix)


# Terms of the recurrent unit: each is a convolution, a normalisation of the term's name and a gain.
_TERMS = {
    **{"r_x": ("w_r", "a_r_x"), "z_x": ("w_z", "a_z_x"), "out_x": ("w", "a_h_x")},
    **{"r_h": ("u_r", "a_r_h"), "z_h": ("u_z", "a_z_h"), "out_h": ("u", "a_h_h")},
}


class ConvGRUCell(_Sourced):
    """First step of a gated recurrent unit of separable convolutions, normalised per source.

    With terms T(v) = gain · norm(conv(v)), each with weights of its own: reset
    r = σ(T(x) + T(h) + b), update z alike, candidate n = tanh(T(x) + r · T(h) + b), and the new
    state is (1 − z) · h + z · n, where the state before, h, is empty: zero.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        for term, (conv, gain) in _TERMS.items():
            self.add_module(conv, _separable(channels))
            self.add_module(f"norm_{term}", SourceNorm(channels))
            self.register_parameter(gain, nn.Parameter(torch.ones(channels, 1, 1)))
        for bias in ("b_r", "b_z", "b_h"):
            self.register_parameter(bias, nn.Parameter(torch.zeros(channels, 1, 1)))
        # Dropout of the training run, kept in the published file: never applied here.
        self.register_buffer("drop_mask_1", torch.ones(3, channels))

    def forward(self, x: Map, source: str) -> Map:
        # Zero stays constant over the map through every layer: one cell stands for all.
        h = x.new_zeros(1, x.shape[1], 1, 1)
        reset, update = self._gate("r", x, h, source), self._gate("z", x, h, source)
        memory = reset * self._term("out_h", h, source) + self.get_parameter("b_h")
        return update * torch.tanh(self._term("out_x", x, source) + memory)

    def _gate(self, name: str, x: Map, h: Float[Tensor, "1 _ 1 1"], source: str) -> Map:
        terms = self._term(f"{name}_x", x, source) + self._term(f"{name}_h", h, source)
        return torch.sigmoid(terms + self.get_parameter(f"b_{name}"))

    def _term(self, term: str, x: Map, source: str) -> Map:
        conv, gain = _TERMS[term]
        filtered = self.get_submodule(conv)(x, source)
        return self.get_parameter(gain) * self.get_submodule(f"norm_{term}")(filtered, source)


def prior_maps(
    gaussians: Float[Tensor, "maps 2 2"], size: tuple[int, ...]
) -> Float[Tensor, "maps rows cols"]:
    """Gaussian prior maps, 0 to 6 (paper: "Domain-Adaptive Priors").

    Args:
        gaussians: For every map (row, col) × (mean, log of the deviation), in image sides: 0 is the
            centre of the first row or column, 1 that of the last.
        size: (rows, cols).
    """
    axes = []
    for axis, length in enumerate(size):
        at = torch.linspace(0, 1, length, dtype=gaussians.dtype, device=gaussians.device)
        mean, log_deviation = gaussians[:, axis, :, None].unbind(1)
        axes.append(torch.exp(-(((at - mean) / log_deviation.exp()) ** 2) / 2))
    # 6 is where ReLU6 clips: the priors span what the features beside them span.
    return 6 * axes[0][:, :, None] * axes[1][:, None, :]


def _skip(before: int, after: int) -> Chain:
    narrow = Chain(nn.Conv2d(2 * before, after, 1), SourceNorm(after))
    return Chain(expansion=Chain(*_pointwise(before, 2 * before)), reduction=narrow)


def _join(coarse: Map, fine: Map) -> Map:
    # Twice the size where image sides are multiples of 32, and the fitting size elsewhere.
    coarse = F.interpolate(coarse, size=fine.shape[-2:], mode="bilinear")
    return torch.cat((coarse, fine), 1)


class UNISAL(nn.Module):
    """The network, with random weights: see ``saccade_env.classifiers.weights``."""

    def __init__(self) -> None:
        super().__init__()
        self.cnn = Encoder()
        self.post_cnn = Chain(inv_res=InvertedResidual(1280 + PRIORS, WIDTH, 1, 1, nn.BatchNorm2d))
        self.rnn = Chain(cell_list=Chain(ConvGRUCell(WIDTH)))
        self.post_rnn = Chain(*_pointwise(WIDTH, WIDTH))
        self.skip_2x, self.skip_4x = _skip(160, 128), _skip(64, 64)
        self.upsampling_2 = Chain(inv_res=InvertedResidual(WIDTH + 128, 128, 2))
        self.post_upsampling_2 = Chain(inv_res=InvertedResidual(128 + 64, 64, 2))
        for source in map(str.lower, SOURCES):
            priors = nn.Parameter(torch.zeros(PRIORS, 2, 2))
            self.register_parameter(f"coarse_gaussians_{source}", priors)
            self.add_module(f"adaptation_{source}", Chain(nn.Conv2d(64, 1, 1)))
            self.add_module(f"smoothing_{source}", nn.Conv2d(1, 1, KERNEL, bias=False))
        self.eval()

    def forward(
        self, images: Images, source: str = "DHF1K", static: bool = False
    ) -> Float[Tensor, "batch height width"]:
        """Log density of fixations over the pixels of each picture: its exponential sums to 1.

        Args:
            images: RGB of any size, normalised by ImageNet's mean and deviation.
            source: Data whose viewers to predict, one of ``SOURCES``.
            static: Skip the recurrent unit (paper: "Bypass-RNN"). Otherwise every picture is the
                first frame of a video of its own.

        Raises:
            ValueError: No such source; the message suggests the nearest.
        """
        if source not in SOURCES:
            raise unknown_name("UNISAL source", source, SOURCES)
        features, fine, finer = self.cnn(images)
        priors = prior_maps(self._of("coarse_gaussians", source), features.shape[-2:])
        priors = priors.expand(len(images), -1, -1, -1)
        x = self.post_cnn(torch.cat((features, priors), 1), source)
        if not static:
            x = x + self.post_rnn(self.rnn(x, source), source)
        x = self.upsampling_2(_join(x, self.skip_2x(fine, source)), source)
        x = self.post_upsampling_2(_join(x, self.skip_4x(finer, source)), source)
        scores = self._smooth(x, source, images.shape[-2:])
        return scores.flatten(1).log_softmax(-1).unflatten(1, images.shape[-2:])

    def _smooth(self, x: Map, source: str, size: tuple[int, ...]) -> Map:
        """Bring the score of every cell to pixels (paper: fusion, "Domain-Adaptive Smoothing")."""
        scores = F.interpolate(self._of("adaptation", source)(x, source), size=size)  # nearest
        return self._of("smoothing", source)(F.pad(scores, (KERNEL // 2,) * 4, mode="replicate"))

    def _of(self, part: str, source: str) -> Any:
        return getattr(self, f"{part}_{source.lower()}")
