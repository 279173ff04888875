"""What is timed: classifiers, pictures, and the loops that people write without this package."""

from __future__ import annotations

import io
import tarfile
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional as F

from saccade_env import classifiers, geometry, images
from saccade_env.classifiers import Classifier, Weights, onnx_forward
from saccade_env.classifiers.runtime import wait_for
from saccade_env.core import View
from saccade_env.images import ImageSource, Picture
from saccade_env.images.derived import Derived

if TYPE_CHECKING:
    from saccade_env.classifiers.vit.classifier import VitClassifier

_CLASS = "n02123045"  # of copied pictures: nothing asks for it
Ratios = Iterator[dict[str, float]]  # by name of the line, a repeat at a time


@dataclass(frozen=True)
class Plan:
    """How much is measured, a quick look or the whole table, and where networks run."""

    repeats: int
    rows: int  # of the vector environment
    loop_rows: int  # images in the loops that go one by one
    saccades: int
    cnn_saccades: int
    growth: tuple[int, int]  # images
    growth_classifier: str
    growth_repeats: int
    fed: int  # images of the evaluation that decodes files
    device: str = "cpu"

    @classmethod
    def of(cls, quick: bool, device: str = "cpu") -> Plan:
        """The quick plan ends after about three minutes on two cores."""
        if quick:
            return cls(2, 32, 4, 10, 3, (100, 900), "null", 1, 16, device)
        return cls(3, 32, 8, 10, 5, (100, 900), "efficientnet_lite0", 2, 48, device)


def seconds(
    function: Callable[..., object], *arguments: object, device: str | torch.device = "cpu"
) -> float:
    """Wall time of one call, until the device has done what it was sent."""
    wait_for(device)
    begin = time.perf_counter()
    function(*arguments)
    wait_for(device)
    return time.perf_counter() - begin


class NullClassifier(Classifier):
    """Costs nothing: what remains is the environment's own time."""

    name, grid, patch_size, num_classes = "null", (14, 14), 16, 1000
    weights = Weights("none", "-")

    def begin(self, images: Tensor) -> Tensor:
        return images[:, 0, 0, 0].float()

    def classify(self, memory: Tensor, revealed: Tensor) -> tuple[Tensor, Tensor]:
        return torch.zeros(len(revealed), self.num_classes), memory


class Repeated(Derived):
    """A source of ``count`` pictures that are read again and again from a smaller one.

    With ``decoded=True`` the pictures are held in memory instead.
    """

    def __init__(self, source: ImageSource, count: int, decoded: bool = False) -> None:
        super().__init__(source, count=count)
        self._count = count
        distinct = min(count, len(source))
        self._held = [source[i] for i in range(distinct)] if decoded else None

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, i: int) -> Picture:
        place = i % len(self._source)
        picture = self._held[place] if self._held else self._source[place]
        return picture._replace(id=self.id(i))

    def id(self, i: int) -> str:
        return f"{i:06d}/{self._source.id(i % len(self._source))}"


class Sweep:
    """A policy that costs nothing: the open cells one after the other."""

    name, sees_full_image = "sweep", False

    def reset(self, images: Tensor) -> None: ...

    def act(self, view: View) -> Tensor:
        return (~view.inhibition).flatten(1).byte().argmax(-1)


def vit_small(device: str) -> VitClassifier:
    """DINO ViT-S/16 with a KV cache; ``recomputing`` is the one without.

    Its weights are random where the real ones are not cached: just as fast.
    """
    from timm.models.vision_transformer import VisionTransformer

    from saccade_env.classifiers.vit.dino import from_state_dicts, load

    if "dino_vits16" in classifiers.available():
        return load(name="dino_vits16", mode="kv_cache", device=device)
    with torch.random.fork_rng(devices=[]):
        network = VisionTransformer(patch_size=16, embed_dim=384, num_heads=6, num_classes=0)
        head = {"linear.weight": torch.randn(1000, 1536) / 40, "linear.bias": torch.zeros(1000)}
    return from_state_dicts(
        network.state_dict(), head, device=device, name="dino_vits16", mode="kv_cache"
    )


