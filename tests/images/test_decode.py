"""Reading picture files: every colour mode, orientation, and everything that can be wrong."""

from __future__ import annotations

import os
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from saccade_env.images import SAMPLE, BrokenImageError, decode
from saccade_env.images.decoding import read_size, to_rgb

GOOD = SAMPLE / "n02123045" / "chelsea.jpg"


def save(path: Path, image: Image.Image, **keywords) -> Path:
    image.save(path, **keywords)
    return path


def pixel(path: Path, row: int = 0, col: int = 0) -> tuple[int, ...]:
    image = decode(path)
    assert image.mode == "RGB"
    return image.getpixel((col, row))


def test_a_real_picture():
    image = decode(GOOD)
    assert (image.mode, image.size) == ("RGB", (451, 300))
    assert np.asarray(image).std() > 20


def test_the_path_may_be_text():
    assert decode(str(GOOD)) == decode(GOOD)


def test_grey(tmp_path):
    assert pixel(save(tmp_path / "a.png", Image.new("L", (3, 2), 77))) == (77, 77, 77)
    assert pixel(save(tmp_path / "b.png", Image.new("1", (3, 2), 1))) == (255, 255, 255)


def test_cmyk_jpeg(tmp_path):
    path = save(tmp_path / "a.jpg", Image.new("CMYK", (8, 8), (0, 255, 255, 0)), quality=95)
    red, green, blue = pixel(path)
    assert red > 240
    assert max(green, blue) < 15


def test_transparency_turns_white(tmp_path):
    image = Image.new("RGBA", (2, 1), (255, 0, 0, 255))
    image.putpixel((1, 0), (10, 20, 30, 0))
    path = save(tmp_path / "a.png", image)
    assert (pixel(path), pixel(path, 0, 1)) == ((255, 0, 0), (255, 255, 255))
    half = save(tmp_path / "b.png", Image.new("LA", (1, 1), (0, 128)))
    assert pixel(half) == (127, 127, 127)


@pytest.mark.parametrize("transparency", [1, bytes([255, 0])], ids=["index", "bytes"])
def test_palette_with_transparency(tmp_path, transparency):
    image = Image.new("P", (2, 1))
    image.putpalette([9, 8, 7, 200, 100, 50])
    image.putpixel((1, 0), 1)
    path = save(tmp_path / "a.png", image, transparency=transparency)
    assert (pixel(path), pixel(path, 0, 1)) == ((9, 8, 7), (255, 255, 255))


def test_palette_without_transparency(tmp_path):
    image = Image.new("P", (1, 1))
    image.putpalette([9, 8, 7])
    assert pixel(save(tmp_path / "a.gif", image)) == (9, 8, 7)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bits_lose_the_lower_eight(tmp_path, suffix):
    values = np.array([[0, 255, 256, 32_768, 65_535]], np.uint16)
    path = save(tmp_path / f"a.{suffix}", Image.fromarray(values))
    assert np.asarray(decode(path))[0, :, 0].tolist() == [0, 0, 1, 128, 255]


def test_sixteen_bits_in_a_32_bit_image():
    """As older versions of Pillow open them."""
    assert to_rgb(Image.fromarray(np.array([[65_535, 256]], np.int32))).getpixel((1, 0))[0] == 1


def test_float_pixels_have_no_known_range(tmp_path):
    path = save(tmp_path / "a.tif", Image.fromarray(np.array([[0.5]], np.float32)))
    with pytest.raises(BrokenImageError, match=r"a\.tif.*range"):
        decode(path)


@pytest.mark.parametrize("size", [(1, 1), (6000, 40), (60_000, 1)], ids=str)
def test_odd_sizes(tmp_path, size):
    path = save(tmp_path / "a.png", Image.new("RGB", size, (1, 2, 3)))
    assert decode(path).size == size
    assert pixel(path) == (1, 2, 3)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
def test_exif_orientation_is_applied(tmp_path, suffix):
    image = Image.new("RGB", (40, 16), "blue")
    image.paste("red", (0, 0, 16, 16))  # left third
    exif = Image.Exif()
    exif[0x0112] = 6  # "rotate by 90° clockwise to show"
    path = save(tmp_path / f"a.{suffix}", image, exif=exif)
    shown = decode(path)
    assert shown.size == (16, 40)
    assert read_size(lambda: path.open("rb"), "a") == (40, 16)
    assert shown.getpixel((8, 4))[0] > 200  # red is on top now
    assert shown.getpixel((8, 36))[2] > 200


