"""An agent on held-back pictures during training: every picture once, with the best action."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float

from saccade_env import core, rendering

_KEYS = ("certainty", "correct", "visible_share")
Predict = Callable[..., tuple[np.ndarray, Any]]


class Result(NamedTuple):
    """Means over the pictures, after every saccade where there is an axis, each 0 to 1."""

    reward: float  # of an episode
    saccades: float  # made in an episode
    certainty: Float[np.ndarray, " saccades"]
    accuracy: Float[np.ndarray, " saccades"]  # NaN without labels
    visible_share: Float[np.ndarray, " saccades"]
    frame: np.ndarray  # the scanpath on the first picture

    def row(self) -> dict[str, float]:
        """As a line of a table: means over saccades, and accuracy after each."""
        means = {
            "reward": self.reward,
            "saccades": self.saccades,
            "certainty": float(self.certainty.mean()),
            "accuracy": float(self.accuracy.mean()),
            "visible_share": float(self.visible_share[-1]),
        }
        names = (f"accuracy_at_{number:02d}" for number in range(1, len(self.accuracy) + 1))
        return means | dict(zip(names, map(float, self.accuracy), strict=True))


class _Episodes(NamedTuple):
    reward: np.ndarray  # [B]
    saccades: np.ndarray  # [B]
    values: dict[str, np.ndarray]  # [B, T]
    blank: float  # certainty before the first saccade
    end: core.View  # of the first row
    image: torch.Tensor
    label: int


def evaluate(env: Any, count: int, predict: Predict) -> Result:
    """Look at every picture once.

    Args:
        env: A vector environment on the held-back pictures, bare or in vector wrappers.
        count: How many pictures it has.
        predict: Observation, network state, which rows have just begun and mask, to actions [B]
            and network state. An episode that has stopped stays as it was.
    """
    rows = env.num_envs
    parts, first = [], 0
    while first < count:
        indices = [min(place, count - 1) for place in range(first, first + rows)]
        parts.append(_episodes(env, indices, predict))
        first += rows
    means = {
        key: np.concatenate([part.values[key] for part in parts])[:count].mean(0) for key in _KEYS
    }
    return Result(
        reward=_mean([part.reward for part in parts], count),
        saccades=_mean([part.saccades for part in parts], count),
        certainty=means["certainty"],
        accuracy=means["correct"],
        visible_share=means["visible_share"],
        frame=_frame(env, parts[0]),
    )


def _mean(parts: list[np.ndarray], count: int) -> float:
    return float(np.concatenate(parts)[:count].mean())


def _episodes(env: Any, indices: list[int], predict: Predict) -> _Episodes:
    observation, infos = env.reset(options={"index": indices})
    base, alive, starts = env.unwrapped, np.ones(len(indices), bool), np.ones(len(indices), bool)
    image, labels, blank = base.images[0], infos["label"], float(infos["certainty"][0])
    reward, saccades, state = np.zeros(len(indices)), np.zeros(len(indices)), None
    last = {key: np.zeros(len(indices)) for key in _KEYS}
    values: dict[str, list[np.ndarray]] = {key: [] for key in _KEYS}
    end = base.view
    for _ in range(base.config.max_saccades):
        actions, state = predict(observation, state, starts, env.action_masks())
        observation, earned, over, _, infos = env.step(actions)
        reward, end = reward + earned * alive, base.stepped if alive[0] else end
        saccades = np.where(alive, base.stepped.saccades_done.cpu().numpy(), saccades)
        for key in _KEYS:
            now = np.where(over, infos["final_info"][key], infos[key]) if over.any() else infos[key]
            last[key] = np.where(alive, now, last[key])
            values[key].append(last[key])
        alive, starts = alive & ~over, over
    stacked = {key: np.stack(value, 1).astype(float) for key, value in values.items()}
    stacked["correct"][labels == core.UNLABELLED] = np.nan
    return _Episodes(reward, saccades, stacked, blank, end, image, int(labels[0]))


def _frame(env: Any, episodes: _Episodes) -> np.ndarray:
    base = env.unwrapped
    state = core.State(
        memory=None,
        images=episodes.image[None],
        labels=torch.tensor([episodes.label]),
        image_index=torch.zeros(1, dtype=torch.long),
        **{key: value[:1] for key, value in episodes.end._asdict().items()},
    )
    done = int(state.saccades_done[0])
    history = [episodes.blank, *episodes.values["certainty"][0, :done].tolist()]
    return rendering.frame(state, base.config, base.patch_size, history)
