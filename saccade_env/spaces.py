"""The Gymnasium face of the task: spaces, actions in, observations and infos out.

Shared by the single and the vector environment; everything here is batched numpy.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from jaxtyping import Bool, Int
from torch import Tensor

from saccade_env import core, geometry
from saccade_env.config import SaccadeConfig
from saccade_env.observe.tokens import TokenBuffers

Observation = dict[str, Any]


def action_space(config: SaccadeConfig) -> spaces.Space[Any]:
    """``Discrete(N)`` (+ 1 to stop), ``MultiDiscrete([rows, cols])`` or ``Box(-1, 1, (2,))``."""
    if config.action == "grid":
        return spaces.MultiDiscrete(list(config.grid))
    if config.action == "continuous":
        return spaces.Box(-1.0, 1.0, (2,), np.float32)
    return spaces.Discrete(config.num_tokens + config.stop_action)


def observation_space(config: SaccadeConfig, patch_size: int) -> spaces.Dict:
    """Space of the default observation.

    ``tokens`` uint8 [N, 3·p·p], revealed RGB patches (channel, row, col order), zero where hidden;
    ``revealed`` [N]; ``fixation`` (row, col), (-1, -1) before the first saccade;
    ``saccades_left``.
    """
    rows, cols = config.grid
    return spaces.Dict(
        {
            "tokens": spaces.Box(0, 255, (config.num_tokens, 3 * patch_size**2), np.uint8),
            "revealed": spaces.MultiBinary(config.num_tokens),
            "fixation": spaces.Box(np.array([-1, -1]), np.array([rows - 1, cols - 1]), (2,), int),
            "saccades_left": spaces.Discrete(config.max_saccades + 1),
        }
    )


def action_to_fixation(action: Any, config: SaccadeConfig) -> Int[Tensor, " batch"]:
    """Batched actions of any kind to token indices (N = stop).

    Args:
        action: [B], [B, 2] or [B, 2], as ``config.action`` says.
        config: The task.

    Raises:
        ValueError: An action is out of range, not finite, or of the wrong shape or type.
    """
    values = np.asarray(action)
    width = () if config.action == "token" else (2,)
    if values.shape[1:] != width or values.ndim != 1 + len(width):
        raise ValueError(
            f"action of kind {config.action!r} must have shape {('batch', *width)}; "
            f"got {values.shape}"
        )
    if config.action == "continuous":
        return _continuous_to_fixation(values, config)
    if not np.issubdtype(values.dtype, np.integer):
        raise ValueError(f"action must be whole numbers; got {values.dtype} {values.tolist()}")
    limit = np.array(config.grid if width else config.num_tokens + config.stop_action)
    if (values < 0).any() or (values >= limit).any():
        raise ValueError(f"action must be ≥ 0 and < {limit.tolist()}; got {values.tolist()}")
    fixation = torch.from_numpy(values.astype(np.int64))
    return geometry.row_col_to_index(fixation, config.grid) if width else fixation


def _continuous_to_fixation(values: np.ndarray, config: SaccadeConfig) -> Tensor:
    if not (np.isfinite(values).all() and (np.abs(values) <= 1).all()):
        raise ValueError(f"action must be finite and in [-1, 1]; got {values.tolist()}")
    position = torch.from_numpy(values.astype(np.float32))
    return geometry.row_col_to_index(
        geometry.normalised_to_row_col(position, config.grid), config.grid
    )


def fixation_to_action(fixation: int, config: SaccadeConfig) -> Any:
    """The action of one environment that looks at a token index (N = stop)."""
    if config.action == "token":
        return int(fixation)
    row_col = geometry.index_to_row_col(torch.tensor([fixation]), config.grid)
    if config.action == "grid":
        return row_col[0].numpy()
    return geometry.row_col_to_normalised(row_col, config.grid)[0].numpy()


def patches(images: Tensor, patch_size: int) -> np.ndarray:
    """Images to the tokens of the observation, uint8 [B, N, 3·p·p], nothing hidden."""
    return geometry.patchify(images, patch_size).cpu().numpy()


def observe(state: core.State, buffers: TokenBuffers, config: SaccadeConfig) -> Observation:
    """Default observation of every row, in arrays that are the caller's.

    Args:
        state: The episodes.
        buffers: Begun on :func:`patches` of the state's images.
        config: The task.
    """
    revealed = state.revealed.flatten(1).cpu().numpy()
    done = state.saccades_done.cpu().numpy()
    fixations = state.fixations.cpu().numpy()
    last = fixations[np.arange(len(done)), np.maximum(done - 1, 0)]
    return {
        "tokens": buffers.write(revealed),
        "revealed": revealed.astype(np.int8),
        "fixation": last,
        "saccades_left": config.max_saccades - done,
    }


def action_mask(state: core.State, config: SaccadeConfig) -> Bool[np.ndarray, "batch actions"]:
    """Actions that reveal something new, and stopping where there is such an action."""
    cells = core.open_cells(state).flatten(1).cpu().numpy()
    if not config.stop_action:
        return cells
    return np.concatenate((cells, np.ones((len(cells), 1), dtype=bool)), axis=1)


def sb3_action_mask(mask: Bool[np.ndarray, "batch actions"], config: SaccadeConfig) -> np.ndarray:
    """The mask as MaskablePPO wants it: for ``action="grid"`` rows and columns side by side.

    Raises:
        ValueError: Continuous actions cannot be masked.
    """
    if config.action == "continuous":
        raise ValueError("action='continuous' cannot be masked; use 'token' or 'grid'")
    if config.action == "token":
        return mask
    cells = mask.reshape(-1, *config.grid)
    return np.concatenate((cells.any(2), cells.any(1)), axis=1)


def info(state: core.State, config: SaccadeConfig) -> dict[str, np.ndarray]:
    """What an agent is told beside the observation, each with the batch as leading axis.

    ``label`` (-1 = none), ``prediction``, ``certainty``, ``correct``, ``visible_share`` and
    ``action_mask``.
    """
    label = state.labels.cpu().numpy().copy()  # the caller's, not the state's
    prediction = state.logits.argmax(-1).cpu().numpy()
    return {
        "label": label,
        "prediction": prediction,
        "certainty": state.certainty.double().cpu().numpy(),
        "correct": prediction == label,
        "visible_share": core.visible_share(state.revealed).double().cpu().numpy(),
        "action_mask": action_mask(state, config),
    }
