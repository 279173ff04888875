"""DINO (Caron et al. 2021), the paper's classifier, and DINOv2 (Oquab et al. 2023).

They are timm's layers with the positions of the official code, of published weights or of given
tensors.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn
from torch.nn import functional as F

from saccade_env.classifiers import weights
from saccade_env.classifiers.base import Weights
from saccade_env.classifiers.vit.classifier import VitClassifier
from saccade_env.classifiers.vit.heads import LinearHead
from saccade_env.classifiers.vit.network import TokenNetwork
from saccade_env.errors import unknown_name
from saccade_env.geometry import grid_of

NETWORKS = tuple(name for name in weights.GROUPS if name.startswith("dino"))


class DinoNetwork(TokenNetwork):
    """A frozen backbone of DINO or DINOv2."""

    def tokens(
        self, images: Shaped[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch tokens embed"]:
        grid = grid_of((images.shape[-2], images.shape[-1]), self.patch_size)
        patches = self.backbone.patch_embed.proj(self.normalise(images)).flatten(2).mT
        positions = self.positions(grid)
        cls_token = (self.backbone.cls_token + positions[:, :1]).expand(len(images), -1, -1)
        registers = _registers(self.backbone).expand(len(images), -1, -1)
        return torch.cat((cls_token, registers, patches + positions[:, 1:]), dim=1)

    def positions(self, grid: tuple[int, int]) -> Float[Tensor, "1 tokens embed"]:
        """Positions of [CLS] and of the patches of a grid."""
        exact = _registers(self.backbone).shape[1] > 0
        return interpolate_positions(self.backbone.pos_embed, grid, exact)


def _registers(backbone: Any) -> Float[Tensor, "1 registers embed"]:
    """DINOv2's (Darcet et al. 2024); they have no positions."""
    return getattr(backbone, "register_tokens", backbone.cls_token[:, :0])


def load_network(name: str, device: str | torch.device = "cpu") -> DinoNetwork:
    """One of the published networks; its layers are loaded once per process and device.

    Raises:
        WeightsError: The weights cannot be had, or are not what they should be.
        ValueError: No such network.
    """
    if name not in NETWORKS:
        raise unknown_name("DINO network", name, NETWORKS)
    backbone = weights.GROUPS[name][0]
    return DinoNetwork(weights.shared(backbone, device), device, weights.record(backbone))


