"""Convolutional networks through ONNX Runtime: equal to torch, and never in the way."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from saccade_env import classifiers
from saccade_env.classifiers import onnx_forward
from saccade_env.classifiers.crop import CropClassifier
from saccade_env.classifiers.onnx_forward import OnnxForward

if not onnx_forward.is_installed():
    pytest.skip("needs onnxruntime: pip install 'saccade-env[fast]'", allow_module_level=True)


def pictures(count: int, side: int = 224) -> Tensor:
    draw = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (count, 3, side, side), generator=draw, dtype=torch.uint8)


def test_logits_and_features_equal_torchs() -> None:
    fast, plain = (classifiers.create(f"efficientnet_lite0:onnx={x}") for x in ("true", "false"))
    assert (fast.options["onnx"], plain.options["onnx"]) == (True, False)
    images = pictures(11)
    revealed = torch.rand(11, 14, 14, generator=torch.Generator().manual_seed(2)) < 0.3
    found, expected = (one.classify(one.begin(images), revealed)[0] for one in (fast, plain))
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)
    assert not torch.equal(found, expected), "it ran in torch"
    rows = [fast.classify(fast.begin(images[i : i + 1]), revealed[i : i + 1])[0] for i in range(11)]
    assert torch.equal(torch.cat(rows), found), "results depend on the size of the batch"
    assert fast.classify(fast.begin(images[:0]), revealed[:0])[0].shape == (0, 1000)
    torch.testing.assert_close(
        fast.features(images[:3]), plain.features(images[:3]), atol=1e-4, rtol=0
    )
    assert not fast.network.training
    for keyword in ({"autocast": "bfloat16"}, {"compile": True}):
        assert not classifiers.create("efficientnet_lite0", **keyword).options["onnx"]


def test_what_cannot_be_exported_runs_as_it_is() -> None:
    class Refuses(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            if torch.onnx.is_in_onnx_export():
                raise RuntimeError("no")
            return images.mean((2, 3))

    class Differs(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return images.mean((2, 3)) + (0 if torch.onnx.is_in_onnx_export() else 1)

    images = torch.rand(9, 3, 32, 32)
    for network in (Refuses(), Differs()):
        forward = OnnxForward(network)
        torch.testing.assert_close(forward(images), network(images))
        assert forward._models == {(32, 32): b""}


def test_other_sizes_and_copies() -> None:
    conv = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    forward = OnnxForward(conv)
    for side in (32, 48, 33):
        images = torch.rand(10, 3, side, side)
        torch.testing.assert_close(forward(images), conv(images), atol=1e-5, rtol=1e-5)
    assert len(forward._models) == 3
    for other in (copy.deepcopy(forward), pickle.loads(pickle.dumps(forward))):
        torch.testing.assert_close(other(images), forward(images))
    threads = torch.get_num_threads()
    torch.set_num_threads(threads + 1)
    try:
        torch.testing.assert_close(forward(images), conv(images), atol=1e-5, rtol=1e-5)
    finally:
        torch.set_num_threads(threads)


FORKS = """
import os, signal
import torch
from saccade_env import classifiers
judge = classifiers.create("efficientnet_lite0")
image, revealed = torch.zeros(1, 3, 224, 224, dtype=torch.uint8), torch.ones(1, 14, 14) > 0
expected = judge.classify(judge.begin(image), revealed)[0]
child = os.fork()
if child == 0:
    signal.alarm(60)
    torch.set_num_threads(1)  # torch's own threads do not survive
    found = judge.classify(judge.begin(image), revealed)[0]
    os._exit(0 if torch.allclose(found, expected, atol=1e-5) else 1)
assert os.waitpid(child, 0)[1] == 0
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_it_survives_a_fork() -> None:
    """In a process of its own, since forking a test process with threads is unsafe."""
    done = subprocess.run([sys.executable, "-c", FORKS], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_threads_may_come_first_together() -> None:
    judges = [classifiers.create("timm:test_resnet,pretrained=false,seed=" + x) for x in "0123"]
    images = pictures(3, 96).float() / 255

    def first(judge: Any) -> Tensor:
        return judge.logits(images)  # type: ignore[no-any-return]

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(first, judges))
    for judge, logits in zip(judges, found, strict=True):
        assert judge._forward.serves((96, 96))  # type: ignore[attr-defined]
        torch.testing.assert_close(logits, judge.network(images), atol=1e-4, rtol=0)  # type: ignore[attr-defined]


def test_few_sizes_are_exported_and_the_card_tells() -> None:
    judge: Any = classifiers.create("timm:test_resnet,pretrained=false", image_size=(64, 64))
    for side in range(32, 128, 16):
        images = torch.rand(1, 3, side, side)
        torch.testing.assert_close(judge.logits(images), judge.network(images), atol=1e-4, rtol=0)
    assert len(judge._forward._models) == onnx_forward._SIZES
    assert judge.options["onnx"]
    judge._forward._models[64, 64] = b""
    assert not judge.options["onnx"]


def test_crops_run_through_it() -> None:
    fast, plain = (
        CropClassifier(classifiers.create("efficientnet_lite0", onnx=x))  # type: ignore[arg-type]
        for x in (True, False)
    )
    revealed = torch.zeros(2, 14, 14, dtype=torch.bool)
    revealed[0, 3:6, 4:7] = revealed[1, 0:3, 0:3] = True
    found, expected = (one.classify(one.begin(pictures(2)), revealed)[0] for one in (fast, plain))
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


def test_without_the_package_torch_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_forward, "is_installed", lambda: False)
    assert classifiers.create("efficientnet_lite0").options["onnx"] is False
