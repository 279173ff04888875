"""Convolutional networks through ONNX Runtime: twice as fast as torch on CPUs, equal to rounding.

It is used where it is installed (extra ``fast``) and gives what the network gives; else the network
runs as it is. ONNX Runtime folds normalisation and activation into convolutions, and plans memory
ahead for a batch of known size.
"""

from __future__ import annotations

import importlib.util
import io
import os
import threading
import warnings
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from saccade_env.counting import is_counting

PACKAGES = ("onnx", "onnxruntime")
_CHUNK = 8  # images: so few of them that what they activate stays in the processor's cache
_SIZES = 4  # of images, of which a network is exported: each takes memory
_TOLERANCE = 1e-4
_exporting = threading.Lock()


def is_installed() -> bool:
    """Whether ONNX Runtime and what writes its files are installed."""
    return all(importlib.util.find_spec(name) for name in PACKAGES)


class OnnxForward:
    """The forward of a network, for batches of any size; results do not depend on how large.

    A network is exported when first called with images of a size, in about a second, for as
    many as four sizes. It must not be changed afterwards.

    Args:
        network: Maps normalised images, float32 on the CPU, to one tensor.
    """

    def __init__(self, network: nn.Module) -> None:
        self._network = network.eval()  # the exporter sets a mode, and then the one it found
        self._models: dict[tuple[int, int], bytes] = {}  # by (height, width); empty: it cannot
        self._sessions: dict[int, dict[int, dict[Any, Any]]] = {}  # by process and its threads

    def __reduce__(self) -> tuple[Any, ...]:  # sessions cannot be pickled
        return forward_of, (self._network,)

    @torch.no_grad()
    @torch.autocast("cpu", enabled=False)
    def __call__(self, images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch ..."]:
        size = images.shape[-2], images.shape[-1]
        if is_counting() or not len(images) or not self.serves(size):
            return self._network(images.contiguous(memory_format=torch.channels_last))
        whole = len(images) // _CHUNK * _CHUNK
        parts = *images[:whole].split(_CHUNK), *images[whole:].split(1)
        return torch.from_numpy(
            np.concatenate([self._run(size, part) for part in parts if len(part)])
        )

    @torch.no_grad()
    def serves(self, size: tuple[int, int]) -> bool:
        """Whether images of (height, width) pixels run through it; else the network runs itself."""
        if size not in self._models and len(self._models) < _SIZES:
            with _exporting:  # one at a time: the exporter has a state of its own
                if size not in self._models:
                    self._models[size] = self._exported(size)
        return bool(self._models.get(size))

    def _run(self, size: tuple[int, int], images: Tensor) -> Any:
        # Threads do not survive a fork; a session whose threads are gone can only be left alone, as
        # its end would wait for them. And torch's number of threads may have been changed.
        own, key = self._sessions.setdefault(os.getpid(), {}), (size, len(images))
        if (threads := torch.get_num_threads()) not in own:
            own.clear()
        sessions = own.setdefault(threads, {})
        if key not in sessions:
            sessions[key] = session(self._models[size], len(images))
        return sessions[key].run(None, {"images": images.contiguous().numpy()})[0]

    def _exported(self, size: tuple[int, int]) -> bytes:
        """The network for images of this size; empty if it cannot be exported or gives others."""
        image = torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(0))
        try:
            model = export(self._network, image)
            found = session(model, 1).run(None, {"images": image.numpy()})[0]
        except Exception:  # of two libraries, about networks of others: they run without
            return b""
        expected = self._network(image)
        scale = max(1.0, float(expected.abs().max()))
        near = float((torch.from_numpy(found) - expected).abs().max()) < _TOLERANCE * scale
        return model if near else b""


@lru_cache(maxsize=8)
def forward_of(network: nn.Module) -> OnnxForward:
    """The forward of a network, one for all who ask in this process."""
    return OnnxForward(network)


@torch.no_grad()
def export(network: nn.Module, images: Float[Tensor, "batch 3 height width"]) -> bytes:
    """A network as an ONNX model for images of this size and batches of any."""
    file: Any = io.BytesIO()
    names = "images", "found"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about how the exporter works
        torch.onnx.export(
            network,
            (images,),
            file,
            dynamo=False,
            input_names=names[:1],
            output_names=names[1:],
            dynamic_axes={name: {0: "batch"} for name in names},
        )
    return file.getvalue()


def session(model: bytes, batch: int) -> Any:
    """A session of ONNX Runtime, on as many threads as torch uses, for batches of one size."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = torch.get_num_threads(), 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # torch's run too
    options.add_free_dimension_override_by_name("batch", batch)
    providers = ["CPUExecutionProvider"]
    return onnxruntime.InferenceSession(model, options, providers=providers)
