"""What the single and the vector environment share: pictures in, episodes out.

Both hold a :class:`Task` and a state; the rules are in ``core.py``, the spaces in ``spaces.py``.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from numbers import Integral
from pathlib import PurePath
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from gymnasium.envs.registration import EnvSpec
from gymnasium.error import ResetNeeded
from jaxtyping import Int, UInt8
from torch import Tensor
from typing_extensions import Unpack

from saccade_env import classifiers, core, images
from saccade_env.card import card
from saccade_env.classifiers import AUTO, Classifier
from saccade_env.config import Rules, SaccadeConfig
from saccade_env.errors import unknown_name
from saccade_env.geometry import grid_of
from saccade_env.images import BrokenImageError, ImageSource, Picture, Preprocess, Spec

RENDER_MODES = ("human", "rgb_array", "ansi")
_DRAWS = 100


class Drawn(NamedTuple):
    """A picture to start an episode on, and why others were passed over."""

    place: int  # in the source
    picture: Picture
    skipped: list[str]


class TaskKeywords(Rules, total=False):
    """Keywords of both environments beside images and classifier; see ``SaccadeEnv``."""

    device: str | torch.device
    on_error: Literal["raise", "skip"]
    classifier_mode: Literal["recompute", "kv_cache"] | None
    hidden: Literal["dimmed", "grey"]
    observation: Literal["tokens", "compact"]


class Task:
    """Images, classifier and rules of one environment; see :class:`saccade_env.SaccadeEnv`."""

    def __init__(
        self,
        images: Spec = None,
        classifier: str | Classifier = AUTO,
        device: str | torch.device = "cpu",
        on_error: Literal["raise", "skip"] = "raise",
        classifier_mode: str | None = None,
        hidden: Literal["dimmed", "grey"] = "dimmed",
        observation: Literal["tokens", "compact"] = "tokens",
        **rules: Unpack[Rules],
    ) -> None:
        for name in rules.keys() - Rules.__annotations__:
            known = {*Rules.__annotations__, *TaskKeywords.__annotations__, "images", "classifier"}
            raise unknown_name("keyword", name, known)
        self.source, self.classifier = open_pair(images, classifier, device, classifier_mode)
        self.config = SaccadeConfig(self.classifier.grid, **rules)
        self.on_error = check_on_error(on_error)
        self.hidden = check_choice("hidden", hidden, "dimmed", "grey")
        self.observation = check_choice("observation", observation, "tokens", "compact")
        self._blank: Tensor | None = None
        self._refuse_unlabelled()

    @property
    def card(self) -> dict[str, Any]:
        """Configuration, classifier, images and versions."""
        return card(self.config, self.classifier, self.source)

    @property
    def class_names(self) -> Sequence[str] | None:
        """Names of the classifier's classes where they are ImageNet's 1000."""
        return images.class_names_of(self.classifier.num_classes)

    def pick(self, index: int) -> Drawn:
        """Read the picture asked for.

        Raises:
            BrokenImageError: It cannot be read.
        """
        return Drawn(index % len(self.source), self.source[index], [])

    def check_index(self, index: Any) -> int:
        """Pass the place of a picture through; negative ones count from the end.

        Raises:
            IndexError: There is no such picture.
            ValueError: It is no whole number.
        """
        count = len(self.source)
        whole = isinstance(index, Integral) and not isinstance(index, bool)
        if whole and -count <= index < count:
            return int(index)
        kind = IndexError if whole else ValueError
        raise kind(f"index must be a whole number ≥ {-count} and < {count}; got {index!r}")

    def draw(self, generator: np.random.Generator) -> Drawn:
        """Read a random picture; may run in another thread.

        Raises:
            BrokenImageError: It cannot be read and ``on_error="raise"``.
        """
        skipped: list[str] = []
        for _ in range(_DRAWS):
            index = int(generator.integers(len(self.source)))
            try:
                return Drawn(index, self.source[index], skipped)
            except BrokenImageError as error:
                if self.on_error == "raise":
                    raise
                skipped.append(str(error))
        raise BrokenImageError(f"{_DRAWS} pictures in a row of {self.source.name!r} are broken")

    def begin(self, drawn: Sequence[Drawn]) -> core.State:
        """Start an episode on every picture drawn.

        Warns:
            UserWarning: Pictures were skipped.
        """
        for reason in (reason for one in drawn for reason in one.skipped):
            warnings.warn(f"skipped: {reason}", stacklevel=2)
        pixels, labels = images.stack([one.picture for one in drawn])
        state = core.begin(
            pixels,
            labels,
            torch.tensor([one.place for one in drawn]),
            self.config,
            self.classifier,
            blank=self._blank,
        )
        self._blank = state.logits[0]
        return state

    def saccade(
        self, state: core.State, fixation: Int[Tensor, " batch"]
    ) -> tuple[core.State, core.Outcome]:
        """The transition."""
        return core.saccade(state, fixation, self.config, self.classifier)

    def _refuse_unlabelled(self) -> None:
        if self.config.needs_label and self.source.labels == "none":
            raise ValueError(
                f"reward {self.config.reward!r} needs labelled images, and {self.source.name!r} "
                "has no class folders; use reward='certainty_gain' or sort them into class folders"
            )


def open_pair(
    source: Spec,
    classifier: str | Classifier,
    device: str | torch.device,
    mode: str | None = None,
) -> tuple[ImageSource, Classifier]:
    """Open images and a classifier that fits their size.

    Images whose preprocessing nobody chose get that of the classifier's own configuration.

    Raises:
        ValueError: A name is unknown, the device is not there, or a given classifier is of another
            image size or mode.
    """
    check_device(device)
    opened = images.create(source)
    wanted = classifiers.preprocess_of(classifier)
    if wanted and isinstance(opened, images.Collection) and opened.preprocess == Preprocess():
        opened = opened.resized(wanted)
    chosen = {} if mode is None else {"mode": mode}
    judge = classifiers.create(classifier, device=device, image_size=opened.image_size, **chosen)
    if mode is not None and judge.options.get("mode", "recompute") != mode:
        raise ValueError(f"classifier {judge.name!r} was built in another mode than {mode!r}")
    if grid_of(opened.image_size, judge.patch_size) != tuple(judge.grid):
        raise ValueError(
            f"images of {opened.image_size} pixels do not give the grid {judge.grid} of classifier "
            f"{judge.name!r} with patches of {judge.patch_size} pixels"
        )
    return opened, judge


def check_device(device: str | torch.device) -> None:
    """Let a device pass that is there.

    Raises:
        ValueError: It is not.
    """
    try:
        (torch.ones(1, device=device) + 1).item()
    except (RuntimeError, AssertionError, TypeError) as error:  # torch's, if it is not there
        reason = "it holds no values" if "meta" in str(device) else str(error).splitlines()[0]
        raise ValueError(f"device {str(device)!r} cannot be used: {reason}") from error


def check_options(options: Any, *known: str) -> dict[str, Any]:
    """A copy of reset's options.

    Raises:
        ValueError: They are no dict, or there is one that is not known.
    """
    if not isinstance(options, Mapping | None):
        raise ValueError(f"options must be a dict with any of {list(known)}; got {options!r}")
    for name in options or {}:
        if name not in known:
            raise unknown_name("reset option", str(name), known)
    return dict(options or {})


def check_choice(name: str, value: Any, *choices: str) -> Any:
    """Pass a value through that is one of a few.

    Raises:
        ValueError: It is none of them.
    """
    if value not in choices:
        raise ValueError(f"{name} must be {' or '.join(map(repr, choices))}; got {value!r}")
    return value


def check_on_error(on_error: str) -> Literal["raise", "skip"]:
    """Pass ``"raise"`` or ``"skip"`` through.

    Raises:
        ValueError: It is neither.
    """
    return check_choice("on_error", on_error, "raise", "skip")


class TaskHolder:
    """The part of both environments that only looks at the task and the state."""

    _task: Task
    _state: core.State | None = None
    _spec: EnvSpec | None = None

    @property
    def spec(self) -> EnvSpec | None:
        """How Gymnasium made it; paths are text there, as JSON holds them."""
        return self._spec

    @spec.setter
    def spec(self, spec: EnvSpec | None) -> None:
        if spec is not None:
            values = spec.kwargs.items()
            spec.kwargs = {k: str(v) if isinstance(v, PurePath) else v for k, v in values}
        self._spec = spec

    @property
    def config(self) -> SaccadeConfig:
        """The rules of the task."""
        return self._task.config

    @property
    def patch_size(self) -> int:
        """Side of a token in pixels."""
        return self._task.classifier.patch_size

    @property
    def observation(self) -> Literal["tokens", "compact"]:
        """What the environment itself shows."""
        return self._task.observation

    @property
    def source(self) -> ImageSource:
        """The pictures that episodes begin on."""
        return self._task.source

    @property
    def classifier(self) -> Classifier:
        """Judges what is revealed."""
        return self._task.classifier

    @property
    def card(self) -> dict[str, Any]:
        """Classifier, weights hash, images, configuration and versions."""
        return self._task.card

    @property
    def class_names(self) -> Sequence[str] | None:
        """Names of the classifier's classes where they are ImageNet's 1000."""
        return self._task.class_names

    @property
    def state(self) -> core.State:
        """All of the running episodes, labels too, to draw them; not for an agent."""
        return self._running()

    @property
    def images(self) -> UInt8[Tensor, "batch 3 height width"]:
        """The pictures of the running episodes."""
        return self._running().images

    @property
    def view(self) -> core.View:
        """What a policy may see of the running episodes."""
        return core.view(self._running())

    def reset_policy(self, policy: core.Policy) -> None:
        """Start a policy on the running episodes; an oracle gets their labels too."""
        core.reset_policy(policy, self._running(), self.config, self._task.classifier)

    def _running(self) -> core.State:
        if self._state is None:
            raise ResetNeeded("call reset() first")
        return self._state


def check_render_mode(render_mode: str | None) -> str | None:
    """Pass a known render mode through.

    Raises:
        ValueError: It is none of ``RENDER_MODES``.
    """
    if render_mode is not None and render_mode not in RENDER_MODES:
        raise unknown_name("render mode", str(render_mode), RENDER_MODES)
    return render_mode
