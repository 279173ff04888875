"""What is asked of the paper's experiments, and how much a preset runs."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from saccade_env.classifiers import AUTO, Classifier
from saccade_env.config import PAPER, SaccadeConfig
from saccade_env.errors import unknown_name
from saccade_env.evaluation.shards import WHOLE, Shard
from saccade_env.evaluation.work import Engine, here
from saccade_env.images import ImageSource
from saccade_env.images.feeding import check_workers
from saccade_env.paper.figures import RECIPES
from saccade_env.task import check_on_error

Judge = str | Classifier | Callable[[tuple[int, int]], Classifier]  # see PaperSettings.classifier


@dataclass(frozen=True)
class Preset:
    """How much is run.

    Attributes:
        map_images: Images for layers, and for resolutions; None means all.
        both_images: Images for every layer at every resolution; None means all of these.
        size_images: Images of UNISAL's sizes, and of single crops; None means all.
        thorough: Every policy at fovea 5, not only attention and random; and layers and
            resolutions at fovea 5 too.
    """

    map_images: int | None
    both_images: int | None
    size_images: int | None
    thorough: bool


#: Sizes of a run by name.
PRESETS = {"quick": Preset(300, 100, 300, False), "full": Preset(None, None, None, True)}


@dataclass(frozen=True)
class PaperSettings:
    """The paper's experiments on one set of images.

    Attributes:
        images: See :func:`saccade_env.images.create`; they need labels.
        out: Folder of everything that is written.
        preset: One of :data:`PRESETS`.
        only: Figures to run the experiments of; None means all.
        classifier: A name, or a function that builds a classifier for images of (height, width)
            pixels. A classifier that is built already judges images of its own size alone.
        crop_classifier: A convolutional classifier of single crops, or its name. ``"auto"`` is the
            paper's ResNet-50 where it is to be had, else EfficientNet-Lite0.
        policies: Policies to compare, with parameters after a colon; None means the paper's, or
            those that stand for them without the network.
        labels: How to read the images' labels, see
            :func:`saccade_env.images.layouts.open_path`.
        limit: Run on a random sample of this many images, drawn by ``seed``.
        config: The task; the experiments set fovea and grid.
        seed: Draws all samples.
        batch_size: Images per forward; results do not depend on it.
        workers: See :func:`saccade_env.evaluation.evaluate`.
        device: Where the classifiers run.
        on_error: ``"skip"`` leaves out images that cannot be read.
        overwrite: Drop another run in ``out`` instead of refusing.
        progress: Show a bar with the time left of the whole plan.
        dry_run: Print the plan and stop.
        shard: Do this share of every run's images alone, and no report; see
            :func:`saccade_env.paper.merge.merge_paper`.
        engine: Does the work, here or elsewhere; see :mod:`saccade_env.scale`.

    Raises:
        ValueError: There is no such preset or figure, or a number is too small.
    """

    images: str | Path | ImageSource | None
    out: str | Path
    preset: str = "quick"
    only: tuple[int, ...] | None = None
    classifier: Judge = AUTO
    crop_classifier: str | Classifier = AUTO
    labels: str | None = None
    policies: tuple[str, ...] | None = None
    limit: int | None = None
    config: SaccadeConfig = PAPER
    seed: int = 0
    batch_size: int = 32
    workers: int | None = None
    device: str = "cpu"
    on_error: Literal["raise", "skip"] = "raise"
    overwrite: bool = False
    progress: bool = True
    dry_run: bool = False
    shard: Shard = WHOLE
    engine: Engine = here

    def __post_init__(self) -> None:
        if self.preset not in PRESETS:
            raise unknown_name("preset", self.preset, PRESETS)
        for name, least in (("limit", 1), ("batch_size", 1), ("seed", 0)):
            if (value := getattr(self, name)) is not None and value < least:
                raise ValueError(f"{name} must be ≥ {least}; got {value}")
        check_workers(self.workers)
        check_on_error(self.on_error)
        for figure in self.figures:
            if figure not in RECIPES:
                known = ", ".join(map(str, RECIPES))
                raise ValueError(f"there is no figure {figure} to make. Known: {known}.")

    @property
    def figures(self) -> tuple[int, ...]:
        """The figures asked for."""
        return tuple(RECIPES) if self.only is None else tuple(self.only)

    @property
    def chosen_preset(self) -> Preset:
        """How much is run."""
        return PRESETS[self.preset]

    @property
    def experiments(self) -> list[str]:
        """The experiments that these figures need."""
        return list(
            dict.fromkeys(name for figure in self.figures for name in RECIPES[figure].experiments)
        )

    @property
    def image_keywords(self) -> dict[str, Any]:
        """What opens the images beside their name."""
        return {} if self.labels is None else {"labels": self.labels}

    @property
    def command(self) -> str:
        """How to run the same again; what is at its default is left out."""
        spec = self.images if isinstance(self.images, (str, Path)) else "…"
        named = {"preset": self.preset, "only": ",".join(map(str, self.only or ())),
                 "labels": self.labels, "classifier": self.classifier, "limit": self.limit,
                 "seed": self.seed, "on-error": self.on_error}  # fmt: skip
        usual = ("", AUTO, "quick", 0, "raise")
        chosen = [("--" + key, str(value)) for key, value in named.items()
                  if isinstance(value, (str, int)) and value not in usual]  # fmt: skip
        chosen += [("--policies", policy) for policy in self.policies or ()]
        pairs = [("--images", str(spec)), ("--out", str(self.out)), *chosen]
        return "saccade-env paper " + shlex.join(part for pair in pairs for part in pair)
