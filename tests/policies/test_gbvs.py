"""GBVS against the paper's equations done by hand, and against the reference implementation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gbvs_by_hand import gbvs_by_hand
from torch import Tensor
from torchvision.transforms.functional import pil_to_tensor

from saccade_env import core
from saccade_env.config import SaccadeConfig
from saccade_env.geometry import resize_map
from saccade_env.images import SAMPLE, decode
from saccade_env.policies import gbvs as module
from saccade_env.policies.gbvs import GBVSParameters, GBVSPolicy, gbvs

TINY = GBVSParameters(map_size=(5, 6))


@pytest.fixture(scope="module")
def scene() -> Tensor:
    """Three coloured pictures of blobs and lines, smooth and sharp."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(3, 3, 9, 9, generator=generator)
    picture = torch.nn.functional.interpolate(coarse, size=(224, 224), mode="bilinear")
    picture[:, 0, 90:130, 40:60] = 0.9
    picture[1, 2, 150:153] = 0.1
    return picture.mul(255).to(torch.uint8)


def correlation(one: Tensor, other: Tensor) -> float:
    return float(torch.corrcoef(torch.stack((one.flatten(), other.flatten())).double())[0, 1])


@pytest.mark.parametrize("map_size", [(14, 16), pytest.param((28, 32), marks=pytest.mark.slow)])
def test_saliency_by_hand(scene: Tensor, map_size: tuple[int, int]) -> None:
    cat = decode(SAMPLE / "n02123045" / "chelsea.jpg").resize((224, 160))
    for picture in (scene[1], pil_to_tensor(cat)):
        expected = torch.from_numpy(gbvs_by_hand(picture.double().numpy(), map_size))
        own = gbvs(picture[None], map_size=map_size)[0]
        torch.testing.assert_close(own.double(), expected, atol=1e-4, rtol=0)
        assert expected.std() > 0.1


def test_saliency_and_first_fixation_are_the_references(shared: Path) -> None:
    with np.load(shared / "golden" / "gbvs_expected.npz") as file:
        stored = {key: torch.from_numpy(value) for key, value in file.items()}
    names = sorted({key.rpartition(".")[0] for key in stored})
    assert len(names) == 4
    for name in names:
        image, expected = stored[f"{name}.rgb"].permute(2, 0, 1)[None], stored[f"{name}.gbvs"][None]
        assert correlation(gbvs(image)[0], expected) > 0.997
        assert correlation(gbvs(image, textbook_gabors=True)[0], expected) > 0.97
        own = GBVSPolicy().saliency_map(image)
        assert own.argmax() == resize_map(expected, (14, 14), mode="area").argmax()


def test_activation_in_blocks_equals_one_block(monkeypatch: pytest.MonkeyPatch) -> None:
    maps = torch.rand(7, 30, generator=torch.Generator().manual_seed(3))
    whole = module._activate(maps, TINY)
    monkeypatch.setattr(module, "_BLOCK", 4 * maps.numel())
    torch.testing.assert_close(module._activate(maps, TINY), whole)


@pytest.mark.parametrize("textbook", [False, True])
def test_gabors_answer_to_their_own_direction(textbook: bool) -> None:
    gabors = module._gabors(GBVSParameters(textbook_gabors=textbook))
    assert gabors.shape == (8, 1, 27, 27)
    torch.testing.assert_close(gabors.sum((1, 2, 3)), torch.zeros(8), atol=1e-5, rtol=0)
    torch.testing.assert_close(gabors.flatten(1).norm(dim=1), torch.ones(8))
    row, col = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    for index, degrees in enumerate((0, 45, 90, 135)):
        angle = torch.tensor(float(degrees)).deg2rad()
        wave = torch.sin(2 * (angle.cos() * col + angle.sin() * row))  # period π
        response = module._orientation(wave[None, None], gabors)[0, :, 20:44, 20:44]
        assert response.mean((1, 2)).argmax() == index


def test_batch_equals_single_rows(scene: Tensor) -> None:
    single = torch.cat([gbvs(row[None]) for row in scene])
    torch.testing.assert_close(gbvs(scene), single, atol=1e-5, rtol=0)


def test_scale_and_dtype(scene: Tensor) -> None:
    saliency = gbvs(scene)
    assert saliency.dtype == torch.float32
    assert saliency.min() >= 0
    assert ((saliency.amax((1, 2)) > 0.9) & (saliency.amax((1, 2)) < 1.1)).all()
    torch.testing.assert_close(gbvs(scene.double() / 255), saliency, atol=1e-4, rtol=0)


