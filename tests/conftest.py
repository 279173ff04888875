"""Shared by all tests: real pictures, and two small classifiers that really depend on them."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
import torch

from saccade_env import images
from saccade_env.images.derived import Subset
from saccade_env.policies import SaliencyPolicy
from saccade_env.testing import LinearClassifier

# A busy machine is no fault of what is tested.
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")

# Several test processes share the cores; more threads than cores make every network crawl.
torch.set_num_threads(1)
os.environ["OMP_NUM_THREADS"] = "1"

# Before tests are collected, as some ask which weights are there: nothing may depend on the user's
# own cache, or leave anything in it.
CACHE = os.environ["SACCADE_CACHE"] = tempfile.mkdtemp(prefix="saccade-tests-")

os.environ["SDL_VIDEODRIVER"] = "dummy"  # windows that nobody sees

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HOME"] = f"{CACHE}/huggingface"

SHARED = Path(__file__).parents[2] / "shared"


def pytest_unconfigure() -> None:
    shutil.rmtree(CACHE, ignore_errors=True)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What takes longest begins first, so that no process is left alone with it in the end.

    Tests of a GPU are not chosen where there is none.
    """
    if not torch.cuda.is_available():
        gpu = [item for item in items if item.get_closest_marker("gpu")]
        config.hook.pytest_deselected(items=gpu)
        items[:] = [item for item in items if item not in gpu]
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)
    items.sort(key=lambda item: item.path.parent.name not in ("scale", "app"))


@pytest.fixture(autouse=True)
def maps_are_computed(request: pytest.FixtureRequest) -> Iterator[None]:
    """Nothing is compared with itself, read from disk, unless a test asks for ``map_folder``."""
    with pytest.MonkeyPatch.context() as patch:
        if "map_folder" not in request.fixturenames:
            patch.setattr(SaliencyPolicy, "_map_cache", lambda self, images: None)
        yield


@pytest.fixture
def map_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where maps are kept in this test: an empty cache of its own."""
    monkeypatch.setenv("SACCADE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "maps"


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of what cannot be published: a GBVS whose licence does not allow it."""
    if not SHARED.is_dir():
        pytest.skip("needs ../shared (maps of a GBVS that cannot be published), which is absent")
    return SHARED


@pytest.fixture(scope="session")
def linear() -> LinearClassifier:
    """A fast classifier whose answer depends on which tokens are revealed."""
    return LinearClassifier(num_classes=1000)


@pytest.fixture(scope="session")
def make_linear() -> type[LinearClassifier]:
    """The class of the fast classifier, for other grids and class counts."""
    return LinearClassifier


class InMemory:
    """Seven pictures of the sample, decoded once: an image source of the user's own making."""

    def __init__(self) -> None:
        source = Subset(images.create("sample"), range(7))
        self.name, self.image_size, self.labels = "sample", source.image_size, source.labels
        self.identity, self.class_names = source.identity, source.class_names
        self.preprocess = source.preprocess
        self.description = source.description
        self._pictures = [source[i] for i in range(len(source))]

    def __len__(self) -> int:
        return len(self._pictures)

    def __getitem__(self, index: int) -> images.Picture:
        return self._pictures[index]

    def id(self, index: int) -> str:
        return self._pictures[index].id


@pytest.fixture(scope="session")
def sample() -> InMemory:
    """Seven shipped pictures, decoded once."""
    return InMemory()
