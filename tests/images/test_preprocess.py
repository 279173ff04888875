"""Preprocess against torchvision's Resize + CenterCrop, and at the edges of what is possible."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import functional as F

from saccade_env.images import SAMPLE, Preprocess, decode

SAMPLE_FILES = sorted(SAMPLE.glob("*/*.jpg"))[:7]


def noise(height: int, width: int) -> Image.Image:
    values = np.random.default_rng(height * 10_000 + width).integers(0, 256, (height, width, 3))
    return Image.fromarray(values.astype(np.uint8))


def torchvision_crop(image: Image.Image, preprocess: Preprocess) -> Tensor:
    resized = F.resize(image, [preprocess.shorter_side], F.InterpolationMode.BICUBIC)
    return F.pil_to_tensor(F.center_crop(resized, list(preprocess.image_size)))


def torchvision_crop_rows_first(image: Image.Image, preprocess: Preprocess) -> Tensor:
    """The same with the two passes in a fixed order, which Pillow 13 varies for tall pictures."""
    size = (image.height, image.width)
    rows, cols = F._compute_resized_output_size(size, [preprocess.shorter_side])
    bicubic = F.InterpolationMode.BICUBIC
    resized = F.resize(F.resize(image, [image.height, cols], bicubic), [rows, cols], bicubic)
    return F.pil_to_tensor(F.center_crop(resized, list(preprocess.image_size)))


def difference(a: Tensor, b: Tensor) -> Tensor:
    assert a.shape == b.shape
    assert a.dtype == b.dtype == torch.uint8
    return (a.int() - b.int()).abs()


@pytest.mark.parametrize("path", SAMPLE_FILES, ids=lambda path: path.stem)
@pytest.mark.parametrize(
    "preprocess", [Preprocess(), Preprocess((96, 96)), Preprocess((112, 224), resize=256)], ids=str
)
def test_crop_equals_torchvision_on_real_pictures(path, preprocess):
    image = decode(path)
    assert difference(preprocess(image), torchvision_crop(image, preprocess)).max() <= 1


SHAPES = [(375, 500), (500, 375), (500, 333), (256, 256), (257, 256), (224, 224), (100, 101)]
ODD_SHAPES = [(17, 400), (900, 300), (1200, 41), (2, 3), (1, 1), (1, 50), (50, 1)]


@pytest.mark.parametrize("size", SHAPES + ODD_SHAPES, ids=str)
@pytest.mark.parametrize("image_size", [(224, 224), (384, 384)], ids=str)
def test_crop_equals_torchvision_on_noise(size, image_size):
    """Noise shows every rounding; the box is single precision inside Pillow, twice in a row."""
    image, preprocess = noise(*size), Preprocess(image_size)
    off = difference(preprocess(image), torchvision_crop_rows_first(image, preprocess))
    assert off.max() <= 2
    assert (off > 0).float().mean() < 2e-3


@pytest.mark.parametrize("size", [(227, 227), (375, 500), (500, 333)], ids=str)
def test_crop_equals_torchvision_at_imagenets_sizes(size):
    preprocess = Preprocess()
    for path in SAMPLE_FILES:
        image = decode(path).resize(size[::-1], Image.Resampling.BICUBIC)
        off = difference(preprocess(image), torchvision_crop(image, preprocess))
        assert off.max() <= 2
        assert (off > 0).float().mean() < 1e-3


def test_resize_is_the_length_of_the_shorter_side():
    image, preprocess = noise(300, 400), Preprocess(resize=230)
    off = difference(preprocess(image), torchvision_crop_rows_first(image, preprocess))
    assert off.max() <= 2


@pytest.mark.parametrize(
    ("image_size", "side"),
    [((224, 224), 256), ((448, 448), 512), ((96, 96), 110), ((224, 384), 256), ((384, 224), 256)],
)
def test_default_resize_is_in_proportion(image_size, side):
    assert Preprocess(image_size).shorter_side == side
    assert f"resize={side}" in repr(Preprocess(image_size))


def test_a_crop_wider_than_the_picture_enlarges_it():
    """A square of 300 becomes 384 (not 256) pixels wide, and its middle 224 rows are kept."""
    box = Preprocess((224, 384)).box((300, 300))
    assert box == pytest.approx((0, 80 * 300 / 384, 300, 304 * 300 / 384))
    white = Image.new("RGB", (300, 300), "white")
    assert (Preprocess((224, 384))(white) == 255).all()  # nothing is padded


@pytest.mark.parametrize("size", [(300, 300), (200, 700), (700, 200), (31, 29), (1, 1)], ids=str)
@pytest.mark.parametrize("image_size", [(224, 384), (384, 224), (14, 500)], ids=str)
def test_the_box_is_inside_and_keeps_the_aspect(size, image_size):
    left, top, right, bottom = Preprocess(image_size).box(size)
    assert 0 <= left < right <= size[1]
    assert 0 <= top < bottom <= size[0]
    scales = (right - left) / image_size[1], (bottom - top) / image_size[0]
    assert scales[0] == pytest.approx(scales[1], rel=0.05)


@pytest.mark.parametrize("size", [(40, 6000), (6000, 40), (1, 60_000), (60_000, 1)], ids=str)
@pytest.mark.parametrize("mode", ["crop", "squash"])
def test_extreme_shapes_keep_the_middle(size, mode):
    values = np.zeros((*size, 3), np.uint8)
    values[: size[0] // 2, : size[1] // 2, 0] = 255
    values[size[0] // 2 :, size[1] // 2 :, 1] = 255
    pixels = Preprocess(mode=mode)(Image.fromarray(values))
    assert pixels.shape == (3, 224, 224)
    if min(size) > 1:
        assert pixels[:, 0, 0].tolist() == [255, 0, 0]
        assert pixels[:, -1, -1].tolist() == [0, 255, 0]


def test_squash_keeps_the_whole_picture():
    image = Image.new("RGB", (600, 100), "blue")
    image.paste("red", (0, 0, 60, 100))
    pixels = Preprocess((20, 50), mode="squash")(image)
    assert pixels.shape == (3, 20, 50)
    assert pixels[:, :, 0].tolist() == [[255] * 20, [0] * 20, [0] * 20]
    assert (pixels[2, :, 8:] == 255).all()


def test_the_result_is_contiguous_rgb_and_does_not_share_memory():
    image = Image.new("RGB", (224, 224), (1, 2, 3))
    preprocess = Preprocess(resize=224)
    pixels = preprocess(image)
    assert pixels.is_contiguous()
    assert pixels[:, 5, 7].tolist() == [1, 2, 3]
    pixels.zero_()
    assert preprocess(image)[:, 5, 7].tolist() == [1, 2, 3]


def test_other_modes_are_converted():
    assert (Preprocess((8, 8))(Image.new("L", (30, 20), 77)) == 77).all()


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"image_size": (0, 224)}, r"positive; got \(0, 224\)"),
        ({"image_size": (224, -1)}, r"positive; got \(224, -1\)"),
        ({"image_size": 224}, "two whole numbers.*224"),
        ({"image_size": (224, 224.0)}, r"two whole numbers.*224\.0"),
        ({"image_size": (1, 2, 3)}, "two whole numbers"),
        ({"resize": 0}, "got 0"),
        ({"resize": 223}, r"at least 224 .*got 223"),
        ({"resize": "256"}, "one or None.*'256'"),
        ({"resize": 256, "mode": "squash"}, "needs mode='crop'.*'squash'"),
        ({"mode": "corp"}, "Did you mean 'crop'"),
    ],
)
def test_contradictions_are_refused(keywords, message):
    with pytest.raises((TypeError, ValueError), match=message):
        Preprocess(**keywords)
