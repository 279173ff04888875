"""Maps on disk: computed once, never another's, and never in the way of a run."""

from __future__ import annotations

import sqlite3
import warnings
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from saccade_env import SaccadeVectorEnv, SaliencyObservation, policies
from saccade_env.card import describe_policy
from saccade_env.classifiers.base import Weights
from saccade_env.policies import SaliencyPolicy, map_cache
from saccade_env.policies.gbvs import GBVSPolicy
from saccade_env.policies.map_cache import MapCache, description_of, picture_keys

pytestmark = pytest.mark.usefixtures("map_folder")
SHA = "ab" * 32


class Brightness(SaliencyPolicy):
    """Mean brightness of every token, counted; vouches for its maps."""

    name = "brightness"
    maps_version = 1

    def __init__(self, power: float = 1.0, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.power = power
        self._asked: list[int] = []  # pictures computed at each call

    def saliency_map(self, images: Tensor) -> Tensor:
        self._asked.append(len(images))
        tokens = torch.nn.functional.adaptive_avg_pool2d(images.float().mean(1), self.grid)
        return (tokens / 255) ** self.power


class Newer(Brightness):
    maps_version = 2


class Heir(Brightness):
    """Says nothing about its own maps."""


def pictures(count: int = 4, seed: int = 0, size: tuple[int, int] = (56, 56)) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 3, *size), dtype=torch.uint8, generator=generator)


def computed(policy: Brightness, images: Tensor) -> int:
    """How many maps the policy computes for these pictures."""
    before = sum(policy._asked)
    policy.maps(images)
    return sum(policy._asked) - before


def file_of(policy: Any) -> Path:
    description = description_of(policy)
    assert description is not None
    return MapCache(description).path


