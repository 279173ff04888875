"""Maps on disk: computed once, never another's, and never in the way of a run."""

from __future__ import annotations

import json
import pickle
import sqlite3
import subprocess
import sys
import warnings
from contextlib import closing
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from torch import Tensor

from saccade_env import SaccadeVectorEnv, SaliencyObservation, evaluation, policies
from saccade_env.card import describe_policy
from saccade_env.classifiers.base import Weights
from saccade_env.classifiers.dino.network import DinoNetwork, build_backbone
from saccade_env.config import SaccadeConfig
from saccade_env.policies import SaliencyPolicy, map_cache
from saccade_env.policies.gbvs import GBVSPolicy
from saccade_env.policies.map_cache import MapCache, description_of, picture_keys
from saccade_env.policies.unisal import UNISAL, UnisalPolicy

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


def test_every_parameter_of_gbvs_tells_its_files_apart() -> None:
    changes: list[dict[str, Any]] = [
        {"pyramid_levels": (2, 3)}, {"map_size": (14, 16)}, {"sigma_activation": 0.2},
        {"sigma_normalisation": 0.1}, {"channels": "I"}, {"gabor_orientations": (0.0,)},
        {"textbook_gabors": True},
    ]  # fmt: skip
    files = [file_of(GBVSPolicy(**change)) for change in [{}, *changes]]
    assert len(set(files)) == len(files)
    described = describe_policy(GBVSPolicy(channels="IO"))
    assert described["parameters"]["channels"] == "IO"
    assert described["parameters"]["map_size"] == [28, 32]
    assert described == json.loads(json.dumps(described))


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


def test_given_networks_are_not_kept(map_folder: Path) -> None:
    from timm.models.vision_transformer import VisionTransformer

    shape = {"img_size": 64, "patch_size": 16, "embed_dim": 64, "depth": 2, "num_heads": 1}
    tensors = VisionTransformer(**shape, num_classes=0).state_dict()
    given = DinoNetwork(build_backbone(tensors))
    images = pictures(1, size=(64, 64))
    assert policies.create("dino", network=given, grid=(4, 4)).maps(images).shape == (1, 4, 4)
    assert UnisalPolicy(network=UNISAL(), input_size=(32, 32)).maps(images).shape == (1, 14, 14)
    assert not map_folder.exists()
    named = DinoNetwork(build_backbone(tensors), origin=Weights("published", SHA))
    first, second = (policies.create("dino", network=named, layer=x, grid=(4, 4)) for x in (0, 1))
    assert not torch.equal(first.maps(images), second.maps(images))
    assert torch.equal(first.maps(images), first.saliency_map(images))
    assert len(list(map_folder.iterdir())) == 2


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


def test_policies_pickle_without_their_file() -> None:
    policy = GBVSPolicy()
    maps = policy.maps(pictures(1))
    copy = pickle.loads(pickle.dumps(policy))
    assert torch.equal(copy.maps(pictures(1)), maps)


WRITER = """
import sys, torch
from saccade_env import policies
torch.set_num_threads(1)
policy = policies.create("gbvs", map_size=(4, 4), channels="I", grid=(4, 4))
generator = torch.Generator().manual_seed(0)
images = torch.randint(0, 256, (120, 3, 32, 32), dtype=torch.uint8, generator=generator)
print("ready", flush=True)
sys.stdin.readline()
for start in range(0, 120, 4):
    policy.maps(images[start : start + 4])
"""


@pytest.mark.slow
def test_several_processes_write_the_same_file(map_folder: Path) -> None:
    script = map_folder.parent.parent / "writer.py"
    script.write_text(WRITER)
    pipe = subprocess.PIPE
    call = [sys.executable, "-W", "error", str(script)]
    writers: list[Any] = [
        subprocess.Popen(call, stdin=pipe, stdout=pipe, stderr=pipe, text=True) for _ in range(3)
    ]
    assert [writer.stdout.readline() for writer in writers] == ["ready\n"] * 3
    for writer in writers:  # all at once
        writer.stdin.write("go\n")
        writer.stdin.flush()
    for writer in writers:
        _, errors = writer.communicate(timeout=120)
        assert (writer.returncode, errors) == (0, ""), errors
    [path] = map_folder.iterdir()
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT count(*) FROM maps").fetchone() == (120,)
        assert database.execute("SELECT count(*) FROM meta").fetchone() == (1,)
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_scanpaths_are_the_same_with_and_without(
    sample: Any, linear: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(cache: bool) -> pd.DataFrame:
        policy = policies.create("gbvs", cache=cache)
        return evaluation.evaluate(
            [policy], sample, linear, SaccadeConfig(max_saccades=3), progress=False
        ).records

    without, cold = run(False), run(True)
    monkeypatch.setattr("saccade_env.policies.gbvs.gbvs", None)  # would be called in vain
    pd.testing.assert_frame_equal(cold, without)
    pd.testing.assert_frame_equal(run(True), without)


def test_the_wrapper_takes_maps_from_disk(linear: Any) -> None:
    policy = Brightness()
    env = SaliencyObservation(
        SaccadeVectorEnv(7, images="sample", classifier=linear, max_saccades=1), policy
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
