"""The single environment: a batch of one. Rules in ``core.py``, spaces in ``spaces.py``."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.error import ResetNeeded
from typing_extensions import Unpack

from saccade_env import spaces
from saccade_env.classifiers import AUTO, Classifier
from saccade_env.config import check_whole
from saccade_env.drawing.window import Window
from saccade_env.images import Spec
from saccade_env.observe.own import own_observation
from saccade_env.task import (
    RENDER_MODES,
    Task,
    TaskHolder,
    TaskKeywords,
    check_options,
    check_render_mode,
)


class SaccadeEnv(TaskHolder, gym.Env[spaces.Observation, Any]):
    """Classify a picture by moving a fovea over it, one saccade at a time.

    Args:
        images: ``"sample"``, ``"imagenette"``, ``"imagenet:ROOT"``, a folder, tar shards,
            ``"hf:REPO"`` or an ImageSource, see :func:`saccade_env.images.create`;
            by default ``$SACCADE_IMAGENET`` if set, else the sample.
        classifier: A name, ``"auto"`` or a Classifier, see :func:`saccade_env.classifiers.create`.
        render_mode: ``"human"`` (a window, drawn by reset and step themselves; needs pygame),
            ``"rgb_array"`` or ``"ansi"``.
        fovea: Side of the square fovea in tokens, odd (3).
        max_saccades: Budget of saccades per episode (10).
        reward: ``"certainty_gain"``, or another of :func:`saccade_env.core.reward`.
        saccade_cost: Subtracted per saccade (0).
        action: ``"token"``, ``"grid"`` or ``"continuous"`` ("token").
        stop_action: Adds a last discrete action that ends the episode (False).
        device: Where the classifier runs ("cpu").
        on_error: ``"raise"`` for a picture that cannot be read, or ``"skip"`` to draw another.
        classifier_mode: For DINO, ``"recompute"`` (the paper's) or ``"kv_cache"``, faster and
            another model: see ``classifiers/vit/kv_cache.py``. By default as the classifier's name
            says (``"dino_vits16:mode=kv_cache,refresh_every=5"``), else ``"recompute"``.
        hidden: How frames show hidden tokens, ``"dimmed"``, or plain ``"grey"`` and no label,
            for a person who plays ("dimmed").
        observation: ``"tokens"``, the pixels of what is revealed, or ``"compact"``, some 60 bytes
            for a replay buffer, from which :func:`saccade_env.observe.compact.expand` makes the
            former ("tokens").

    Raises:
        DependencyNotInstalled: ``render_mode="human"`` without pygame.
        ValueError: Unknown name or contradicting values; the message holds them.

    >>> env = SaccadeEnv("sample", "efficientnet_lite0")
    >>> observation, info = env.reset(seed=0, options={"index": 31})
    >>> observation["tokens"].shape
    (196, 768)
    >>> observation, reward, terminated, truncated, info = env.step(7 * 14 + 7)
    >>> round(info["visible_share"] * 196), terminated
    (9, False)
    """

    metadata = {"render_modes": list(RENDER_MODES), "render_fps": 2}  # noqa: RUF012

    def __init__(
        self,
        images: Spec = None,
        classifier: str | Classifier = AUTO,
        render_mode: str | None = None,
        **task: Unpack[TaskKeywords],
    ) -> None:
        self.render_mode = check_render_mode(render_mode)
        self._window = Window() if render_mode == "human" else None
        self._task = Task(images, classifier, **task)
        self.action_space = spaces.action_space(self.config)
        self._own = own_observation(self._task)
        self.observation_space = self._own.space
        self._over = True

    def action_masks(self) -> np.ndarray:
        """Actions that reveal something new, for MaskablePPO."""
        mask = spaces.action_mask(self._running(), self.config)
        return spaces.sb3_action_mask(mask, self.config)[0]

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[spaces.Observation, dict[str, Any]]:
        """Start on a random picture, or on ``options={"index": i}``.

        Raises:
            BrokenImageError: The picture cannot be read, and ``on_error="raise"``.
            IndexError: There is no such picture.
            ValueError: The seed or an option is of the wrong kind.
        """
        index = check_options(options, "index").get("index")
        if index is not None:
            index = self._task.check_index(index)
        super().reset(seed=None if seed is None else check_whole("seed", seed, 0))
        self._over = True  # also if the picture cannot be read
        drawn = self._task.draw(self.np_random) if index is None else self._task.pick(index)
        self._state = self._task.begin([drawn])
        self._own.begin(self._state.images)
        self._history = [float(self._state.certainty)]
        self._over = False
        self._show()
        return self._observe(), self._info()

    def step(self, action: Any) -> tuple[spaces.Observation, float, bool, bool, dict[str, Any]]:
        """Make one saccade (or stop).

        Raises:
            ValueError: The action is out of range.
            ResetNeeded: The episode is over, or was never begun.
        """
        if self._over:
            raise ResetNeeded("the episode is over or was never begun: call reset()")
        fixation = spaces.action_to_fixation(np.asarray(action)[None], self.config, 1)
        self._state, outcome = self._task.saccade(self._running(), fixation)
        self._history.append(float(self._state.certainty))
        self._over = bool(outcome.terminated)
        self._show()
        return self._observe(), float(outcome.reward), self._over, False, self._info()

    def render(self) -> Any:
        """A frame (uint8 [H, W, 3]) or a text, as ``render_mode`` says.

        With ``"human"`` None: the window shows every frame already, and answers its events.
        """
        from saccade_env import rendering

        if self.render_mode == "rgb_array":
            return self._frame()
        if self.render_mode == "ansi":
            return rendering.text(self._running(), self.config, self._task.class_names)
        if self._window:
            self._window.answer()
        else:
            gym.logger.warn("render() without render_mode; pass it to gym.make: 'rgb_array'")
        return None

    def close(self) -> None:
        """Close the window, if there is one."""
        if self._window:
            self._window.close()

    def _frame(self) -> np.ndarray:
        from saccade_env import rendering

        return rendering.frame(
            self._running(), self.config, self.patch_size, self._history, self._task.class_names,
            hidden=self._task.hidden,
        )  # fmt: skip

    def _show(self) -> None:
        if self._window:
            self._window.show(self._frame, self.metadata["render_fps"])

    def _observe(self) -> spaces.Observation:
        batch = self._own(self._running())
        return {key: value[0] for key, value in batch.items()}

    def _info(self) -> dict[str, Any]:
        batch = spaces.info(self._running(), self.config)
        # NumPy's scalars, but for bool: of these SyncVectorEnv would make an array of objects.
        return {key: v[0, ...] if v.dtype == bool else v[0] for key, v in batch.items()}
