"""The Gymnasium face of the task: spaces, actions in, masks and infos out.

Shared by the single and the vector environment; everything here is batched numpy. What is observed
is in ``observe/``.
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

Observation = dict[str, Any]


def action_space(config: SaccadeConfig) -> spaces.Space[Any]:
    """``Discrete(N)`` (+ 1 to stop), ``MultiDiscrete([rows, cols])`` or ``Box(-1, 1, (2,))``."""
    if config.action == "grid":
        return spaces.MultiDiscrete(list(config.grid))
    if config.action == "continuous":
        return spaces.Box(-1.0, 1.0, (2,), np.float32)
    return spaces.Discrete(config.num_tokens + config.stop_action)


def observation_space(config: SaccadeConfig, patch_size: int) -> spaces.Dict:
    """Space of the default observation: boxes alone, which every library for learning reads.

    ``tokens`` uint8 [N, 3·p·p], revealed RGB patches (channel, row, col order), zero where hidden;
    ``revealed`` uint8 [N], 0 or 1; ``fixation`` int64 (row, col), (-1, -1) before the first
    saccade; ``saccades_left`` int64 [1].
    """
    last = np.array(config.grid) - 1
    return spaces.Dict(
        {
            "tokens": spaces.Box(0, 255, (config.num_tokens, 3 * patch_size**2), np.uint8),
            "revealed": spaces.Box(0, 1, (config.num_tokens,), np.uint8),
            "fixation": spaces.Box(np.array([-1, -1]), last, (2,), np.int64),
            "saccades_left": spaces.Box(0, config.max_saccades, (1,), np.int64),
        }
    )


def action_to_fixation(actions: Any, config: SaccadeConfig, rows: int) -> Int[Tensor, " batch"]:
    """Batched actions of any kind to token indices (N = stop).

    Args:
        actions: [B] or [B, 2], as ``config.action`` says; continuous ones are clipped to [-1, 1].
        config: The task.
        rows: B.

    Raises:
        ValueError: An action is out of range, not finite, or of the wrong shape or type.
    """
    values = np.asarray(actions)
    if values.shape[:1] != (rows,):
        raise ValueError(f"expected {rows} actions; got {len(values) if values.ndim else values}")
    shape = () if config.action == "token" else (2,)
    if values.shape[1:] != shape:
        raise ValueError(
            f"one action of kind {config.action!r} must have shape {shape}; "
            f"got {values.shape[1:]} in {values.tolist()}"
        )
    if config.action == "continuous":
        return _continuous_to_fixation(values, config)
    if not np.issubdtype(values.dtype, np.integer):
        raise ValueError(f"action must be whole numbers; got {values.dtype} {values.tolist()}")
    limit = np.array(config.grid if shape else config.num_tokens + config.stop_action)
    if (values < 0).any() or (values >= limit).any():
        raise ValueError(f"action must be ≥ 0 and < {limit.tolist()}; got {values.tolist()}")
    fixation = torch.from_numpy(values.astype(np.int64))
    return geometry.row_col_to_index(fixation, config.grid) if shape else fixation


def _continuous_to_fixation(values: np.ndarray, config: SaccadeConfig) -> Tensor:
    real = np.issubdtype(values.dtype, np.floating) or np.issubdtype(values.dtype, np.integer)
    if not real or not np.isfinite(values).all():
        raise ValueError(f"action must be finite numbers; got {values.tolist()}")
    position = torch.from_numpy(values.clip(-1, 1).astype(np.float32))
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
