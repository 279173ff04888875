"""Frames to the bytes of a GIF or MP4, through imageio.

Frames are uint8 ``[height, width, 3]``, all of one size; times are in seconds. The last frame is
held longer, so that the end can be read before a loop starts again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from saccade_env.drawing.style import THEME
from saccade_env.files import replacing

HOLD = 4  # the last frame stays this many times as long


def save(
    frames: Sequence[UInt8[np.ndarray, "height width 3"]],
    path: str | Path,
    seconds_per_frame: float = 0.7,
) -> None:
    """Write frames as GIF (loops for ever) or MP4 (H.264, yuv420p), as the suffix says.

    The last frame is held longer. Missing folders are made, and an existing file is replaced only
    once the new one is complete. Equal frames in a row may become one longer frame of a GIF.

    Args:
        frames: At least one, all of one size; even height and width for MP4.
        path: Ends in ``.gif`` or ``.mp4``.
        seconds_per_frame: More than 0.

    Raises:
        ValueError: Another suffix, unusable frames, or a time that is not positive.
        OSError: The file cannot be written; nothing is left behind.
    """
    encode = encoder(Path(path))
    if not 0 < seconds_per_frame < math.inf:
        raise ValueError(f"seconds_per_frame must be finite and > 0; got {seconds_per_frame}")
    shapes = {np.shape(pixels) for pixels in frames}
    if len(shapes) != 1:
        raise ValueError(f"frames must be at least one, all of one size; got {sorted(shapes)}")
    with replacing(Path(path)) as temporary:
        temporary.write_bytes(encode(frames, seconds_per_frame))


def encoder(path: Path) -> Callable[[Sequence[np.ndarray], float], bytes]:
    """The function (frames, seconds per frame) → bytes for the suffix of a path.

    Raises:
        ValueError: The suffix is neither ``.gif`` nor ``.mp4``.
    """
    encoders = {".gif": _gif, ".mp4": _mp4}
    if path.suffix.lower() not in encoders:
        raise ValueError(f"path must end in .gif or .mp4; got {str(path)!r}")
    return encoders[path.suffix.lower()]


def _gif(frames: Sequence[np.ndarray], seconds: float) -> bytes:
    """Encode as GIF that loops for ever.

    One palette for all frames and no dithering: what stands still costs nothing, and the colours
    of the frames' own drawing stay exact.
    """
    import imageio.v3 as iio
    from PIL import Image

    sample = Image.fromarray(np.concatenate([frames[0], frames[-1]])[::2, ::2])
    mixed = sample.quantize(255 - len(THEME), kmeans=1).getpalette() or []
    palette = Image.new("P", (1, 1))
    palette.putpalette([*b"".join(bytes.fromhex(colour[1:]) for colour in THEME), *mixed])
    few = [
        Image.fromarray(pixels).quantize(palette=palette, dither=Image.Dither.NONE).convert("RGB")
        for pixels in frames
    ]
    stack = np.stack([np.asarray(image) for image in few])
    times = [round(1000 * seconds)] * (len(frames) - 1) + [round(1000 * seconds * HOLD)]
    # Pillow, which imageio calls, takes a list of times only for several frames.
    duration = times if len(times) > 1 else times[0]
    return iio.imwrite("<bytes>", stack, extension=".gif", duration=duration, loop=0)


def _mp4(frames: Sequence[np.ndarray], seconds: float) -> bytes:
    """Encode as H.264 in yuv420p, every frame several times: players stumble over slow videos.

    Raises:
        ValueError: Height or width is odd.
        OSError: The encoder did not finish.
    """
    import imageio.v3 as iio

    height, width = frames[0].shape[:2]
    if height % 2 or width % 2:
        raise ValueError(f"MP4 needs an even height and width; got {height} × {width}")
    times = math.ceil(10 * seconds)
    shown = [pixels for pixels in [*frames, *[frames[-1]] * (HOLD - 1)] for _ in range(times)]
    data = iio.imwrite(
        "<bytes>", shown, extension=".mp4", plugin="FFMPEG", fps=times / seconds, codec="libx264",
        pixelformat="yuv420p", macro_block_size=2, quality=8,
    )  # fmt: skip
    if b"moov" not in data:  # ffmpeg writes the index last and tells nobody when it cannot
        raise OSError("ffmpeg could not finish the MP4; is the temporary folder full?")
    return data
