"""What a training is built from: pictures, classifier, policies, and the environment of these."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from saccade_env import SaccadeVectorEnv, images
from saccade_env.agents.augment import Augmented, split
from saccade_env.agents.settings import Settings
from saccade_env.classifiers import Classifier
from saccade_env.core import Policy
from saccade_env.images import ImageSource
from saccade_env.observe.observers import BELIEF, extras
from saccade_env.observe.wrappers import show
from saccade_env.task import open_pair

MakePolicy = Callable[[str], Policy]


@dataclass(frozen=True)
class Parts:
    """What a training is built from."""

    learnt: ImageSource  # pictures to learn from, before augmentation
    shown: ImageSource  # these, augmented if asked for
    held_back: ImageSource
    classifier: Classifier
    prior: Any
    teacher: Any

    @property
    def shared(self) -> dict[str, Any]:
        """What a checkpoint does not hold."""
        return {"source": self.shown, "classifier": self.classifier, "prior": self.prior}


def open_parts(settings: Settings, make_policy: MakePolicy | None) -> Parts:
    """Open pictures, classifier and policies."""
    source, judge = open_pair(settings.images, settings.classifier, settings.device)
    learnt, held = (
        split(source, settings.eval_share, settings.seed)
        if settings.eval_images is None
        else (source, images.create(settings.eval_images))
    )
    return Parts(
        learnt=learnt,
        shown=Augmented(learnt, settings.seed) if settings.augment else learnt,
        held_back=held,
        classifier=judge,
        prior=None if settings.prior == "none" else _prior(make_policy, settings.prior),
        teacher=_policy(make_policy, settings.warm_start) if settings.warm_start else None,
    )


def build_env(settings: Settings, parts: Parts, source: ImageSource, **keywords: Any) -> Any:
    """A vector environment with the observation to learn from."""
    env: Any = SaccadeVectorEnv(
        images=source,
        classifier=parts.classifier,
        fovea=settings.fovea,
        max_saccades=settings.saccades,
        reward=settings.reward,
        saccade_cost=settings.saccade_cost,
        stop_action=settings.stop_action,
        device=settings.device,
        **keywords,
    )
    shown = extras(
        parts.classifier.grid,
        settings.periphery,
        parts.prior,
        BELIEF if settings.belief else 0,
        parts.classifier if settings.activation else None,  # type: ignore[arg-type]
    )
    return show(env, shown)


def _prior(make_policy: MakePolicy | None, name: str) -> Any:
    prior = _policy(make_policy, name)
    if not hasattr(prior, "saliency_map"):
        raise ValueError(f"policy {name!r} has no saliency map to observe; as prior take another")
    return prior


def _policy(make_policy: MakePolicy | None, name: str) -> Any:
    if make_policy is None:
        raise ValueError(f"policy {name!r} is asked for: give make_policy, which builds it")
    return make_policy(name)
