"""Autocast and torch.compile: the same results within rounding."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from typing import Any

import pytest
import torch
from jaxtyping import TypeCheckError

from saccade_env import classifiers, core, images
from saccade_env.classifiers.runtime import _OWN_SETTINGS, check_flag
from saccade_env.classifiers.vit.classifier import VitClassifier
from saccade_env.classifiers.vit.dino import from_state_dicts


def vit(**keywords: Any) -> VitClassifier:
    from timm.models.vision_transformer import VisionTransformer

    torch.manual_seed(0)
    network = VisionTransformer(patch_size=16, embed_dim=64, depth=4, num_heads=2, num_classes=0)
    head = {"linear.weight": torch.randn(1000, 256) / 16, "linear.bias": torch.zeros(1000)}
    return from_state_dicts(network.state_dict(), head, num_heads=2, **keywords)


def efficientnet(**keywords: Any) -> Any:
    return classifiers.create("efficientnet_lite0", **keywords)


@pytest.fixture(scope="module")
def seen() -> tuple[torch.Tensor, torch.Tensor]:
    pictures, _ = images.load_batch(images.create("sample"), range(4))
    revealed = torch.zeros(4, 14, 14, dtype=torch.bool)
    revealed[:, 2:11, 3:12] = True
    revealed[1, :, :6] = True
    return pictures, revealed


def judged(classifier: Any, seen: Any) -> tuple[torch.Tensor, torch.Tensor]:
    logits, _ = classifier.classify(classifier.begin(seen[0]), seen[1])
    assert logits.dtype == torch.float32
    return logits, core.certainty(logits)


@pytest.mark.parametrize("build", [vit, efficientnet])
def test_autocast_changes_certainty_by_rounding_only(build: Any, seen: Any) -> None:
    exact, close = judged(build(), seen), judged(build(autocast="bfloat16"), seen)
    assert not torch.equal(exact[0], close[0]), "it did something"
    torch.testing.assert_close(close[1], exact[1], atol=0.1, rtol=0)


def test_wrong_values_are_refused() -> None:
    with pytest.raises(ValueError, match="Did you mean 'bfloat16'"):
        classifiers.create("efficientnet_lite0:autocast=bfloat")
    with pytest.raises((ValueError, TypeCheckError), match="compile"):
        classifiers.create("efficientnet_lite0:compile=flase")
    with pytest.raises(ValueError, match="compile must be true or false; got 'flase'"):
        check_flag("compile", "flase")
    with pytest.raises(ValueError, match="Did you mean 'recompute'"):
        classifiers.create("efficientnet_lite0:mode=rcompute")
    with pytest.raises(ValueError, match="is built already: autocast cannot be set"):
        classifiers.create(vit(), autocast="bfloat16")


def test_half_precision_logits_are_finite(linear: Any) -> None:
    logits = torch.full((32, 1000), 3.0, dtype=torch.float16)
    assert core.check_logits(logits, linear) is logits
    logits[3, 7] = torch.inf
    with pytest.raises(FloatingPointError, match=r"rows \[3\]"):
        core.check_logits(logits, linear)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
@pytest.mark.parametrize("build", [vit, efficientnet])
def test_compiled_networks_give_the_same(build: Any, seen: Any) -> None:
    exact, compiled = judged(build(), seen), judged(build(compile=True), seen)
    torch.testing.assert_close(compiled[0], exact[0], atol=1e-3, rtol=1e-3)


FORWARDS = """
import resource
import torch
from saccade_env.classifiers.runtime import settle

def pages_mapped():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(4):
        torch.ones(16_000_000)  # 64 MB, freed at once
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

before = pages_mapped()
settle(torch.device("cpu"))
after = min(pages_mapped() for _ in range(5))  # the first finds its place, others may be disturbed
print(before, after)
"""


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of glibc's allocator")
@pytest.mark.parametrize("own", [{}, {"MALLOC_PERTURB_": "0"}])
def test_memory_is_kept_unless_the_environment_says_otherwise(own: dict[str, str]) -> None:
    plain = {k: v for k, v in os.environ.items() if not k.startswith(_OWN_SETTINGS)}
    done = subprocess.run(
        [sys.executable, "-c", FORWARDS], env=plain | own, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    before, after = map(int, done.stdout.split())
    assert before > 50, "or there is nothing to save"
    assert (after > before / 2) if own else (after < before / 10)
