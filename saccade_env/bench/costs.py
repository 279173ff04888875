"""What things cost here, and so what a run costs on many machines: ``saccade-env costs``.

Times are of one image: of a saccade (the classifier's forward on what is revealed, averaged over
ten saccades, with the environment's own work), of the whole image, of a policy's map, of decoding.
Networks whose weights are not here have random ones: they are just as fast.
"""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from saccade_env import classifiers, images, policies
from saccade_env.bench.subjects import Repeated, seconds
from saccade_env.classifiers import Classifier
from saccade_env.config import PAPER
from saccade_env.core import HasMaps
from saccade_env.evaluation.records import records_of
from saccade_env.evaluation.rollout import rollout
from saccade_env.evaluation.store import Store
from saccade_env.images import ImageSource, Picture
from saccade_env.paper.programme import Cast, Programme
from saccade_env.paper.results import PAPERS
from saccade_env.paper.settings import PaperSettings
from saccade_env.policies.unisal import UnisalPolicy
from saccade_env.policies.unisal_network import UNISAL

_DINO = {"s16": "small_patch16_224", "s8": "small_patch8_224", "b16": "base_patch16_224",
         "b8": "base_patch8_224"}  # fmt: skip
STANDS_FOR = {
    **{f"dino_vit{size}": f"vit_{name}.dino" for size, name in _DINO.items()},
    **{
        f"dinov2_vit{size[0]}14": f"vit_{size}_patch14_dinov2.lvd142m" for size in ("small", "base")
    },
    "resnet50": "resnet50",
}  # timm's, of the same shape


@dataclass(frozen=True)
class Cost:
    """Milliseconds an image; ``once`` for its whole or its map, ``saccade`` for each saccade."""

    name: str
    once: float
    saccade: float


def of_classifiers(
    names: Sequence[str], source: ImageSource, device: str, rows: int
) -> Iterator[Cost]:
    """Of each classifier: the whole image, and a saccade of a random scanpath.

    Args:
        names: See :func:`saccade_env.classifiers.create`.
        source: Images of 224×224 pixels.
        device: Where the networks run.
        rows: Images in a batch.
    """
    pixels, labels = images.load_batch(Repeated(source, rows), range(rows))
    for name in names:
        judge = _classifier(name, device)
        policy, config = policies.create("random", grid=judge.grid), PAPER.on(judge.grid)
        whole = torch.ones(rows, *judge.grid, dtype=torch.bool)

        def see(judge: Classifier = judge, whole: Tensor = whole) -> None:
            judge.classify(judge.begin(pixels), whole)[0].cpu()

        def look(judge: Classifier = judge, policy: Any = policy, config: Any = config) -> None:
            rollout(pixels, labels, policy, config, judge)

        see()  # the first is slow, and so is the first saccade
        look(config=replace(config, max_saccades=1))
        each = 1000 / rows
        yield Cost(name, seconds(see) * each, seconds(look) * each / config.max_saccades)


def of_policies(
    named: Iterable[tuple[str, Any]], judge: Classifier, source: ImageSource, rows: int
) -> Iterator[Cost]:
    """Of each policy: its map, and what it adds to a saccade; nothing is read from disk.

    Args:
        named: Policies on the classifier's grid.
        judge: Judges meanwhile; its own time is not counted.
        source: Images.
        rows: Images in a batch.
    """
    pixels, labels = images.load_batch(Repeated(source, rows), range(rows))
    config, each = PAPER.on(judge.grid), 1000 / rows
    chance = policies.create("random", grid=judge.grid)

    def scanpath(policy: Any) -> float:
        return seconds(rollout, pixels, labels, policy, config, judge) * each

    scanpath(chance)
    alone = scanpath(chance)
    for name, policy in named:
        if isinstance(policy, HasMaps):
            policy.saliency_map(pixels)
            yield Cost(name, seconds(lambda p=policy: p.saliency_map(pixels).cpu()) * each, 0)
        else:
            scanpath(policy)
            yield Cost(name, 0, max(0, scanpath(policy) - alone) / config.max_saccades)