def change(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(statement)


def test_a_second_run_computes_nothing(map_folder: Path) -> None:
    first, second = Brightness(), Brightness()
    maps = first.maps(pictures())
    assert torch.equal(second.maps(pictures()), maps), "the same bits"
    assert (first._asked, second._asked) == ([4], [])
    assert torch.equal(maps, Brightness(cache=False).maps(pictures()))
    assert [path.suffix for path in map_folder.iterdir()] == [".sqlite"], "no lock, no log"


def test_only_missing_pictures_are_computed_and_each_once() -> None:
    policy, images = Brightness(), pictures(5)
    policy.maps(images[:2])
    maps = policy.maps(images[[3, 0, 2, 3, 1, 4, 2]])
    assert policy._asked == [2, 3], "three new ones in one batch"
    assert torch.equal(maps, Brightness(cache=False).saliency_map(images)[[3, 0, 2, 3, 1, 4, 2]])


def test_a_picture_is_its_pixels_whatever_its_place_in_memory() -> None:
    policy, images = Brightness(), pictures()
    policy.maps(images)
    assert computed(policy, images.to(memory_format=torch.channels_last)) == 0
    assert computed(policy, images.flip(0)[1:]) == 0
    changed = images.clone()
    changed[2, 1, 7, 9] ^= 1
    assert computed(policy, changed) == 1
    assert computed(policy, images.reshape(4, 3, 28, 112)) == 4, "the same bytes, another shape"
    assert len(set(picture_keys(images))) == 4


@pytest.mark.parametrize(
    "other",
    [
        lambda: Brightness(power=2.0),
        lambda: Brightness(grid=(7, 7)),
        lambda: Newer(),
        lambda: weighed(SHA[::-1]),
    ],
    ids=["parameter", "grid", "version", "weights"],
)
def test_what_changes_maps_changes_the_file(other: Any) -> None:
    policy, images = weighed(SHA), pictures()
    policy.maps(images)
    assert computed(other(), images) == 4
    assert file_of(other()) != file_of(policy)


def weighed(sha256: str) -> Brightness:
    policy = Brightness()
    policy.weights = Weights("somewhere", sha256)
    return policy


def test_a_changed_parameter_is_noticed() -> None:
    policy, images = Brightness(), pictures()
    policy.maps(images)
    policy.power = 3.0
    assert torch.equal(policy.maps(images), Brightness(3.0, cache=False).maps(images))


def test_the_flag_describes_no_run() -> None:
    assert describe_policy(GBVSPolicy(cache=False)) == describe_policy(GBVSPolicy())
    policy = GBVSPolicy(cache=False)
    policy.maps(pictures())
    assert not file_of(policy).exists()


@pytest.mark.parametrize(
    "policy",
    [Heir(), weighed("-"), policies.create("random"), policies.create("centre")],
    ids=["subclass", "unknown weights", "random", "centre"],
)
def test_these_are_never_kept(policy: Any, map_folder: Path) -> None:
    assert torch.equal(policy.maps(pictures()), policy.saliency_map(pictures()))
    assert not map_folder.exists()


def test_parameters_that_are_no_plain_data_are_not_kept(map_folder: Path) -> None:
    policy: Any = Brightness()
    policy.factors = [1, 2]
    policy.maps(pictures())
    policy.factors = None
    assert not map_folder.exists()
    policy.maps(pictures())
    assert map_folder.exists()


def test_other_dtypes_are_computed(map_folder: Path) -> None:
    Brightness().maps(pictures().float())
    assert Brightness().maps(pictures(0)).shape == (0, 14, 14)
    assert not map_folder.exists()


def test_maps_that_would_come_back_changed_are_not_stored() -> None:
    class Double(Brightness):
        maps_version = 1

        def saliency_map(self, images: Tensor) -> Tensor:
            return super().saliency_map(images).double()

    policy = Double()
    assert torch.equal(policy.maps(pictures()), policy.saliency_map(pictures()))
    assert policy.maps(pictures()).dtype == torch.float64
    assert not file_of(policy).exists()


def test_nan_is_refused_before_it_is_stored() -> None:
    policy = Brightness(power=-1.0)
    with pytest.raises(FloatingPointError, match="'brightness' computed a map with NaN or inf"):
        policy.reset(torch.zeros(2, 3, 56, 56, dtype=torch.uint8))
    assert not file_of(policy).exists()


@pytest.mark.parametrize(
    "damage",
    ["x'0000'", f"'{'t' * 784}'", f"x'{'0000c07f' * 196}'"],
    ids=["length", "text", "nan"],
)
def test_a_damaged_map_counts_as_absent(damage: str) -> None:
    policy, images = Brightness(), pictures()
    maps = policy.maps(images)
    change(file_of(policy), f"UPDATE maps SET map = {damage}")
    again = Brightness()
    assert torch.equal(again.maps(images), maps)
    assert again._asked == [4]


def spoil(path: Path, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a cache file unusable in one of the ways of the world."""
    path.parent.parent.mkdir(parents=True, exist_ok=True)
    if how == "file in the way":
        path.parent.write_text("")
        return
    path.parent.mkdir(exist_ok=True)
    if how == "folder in the way":
        path.mkdir()
    if how == "no database":
        path.write_bytes(b"\x80\x04K\x01." * 999)
    if how == "other tables":
        change(path, "CREATE TABLE maps (other)")
    if how in ("torn", "locked"):
        Brightness().maps(pictures(40))
    if how == "torn":
        content = path.read_bytes()
        path.write_bytes(content[:9000] + b"\xff" * (len(content) - 9000))
    if how in ("full disk", "read only"):
        pragma = {"full disk": "max_page_count = 1", "read only": "query_only = 1"}[how]
        connect = MapCache._connect

        def limited(self: MapCache, mode: str) -> sqlite3.Connection:
            connection = connect(self, mode)
            connection.execute(f"PRAGMA {pragma}")
            return connection

        monkeypatch.setattr(MapCache, "_connect", limited)


WAYS = [
    "file in the way", "folder in the way", "no database", "other tables", "torn", "locked",
    "full disk", "read only",
]  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_an_unusable_cache_is_warned_of_once(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    policy, images = Brightness(), pictures(40)
    spoil(file_of(policy), way, monkeypatch)
    monkeypatch.setattr(map_cache, "_PATIENCE_S", 0.05)
    holder = sqlite3.connect(":memory:" if way != "locked" else file_of(policy))
    if way == "locked":
        holder.execute("BEGIN EXCLUSIVE")
    with closing(holder), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        maps = [policy.maps(images) for _ in range(3)]
    assert policy._asked == [40, 40, 40]
    assert all(torch.equal(found, Brightness(cache=False).maps(images)) for found in maps)
    [warning] = caught
    assert warning.category is UserWarning
    assert str(file_of(policy)) in str(warning.message)
    assert "saccade-env cache clear" in str(warning.message)


def test_a_cache_that_cannot_be_written_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    policy, images = Brightness(), pictures()
    policy.maps(images[:3])
    spoil(file_of(policy), "read only", monkeypatch)
    with pytest.warns(UserWarning, match=r"cannot write the saliency maps in .*readonly"):
        policy.maps(images)
    assert computed(policy, images) == 1


def test_without_a_home_there_is_no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(map_cache, "cache_dir", homeless)
    assert computed(Brightness(), pictures()) == 4


def test_a_file_that_is_cleared_meanwhile_is_made_anew() -> None:
    policy, images = Brightness(), pictures()
    policy.maps(images)
    file_of(policy).unlink()
    assert computed(policy, images) == 4
    assert computed(policy, images) == 0
    file_of(policy).write_bytes(b"")  # another process has just begun to make it
    assert computed(policy, images) == 4


def test_the_wrapper_takes_maps_from_disk(linear: Any, sample: Any) -> None:
    policy = Brightness()
    env = SaliencyObservation(
        SaccadeVectorEnv(7, images=sample, classifier=linear, max_saccades=1), policy
    )
    env.reset(seed=0)
    for step in range(4):
        observation, *_ = env.step([step] * 7)
    assert observation["saliency"].std() > 0
    assert sum(policy._asked) <= 7, "no picture twice"


def test_weights_are_what_the_description_says() -> None:
    description = description_of(weighed(SHA))
    assert description is not None
    assert description["policy"]["weights"]["sha256"] == SHA
    assert description["class"].endswith("test_map_cache.Brightness")
