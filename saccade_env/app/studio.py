"""What the page can be asked, whoever asks and however it is drawn: pictures, networks, policies.

Everything is loaded once, when it is first wanted, and shared by all visitors. What a visitor sends
is only ever a name out of a list that was made when the page was started, or a number.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from saccade_env import classifiers, core, images
from saccade_env.card import card, what_it_sees
from saccade_env.classifiers import Classifier
from saccade_env.classifiers.vit.dino import NETWORKS
from saccade_env.classifiers.vit.network import TokenNetwork
from saccade_env.config import SaccadeConfig
from saccade_env.drawing.scanpaths import Run, scanpaths
from saccade_env.errors import unknown_name
from saccade_env.evaluation.rollout import steps
from saccade_env.images import Collection, ImageSource, Picture, Preprocess
from saccade_env.policies.attention import FOCUS, USUAL, load_network
from saccade_env.rendering import full_logits
from saccade_env.task import open_pair

Build = Callable[[tuple[int, int]], core.Policy]
SAMPLE, SOURCE = "sample", "images"
ORACLE = "greedy-oracle"
MOST_POLICIES, MOST_SACCADES, FOVEAE = 4, 20, (1, 3, 5, 7)


class Opened(NamedTuple):
    """A classifier and the pictures brought to its size."""

    judge: Classifier
    sources: dict[str, ImageSource]  # by where they are from


class Asked(NamedTuple):
    """A picture and how it is to be looked at."""

    picture: Picture
    classifier: str
    policies: tuple[str, ...]
    fovea: int = 3
    saccades: int = 10


class Studio:
    """Pictures, classifiers and policies of one page.

    Args:
        source: The page's pictures; the sample is always there beside them.
        classifiers: Those that may be chosen, by name; the first is the usual one.
        builds: What builds each policy that may be chosen, by name.
        config: The usual task.
        device: Where networks run.
    """

    def __init__(
        self,
        source: ImageSource,
        classifiers: Mapping[str, str | Classifier],
        builds: Mapping[str, Build],
        config: SaccadeConfig,
        device: str | torch.device = "cpu",
    ) -> None:
        self.source, self.config = source, config
        self.classifiers, self.names = list(classifiers), list(builds)
        self._judges, self._builds, self._device = dict(classifiers), dict(builds), device
        self._opened: dict[str, Opened] = {}
        self._policies: dict[tuple[str, tuple[int, int]], core.Policy] = {}
        self._loading = threading.RLock()
        self._busy = threading.Lock()  # two forwards at once are slower than one after the other
        self._closed = False

    def offer(self, builds: Mapping[str, Build]) -> None:
        """Let visitors choose these policies too; only before the page is drawn."""
        self._builds |= builds
        self.names = list(self._builds)

    def close(self) -> None:
        """End what runs, at its next saccade, and wait for that."""
        self._closed = True
        self.rest()

    @contextmanager
    def working(self) -> Iterator[None]:
        """Around one step of a network: whoever stops listening must not keep others waiting.

        Raises:
            ValueError: The page was closed.
        """
        with self._busy, torch.no_grad():
            if self._closed:
                raise ValueError("the page was closed")
            yield

    def rest(self) -> None:
        """Wait until no network works."""
        with self._busy:
            pass

    @property
    def source_is_sample(self) -> bool:
        """Whether there are no pictures but the sample."""
        return self.source.name == SAMPLE

    def opened(self, classifier: str) -> Opened:
        """A classifier and the pictures that fit it.

        Raises:
            ValueError: It is none of the page's.
        """
        if classifier not in self.classifiers:
            raise unknown_name("classifier", str(classifier), self.classifiers)
        if classifier in self._opened:  # who only looks never waits for what is being loaded
            return self._opened[classifier]
        with self._loading:
            if classifier not in self._opened:
                source, judge = open_pair(self.source, self._judges[classifier], self._device)
                fitting = source.preprocess or Preprocess(source.image_size)
                sample = images.create(SAMPLE, fitting)
                self._opened[classifier] = Opened(judge, {SAMPLE: sample, SOURCE: source})
        return self._opened[classifier]

    def picture(self, where: str, place: int, classifier: str) -> Picture:
        """A picture of the sample or of the page's images.

        Raises:
            ValueError: There is none.
            BrokenImageError: It cannot be read.
        """
        sources = self.opened(classifier).sources
        if where not in sources:
            raise unknown_name("source", str(where), sources)
        source = sources[where]
        if not (isinstance(place, int) and 0 <= place < len(source)):
            raise ValueError(f"There are pictures 0 to {len(source) - 1}; got {place!r}.")
        found = source[place]
        # Labels that mean something else than the classifier's classes cannot be right or wrong.
        return found if source.labels == "imagenet" else found._replace(label=None)

    def preprocess(self, classifier: str) -> Preprocess:
        """What brings a visitor's picture to the size a classifier wants."""
        sample = self.opened(classifier).sources[SAMPLE]
        assert isinstance(sample, Collection)
        return sample.preprocess

    def class_names(self, classifier: str) -> Sequence[str] | None:
        """Names of a classifier's classes, where they are ImageNet's."""
        return images.class_names_of(self.opened(classifier).judge.num_classes)

    @property
    def card(self) -> dict[str, Any]:
        """What people play: the task, the usual classifier, the images, versions."""
        opened = self.opened(self.classifiers[0])
        return card(self.config.on(opened.judge.grid), opened.judge, opened.sources[SOURCE])

    @property
    def foveae(self) -> list[int]:
        """Sides of foveae that may be chosen, in tokens."""
        return sorted({*FOVEAE, self.config.fovea})

    @property
    def networks(self) -> list[str]:
        """Networks whose attention can be looked at, by name."""
        own = [FOCUS] if "focus-attention" in self._builds else []
        return own + [n for n in self.classifiers if n in NETWORKS or n.startswith("timm:vit")]

    def network(self, name: str) -> TokenNetwork:
        """A network that attends.

        Raises:
            ValueError: It is none of the page's.
        """
        if name not in self.networks:
            raise unknown_name("network", str(name), self.networks)
        with self._loading:
            return load_network(name.removeprefix("timm:"), USUAL, self._device)

    def task(self, asked: Asked) -> SaccadeConfig:
        """The task as asked for.

        Raises:
            ValueError: A value is out of range.
        """
        if len(asked.policies) > MOST_POLICIES:
            raise ValueError(f"Choose up to {MOST_POLICIES} policies; got {len(asked.policies)}.")
        if not 1 <= asked.saccades <= MOST_SACCADES:
            raise ValueError(f"Choose 1 to {MOST_SACCADES} saccades; got {asked.saccades}.")
        grid = self.opened(asked.classifier).judge.grid
        return SaccadeConfig(grid, int(asked.fovea), int(asked.saccades))

    def policy(self, name: str, classifier: str) -> core.Policy:
        """A policy on the token grid of a classifier.

        Raises:
            ValueError: It is none of the page's, or does not fit.
        """
        if name not in self._builds:
            raise unknown_name("policy", str(name), self._builds)
        grid = self.opened(classifier).judge.grid
        with self._loading:
            if (name, grid) not in self._policies:
                self._policies[name, grid] = self._builds[name](grid)
            return self._policies[name, grid]

    def warm_up(self, name: str) -> None:
        """Load the usual classifier and a policy, and let it look once."""
        usual = self.classifiers[0]
        asked = Asked(self.picture(SAMPLE, 0, usual), usual, (name,), self.config.fovea, 1)
        self.run(asked, name)

    def run(self, asked: Asked, name: str) -> Run:
        """Let one policy look at the picture; see :meth:`running`."""
        return deque(self.running(asked, name), maxlen=1)[0]

    def running(self, asked: Asked, name: str) -> Iterator[Run]:
        """Let one policy look at the picture: its run so far, saccade by saccade.

        Raises:
            ValueError: It cannot; the message says why.
        """
        config, judge = self.task(asked), self.opened(asked.classifier).judge
        pixels, labels = images.stack([asked.picture])
        policy = copy(self.policy(name, asked.classifier))  # it remembers the picture it is on
        if getattr(policy, "sees_label", False) and asked.picture.label is None:
            raise ValueError(f"{name} needs to know what is in the picture, which has no label")
        sees, states, saliency = what_it_sees(policy), list[core.State](), None
        following = steps(pixels, labels, policy, config, judge)
        for number in range(1 + config.max_saccades):
            with self.working():
                states.append(next(following))
                if number == 0 and isinstance(policy, core.HasMaps):
                    saliency = policy.maps(pixels)[0]
            yield Run(name, list(states), sees, saliency)

    def whole(self, asked: Asked, run: Run) -> Float[Tensor, " classes"]:
        """Logits of the whole picture, which the run is on."""
        with self.working():
            return full_logits(run.states[0], self.opened(asked.classifier).judge)

    def scanpaths(
        self, asked: Asked, runs: Sequence[Run], whole: Float[Tensor, " classes"]
    ) -> dict[str, Any]:
        """What the player shows of them."""
        return scanpaths(
            runs,
            self.task(asked),
            self.class_names(asked.classifier),
            full=whole,
            title=asked.picture.id,
            classifier=asked.classifier,
        )

    def maps(self, picture: Picture, classifier: str) -> Iterator[tuple[str, Tensor]]:
        """The saliency map of every policy that has one, by name: [rows, cols]."""
        pixels: UInt8[Tensor, "batch 3 height width"] = picture.image[None]
        for name in self.names:
            policy = self.policy(name, classifier)
            with self.working():
                found = policy.maps(pixels)[0].cpu() if isinstance(policy, core.HasMaps) else None
            if found is not None:
                yield name, found


def offered(names: Sequence[str] | None) -> dict[str, str]:
    """Classifiers a page offers: those named, else the usual one and all that work offline."""
    usual = () if names else (classifiers.resolve_auto(), *classifiers.available())
    return {name: name for name in names or usual}
