"""The native vector environment: B episodes in one batch, each row its own.

A row that is over begins its next episode in the same step (``AutoresetMode.SAME_STEP``; what it
ended on is in ``infos["final_obs"]`` and ``infos["final_info"]``), in the next one
(``NEXT_STEP``; its action there is ignored) or when it is told to (``DISABLED``). Row i is seeded
``seed + i``: equal to ``SyncVectorEnv`` of single environments in each mode.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from gymnasium.error import ResetNeeded
from gymnasium.utils.seeding import np_random
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from jaxtyping import Bool
from typing_extensions import Unpack

from saccade_env import core, spaces
from saccade_env.classifiers import AUTO, Classifier
from saccade_env.config import check_whole
from saccade_env.drawing.window import Window
from saccade_env.env import SaccadeEnv
from saccade_env.errors import unknown_name
from saccade_env.images import Spec
from saccade_env.images.feeding import Lookahead, check_workers
from saccade_env.observe.own import own_observation
from saccade_env.rows import replace_rows
from saccade_env.task import (
    Drawn,
    Task,
    TaskHolder,
    TaskKeywords,
    check_options,
    check_render_mode,
)

Infos = dict[str, Any]


class SaccadeVectorEnv(TaskHolder, VectorEnv[spaces.Observation, Any, np.ndarray]):
    """``num_envs`` episodes of :class:`saccade_env.SaccadeEnv` in one batch.

    Args:
        num_envs: Number of rows.
        images: As of :class:`saccade_env.SaccadeEnv`.
        classifier: Likewise.
        render_mode: ``"human"`` (a window with all rows), ``"rgb_array"`` or ``"ansi"``.
        workers: Threads that decode the next picture of every row ahead of time; None means one for
            every four processors, 1 to 4. 0 decodes within the step. It changes no episode.
        autoreset_mode: An ``AutoresetMode`` or its value: ``"SameStep"``, ``"NextStep"`` or
            ``"Disabled"``, where rows that are over wait for
            ``reset(options={"reset_mask": bool [B]})``.
        max_episode_steps: Steps after which an episode is truncated, as by Gymnasium's TimeLimit.
        **task: All other keywords of :class:`saccade_env.SaccadeEnv`: ``fovea``, ``max_saccades``,
            ``reward``, ``saccade_cost``, ``action``, ``stop_action``, ``device``, ``on_error``,
            ``classifier_mode``, ``hidden``, ``observation``.

    Attributes:
        episodes: Number of episodes begun in every row, int64 [B].

    Raises:
        DependencyNotInstalled: ``render_mode="human"`` without pygame.
        ValueError: Unknown name or contradicting values; the message holds them.

    >>> envs = SaccadeVectorEnv(3, "sample", "efficientnet_lite0")
    >>> observations, infos = envs.reset(seed=0)
    >>> observations, rewards, *_ = envs.step(envs.action_space.sample())
    >>> rewards.shape, int(envs.episodes.sum())
    ((3,), 3)
    """

    metadata = {**SaccadeEnv.metadata, "autoreset_mode": AutoresetMode.SAME_STEP}  # noqa: RUF012
    closed = True  # until it is whole: Gymnasium 1.1 closes what is collected, refused ones too

    def __init__(
        self,
        num_envs: int = 1,
        images: Spec = None,
        classifier: str | Classifier = AUTO,
        render_mode: str | None = None,
        workers: int | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.SAME_STEP,
        max_episode_steps: int | None = None,
        **task: Unpack[TaskKeywords],
    ) -> None:
        self.num_envs = check_whole("num_envs", num_envs, 1)
        self.render_mode = check_render_mode(render_mode)
        self._window = Window() if render_mode == "human" else None
        self.autoreset_mode = _check_autoreset(autoreset_mode)
        self.metadata = {**SaccadeEnv.metadata, "autoreset_mode": self.autoreset_mode}
        if max_episode_steps is not None:
            check_whole("max_episode_steps", max_episode_steps, 1)
        self._limit = np.inf if max_episode_steps is None else max_episode_steps
        workers = check_workers(workers)
        self._task = Task(images, classifier, **task)
        self._lookahead = Lookahead(self._task.draw, workers)
        self._own = own_observation(self._task)
        self._stepped: core.View | None = None
        self.single_action_space = spaces.action_space(self.config)
        self.single_observation_space = self._own.space
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self._generators = [np_random(None) for _ in range(num_envs)]
        self.episodes = np.zeros(num_envs, np.int64)
        self._elapsed = np.zeros(num_envs, np.int64)  # steps of the running episodes
        self._over = np.ones(num_envs, bool)
        self._unread = False  # whether a picture to go on with could not be read
        self._history = np.full((num_envs, self.config.max_saccades + 1), np.nan)
        self.closed = False

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
        """Begin an episode in every row, or in those of a mask.

        Args:
            seed: One number, of which row i gets ``seed + i``, or one a row.
            options: ``"index"``, the place of a picture or one a row (None: a random one), and
                ``"reset_mask"``, bool [B], the rows meant. Infos are of these rows alone.

        Raises:
            BrokenImageError: A picture cannot be read, and ``on_error="raise"``.
            IndexError: There is no such picture.
            ResetNeeded: The first reset leaves out a row.
            ValueError: A seed or an option is of the wrong kind or number.
        """
        options = check_options(options, "index", "reset_mask")
        mask = _check_mask(options.get("reset_mask"), self.num_envs)
        seeds = _per_row(seed, self.num_envs, "seed", _check_seed, step=1)
        index, check = options.get("index"), self._task.check_index
        indices = _per_row(index, self.num_envs, "index", check, step=0)
        rows = np.flatnonzero(mask).tolist()
        if self._state is None and not mask.all():
            raise ResetNeeded(f"the first reset must begin every row; got a mask of rows {rows}")
        for row in rows:
            if seeds[row] is not None:
                self._generators[row] = np_random(seeds[row])
            if indices[row] is None:
                self._prepare(row)
        if mask.all():
            self._stepped = None
        self._begin(rows, indices)
        self._show()
        return self._observe(), _of_rows(spaces.info(self._running(), self.config), mask)

    def step(
        self, actions: Any
    ) -> tuple[spaces.Observation, np.ndarray, np.ndarray, np.ndarray, Infos]:
        """One saccade in every row; rows that are over begin anew as ``autoreset_mode`` says.

        Raises:
            BrokenImageError: The next picture of a row cannot be read, and ``on_error="raise"``:
                the row stays over until it is reset.
            ResetNeeded: There was no reset yet, or a row is over.
            ValueError: An action is out of range, or there is not one a row.
        """
        state, begins = self._running(), self._over.copy()
        waiting = begins.any()
        if waiting and (self._unread or self.autoreset_mode != AutoresetMode.NEXT_STEP):
            raise ResetNeeded(
                f"rows {np.flatnonzero(begins).tolist()} are over: call reset(), or "
                "reset(options={'reset_mask': …}) with a mask of these rows"
            )
        if waiting:
            actions = _blanked(actions, begins)
        fixation = spaces.action_to_fixation(actions, self.config, self.num_envs)
        if waiting:
            fixation[torch.from_numpy(begins)] = self.config.num_tokens  # these stay as they are
        self._state, outcome = self._task.saccade(state, fixation)
        self._stepped = core.view(self._state)
        self._elapsed += 1
        self._write_history()
        rewards = np.where(begins, 0.0, outcome.reward.double().cpu().numpy())
        terminated = outcome.terminated.cpu().numpy() & ~begins
        truncated = (self._elapsed >= self._limit) & ~begins
        ended = terminated | truncated
        self._over |= ended
        self._show()
        finals = {}
        if self.autoreset_mode == AutoresetMode.SAME_STEP and ended.any():
            finals, begins = self._finals(ended), ended
        if begins.any():
            self._begin(np.flatnonzero(begins).tolist(), [None] * self.num_envs)
            self._show()
        info = _of_rows(spaces.info(self._running(), self.config), np.ones(self.num_envs, bool))
        return self._observe(), rewards, terminated, truncated, {**info, **finals}

    def render(self) -> tuple[Any, ...] | None:
        """One frame or text a row, as ``render_mode`` says.

        Not one picture of all: Gymnasium's RecordVideo and HumanRendering tile frames themselves.
        With ``"human"`` None: the window shows every frame already, and answers its events.
        """
        from saccade_env import rendering

        if self.render_mode == "rgb_array":
            return self._frames()
        if self.render_mode == "ansi":
            state, names = self._running(), self._task.class_names
            return tuple(rendering.text(state, self.config, names, i) for i in range(self.num_envs))
        if self._window:
            self._window.answer()
        return None

    def close_extras(self, **_: Any) -> None:
        """End the threads that read pictures, and close the window."""
        self._lookahead.close()
        if self._window:
            self._window.close()

    def _frames(self) -> tuple[np.ndarray, ...]:
        from saccade_env import rendering

        state, names, done = self._running(), self._task.class_names, self._running().saccades_done
        return tuple(
            rendering.frame(
                state, self.config, self.patch_size, self._history[i, : int(done[i]) + 1].tolist(),
                names, i, hidden=self._task.hidden,
            )
            for i in range(self.num_envs)
        )  # fmt: skip

    def _show(self) -> None:
        from saccade_env import rendering

        if self._window:
            fps = self.metadata["render_fps"]
            self._window.show(lambda: rendering.tiled(self._frames()), fps)

    def _observe(self) -> spaces.Observation:
        return self._own(self._running())

    def _write_history(self) -> None:
        if self.render_mode in ("human", "rgb_array"):
            state = self._running()
            rows, done = np.arange(self.num_envs), state.saccades_done.cpu().numpy()
            self._history[rows, done] = state.certainty.cpu().numpy()

    def _finals(self, ended: np.ndarray) -> Infos:
        """What finished rows ended on, as Gymnasium wants it."""
        observation = self._observe()
        final_obs = np.full(len(ended), None, dtype=object)
        for row in np.flatnonzero(ended):
            final_obs[row] = {key: value[row] for key, value in observation.items()}
        return {
            "final_obs": final_obs,
            "final_info": _of_rows(spaces.info(self._running(), self.config), ended),
            "_final_obs": ended.copy(),
            "_final_info": ended.copy(),
        }

    def _begin(self, rows: list[int], indices: Sequence[int | None]) -> None:
        """Begin an episode in rows; they stay over where a picture cannot be read."""
        self._over[rows], self._unread = True, True
        fresh = self._task.begin([self._draw(row, indices[row]) for row in rows])
        for row in rows:
            self._prepare(row)
        if len(rows) == self.num_envs:
            self._state = fresh
            self._own.begin(fresh.images)
        else:
            self._state = replace_rows(self._running(), torch.tensor(rows), fresh)
            self._own.replace(np.array(rows), fresh.images)
        self._over[rows], self._unread = False, False
        self._elapsed[rows] = 0
        self.episodes = self.episodes + np.bincount(rows, minlength=self.num_envs)
        self._write_history()

    def _draw(self, row: int, index: int | None) -> Drawn:
        if index is None:
            return self._lookahead.take(row, self._generators[row][0])
        return self._task.pick(index)

    def _prepare(self, row: int) -> None:
        """Read the next picture of a row meanwhile."""
        self._lookahead.prepare(row, self._generators[row][0])


def _check_autoreset(mode: AutoresetMode | str) -> AutoresetMode:
    known = {value.value: value for value in AutoresetMode}
    if not isinstance(mode, AutoresetMode) and mode not in known:
        raise unknown_name("autoreset_mode", str(mode), known)
    return AutoresetMode(mode)


def _check_seed(seed: Any) -> int:
    return check_whole("seed", seed, 0)


def _check_mask(mask: Any, rows: int) -> Bool[np.ndarray, " batch"]:
    if mask is None:
        return np.ones(rows, bool)
    values = np.asarray(mask)
    if values.dtype != bool or values.shape != (rows,) or not values.any():
        raise ValueError(
            f"reset_mask must be bool of shape {(rows,)} with a True; got {values.dtype} "
            f"{values.tolist()}"
        )
    return values


def _per_row(
    value: Any, rows: int, name: str, check: Callable[[Any], int], step: int
) -> list[int | None]:
    """One number a row from one for all or from a sequence, in which None is left out."""
    if value is None:
        return [None] * rows
    if isinstance(value, Mapping) or np.ndim(value) == 0:
        return [check(value) + step * row for row in range(rows)]
    if len(value) != rows:
        raise ValueError(f"{name} must be one number or {rows}, one a row; got {len(value)}")
    return [None if one is None else check(one) for one in value]


def _blanked(actions: Any, ignored: Bool[np.ndarray, " batch"]) -> Any:
    """Actions with those that are ignored replaced by one that is right."""
    values = np.array(actions)
    if values.shape[:1] == ignored.shape:
        values[ignored] = 0
    return values


def _of_rows(info: Infos, rows: Bool[np.ndarray, " batch"]) -> Infos:
    """Gymnasium's form: beside every key, ``_key`` says which rows have it; others have zeros."""
    if not rows.all():
        for key, value in info.items():
            info[key] = np.zeros_like(value)
            info[key][rows] = value[rows]
    return {**info, **{f"_{key}": rows.copy() for key in info}}
