"""How a network runs: keywords that change its speed, and its result within rounding only."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Literal, get_args

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from saccade_env.errors import unknown_name

_OWN_SETTINGS = ("MALLOC_", "GLIBC_TUNABLES", "LD_PRELOAD")  # of whoever knows better
_OWN_THREADS, _FEW_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS"), 4
_LARGE, _TRIM_THRESHOLD, _MMAP_THRESHOLD = 2**30, -1, -3  # bytes, and numbers from <malloc.h>
Mode = Literal["recompute", "kv_cache"]
Autocast = Literal["bfloat16", "float16"]
_KERNELS = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]
AUTOCAST = {"bfloat16": torch.bfloat16, "float16": torch.float16}


def check_mode(mode: Mode) -> Mode:
    """Pass a known mode through.

    Raises:
        ValueError: There is no such mode.
    """
    if mode not in get_args(Mode):
        raise unknown_name("classifier mode", str(mode), get_args(Mode))
    return mode


def check_autocast(name: Autocast | None) -> Autocast | None:
    """Pass None or a known type through.

    Raises:
        ValueError: There is no such type.
    """
    if name is not None and name not in AUTOCAST:
        raise unknown_name("autocast type", str(name), AUTOCAST)
    return name


def check_flag(name: str, value: Any) -> bool:
    """Pass True or False through.

    Raises:
        ValueError: It is anything else.
    """
    if not isinstance(value, bool):
        raise ValueError(f"{name} must be true or false; got {value!r}")
    return value


@contextmanager
def autocast(device: torch.device, name: str | None) -> Iterator[None]:
    """Compute matrix products and convolutions in ``name`` (``"bfloat16"``, ``"float16"``).

    With None in float32, also on GPUs, where torch's convolutions have ten bits unless told so. And
    there cuDNN's attention is left out: it plans anew for each number of tokens.
    """
    with ExitStack() as stack:
        if name is not None:
            stack.enter_context(torch.autocast(device.type, AUTOCAST[name]))
        if device.type == "cuda":
            cudnn = torch.backends.cudnn
            kept = {key: getattr(cudnn, key) for key in ("enabled", "benchmark", "deterministic")}
            stack.enter_context(cudnn.flags(**kept, allow_tf32=False))
            stack.enter_context(sdpa_kernel(_KERNELS))
        yield


def on_device(tensor: Tensor, device: torch.device) -> Tensor:
    """A tensor on a device; to a GPU it goes through pinned memory, and nobody waits for it."""
    if device.type == "cuda" and tensor.device.type == "cpu":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def wait_for(device: str | torch.device) -> None:
    """Let a GPU end what it was sent, as whoever takes its time must; nothing on a CPU."""
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)


def settle(device: torch.device) -> None:
    """Set this process up for forwards on a device; what the environment sets up is left alone.

    On CPUs under Linux it keeps the memory of activations for the next forward. glibc gives blocks
    of this size back to the system when they are freed, and the next forward has every page of them
    mapped and cleared anew, which can take as long as the forward itself (see docs/speed.md).

    Beside a GPU torch gets few threads: what is left to the CPU are the small tensors of the
    episodes, on which many threads wait for each other longer than one would work.
    """
    if device.type == "cuda" and not any(name in os.environ for name in _OWN_THREADS):
        torch.set_num_threads(min(torch.get_num_threads(), _FEW_THREADS))
    if device.type != "cpu" or sys.platform != "linux":
        return
    if any(name.startswith(_OWN_SETTINGS) for name in os.environ):
        return
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):  # musl has none
        for parameter in (_TRIM_THRESHOLD, _MMAP_THRESHOLD):
            libc.mallopt(parameter, _LARGE)