def test_spoilt_exif_does_not_spoil_the_picture(tmp_path):
    path = tmp_path / "a.jpg"
    Image.new("RGB", (8, 8), "red").save(path, exif=b"Exif\0\0II*\0\x08\0\0\0\x05\0\x12\x01rubbish")
    assert decode(path).size == (8, 8)
    assert read_size(lambda: path.open("rb"), "a") == (8, 8)


def test_only_what_pillow_warns_of_while_it_decodes_is_hushed(tmp_path):
    content = png_claiming(10_000, 10_000)
    (tmp_path / "bomb.png").write_bytes(content)
    assert decode(GOOD)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with pytest.raises(BrokenImageError, match="MAX_IMAGE_PIXELS"):
            decode(tmp_path / "bomb.png")
        assert not caught
        Image.open(tmp_path / "bomb.png").close()
    assert [warning.category for warning in caught] == [Image.DecompressionBombWarning]


@pytest.mark.parametrize("suffix", ["gif", "webp", "avif", "png", "tif"])
def test_of_a_moving_picture_the_first_frame(tmp_path, suffix):
    if f".{suffix}" not in Image.registered_extensions():
        pytest.skip(f"this Pillow reads no {suffix}")
    first, second = (Image.new("RGB", (16, 16), colour) for colour in ("red", "blue"))
    path = save(tmp_path / f"a.{suffix}", first, save_all=True, append_images=[second])
    red, _, blue = pixel(path)
    assert (red > 240, blue < 15) == (True, True)


def test_a_picture_under_another_picture_suffix_is_read(tmp_path):
    path = tmp_path / "a.jpg"
    save(path, Image.new("RGB", (2, 2), (1, 2, 3)), format="PNG")
    assert pixel(path) == (1, 2, 3)


def broken(path: Path, content: bytes, reason: str) -> None:
    path.write_bytes(content)
    with pytest.raises(BrokenImageError, match=reason) as caught:
        decode(path)
    assert str(path) in str(caught.value)
    assert isinstance(caught.value, ValueError)


def test_no_picture(tmp_path):
    broken(tmp_path / "zero.jpg", b"", "empty")
    broken(tmp_path / "text.jpg", b"this is no picture\n" * 50, "not a picture")
    broken(tmp_path / "page.jpg", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a pic")


@pytest.mark.parametrize("share", [0.01, 0.3, 0.9])
def test_truncated_jpeg(tmp_path, share):
    content = GOOD.read_bytes()
    broken(tmp_path / "cut.jpg", content[: int(len(content) * share)], "cut.jpg")


def test_truncated_png(tmp_path):
    whole = save(tmp_path / "whole.png", decode(GOOD)).read_bytes()
    broken(tmp_path / "cut.png", whole[: len(whole) // 2], "cut.png")


def png_claiming(height: int, width: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        sum_ = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + sum_

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(b"\0" * 1000)
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


@pytest.mark.parametrize("size", [(10_000, 10_000), (60_000, 60_000)], ids=str)
def test_a_bomb_is_not_decoded(tmp_path, size):
    broken(tmp_path / "bomb.png", png_claiming(*size), "bomb.png.*pixels")


def test_the_limit_is_pillows_own(tmp_path, monkeypatch):
    path = save(tmp_path / "a.png", Image.new("RGB", (10, 10)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 99)
    monkeypatch.setattr(Image, "_decompression_bomb_check", lambda size: None)  # it only warns
    with pytest.raises(BrokenImageError, match=r"a\.png: 10×10 pixels .* = 99"):
        decode(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert decode(path).size == (10, 10)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    assert decode(path).size == (10, 10)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no FIFO here")
def test_nothing_waits_for_a_fifo(tmp_path):
    os.mkfifo(tmp_path / "a.jpg")
    for path in (tmp_path / "a.jpg", Path("/dev/zero")):
        with pytest.raises(BrokenImageError, match=r"regular file; it is a FIFO, socket or device"):
            decode(path)


def test_the_message_about_a_file_can_be_written_down(tmp_path):
    with pytest.raises(BrokenImageError, match=r"cannot read .*\\xff\.jpg: No such file") as caught:
        decode(os.fsencode(tmp_path) + b"/\xff.jpg")
    assert str(caught.value).encode()


def test_a_missing_file_and_a_folder(tmp_path):
    with pytest.raises(BrokenImageError, match=r"gone\.jpg: No such file"):
        decode(tmp_path / "gone.jpg")
    with pytest.raises(BrokenImageError, match="directory"):
        decode(tmp_path)
