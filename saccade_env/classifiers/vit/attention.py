"""What happens where a layer attends, whatever else it does.

timm's layers differ in norms, gates, scales, feed-forward and positions, but all call
``scaled_dot_product_attention``. A mode of torch stands in for that call, in this thread and
inside a ``with`` block: so the layers' own code runs, on tokens that are packed otherwise than it
knows, or while attention is looked at.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode


class Attending(TorchFunctionMode):
    """Hands queries, keys and values, [batch, heads, tokens, channels], to :meth:`attend`."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is F.scaled_dot_product_attention:
            return self.attend(*args[:3])
        return func(*args, **(kwargs or {}))

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Values mixed by attention, [batch, heads, queries, channels]."""
        raise NotImplementedError


def weights_of(
    q: Float[Tensor, "batch heads queries channels"], k: Float[Tensor, "batch heads keys channels"]
) -> Float[Tensor, "batch heads queries keys"]:
    """Softmaxed attention, which fused attention never holds."""
    return ((q * q.shape[-1] ** -0.5) @ k.mT).softmax(-1)


class _Weighed(Attending):
    """Keeps the weights of some queries, and goes no further."""

    weights: Tensor

    def __init__(self, queries: slice) -> None:
        super().__init__()
        self._queries = queries

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        self.weights = weights_of(q[:, :, self._queries], k)
        raise _EnoughError


class _EnoughError(Exception):
    """What a layer does after it attends is not wanted."""


def attention_weights(
    layer: Any, tokens: Float[Tensor, "batch tokens embed"], queries: slice, **beside: Any
) -> Float[Tensor, "batch heads queries tokens"]:
    """Softmaxed attention of some queries in a layer, whose remainder is not computed.

    Args:
        layer: timm's.
        tokens: What enters it.
        queries: Which tokens' attention.
        **beside: What else the layer takes.
    """
    with _Weighed(queries) as weighed, suppress(_EnoughError):
        layer(tokens, **beside)
    return weighed.weights


class Masked(Attending):
    """Attends to some keys of each row only."""

    def __init__(self, held: Bool[Tensor, "batch keys"]) -> None:
        super().__init__()
        self._mask = held[:, None, None]

    def attend(
        self,
        q: Float[Tensor, "batch heads queries channels"],
        k: Float[Tensor, "batch heads keys channels"],
        v: Float[Tensor, "batch heads keys channels"],
    ) -> Float[Tensor, "batch heads queries channels"]:
        return F.scaled_dot_product_attention(q, k, v, attn_mask=self._mask)
