"""The single-crop classifier sees its window and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from saccade_env import classifiers, images
from saccade_env.classifiers import weights
from saccade_env.classifiers.crop import CropClassifier


@pytest.fixture(scope="module")
def cnn() -> Any:
    return classifiers.create("efficientnet_lite0")


@pytest.fixture(scope="module")
def pictures() -> torch.Tensor:
    return images.load_batch(images.create("sample"), range(7))[0]


def test_windows_are_centred_and_shifted_at_the_border(cnn: Any) -> None:
    row = torch.arange(224).view(1, 1, 224, 1).expand(1, 1, 224, 224)
    places = torch.cat((row, row.mT, row), dim=1).to(torch.uint8).expand(3, -1, -1, -1)
    fixations = torch.tensor([[5, 9], [0, 0], [13, 13]])
    windows = CropClassifier(cnn, crop_pixels=48).crop(places, fixations)
    assert windows.shape == (3, 3, 48, 48)
    corners = [(int(w[0, 0, 0]), int(w[1, 0, 0])) for w in windows]
    assert corners == [(64, 128), (0, 0), (176, 176)]
    assert int(windows[0, 0, -1, 0]) == 111


@pytest.mark.parametrize("resize", ["input", "none"])
def test_only_the_window_counts(cnn: Any, pictures: torch.Tensor, resize: Any) -> None:
    judge = CropClassifier(cnn, 48, resize)
    fixations = torch.tensor([[6, 6]] * 7)
    logits = judge.classify(pictures, fixations)
    other = 255 - pictures
    other[..., 80:128, 80:128] = pictures[..., 80:128, 80:128]
    torch.testing.assert_close(judge.classify(other, fixations), logits)
    assert (logits != judge.classify(other, fixations - 3)).any()
    alone = judge.classify(pictures[2, None], fixations[:1])
    torch.testing.assert_close(alone[0], logits[2], atol=2e-5, rtol=1e-4)


def test_a_window_of_the_whole_image_is_the_image(cnn: Any, pictures: torch.Tensor) -> None:
    fixations = torch.tensor([[7, 7]] * 7)
    logits = CropClassifier(cnn, crop_pixels=224).classify(pictures, fixations)
    everything = torch.ones(7, 14, 14, dtype=torch.bool)
    full, _ = cnn.classify(cnn.begin(pictures), everything)
    torch.testing.assert_close(logits, full, atol=1e-4, rtol=1e-4)


def test_share_of_the_image(cnn: Any) -> None:
    assert CropClassifier(cnn, 48).share((288, 384)) == pytest.approx(0.0208, abs=1e-4)


def test_what_cannot_work_is_refused(cnn: Any, pictures: torch.Tensor) -> None:
    with pytest.raises(ValueError, match=r"crop of 300 pixels does not fit images of \[224, 224\]"):
        CropClassifier(cnn, 300).crop(pictures, torch.zeros(7, 2, dtype=torch.long))
    with pytest.raises(ValueError, match="sides must be ≥ 1 pixel; got 0 and 224"):
        CropClassifier(cnn, 0)


def test_resnet50_runs_with_random_weights(
    monkeypatch: pytest.MonkeyPatch, pictures: torch.Tensor
) -> None:
    from torchvision.models import resnet50

    network = resnet50()
    monkeypatch.setattr(weights, "load", lambda name: network.state_dict())
    monkeypatch.setattr(weights, "record", lambda name: classifiers.Weights("random", "-"))
    judge = classifiers.create("resnet50")
    revealed = torch.ones(2, 14, 14, dtype=torch.bool)
    logits, _ = judge.classify(judge.begin(pictures[:2]), revealed)
    mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    with torch.no_grad():
        expected = network.eval()((pictures[:2].float() / 255 - mean) / std)
    torch.testing.assert_close(logits, expected, atol=1e-3, rtol=1e-3)
    windows = CropClassifier(judge).classify(pictures[:2], torch.tensor([[3, 3], [9, 1]]))
    assert windows.shape == (2, 1000)
    monkeypatch.setattr(weights, "load", lambda name: {"conv1.weight": torch.zeros(1)})
    with pytest.raises(weights.WeightsError, match="ResNet-50"):
        classifiers.create("resnet50")