def vision_transformer(
    width: int,
    patch_size: int,
    depth: int = 12,
    image_size: int = 224,
    num_heads: int | None = None,
    registers: int | None = None,
) -> nn.Module:
    """A network of timm's as DINO has it; by default with a head for every 64 of its width.

    With a number of registers, which may be 0, as DINOv2 has it.
    """
    from timm.models.vision_transformer import VisionTransformer

    heads = num_heads or max(width // 64, 1)
    if width % heads:
        raise ValueError(f"num_heads must divide the width {width}; got {heads}")
    network = VisionTransformer(
        img_size=image_size,
        patch_size=patch_size,
        embed_dim=width,
        depth=depth,
        num_heads=heads,
        num_classes=0,
        init_values=None if registers is None else 1.0,
    )
    if registers is not None:
        network.mask_token = nn.Parameter(torch.zeros(1, width))  # of its training
    if registers:
        network.register_tokens = nn.Parameter(torch.zeros(1, registers, width))
        network.num_prefix_tokens = 1 + registers
    return network


def build_backbone(state: Mapping[str, Tensor], num_heads: int | None = None) -> nn.Module:
    """Build timm's VisionTransformer of the width, depth and patch size of the tensors.

    Args:
        state: The official state dict; loaded strictly.
        num_heads: Attention heads; by default width / 64, as in every published network.

    Raises:
        WeightsError: The tensors are not those of a DINO or DINOv2 network.
    """
    try:
        width, patch_size = state["cls_token"].shape[-1], state["patch_embed.proj.weight"].shape[-1]
        image_size = patch_size * int((state["pos_embed"].shape[1] - 1) ** 0.5)
        depth = len({key.split(".")[1] for key in state if key.startswith("blocks.")})
        registers = state["register_tokens"].shape[1] if "register_tokens" in state else 0
    except (KeyError, IndexError) as error:
        raise weights.WeightsError(
            f"these are not the weights of a DINO network: {error}"
        ) from error
    sizes = width, patch_size, depth, image_size, num_heads
    kind = registers if "blocks.0.ls1.gamma" in state else None
    network = weights.empty(lambda: vision_transformer(*sizes, kind))
    return weights.fill(network, state, "a DINO network")


def interpolate_positions(
    positions: Float[Tensor, "1 tokens embed"], grid: tuple[int, int], exact: bool = False
) -> Float[Tensor, "1 out embed"]:
    """Position embedding for another grid, as the official code computes it.

    DINO, and DINOv2 without registers: bicubic without antialias; the scale factor is
    (side + 0.1) / √N, and the sampling follows that factor, not the size that results. timm's own
    interpolation differs by 4e-2.

    Args:
        positions: Of [CLS] and of a square of patches.
        grid: (rows, cols) wanted.
        exact: As DINOv2 with registers: to that size, with antialias.
    """
    side = int((positions.shape[1] - 1) ** 0.5)
    if grid == (side, side):
        return positions
    patches = positions[:, 1:].reshape(1, side, side, -1).permute(0, 3, 1, 2)
    how: dict[str, Any] = {"scale_factor": tuple((length + 0.1) / side for length in grid)}
    if exact:
        how = {"size": grid, "antialias": True}
    resized = F.interpolate(patches, mode="bicubic", **how)
    return torch.cat((positions[:, :1], resized.permute(0, 2, 3, 1).flatten(1, 2)), dim=1)


def from_state_dicts(
    backbone: Mapping[str, Tensor],
    head: Mapping[str, Any],
    num_heads: int | None = None,
    device: str | torch.device = "cpu",
    **keywords: Any,
) -> VitClassifier:
    """Build a classifier of the width, depth and patch size that the tensors have.

    Args:
        backbone: The official state dict.
        head: The official linear layer, whatever the prefix of its ``linear.weight``.
        num_heads: Attention heads; by default width / 64, as in every published DINO.
        device: Where it runs.
        **keywords: To :class:`~saccade_env.classifiers.vit.classifier.VitClassifier`.

    Raises:
        WeightsError: The tensors are not those of a DINO network and its head.
    """
    network = DinoNetwork(build_backbone(backbone, num_heads), device)
    tensors = weights.tensors_of(head, "the head")
    shape = tuple(tensors["weight"].shape) if "weight" in tensors else ()
    classes, features = shape if len(shape) == 2 else (1, 1)
    linear = weights.empty(lambda: nn.Linear(features, classes))
    head_of = LinearHead(network, weights.fill(linear, tensors, "a linear head"))
    return VitClassifier(network, head_of, **{"name": "dino", **keywords})


def load(
    *,
    name: str,
    head: str = "",
    device: str | torch.device = "cpu",
    **keywords: Annotated[Any, VitClassifier],
) -> VitClassifier:
    """One of the published classifiers: ``dino_vits16`` (the paper's), ``dino_vits8`` and so on.

    Args:
        name: Which.
        head: Another head of it than the usual one: an entry of ``weights.TABLE``.
        device: Where it runs.
        **keywords: To :class:`~saccade_env.classifiers.vit.classifier.VitClassifier`.

    Raises:
        WeightsError: The weights cannot be had, or are not what they should be.
    """
    network, file = load_network(name, device), head or weights.GROUPS[name][1]
    linear, both = weights.load(file), (network.weights, weights.record(file))
    origin = Weights(" + ".join(w.source for w in both), " + ".join(w.sha256 for w in both))
    return VitClassifier(network, LinearHead(network, linear), name=name, origin=origin, **keywords)


def load_v2(
    layers: Literal[1, 4] = 4, *, name: str, **keywords: Annotated[Any, load]
) -> VitClassifier:
    """One of DINOv2's: ``dinov2_vits14``, ``dinov2_vits14_reg`` (with registers) and so on.

    Args:
        layers: How many layers' [CLS] its head reads, beside the mean patch.
        name: Which.
        **keywords: To :func:`load`, which raises the same.
    """
    return load(name=name, head=f"{name}-linear{layers}", **keywords)
