"""The native vector environment: B episodes in one batch, each row its own.

Finished rows are replaced in the same step (``AutoresetMode.SAME_STEP``); what they ended on is
in ``infos["final_obs"]`` and ``infos["final_info"]``. Row i is seeded ``seed + i``: equal to
``SyncVectorEnv`` of single environments.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from gymnasium.error import ResetNeeded
from gymnasium.utils.seeding import np_random
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from saccade_env import core, spaces
from saccade_env.env import SaccadeEnv
from saccade_env.images.feeding import Lookahead, check_workers
from saccade_env.observe.tokens import TokenBuffers
from saccade_env.rows import replace_rows
from saccade_env.task import Drawn, Task, TaskHolder, check_render_mode, index_option

Infos = dict[str, Any]


class SaccadeVectorEnv(TaskHolder, VectorEnv[spaces.Observation, Any, np.ndarray]):
    """``num_envs`` episodes of :class:`saccade_env.SaccadeEnv` in one batch.

    Args:
        num_envs: Number of rows.
        render_mode: ``"rgb_array"`` or ``"ansi"``.
        workers: Threads that decode the next picture of every row ahead of time; None means one for
            every four processors, 1 to 4. 0 decodes within the step. It changes no episode.
        **task: All other keywords of :class:`saccade_env.SaccadeEnv`.

    Raises:
        ValueError: Unknown name or contradicting values; the message holds them.
    """

    metadata = {**SaccadeEnv.metadata, "autoreset_mode": AutoresetMode.SAME_STEP}  # noqa: RUF012

    def __init__(
        self,
        num_envs: int = 1,
        render_mode: str | None = None,
        workers: int | None = None,
        **task: Any,
    ) -> None:
        if num_envs < 1:
            raise ValueError(f"num_envs must be ≥ 1; got {num_envs}")
        self.num_envs, self.render_mode = num_envs, check_render_mode(render_mode)
        workers = check_workers(workers)
        self._task = Task(**task)
        self._lookahead = Lookahead(self._task.draw, workers)
        self._buffers = TokenBuffers()
        self._stepped: core.View | None = None
        self.single_action_space = spaces.action_space(self.config)
        self.single_observation_space = spaces.observation_space(self.config, self.patch_size)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self._generators = [np_random(None) for _ in range(num_envs)]

    @property
    def np_random_seed(self) -> tuple[int, ...]:  # type: ignore[override]
        """Seed of every row's generator."""
        return tuple(seed for _, seed in self._generators)

    @property  # type: ignore[misc]
    def np_random(self) -> tuple[np.random.Generator, ...]:  # type: ignore[override]
        """Every row's generator."""
        return tuple(generator for generator, _ in self._generators)

    @property
    def stepped(self) -> core.View:
        """What the last step led to, in rows that have started anew since as well."""
        if self._stepped is None:
            raise ResetNeeded("there was no step since reset()")
        return self._stepped

    def action_masks(self) -> np.ndarray:
        """Actions that reveal something new, bool [B, actions], for MaskablePPO."""
        mask = spaces.action_mask(self._running(), self.config)
        return spaces.sb3_action_mask(mask, self.config)

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[spaces.Observation, Infos]:
        """Start every row; ``seed`` as one number or one a row, ``options={"index": i or [B]}``."""
        seeds = _per_row(seed, self.num_envs, "seed", step=1)
        indices = _per_row(index_option(options), self.num_envs, "index", step=0)
        for row, value in enumerate(seeds):
            if value is not None:
                self._generators[row] = np_random(int(value))
        for row in (row for row, index in enumerate(indices) if index is None):
            self._prepare(row)
        self._state = self._task.begin(self._draw(range(self.num_envs), indices))
        self._stepped = None
        self._buffers.begin(spaces.patches(self._state.images, self.patch_size))
        self._history = np.full((self.num_envs, self.config.max_saccades + 1), np.nan)
        self._write_history(range(self.num_envs))
        return self._observe(), _masked(spaces.info(self._state, self.config), self.num_envs)

    def step(
        self, actions: Any
    ) -> tuple[spaces.Observation, np.ndarray, np.ndarray, np.ndarray, Infos]:
        """One saccade in every row; finished rows start anew within the step.

        Raises:
            ValueError: An action is out of range, or there is not one a row.
            ResetNeeded: There was no reset yet.
        """
        state = self._running()
        fixation = spaces.action_to_fixation(actions, self.config)
        if len(fixation) != self.num_envs:
            raise ValueError(f"expected {self.num_envs} actions; got {len(fixation)}")
        self._state, outcome = self._task.saccade(state, fixation)
        self._stepped = core.view(self._state)
        self._write_history(range(self.num_envs))
        rewards = outcome.reward.double().cpu().numpy()
        terminated = outcome.terminated.cpu().numpy()
        finals = self._autoreset(terminated) if terminated.any() else {}
        infos = _masked(spaces.info(self._running(), self.config), self.num_envs)
        return (
            self._observe(), rewards, terminated, np.zeros_like(terminated), {**infos, **finals},
        )  # fmt: skip

    def render(self) -> tuple[Any, ...] | None:
        """One frame or text a row, as ``render_mode`` says."""
        from saccade_env import rendering

        if self.render_mode is None:
            return None
        state, names = self._running(), self._task.class_names
        if self.render_mode == "ansi":
            return tuple(rendering.text(state, self.config, names, i) for i in range(self.num_envs))
        done = state.saccades_done.tolist()
        return tuple(
            rendering.frame(
                state, self.config, self.patch_size, self._history[i, : done[i] + 1].tolist(),
                names, i,
            )
            for i in range(self.num_envs)
        )  # fmt: skip

    def _observe(self) -> spaces.Observation:
        return spaces.observe(self._running(), self._buffers, self.config)

    def _write_history(self, rows: Any) -> None:
        if self.render_mode != "rgb_array":
            return
        state = self._running()
        done = state.saccades_done.cpu().numpy()
        self._history[rows, done[rows]] = state.certainty.cpu().numpy()[rows]

    def _autoreset(self, ended: np.ndarray) -> Infos:
        """Replace finished rows; what they ended on, as Gymnasium wants it."""
        final_obs, final_info = _final(
            self._observe(), spaces.info(self._running(), self.config), ended
        )
        rows = np.flatnonzero(ended)
        fresh = self._task.begin(self._draw(rows.tolist(), [None] * self.num_envs))
        patches = spaces.patches(fresh.images, self.patch_size)
        if len(rows) == self.num_envs:
            self._state = fresh
            self._buffers.begin(patches)
        else:
            self._state = replace_rows(self._running(), torch.from_numpy(rows), fresh)
            self._buffers.replace(rows, patches)
        self._write_history(rows)
        return {
            "final_obs": final_obs,
            "final_info": final_info,
            "_final_obs": ended.copy(),
            "_final_info": ended.copy(),
        }

    def _draw(self, rows: Iterable[int], indices: Sequence[int | None]) -> list[Drawn]:
        """The next pictures of rows; those after them are read meanwhile."""
        drawn = []
        for row in rows:
            index = indices[row]
            drawn.append(
                self._lookahead.take(row, self._generators[row][0])
                if index is None
                else self._task.pick(index)
            )
        for row in rows:
            self._prepare(row)
        return drawn

    def _prepare(self, row: int) -> None:
        self._lookahead.prepare(row, self._generators[row][0])

    def close_extras(self, **_: Any) -> None:
        """End the threads that read pictures."""
        self._lookahead.close()


def _per_row(value: Any, rows: int, name: str, step: int) -> list[Any]:
    if value is None:
        return [None] * rows
    if isinstance(value, (int, np.integer)):
        return [int(value) + step * row for row in range(rows)]
    if len(value) != rows:
        raise ValueError(f"{name} must be one number or {rows}, one a row; got {len(value)}")
    return list(value)


def _masked(info: Infos, rows: int) -> Infos:
    """Gymnasium's form: beside every key, ``_key`` says which rows have it."""
    return {**info, **{f"_{key}": np.ones(rows, dtype=bool) for key in info}}


def _final(
    observation: spaces.Observation, info: Infos, ended: np.ndarray
) -> tuple[np.ndarray, Infos]:
    """What finished rows ended on, in Gymnasium's form."""
    final_obs = np.full(len(ended), None, dtype=object)
    for row in np.flatnonzero(ended):
        final_obs[row] = {key: value[row] for key, value in observation.items()}
    final_info: Infos = {}
    for key, value in info.items():
        keep = ended.reshape(-1, *[1] * (value.ndim - 1))
        final_info[key] = np.where(keep, value, np.zeros_like(value))
        final_info[f"_{key}"] = ended.copy()
    return final_obs, final_info
