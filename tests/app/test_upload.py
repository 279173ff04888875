"""What a visitor sends: pictures are taken, everything else is refused in words."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import pytest
from PIL import Image
from uploads import bomb, encoded

from saccade_env.app import upload
from saccade_env.app.upload import RefusedError, check_upload, read_upload
from saccade_env.images import Preprocess

SIZE = Preprocess()


def sent(data: bytes) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(data).decode()}"


def halves() -> Image.Image:
    """Red above, blue below."""
    pixels = np.zeros((240, 240, 3), np.uint8)
    pixels[:120, :, 0] = pixels[120:, :, 2] = 255
    return Image.fromarray(pixels)


def test_a_photograph_of_a_telephone_is_turned_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright: rows are columns
    data = encoded(halves().rotate(90), exif=exif, quality=95)
    image = read_upload(check_upload(sent(data)), SIZE).image.float()
    top, bottom = image[:, :100].mean((1, 2)), image[:, -100:].mean((1, 2))
    assert top[0] > 200 > 50 > top[2]
    assert bottom[2] > 200 > 50 > bottom[0]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP"])
def test_usual_pictures_are_taken(kind: str) -> None:
    picture = read_upload(encoded(halves(), kind), SIZE)
    assert picture.image.shape == (3, 224, 224)
    assert (picture.label, picture.id) == (None, "upload")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"Dear all,\nno picture.", "not a picture in a format known here"),
        (b"", "the file is empty"),
        (b"%PDF-1.7 no picture", "not a picture"),
        (encoded(halves())[:400], "Truncated"),
        (bomb(30000), "more than 50000000 pixels"),
        (bomb(8000), "8000×8000 pixels are more than 50000000"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a picture"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a picture"),
    ],
)
def test_what_is_no_picture_is_refused_in_words(data: bytes, said: str) -> None:
    with pytest.raises(RefusedError, match=said) as caught:
        read_upload(data, SIZE)
    assert "PIL" not in str(caught.value)


@pytest.mark.parametrize("wrong", [None, 3, "", "hello", "data:image/png,abc", {"path": "/etc"}])
def test_what_is_no_file_is_refused(wrong: Any) -> None:
    with pytest.raises(RefusedError, match="No picture arrived"):
        check_upload(wrong)


def test_damaged_and_large_files_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RefusedError, match="damaged"):
        check_upload("data:image/png;base64,§§§§")
    monkeypatch.setattr(upload, "LARGEST", 1_000_000)
    with pytest.raises(RefusedError, match="larger than 1 MB"):
        check_upload(sent(bytes(1_100_000)))


def test_a_jpeg_of_very_many_scans_is_refused() -> None:
    data = encoded(halves(), progressive=True)
    assert read_upload(data, SIZE).image.shape == (3, 224, 224)
    scan = data[data.index(b"\xff\xda") : -2]
    with pytest.raises(RefusedError, match="more than 64 scans"):
        read_upload(data[:-2] + 100 * scan[: scan.rindex(b"\xff\xda") + 12] + data[-2:], SIZE)
