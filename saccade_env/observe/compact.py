"""The compact observation: which picture, and where was looked. It is the default one, unexpanded.

Some 60 bytes a step instead of 150 KB, for buffers that keep many steps. :func:`expand` makes the
default observation of it, from the pictures themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from jaxtyping import Bool, UInt8
from torch import Tensor

from saccade_env.config import SaccadeConfig
from saccade_env.core import State
from saccade_env.images.patch_cache import PatchCache
from saccade_env.spaces import Observation

_BITS = 8
PARTS = ("image", "revealed", "fixations", "saccades_left")


def compact_space(config: SaccadeConfig, pictures: int) -> spaces.Dict:
    """Space of the compact observation of one environment.

    ``image`` int64 [1], place in the source; ``revealed`` uint8 [⌈N/8⌉], packed, the first token in
    the highest bit; ``fixations`` int8 (int16 on grids above 128) [max_saccades, 2], (row, col),
    -1 where not made yet; ``saccades_left`` int64 [1].

    Args:
        config: The task.
        pictures: How many there are in the source.
    """
    kind: Any = np.int8 if max(config.grid) <= 128 else np.int16
    low: Any = np.full((config.max_saccades, 2), -1, kind)
    high = (low + np.array(config.grid)).astype(kind)
    return spaces.Dict(
        {
            "image": spaces.Box(0, pictures - 1, (1,), np.int64),
            "revealed": spaces.Box(0, 255, (-(-config.num_tokens // _BITS),), np.uint8),
            "fixations": spaces.Box(low, high, dtype=kind),
            "saccades_left": spaces.Box(0, config.max_saccades, (1,), np.int64),
        }
    )


def observe_compact(episodes: State, space: spaces.Dict) -> Observation:
    """The compact observation of every row; ``space`` is that of one environment."""
    done = episodes.saccades_done.cpu().numpy()
    revealed = episodes.revealed.flatten(1).cpu().numpy()
    fixations = episodes.fixations.cpu().numpy()
    return {
        "image": episodes.image_index.cpu().numpy()[:, None].copy(),
        "revealed": np.packbits(revealed, axis=1),
        "fixations": fixations.astype(space["fixations"].dtype),
        "saccades_left": (fixations.shape[1] - done)[:, None],
    }


def config_of(space: spaces.Space) -> SaccadeConfig:
    """Grid and budget of a compact space; the other rules do not show in an observation.

    Raises:
        ValueError: It is no compact space.
    """
    parts = space.spaces if isinstance(space, spaces.Dict) else {}
    if missing := {*PARTS} - parts.keys():
        raise ValueError(
            f"a compact observation has {sorted(missing)}: make the environment with "
            f"observation='compact'; got {list(parts) or space}"
        )
    last = parts["fixations"].high[0]  # type: ignore[attr-defined]
    grid = int(last[0]) + 1, int(last[1]) + 1
    return SaccadeConfig(grid, fovea=1, max_saccades=parts["fixations"].shape[0])  # type: ignore[index]


def expand(
    compact: Mapping[str, Tensor], pictures: PatchCache, config: SaccadeConfig
) -> dict[str, Tensor]:
    """The default observation of a batch, see :func:`saccade_env.spaces.observation_space`.

    Args:
        compact: As :func:`compact_space` says with a leading axis, in any type that holds the
            numbers; on the device where the result shall be.
        pictures: Of the environment.
        config: Of the task, of which grid and budget are used.

    Returns:
        The same numbers in the same types as the environment gives, as tensors.

    Raises:
        BrokenImageError: A picture cannot be read.
        IndexError: There is no such picture.
        RuntimeError: ``pictures`` come out of a pickle and were not opened.
    """
    revealed = unpacked(compact["revealed"].to(torch.uint8), config.num_tokens)
    left = compact["saccades_left"].long()
    last = (config.max_saccades - left[:, 0] - 1).clamp(min=0)
    rows = torch.arange(len(last), device=last.device)
    return {
        "tokens": pictures.reveal(compact["image"][:, 0].long(), revealed),
        "revealed": revealed.to(torch.uint8),
        "fixation": compact["fixations"][rows, last].long(),
        "saccades_left": left,
    }


def unpacked(packed: UInt8[Tensor, "batch bytes"], tokens: int) -> Bool[Tensor, "batch tokens"]:
    """The first bits of rows of bytes, highest bit first, as ``np.unpackbits`` gives them."""
    shifts = torch.arange(_BITS - 1, -1, -1, dtype=torch.uint8, device=packed.device)
    return (packed[..., None] >> shifts & 1).flatten(1)[:, :tokens].bool()
