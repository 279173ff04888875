"""Who plays, and what is run on which images: one evaluation a run, and what is read off it.

A run on fewer images takes a sample of the main one's, so that both can be compared image by image.
What cannot be run is said in the cast's notes, and nothing stands in its place.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import product, takewhile
from typing import Any, Protocol, runtime_checkable

from PIL import Image

from saccade_env import classifiers
from saccade_env.classifiers import AUTO, Classifier, weights
from saccade_env.classifiers.crop import CropClassifier
from saccade_env.classifiers.vit.dino import NETWORKS
from saccade_env.classifiers.weights_table import members
from saccade_env.config import SaccadeConfig
from saccade_env.evaluation.shards import Shard
from saccade_env.images import Collection, ImageSource, Picture, Preprocess
from saccade_env.images.derived import Derived, Subset, sample
from saccade_env.images.feeding import chunked
from saccade_env.paper.results import (
    ATTENTION,
    COMBINED,
    CROPS,
    DEEP,
    FOVEA,
    PAPERS,
    RANDOM,
    with_parameters,
)
from saccade_env.paper.settings import PaperSettings

RESOLUTIONS = (10, 8, 6)  # tokens a side of the map's input: the paper's 10×10, two of ours
SIZES = ((224, 384), (288, 384))  # UNISAL's, and the one that fits the paper's share of a crop
PER_CLASS = 10
Varied = dict[str, tuple[int, int]]  # policy → layer and resolution in pixels
MakePolicy = Callable[..., Any]  # (name with parameters, grid) → policy
STANDS_FOR = {"attention": ATTENTION, "focus-attention": ATTENTION, "focus-saliency": DEEP}
_ROLE_OF = {**{name: role for role, name in PAPERS.items()}, **STANDS_FOR}


@runtime_checkable
class HasLayers(Protocol):
    """A policy that follows attention of the layer of its parameter ``layer``, -1 the last."""

    layer: int


@runtime_checkable
class TakesSmallInputs(Protocol):
    """One that computes its maps from inputs of its parameter ``resolution`` too, in pixels."""

    patch_size: int


@dataclass
class Cast:
    """Classifiers and policies, each built once.

    With DINO the parts are the paper's; without its weights others stand for them, and it is said.

    Attributes:
        roles: Role → policy.
        extras: Policies without a role, which take part in the main experiments.
        notes: What is missing or stands for something else, and why.
    """

    settings: PaperSettings
    make_policy: MakePolicy
    image_size: tuple[int, int]
    roles: dict[str, str] = field(default_factory=dict)
    extras: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    _judges: dict[tuple[int, int], Classifier] = field(default_factory=dict)
    _policies: dict[tuple[str, tuple[int, int]], Any] = field(default_factory=dict)

    def judge(self, image_size: tuple[int, int] | None = None) -> Classifier:
        """The classifier for images of (height, width) pixels; by default the main experiment's."""
        size, asked = image_size or self.image_size, self.settings.classifier
        if size not in self._judges:
            if isinstance(asked, str):
                built = classifiers.create(asked, device=self.settings.device, image_size=size)
            else:
                built = asked(size) if callable(asked) else asked
            self._judges[size] = built
        return self._judges[size]

    def judges(self, image_size: tuple[int, int]) -> bool:
        """Whether there is a classifier for this size."""
        named = isinstance(self.settings.classifier, str) or callable(self.settings.classifier)
        return named or image_size == self.image_size

    def policy(self, name: str, grid: tuple[int, int]) -> Any:
        """A policy on a token grid."""
        key = name, (grid[0], grid[1])
        if key not in self._policies:
            self._policies[key] = self.make_policy(name, key[1])
        return self._policies[key]

    def policy_here(self, name: str) -> Any:
        """A policy on the main experiment's grid."""
        return self.policy(name, self.judge().grid)

    @cached_property
    def cropper(self) -> Any:
        """The network that judges single crops."""
        asked, device = self.settings.crop_classifier, self.settings.device
        if asked != AUTO:
            return classifiers.create(asked, device=device) if isinstance(asked, str) else asked
        if self._dino or weights.is_cached("resnet50"):
            try:
                return classifiers.create("resnet50", device=device)
            except weights.WeightsError as error:
                self.notes.append(f"single crops without ResNet-50, the paper's: {error}")
        return classifiers.create("efficientnet_lite0", device=device)

    @property
    def papers_networks(self) -> bool:
        """Whether everyone is who it is in the paper, with the published weights."""
        if self.roles != PAPERS:
            return False
        judge, backbone = self.judge(), members("dino_vits16")[0]
        shown = [
            (judge, *members("dino_vits16")), (self.cropper, *members("resnet50")),
            (self.policy_here(PAPERS[ATTENTION]), backbone),
            (self.policy_here(PAPERS[DEEP]), *members("unisal")),
        ]  # fmt: skip
        return judge.options.get("mode", "recompute") == "recompute" and all(
            file.url in who.weights.source for who, *files in shown for file in files
        )

    @property
    def depth(self) -> int:
        """Layers of the policy that plays attention; 0 if it has none to choose from."""
        name = self.roles.get(ATTENTION)
        if name is None or not isinstance(self.policy_here(name), HasLayers):
            return 0
        return int(1 + self.policy_here(with_parameters(name, layer=-1)).layer)

    @property
    def _dino(self) -> bool:
        return self.judge().name.startswith("dino")

    def choose(self) -> Cast:
        """Give the roles to the policies asked for, or to the paper's as far as they are here.

        Raises:
            ValueError: There is no such policy; the message suggests the nearest.
        """
        for name in self.settings.policies or ():
            self.policy_here(name)
            role = _ROLE_OF.get(name.partition(":")[0])  # a path may hold a colon too
            if role and role not in self.roles:
                self.roles[role] = name
            elif name not in (*self.roles.values(), *self.extras):
                self.extras.append(name)
        if self.settings.policies is None:
            for role, names in self._candidates().items():
                self._take_first(role, names)
        self.roles = {role: self.roles[role] for role in PAPERS if role in self.roles}
        return self

    def _candidates(self) -> dict[str, list[str]]:
        papers = {role: [name] for role, name in PAPERS.items()}
        name = self.judge().name
        if self._dino and name in NETWORKS and name != "dino_vits16":
            papers[ATTENTION] = [f"attention:{name}"]
        if self._dino:
            return {**papers, DEEP: ["unisal", "focus-saliency"]}
        cached = [weights.is_cached(group) for group in ("dino_vits16", "unisal")]
        own = (ATTENTION, "focus-attention", cached[0]), (DEEP, "focus-saliency", cached[1])
        return {**papers, **{role: [substitute] for role, substitute, here in own if not here}}

    def _take_first(self, role: str, names: list[str]) -> None:
        for name in names:
            try:
                self.policy_here(name)
            except (ImportError, weights.WeightsError) as error:
                self.notes.append(f"{name}, for {role}, is not to be had: {error}")
                continue
            self.roles[role] = name
            return


