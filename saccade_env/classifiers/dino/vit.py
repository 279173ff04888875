"""What DINO needs of a vision transformer that timm does not give: two pure functions.

Tokens are ``[B, 1 + N, D]``, [CLS] first, then the patches in row-major order.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F


def interpolate_positions(
    positions: Float[Tensor, "1 tokens embed"], grid: tuple[int, int]
) -> Float[Tensor, "1 out embed"]:
    """Position embedding for another grid, as the official DINO code computes it.

    Bicubic without antialias; the scale factor is (side + 0.1) / √N, and the sampling follows that
    factor, not the size that results. timm's own interpolation differs by 4e-2.
    """
    side = int((positions.shape[1] - 1) ** 0.5)
    if grid == (side, side):
        return positions
    patches = positions[:, 1:].reshape(1, side, side, -1).permute(0, 3, 1, 2)
    scale = tuple((length + 0.1) / side for length in grid)
    resized = F.interpolate(patches, scale_factor=scale, mode="bicubic")
    return torch.cat((positions[:, :1], resized.permute(0, 2, 3, 1).flatten(1, 2)), dim=1)


def cls_attention(
    attention: Any, tokens: Float[Tensor, "batch tokens embed"]
) -> Float[Tensor, "batch heads patches"]:
    """Softmaxed attention from [CLS] to the patches, per head, not renormalised (paper).

    Fused attention never holds the weights, and this row of them needs k and one q alone.

    Args:
        attention: timm's attention module of one block.
        tokens: What enters it, normalised.
    """
    (w_q, w_k, _), (b_q, b_k, _) = attention.qkv.weight.chunk(3), attention.qkv.bias.chunk(3)
    q = F.linear(tokens[:, 0], w_q, b_q).unflatten(-1, (attention.num_heads, -1))
    k = F.linear(tokens, w_k, b_k).unflatten(-1, (attention.num_heads, -1))
    scores = torch.einsum("bhd,bnhd->bhn", q * attention.scale, k)
    return scores.softmax(-1)[..., 1:]
