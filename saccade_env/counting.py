"""Floating-point operations (FLOPs) of what is done in a block, as torch counts them.

Torch sees its own operators alone. So while they are counted nothing is run by ONNX Runtime, or
read from the cache of maps: whoever would asks :func:`is_counting`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar

import torch

_counting = ContextVar("counting", default=False)


def is_counting() -> bool:
    """Whether this thread is inside of :func:`flops`."""
    return _counting.get()


@contextmanager
def flops() -> Iterator[Callable[[], int]]:
    """Count the FLOPs of this block; what it yields tells how many there were so far.

    Matrix products, convolutions and attention count, a multiplication and an addition as two, as
    in :mod:`torch.utils.flop_counter`. What is not torch's, such as NumPy's, counts nothing.
    """
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    # Compiled code is not seen, nor the attention that is fused on CPUs. Torch before 2.6 has no
    # such stance: there compiled code counts nothing.
    eager = getattr(torch.compiler, "set_stance", nullcontext)
    counter, token = FlopCounterMode(display=False), _counting.set(True)
    try:
        with eager("force_eager"), sdpa_kernel(SDPBackend.MATH), counter:
            yield counter.get_total_flops
    finally:
        _counting.reset(token)