@dataclass(frozen=True)
class Run:
    """One pass over images with several policies, and the experiment that is read off it.

    Attributes:
        name: Of both.
        policies: Names with parameters, as in the records.
        source: The images.
        judge: The classifier.
        config: The task on the classifier's grid.
        varied: What was varied: a row a policy of the experiment; by default the run's policies.
        others: Earlier runs whose records belong to the experiment, so that a map that two
            experiments need is followed once.
    """

    name: str
    policies: tuple[str, ...]
    source: ImageSource
    judge: Classifier
    config: SaccadeConfig
    varied: Sequence[dict[str, Any]] = ()
    others: tuple[str, ...] = ()

    @property
    def folder(self) -> str:
        """Its folder in that of all runs."""
        return self.name.replace(" ", "-")

    @property
    def settings(self) -> list[dict[str, Any]]:
        """One row a policy of the experiment."""
        usual = [{"policy": policy, "fovea": self.config.fovea} for policy in self.policies]
        return list(self.varied) or usual


class Programme:
    """All runs of a preset, whatever figures are asked for.

    Args:
        cast: Who plays.
        source: The user's images.
    """

    def __init__(self, cast: Cast, source: ImageSource) -> None:
        self.cast, self.source, self.settings = cast, source, cast.settings
        self.preset = self.settings.chosen_preset
        self.everything = self._sample(range(len(source)), self.settings.limit)

    @cached_property
    def runs(self) -> dict[str, Run]:
        """By name, in order."""
        return {run.name: run for run in (*self._main(), *self._layers(), *self._sizes())}

    def blocks(self, run: Run) -> list[Sequence[int]]:
        """The places of a run's images, a batch each."""
        return chunked(range(len(run.source)), self.settings.batch_size)

    def shard(self, run: Run) -> Shard:
        """This process's share of a run's blocks: those of all runs are dealt out in one go."""
        before = takewhile(lambda other: other.name != run.name, self.runs.values())
        return self.settings.shard.after(sum(len(self.blocks(other)) for other in before))

    def needed(self, experiments: Iterable[str]) -> list[Run]:
        """The runs that these experiments are read off, in order."""
        runs = [self.runs[name] for name in experiments if name in self.runs]
        names = {name for run in runs for name in (*run.others, run.name)}
        return [run for name, run in self.runs.items() if name in names]

    def _main(self) -> Iterable[Run]:
        cast, few = self.cast, len(self.everything) < len(self.source)
        main = Subset(self.source, self.everything) if few else self.source
        everyone = (*cast.roles.values(), *cast.extras)
        pair = tuple(cast.roles[role] for role in (ATTENTION, RANDOM) if role in cast.roles)
        quick = everyone if self.preset.thorough else (*pair, *cast.extras)
        for fovea, policies in ((FOVEA, everyone), (5, quick or everyone)):
            yield self._run(f"fovea {fovea}", policies, main, fovea)

    def _layers(self) -> Iterable[Run]:
        """Attention of every layer (figure 6), and then from small inputs, if the policy can."""
        cast, name, depth = self.cast, self.cast.roles.get(ATTENTION, ""), self.cast.depth
        if not depth:
            why = f"{name} has no layers to choose from" if name else "no policy follows attention"
            cast.notes.append(f"layers and resolutions are left out: {why}")
            return
        of_maps = self._sample(self.everything, self.preset.map_images)
        of_both = self._sample(of_maps, self.preset.both_images)
        source, fewer = Subset(self.source, of_maps), Subset(self.source, of_both)
        policy = cast.policy_here(name)
        patch = policy.patch_size if isinstance(policy, TakesSmallInputs) else 0
        layers = {
            with_parameters(name, layer=layer): (layer, max(cast.image_size))
            for layer in range(depth)
        }
        small = {
            with_parameters(name, layer=layer, resolution=side * patch): (layer, side * patch)
            for side, layer in product(RESOLUTIONS if patch else (), range(depth))
        }
        if not small:
            cast.notes.append(f"resolutions are left out: {name} has no maps from smaller inputs")
        above, best = ({n: v for n, v in m.items() if v[0] == depth - 1} for m in (small, layers))
        for fovea in (FOVEA, 5) if self.preset.thorough else (FOVEA,):
            end = "" if fovea == FOVEA else f" fovea {fovea}"
            every = self._run(f"layers{end}", tuple(layers), source, fovea)
            rows, others = _rows(layers, patch, fovea), (f"fovea {fovea}",)
            yield replace(every, varied=rows, others=others)
            if above:
                rows = _rows({**best, **above}, patch, fovea)
                tokens = self._run(f"resolutions{end}", tuple(above), source, fovea)
                yield replace(tokens, varied=rows, others=(every.name,))
        if small:  # figures 17 and 18
            rest = tuple(policy for policy in small if policy not in above)
            run, rows = self._run(COMBINED, rest, fewer), _rows({**layers, **small}, patch)
            yield replace(run, varied=rows, others=("layers", "resolutions"))

    def _sizes(self) -> Iterable[Run]:
        """UNISAL's image sizes, on ten images a class, and single crops (figures 10 and 11)."""
        cast, policies = self.cast, tuple(self.cast.roles.values())
        if not policies:
            cast.notes.append(
                "UNISAL's image sizes are left out: no policy plays a part of the paper's"
            )
            return
        even = balanced(self.source, self.everything, self.settings.seed)
        chosen = self._sample(even, self.preset.size_images)
        if {CROPS, "unisal 224x384"} & {*self.settings.experiments}:
            classes, least, most = class_sizes(self.source, chosen)
            cast.notes.append(
                f"UNISAL's image sizes: {len(chosen)} images of {classes} classes, {least} to "
                f"{most} of each (the paper: {PER_CLASS} of each of 1000)"
            )
        for size in SIZES:
            source = Subset(resized(self.source, size), chosen)
            name = f"unisal {size[0]}x{size[1]}"
            if cast.judges(size):
                yield self._run(name, policies, source)
            else:
                cast.notes.append(f"{name} is left out: the classifier is built for another size")
        judge = CropClassifier(cast.cropper, SIZES[-1], FOVEA)
        yield Run(CROPS, policies, source, judge, SaccadeConfig(judge.grid, FOVEA, 1))

    def _run(
        self, name: str, policies: tuple[str, ...], source: ImageSource, fovea: int = FOVEA
    ) -> Run:
        judge = self.cast.judge(source.image_size)
        config = replace(self.settings.config, grid=judge.grid, fovea=fovea)
        return Run(name, policies, source, judge, config)

    def _sample(self, indices: Sequence[int], count: int | None) -> list[int]:
        return sample(indices, count, self.settings.seed)


