"""The single-crop classifier sees its window and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from saccade_env import classifiers, images
from saccade_env.classifiers import crop, weights
from saccade_env.classifiers.crop import CropClassifier, crop_windows
from saccade_env.geometry import fovea_windows, index_to_row_col, row_col_to_pixel


@pytest.fixture(scope="module")
def cnn() -> Any:
    return classifiers.create("efficientnet_lite0")


def window(row: int, col: int) -> torch.Tensor:
    return fovea_windows((14, 14), 3, torch.device("cpu"))[row * 14 + col]


@pytest.fixture(scope="module")
def pictures() -> torch.Tensor:
    return images.load_batch(images.create("sample"), range(7))[0]


@pytest.mark.parametrize("grid", [(14, 14), (18, 24), (3, 5)])
def test_a_fovea_clipped_by_the_border_is_shifted_into_the_image(grid: tuple[int, int]) -> None:
    """Every fixation has the crop of 48 pixels around its token that lies in the image."""
    table = fovea_windows(grid, 3, torch.device("cpu"))
    fixations = index_to_row_col(torch.arange(len(table)), grid)
    centre = row_col_to_pixel(fixations, 16)
    last = torch.tensor(grid) * 16 - 48
    corner = torch.minimum((centre - 24).long().clamp(min=0), last)
    found = crop_windows(table, 3)
    assert torch.equal(found[:, :2] * 16, corner)
    assert (found[:, 2:] == 3).all()


def test_what_is_cut_is_the_window(cnn: Any) -> None:
    row = torch.arange(224.0).view(1, 1, 224, 1).expand(1, 1, 224, 224)
    places = torch.cat((row, row.mT, row), dim=1).expand(2, -1, -1, -1)
    cut = crop._cut(places, torch.tensor([[64, 128], [176, 176]]), (48, 48))
    assert cut.shape == (2, 3, 48, 48)
    assert cut[0, :2, 0, 0].tolist() == [64, 128]
    assert cut[1, :2, -1, -1].tolist() == [223, 223]


@pytest.mark.parametrize("resize", ["input", "none"])
def test_only_the_window_counts(cnn: Any, pictures: torch.Tensor, resize: Any) -> None:
    judge = CropClassifier(cnn, resize=resize)
    revealed = window(6, 6).expand(7, -1, -1)
    logits, _ = judge.classify(judge.begin(pictures), revealed)
    other = 255 - pictures
    other[..., 80:128, 80:128] = pictures[..., 80:128, 80:128]
    torch.testing.assert_close(judge.classify(judge.begin(other), revealed)[0], logits)
    moved = judge.classify(judge.begin(other), window(3, 3).expand(7, -1, -1))[0]
    assert (logits != moved).any()
    alone, _ = judge.classify(judge.begin(pictures[2, None]), revealed[:1])
    torch.testing.assert_close(alone[0], logits[2], atol=2e-5, rtol=1e-4)


def test_a_window_of_the_whole_image_is_the_image(cnn: Any, pictures: torch.Tensor) -> None:
    everything = torch.ones(7, 14, 14, dtype=torch.bool)
    judge = CropClassifier(cnn)
    logits, _ = judge.classify(judge.begin(pictures), everything)
    full, _ = cnn.classify(cnn.begin(pictures), everything)
    torch.testing.assert_close(logits, full, atol=1e-4, rtol=1e-4)


def test_nothing_revealed_does_not_depend_on_the_image(cnn: Any, pictures: torch.Tensor) -> None:
    judge, some = CropClassifier(cnn), torch.zeros(7, 14, 14, dtype=torch.bool)
    some[3] = window(2, 2)
    logits, _ = judge.classify(judge.begin(pictures), some)
    blank = logits[[0, 1, 2, 4, 5, 6]]
    torch.testing.assert_close(blank, blank[:1].expand(6, -1), atol=1e-5, rtol=1e-5)
    assert (logits[3] - logits[0]).abs().max() > 0.1


def test_what_cannot_work_is_refused(cnn: Any) -> None:
    with pytest.raises(ValueError, match="must be 1 to 14 tokens, .* got 15 and 224"):
        CropClassifier(cnn, fovea=15)
    with pytest.raises(ValueError, match="unknown resize rule 'no'"):
        CropClassifier(cnn, resize="no")  # type: ignore[arg-type]


@pytest.mark.slow
def test_resnet50_runs_with_random_weights(
    monkeypatch: pytest.MonkeyPatch, pictures: torch.Tensor
) -> None:
    from torchvision.models import resnet50

    network = resnet50()
    monkeypatch.setattr(weights, "load", lambda name: network)
    monkeypatch.setattr(weights, "record", lambda name: classifiers.Weights("random", "-"))
    judge = classifiers.create("resnet50")
    revealed = torch.ones(2, 14, 14, dtype=torch.bool)
    logits, _ = judge.classify(judge.begin(pictures[:2]), revealed)
    mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    with torch.no_grad():
        expected = network.eval()((pictures[:2].float() / 255 - mean) / std)
    torch.testing.assert_close(logits, expected, atol=1e-3, rtol=1e-3)
    crops = CropClassifier(judge)
    found, _ = crops.classify(crops.begin(pictures[:2]), window(3, 3).expand(2, -1, -1))
    assert found.shape == (2, 1000)