@pytest.mark.parametrize("value", [0, 1, 127, 200, 255])
@pytest.mark.parametrize("colour", [(1.0, 1.0, 1.0), (1.0, 0.3, 0.6)])
def test_constant_images_are_exactly_flat(value: int, colour: tuple[float, ...]) -> None:
    shade = (torch.tensor(colour) * value).to(torch.uint8)
    saliency = gbvs(shade[None, :, None, None].expand(1, 3, 224, 224))
    assert torch.equal(saliency, torch.zeros_like(saliency))


def test_grayscale_relies_on_intensity_and_orientation(scene: Tensor) -> None:
    gray = scene[:, :1].expand(-1, 3, -1, -1)
    assert torch.isfinite(gbvs(gray)).all()
    torch.testing.assert_close(gbvs(gray), gbvs(gray, channels="IO"), atol=1e-5, rtol=0)


def test_two_valued_images_are_finite() -> None:
    checks = (torch.arange(224)[:, None] // 56 + torch.arange(224) // 56) % 2 * 255
    saliency = gbvs(checks.to(torch.uint8).expand(1, 3, 224, 224))
    assert torch.isfinite(saliency).all()
    assert saliency.max() > 0.9


def test_other_aspect_ratios(scene: Tensor) -> None:
    wide = torch.cat((scene, scene[..., :160]), -1)
    assert gbvs(wide).shape == (3, 224, 384)
    odd = gbvs(scene[..., :101, :97])
    assert odd.shape == (3, 101, 97)
    assert torch.isfinite(odd).all()


@pytest.mark.parametrize(("top", "left"), [(50, 60), (140, 100), (60, 150)])
def test_bright_square_is_salient(top: int, left: int) -> None:
    image = torch.full((1, 3, 224, 224), 20, dtype=torch.uint8)
    image[..., top : top + 24, left : left + 24] = 240
    peak = divmod(int(gbvs(image).argmax()), 224)
    assert abs(peak[0] - top - 12) <= 16
    assert abs(peak[1] - left - 12) <= 16


def test_mirror_image_has_the_mirror_map(scene: Tensor) -> None:
    # Halving keeps even pixels, so that the pyramid itself shifts by a fraction of a cell.
    mirrored = gbvs(scene.flip(-1)).flip(-1)
    assert min(map(correlation, gbvs(scene), mirrored)) > 0.97


@pytest.mark.parametrize("channels", ["C", "I", "O", "CI"])
def test_channels_and_sizes_are_free(scene: Tensor, channels: str) -> None:
    saliency = gbvs(scene, channels=channels, pyramid_levels=(0, 3), map_size=(12, 12))
    assert saliency.shape == (3, 224, 224)
    assert correlation(saliency, gbvs(scene)) < 0.999


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"channels": "CX"}, "'CX'"),
        ({"channels": ""}, "channels"),
        ({"pyramid_levels": ()}, "pyramid_levels"),
        ({"pyramid_levels": (-1, 2)}, "-1"),
        ({"gabor_orientations": ()}, "gabor_orientations"),
        ({"sigma_activation": 0.0}, "positive"),
        ({"map_size": (0, 32)}, "positive"),
        ({"pyramid_levels": (7,)}, "256 px"),
    ],
)
def test_wrong_parameters_are_refused(scene: Tensor, wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        gbvs(scene, **wrong)


def test_unknown_parameter_is_refused_when_the_policy_is_built() -> None:
    with pytest.raises(TypeError, match="sigma"):
        GBVSPolicy(sigma=1.0)


def test_policy_end_to_end(scene: Tensor, linear: Any) -> None:
    config = SaccadeConfig(linear.grid, fovea=3)
    unlabelled = torch.full((3,), core.UNLABELLED)
    state = core.begin(scene, unlabelled, torch.arange(3), config, linear)
    policy = GBVSPolicy(grid=linear.grid)
    assert (policy.name, policy.sees_full_image) == ("gbvs", True)
    policy.reset(scene)
    expected = resize_map(gbvs(scene), linear.grid, mode="area").flatten(1).argmax(1)
    assert torch.equal(policy.act(core.view(state)), expected)
    for _ in range(config.max_saccades):
        state, _ = core.saccade(state, policy.act(core.view(state)), config, linear)
    for path in state.fixations.tolist():
        assert len({tuple(place) for place in path}) == config.max_saccades


def test_policy_passes_parameters_on(scene: Tensor) -> None:
    own = GBVSPolicy(grid=(7, 7), channels="I").saliency_map(scene)
    expected = resize_map(gbvs(scene, channels="I"), (7, 7), mode="area")
    torch.testing.assert_close(own, expected)