def _rows(varied: Varied, patch: int, fovea: int = FOVEA) -> list[dict[str, Any]]:
    """What is varied; ``tokens`` of the map's input, a side, where the policy tells."""
    return [
        {"policy": policy, "layer": layer, "resolution": resolution, "fovea": fovea}
        | ({"tokens": resolution // patch} if patch else {})
        for policy, (layer, resolution) in varied.items()
    ]


class _Squashed(Derived):
    """A source brought to another size; pictures in files are better read anew at that size."""

    def __init__(self, source: ImageSource, preprocess: Preprocess) -> None:
        super().__init__(source, preprocess=repr(preprocess))
        self.image_size, self.preprocess = preprocess.image_size, preprocess
        self._squash = preprocess

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, i: int) -> Picture:
        picture = self._source[i]
        pixels = Image.fromarray(picture.image.permute(1, 2, 0).numpy())
        return picture._replace(image=self._squash(pixels))

    def id(self, i: int) -> str:
        return self._source.id(i)


def resized(source: ImageSource, image_size: tuple[int, int]) -> ImageSource:
    """The whole pictures at another (height, width), whatever their aspect (paper, figure 10)."""
    preprocess = Preprocess(image_size, mode="squash")
    if isinstance(source, Collection):
        return source.resized(preprocess)
    return _Squashed(source, preprocess)


def balanced(
    source: ImageSource, indices: Sequence[int], seed: int, per_class: int = PER_CLASS
) -> list[int]:
    """A random ten of each class, or all where a class has fewer; in order."""
    classes: dict[Any, list[int]] = defaultdict(list)
    for index in indices:
        classes[_class_of(source, index)].append(index)
    chosen = (sample(members, per_class, seed) for members in classes.values())
    return sorted(index for members in chosen for index in members)


def class_sizes(source: ImageSource, indices: Sequence[int]) -> tuple[int, int, int]:
    """Number of classes, and images of the smallest and of the largest."""
    counts = Counter(_class_of(source, index) for index in indices).values()
    return len(counts), min(counts), max(counts)


def _class_of(source: ImageSource, index: int) -> Any:
    # A collection tells without decoding the picture.
    return source.label(index) if isinstance(source, Collection) else source[index].label