def lite0(device: str) -> Classifier:
    """EfficientNet-Lite0, which ships with its weights."""
    return classifiers.create("efficientnet_lite0", device=device)


def pictures(folder: str | None) -> images.Collection:
    """The images to run on; the sample by default."""
    return images.create(folder or "sample")  # type: ignore[return-value]


def kept_otherwise(source: images.Collection, count: int, folder: Path) -> dict[str, ImageSource]:
    """The first pictures of a collection as ``"shards"`` and, with ``datasets``, ``"tables"``."""
    stored = []
    for i in range(count):
        with source.open(i) as file:
            stored.append(file.read())
    with tarfile.open(folder / "a.tar", "w") as archive:
        for number, data in enumerate(stored):
            for suffix, content in (("jpg", data), ("cls", _CLASS.encode())):
                member = tarfile.TarInfo(f"{number:06}.{suffix}")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    kept: dict[str, ImageSource] = {"shards": images.create(folder / "a.tar")}
    try:
        import datasets
    except ImportError:
        return kept
    cells = [{"bytes": data, "path": None} for data in stored]
    features = datasets.Features({"image": datasets.Image(), "label": datasets.Value("string")})
    columns = {"image": cells, "label": [_CLASS] * len(stored)}
    table = datasets.Dataset.from_dict(columns, features)
    datasets.disable_progress_bars()
    table.to_parquet(folder / "tables" / "a.parquet")
    return {**kept, "tables": images.create(folder / "tables")}


def scanpaths(rows: int, saccades: int, tokens: int = 196) -> Tensor:
    """Random actions, int64 [saccades, rows]; no row looks at one place twice."""
    generator = torch.Generator().manual_seed(0)
    order = torch.stack([torch.randperm(tokens, generator=generator) for _ in range(rows)])
    return order[:, :saccades].T.contiguous()


def token_sets(actions: Tensor, fovea: int = 3) -> list[Tensor]:
    """What is revealed after every saccade, bool [rows, 14, 14] each."""
    windows = geometry.fovea_windows((14, 14), fovea, torch.device("cpu"))[actions]
    return [windows[: saccade + 1].any(0) for saccade in range(len(actions))]


def forwards(classifier: Classifier, pixels: Tensor, sets: list[Tensor]) -> None:
    """All images at once, revealed tokens only: what the environment cannot do without."""
    memory = classifier.begin(pixels)
    for revealed in sets:
        classifier.classify(memory, revealed)


def loop_sparse(classifier: Classifier, pixels: Tensor, sets: list[Tensor]) -> None:
    """One image after the other, revealed tokens only."""
    for row in range(len(pixels)):
        forwards(classifier, pixels[row, None], [revealed[row, None] for revealed in sets])


@torch.no_grad()
def loop_dense(classifier: Any, pixels: Tensor, sets: list[Tensor]) -> None:
    """One image after the other, all tokens, hidden ones kept out of attention by a mask."""
    network, device = classifier.network, classifier.device
    for row in range(len(pixels)):
        start = network.tokens(pixels[row, None])
        for revealed in sets:
            mask = F.pad(revealed[row].flatten(), (1, 0), value=True)[None, None, None].to(device)
            tokens, classes = start, []
            for block in network.blocks:
                tokens = block(tokens, attn_mask=mask)
                classes.append(tokens[:, 0])
            classifier.head.linear(network.backbone.norm(torch.stack(classes[-4:], 1)).flatten(1))


def onnx_runtime(network: Any, images: Tensor) -> Callable[[], object] | None:
    """A forward as ONNX Runtime does it without our care; None where it is not installed."""
    if not onnx_forward.is_installed():
        return None
    import onnxruntime

    file: Any = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(network, (images,), file, dynamo=False, input_names=["images"])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    providers = ["CPUExecutionProvider"]
    session = onnxruntime.InferenceSession(file.getvalue(), options, providers=providers)
    feed = {"images": images.numpy()}
    session.run(None, feed)
    return lambda: session.run(None, feed)
