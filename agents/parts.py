"""What a training is built from: pictures, classifier, policies and their environment; its card."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from saccade_env import SaccadeVectorEnv, images
from saccade_env.agents.augment import Augmented, split
from saccade_env.agents.observation import Observing, eye_of
from saccade_env.agents.settings import Settings
from saccade_env.card import card, describe_policy, versions
from saccade_env.classifiers import Classifier
from saccade_env.config import SaccadeConfig
from saccade_env.core import HasMaps, Policy
from saccade_env.images import ImageSource
from saccade_env.observe.eye import extras
from saccade_env.observe.observers import BELIEF
from saccade_env.observe.wrappers import show
from saccade_env.task import open_pair

MakePolicy = Callable[[str], Policy]


@dataclass(frozen=True)
class Parts:
    """What a training is built from."""

    config: SaccadeConfig
    learnt: ImageSource  # pictures to learn from, before augmentation
    shown: ImageSource  # these, augmented if asked for
    held_back: ImageSource
    classifier: Classifier
    teacher: Any
    observed: dict[str, Any]  # beside what is revealed, as Observing takes it

    @property
    def shared(self) -> dict[str, Any]:
        """What a checkpoint does not hold."""
        return {
            "source": self.shown,
            "classifier": self.classifier,
            "prior": self.observed["prior"],
            "eye": self.observed["eye"],
        }

    def observing(self) -> Observing:
        """Builds what is observed outside of an environment."""
        return Observing(self.config.grid, self.classifier.patch_size, **self.observed)

    def env(self, num_envs: int, workers: int | None, source: ImageSource | None = None) -> Any:
        """A vector environment with the observation, by default on the pictures to learn from."""
        rules = asdict(self.config)
        del rules["grid"]  # the classifier's
        env: Any = SaccadeVectorEnv(
            num_envs,
            images=self.shown if source is None else source,
            classifier=self.classifier,
            device=self.classifier.device,
            workers=workers,
            **rules,
        )
        return show(env, extras(self.config.grid, **self.observed))


def open_parts(settings: Settings, make_policy: MakePolicy | None) -> Parts:
    """Open pictures, classifier and policies.

    Raises:
        ValueError: One is not to be had, or they do not go together.
    """
    source, judge = open_pair(settings.images, settings.classifier, settings.device)
    learnt, held = (
        split(source, settings.eval_share, settings.seed)
        if settings.eval_images is None
        else (source, images.create(settings.eval_images))
    )
    observed: dict[str, Any] = {
        "periphery": settings.periphery,
        "prior": None if settings.prior == "none" else _policy(make_policy, settings.prior),
        "belief": BELIEF if settings.belief else 0,
        "eye": None,
    }
    if settings.eye != "none":
        seer = settings.eye_classifier or judge
        described = {"classifier": seer, "sees": settings.eye, "shows": settings.eye_shows}
        observed["eye"] = eye_of(described, judge.grid, judge.patch_size, settings.device)
    parts = Parts(
        config=settings.config.on(judge.grid),
        learnt=learnt,
        shown=Augmented(learnt, settings.seed) if settings.augment else learnt,
        held_back=held,
        classifier=judge,
        teacher=_policy(make_policy, settings.warm_start) if settings.warm_start else None,
        observed=observed,
    )
    if observed["belief"] > judge.num_classes:
        raise ValueError(f"belief is in {BELIEF} classes; {judge.name!r} has {judge.num_classes}")
    if parts.config.needs_label and held.labels == "none":
        raise ValueError(
            f"reward {parts.config.reward!r} needs labelled images, and {held.name!r}, which is "
            "held back, has no labels"
        )
    if observed["prior"] is not None and not isinstance(observed["prior"], HasMaps):
        raise ValueError(f"policy {settings.prior!r} has no saliency map to observe")
    return parts


def run_card(settings: Settings, parts: Parts, hyperparameters: dict[str, Any]) -> dict[str, Any]:
    """How an agent came to be, as plain data, the same for a training and its resumption.

    Steps and results come later.
    """
    observing, prior = parts.observing(), parts.observed["prior"]
    environment = card(parts.config, parts.classifier, parts.learnt)
    return {
        "algo": settings.algo,
        "observation": {
            "periphery": observing.periphery,
            "prior": None if prior is None else settings.prior,
            "belief": observing.belief,
            "eye": observing.eye and observing.eye.description,
        },
        "prior": describe_policy(prior) if prior is not None else None,
        "warm_start": describe_policy(parts.teacher) if parts.teacher is not None else None,
        "warm_start_steps": settings.warm_start_steps if parts.teacher is not None else 0,
        "augment": settings.augment,
        "seed": settings.seed,
        "n_envs": settings.n_envs,
        "reward": parts.config.reward,
        "hyperparameters": hyperparameters,
        **environment,
        "held_back": {"count": len(parts.held_back), "identity": parts.held_back.identity},
        "versions": versions("stable-baselines3", "sb3-contrib"),
    }


def _policy(make_policy: MakePolicy | None, name: str) -> Any:
    if make_policy is None:
        raise ValueError(f"policy {name!r} is asked for: give make_policy, which builds it")
    return make_policy(name)