def of_data(source: images.Collection, rows: int) -> dict[str, float]:
    """Of an image that is read, and of records that are kept.

    Returns:
        ``decode_ms`` and ``file_bytes`` of an image; ``record_bytes`` of one image, policy and
        saccade; ``keep_ms`` of a batch of that many images and five policies.
    """
    count = len(source)
    decode = seconds(lambda: [source[i] for i in range(count)]) / count
    sizes = []
    for i in range(count):
        with source.open(i) as file:
            sizes.append(file.seek(0, os.SEEK_END))
    judge = classifiers.create("efficientnet_lite0", image_size=source.image_size)
    more = Repeated(source, rows)
    named = {f"random:seed={i}": policies.create(f"random:seed={i}", grid=judge.grid)
             for i in range(5)}  # fmt: skip
    config = PAPER.on(judge.grid)
    part = records_of([more[i] for i in range(rows)], named, config, judge, lambda _: None)
    with tempfile.TemporaryDirectory() as folder, Store(folder, {"run": "of the bench"}) as store:
        keep = seconds(store.add, part)
        [kept] = Path(folder, "parts").iterdir()
        record = kept.stat().st_size / len(part.records)
    return {
        "decode_ms": 1000 * decode,
        "file_bytes": sum(sizes) / count,
        "record_bytes": record,
        "keep_ms": 1000 * keep,
    }


@dataclass(frozen=True)
class Load:
    """How much the paper's programme is, counted from its plan.

    Attributes:
        settings: Policies of all its runs.
        wholes: Images of all runs: each is decoded and seen in full once. Larger ones than 224×224
            pixels count by their tokens, also in the next.
        saccades: Of all images and policies.
        crops: Windows, and images, that the network of single crops judges.
        maps: By policy, how many.
    """

    settings: int
    wholes: float
    saccades: float
    crops: int
    maps: dict[str, int]

    def machine_seconds(self, costs: Mapping[str, Cost], decode_ms: float) -> float:
        """On one machine, if nothing waits; ``costs`` by the names of networks and policies."""
        judge, crop = costs["dino_vits16"], costs["resnet50"]
        spent = self.wholes * (judge.once + decode_ms) + self.saccades * judge.saccade
        spent += self.crops * crop.once
        spent += sum(costs[name].once * count for name, count in self.maps.items() if name in costs)
        return spent / 1000

    @property
    def batches(self) -> float:
        """Of 32 images, that come back to the driver or are kept on disk."""
        return self.wholes / 32


def programme(count: int) -> Load:
    """The paper's programme in full (``--preset full``) with DINO, on so many images."""
    source = _Labelled(images.create("sample"), count, decoded=True)
    settings = PaperSettings(
        source, "", "full", classifier=_stub, crop_classifier=_stub((224, 224)),
        policies=tuple(PAPERS.values()),
    )  # fmt: skip
    runs = list(Programme(Cast(settings, _policy_stub, (224, 224)).choose(), source).runs.values())
    saccades, crops = 0.0, 0
    wholes, maps = 0.0, dict[tuple[str, tuple[int, int]], int]()
    for run in runs:
        seen, large = len(run.source), run.config.num_tokens / PAPER.num_tokens
        made = seen * len(run.policies) * run.config.max_saccades
        if run.config.max_saccades == 1:
            crops += seen + made
        else:
            wholes += seen * large
            saccades += made * large
        for policy in run.policies:  # a map is computed once, whatever follows it
            key = policy, run.source.image_size
            maps[key] = max(maps.get(key, 0), seen)
    summed = Counter[str]()
    for (policy, _), seen in maps.items():
        summed[policy.partition(":")[0]] += seen
    return Load(sum(len(run.policies) for run in runs), wholes, saccades, crops, dict(summed))


class _Labelled(Repeated):
    """As many images of each of a thousand classes."""

    def __getitem__(self, i: int) -> Picture:
        return super().__getitem__(i)._replace(label=i % 1000)


def _classifier(name: str, device: str) -> Classifier:
    if name not in classifiers.available() and name in STANDS_FOR:
        name = f"timm:{STANDS_FOR[name]},pretrained=false,num_classes=1000"
    return classifiers.create(name, device=device, image_size=(224, 224))


def _stub(image_size: tuple[int, int]) -> Any:
    grid = image_size[0] // 16, image_size[1] // 16
    return SimpleNamespace(name="dino_vits16", grid=grid, patch_size=16, num_classes=1000,
                           weights=None, device=torch.device("cpu"), options={})  # fmt: skip


def _policy_stub(name: str, grid: Any = None) -> Any:
    layered = {"layer": 11, "patch_size": 16} if name.startswith("dino") else {}
    return SimpleNamespace(name=name, **layered)


def with_stand_ins(named: Mapping[str, Any], grid: Any, device: str) -> dict[str, Any]:
    """With the paper's policies whose weights are not here: random ones in their place."""
    found = dict(named)
    if "dino" not in found:
        found["dino"] = policies.create(
            f"attention:{STANDS_FOR['dino_vits16']},pretrained=false", grid=grid, device=device
        )
    if "unisal" not in found:
        network = UNISAL()
        found["unisal"] = UnisalPolicy(network=network, grid=grid, device=device)
    return found
